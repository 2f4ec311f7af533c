"""Packets of a stretch copied into another file. Runs on the caller's thread.

A stretch can be copied where it begins with a keyframe and where, in decoding order, all of its
frames come before any later one: then nothing in it leans on what is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from app.video.clip.encode import ClipCancelled, muxer_options
from app.video.clip.sound import Sound
from app.video.container import open_container, read_packets
from app.video.file_source import FileSource
from app.video.source import VideoSource


class NotCopied(Exception):
    """The packets of this stretch do not stand alone in another file."""


def copyable_stretch(source: VideoSource, first: int, last: int) -> tuple[int, int] | None:
    """The smallest stretch around two display indices whose packets can be copied, or None."""
    index = source.index
    if not isinstance(source, FileSource) or index.doubled or index.timeless:
        return None
    if not np.array_equal(index.label, index.pts):
        return None
    start = index.key_at(first)
    if start < 0:
        return None
    newest_so_far = np.maximum.accumulate(index.dts[start:])
    oldest_later = np.append(np.minimum.accumulate(index.dts[:start:-1])[::-1], _FOREVER)
    stands_alone = newest_so_far < oldest_later
    ends = np.flatnonzero(stands_alone[last - start :])
    return (start, last + int(ends[0])) if len(ends) else None


_FOREVER = np.iinfo(np.int64).max


def copy_packets(
    source: VideoSource,
    first: int,
    last: int,
    path: Path,
    *,
    sound: bool,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> None:
    """Copy the packets of a copyable stretch; times begin at zero.

    Raises:
        NotCopied: the container does not take the codec, or a packet is missing.
        ClipCancelled: ``cancelled()`` answered true.
    """
    first_pts, last_pts = source.pts(first), source.pts(last)
    end_pts = source.pts(last + 1) if last + 1 < len(source) else source.index.end_pts
    base = source.info.time_base
    count = last - first + 1
    with (
        open_container(source.path) as container,
        av.open(str(path), "w", options=muxer_options(path)) as out,
    ):
        stream: Any = container.streams[source.info.stream]
        try:
            copy: Any = out.add_stream_from_template(stream)
        except (av.FFmpegError, ValueError) as error:
            raise NotCopied(f"the container does not take {source.info.codec}") from error
        _forget_names(copy)
        kept = Sound(source.path, out, first_pts * base, end_pts * base) if sound else None
        done = 0
        for packet in _packets_from(container, stream, source, first):
            if cancelled():
                raise ClipCancelled
            if packet.is_discard or packet.pts is None or not first_pts <= packet.pts <= last_pts:
                continue
            done += source_has(source, packet.pts)
            if kept is not None:
                kept.write_until((packet.pts - first_pts) * base)
            packet.pts -= first_pts
            packet.dts = None if packet.dts is None else packet.dts - first_pts
            packet.stream = copy
            out.mux(packet)
            progress(done, count)
            if done == count:
                break
        if kept is not None:
            kept.close()
        if done < count:
            raise NotCopied(f"{done} of {count} packets were found")


def source_has(source: VideoSource, pts: int) -> bool:
    """Whether a presentable frame has this pts; VP8 has packets that are never shown."""
    at = int(np.searchsorted(source.index.pts, pts))
    return at < len(source) and int(source.index.pts[at]) == pts


def _packets_from(
    container: InputContainer, stream: VideoStream, source: VideoSource, first: int
) -> Iterator[av.Packet[VideoStream]]:
    """Packets in decoding order, beginning with the keyframe ``first``."""
    wanted = source.pts(first)
    for time in (wanted, int(source.index.dts[first])):
        try:
            container.seek(time, stream=stream, backward=True)
        except av.FFmpegError:
            continue
        packets = read_packets(container, stream)
        for packet in packets:
            if packet.pts == wanted:
                yield packet
                yield from packets
                return
            if packet.dts is not None and packet.dts > wanted:
                break
    raise NotCopied("its keyframe is not found")


def _forget_names(stream: Any) -> None:
    """Language, title and handler of the original stay behind."""
    for key in list(stream.metadata):
        del stream.metadata[key]
