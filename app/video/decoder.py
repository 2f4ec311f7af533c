"""Walks a file's packets to the frame that is asked for. Used by the thread that owns the source.

Exactness: a seek goes to a keyframe by the packet index, the first packet read is compared with
it, and only a picture with the indexed pts is accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from app.core.errors import BadInput, EnvironmentProblem
from app.video.cache import FrameCache
from app.video.container import (
    check_size,
    open_container,
    prepare_decoder,
    read_packets,
    video_stream,
)
from app.video.index import PacketIndex
from app.video.info import VideoInfo, describe
from app.video.record.growing import GROWING
from app.video.skipping import may_skip

# Up to this many frames ahead, decoding on is cheaper than a seek.
_STEP_FRAMES = 12
# On the way to a frame, this many before it are decoded whole, for stepping back from it.
RUN_FRAMES = 4
# So near behind its keyframe, a frame is soon there: the keyframe is not decoded twice.
_SOON_FRAMES = 32
# A decoder may hand out a few frames late; after that many later ones, a frame will not come.
LATE_FRAMES = 16
# Where a seek to a keyframe's pts lands behind it (measured); elsewhere its dts lands too early.
_SEEK_BY_DTS = ("mpegts", "mpeg")

log = logging.getLogger(__name__)


class UndecodableFrame(BadInput):
    """A packet of the file does not decode; its frame keeps its index."""

    def __init__(self, index: int, name: str) -> None:
        super().__init__(f"Frame {index} of {name} is damaged and cannot be shown.")
        self.index = index


class SeekCancelled(Exception):
    """The caller's ``cancelled`` answered true before the frame was reached."""


class Decoder:
    """Pictures by display index, with those around the newest one kept.

    Args:
        path: the file.
        index: its packet index.
        cache_bytes: room for decoded pictures.
        stream: index of the video stream; None for the file's own choice.
    """

    def __init__(
        self, path: Path, index: PacketIndex, cache_bytes: int, stream: int | None = None
    ) -> None:
        self.cache = FrameCache(cache_bytes)
        self._path, self._wanted = path, stream
        self._know(index)
        self._undecodable: set[int] = set()
        self._container: InputContainer | None = None
        self._stream: VideoStream
        # Packets of frames before this index are not decoded where nothing leans on them.
        self._whole_from, self._skips = 0, False
        # The last frame of which that was so since the last seek.
        self._skipped_to = -1
        self._seeks_by_dts = False
        self._packets: Iterator[av.Packet[VideoStream]] = iter(())
        # The packet to decode next, where one was read to see where a seek had landed.
        self._pending: av.Packet[VideoStream] | None = None
        # Whether the decoder was asked for what it held back at the end of the file.
        self._emptied = False
        # The newest frame that came, and the first that may be trusted since the last seek.
        self._position, self._floor = -1, 0
        # Of the newest picture that came, since the last seek.
        self._newest_label: int | None = None
        self._opened = _stamp(path)
        self._reopen()

    def close(self) -> None:
        """Release the file and the pictures."""
        self.cache.clear()
        self._release()

    def grow(self, index: PacketIndex, *, renumbered: bool) -> None:
        """More of the file is known; ``renumbered``: and frames have other indices than before."""
        self._know(index)
        if renumbered:
            self.cache.clear()
            self._undecodable.clear()
            self._position = self._skipped_to = -1

    def describe(self, index: PacketIndex, first: av.VideoFrame | None) -> VideoInfo:
        """What the open file holds; see ``app.video.info.describe``."""
        if self._container is None:
            raise ValueError("the file is closed")
        return describe(self._container, self._stream, index, first, self._path)

    @property
    def declared_ms(self) -> float:
        """How long the file says that it is; 0 where it does not."""
        declared = None if self._container is None else self._container.duration
        return max(0.0, (declared or 0) * 1000 / av.time_base)

    def _know(self, index: PacketIndex) -> None:
        self._index = index
        self._times_are_labels = bool(np.array_equal(index.label, index.pts))
        self._index_of = (
            {} if self._times_are_labels else {int(label): i for i, label in enumerate(index.label)}
        )

    def _place_of(self, label: int | None) -> int:
        """Index of the frame with that label; -1 where none is presented."""
        if label is None:
            return -1
        if not self._times_are_labels:
            return self._index_of.get(label, -1)
        at = int(np.searchsorted(self._index.pts, label))
        return at if at < len(self._index) and self._index.pts[at] == label else -1

    def _release(self) -> None:
        self._packets = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def picture(
        self,
        index: int,
        cancelled: Callable[[], bool] | None = None,
        run: int = RUN_FRAMES,
    ) -> av.VideoFrame:
        """The picture of a display index as the decoder made it.

        Args:
            index: display index.
            cancelled: asked between packets.
            run: this many frames before it are decoded on the way; of those farther back only
                what others lean on.

        Raises:
            UndecodableFrame: its packet does not decode.
            SeekCancelled: ``cancelled()`` answered true.
            EnvironmentProblem: the file was changed or taken away.
            BadInput: the picture is too large.
        """
        found = self.cache.get(index)
        if found is not None:
            return found
        if index in self._undecodable:
            raise UndecodableFrame(index, self._path.name)
        if self._is_just_ahead(index):
            found = self._decode_to(index, cancelled, run)
        for keyframes_back in (0, 1):
            if found is not None or (keyframes_back and self._floor == 0):
                break
            self._go_before(index, keyframes_back)
            found = self._decode_to(index, cancelled, run)
            if found is None and self._skipped_to >= 0:
                # In case leaving something out is what cost it.
                self._go_before(index, keyframes_back)
                found = self._decode_to(index, cancelled, index)
        if found is None and self._index.unordered:
            # It may lie before its keyframe in the file.
            self._reopen()
            found = self._decode_to(index, cancelled, index)
        if found is None:
            self._check_unchanged()
            self._undecodable.add(index)
            raise UndecodableFrame(index, self._path.name)
        return found

    def _is_just_ahead(self, index: int) -> bool:
        at = max(self._position, self._skipped_to)
        near = index - at <= _STEP_FRAMES or self._index.key_at(index) <= at + 1
        return index > at and near

    def is_lost(self, index: int) -> bool:
        """Whether a frame was found not to decode."""
        return index in self._undecodable

    def keyframe(self, index: int, target: int) -> av.VideoFrame | None:
        """The picture of a keyframe on the way to a frame, at once; None where that fails.

        Args:
            index: of the keyframe.
            target: the frame; where it is far, the keyframe is decoded alone, since the next wish
                may come before that frame does.
        """
        if (found := self.cache.get(index)) is not None:
            return found
        self._go_before(index, 0)
        if target - index <= _SOON_FRAMES and self._floor == index:
            return self._decode_to(index, None, index - target + RUN_FRAMES)
        self._whole_from = index
        found = None
        if self._pending is not None and self._floor == index:
            for picture in [*(self._decode_packet() or []), *self._empty()]:
                found = picture if self._keep(picture) == index else found
        # The emptied decoder takes no further packets: the next frame begins with a seek.
        self._packets, self._pending, self._emptied, self._position = iter(()), None, True, -1
        self._skipped_to = -1
        return found

    def _empty(self) -> list[av.VideoFrame]:
        try:
            return list(self._stream.decode(None))
        except av.FFmpegError:
            return []

    def _decode_to(
        self, index: int, cancelled: Callable[[], bool] | None, run: int
    ) -> av.VideoFrame | None:
        self._whole_from = index - run
        later = 0
        while later < LATE_FRAMES:
            if cancelled is not None and cancelled():
                raise SeekCancelled
            decoded = self._decode_packet()
            if decoded is None:
                break
            # Not out of the cache, which may have let it go for one nearer to its focus.
            found = None
            for picture in decoded:
                reached = self._keep(picture)
                later += reached > index
                found = picture if reached == index and index >= self._floor else found
            if found is not None:
                return found
        return None

    def _keep(self, picture: av.VideoFrame) -> int:
        """Cache a decoded frame; returns its index, or -1 for one that is not presentable."""
        check_size(picture.width, picture.height, self._path)
        pts = picture.pts if picture.pts is not None else picture.dts
        index = self._place_of(pts)
        if index >= 0 and pts == self._newest_label:
            # Of frames with the same time, the first one counts.
            return -1
        self._newest_label = pts
        # What comes before the keyframe stood on may lean on pictures that were not decoded.
        if index >= self._floor:
            self.cache.put(index, picture)
            self._position = max(self._position, index)
        return index

    def _decode_packet(self) -> list[av.VideoFrame] | None:
        """Frames of the next packet; None once the decoder was emptied at the end."""
        packet, self._pending = self._pending, None
        packet = packet or next(self._packets, None)
        if packet is None and self._emptied:
            return None
        self._emptied = packet is None
        if self._skips:
            self._skip_or_not(packet)
        held: list[av.VideoFrame] = []
        if packet is not None and packet.is_keyframe and self._changes_size(packet):
            # A decoder may drop what it holds back when the size changes.
            held = self._empty()
            self._stream.codec_context.flush_buffers()
        try:
            return [*held, *self._stream.decode(packet)]
        except av.FFmpegError as error:
            log.debug("a packet does not decode: %s", type(error).__name__)
            return held

    def _changes_size(self, packet: av.Packet[VideoStream]) -> bool:
        return bool(len(self._index.sizes)) and packet.pts in self._index.sizes[1:, 0]

    def _skip_or_not(self, packet: av.Packet[VideoStream] | None) -> None:
        """Tell the decoder whether it may leave the packet out if nothing leans on it."""
        known = -1 if packet is None else self._place_of(packet.pts)
        may = 0 <= known < self._whole_from
        if may:
            self._skipped_to = max(self._skipped_to, known)
        wanted: Literal["NONREF", "DEFAULT"] = "NONREF" if may else "DEFAULT"
        if self._stream.codec_context.skip_frame != wanted:
            self._stream.codec_context.skip_frame = wanted

    def _go_before(self, index: int, keyframes_back: int) -> None:
        """Stand on a keyframe packet from which ``index`` decodes."""
        keys = self._index.keys
        position = int(np.searchsorted(keys, index, side="right")) - 1 - keyframes_back
        back = 1
        while position >= 0:
            key = int(keys[position])
            label = int(self._index.label[key])
            times = [label, int(self._index.dts[key])]
            for time in reversed(times) if self._seeks_by_dts else times:
                if self._land(time, latest_pts=label):
                    return
            position -= back
            back *= 2
        self._reopen()

    def _land(self, timestamp: int, latest_pts: int) -> bool:
        """Seek and read up to a keyframe; False where it lies after ``latest_pts``."""
        self._position = self._skipped_to = -1
        self._newest_label = None
        if self._container is None:
            return False
        try:
            self._container.seek(timestamp, stream=self._stream, backward=True)
        except av.FFmpegError:
            return False
        self._packets, self._emptied = self._read(self._container), False
        for packet in self._packets:
            if packet.is_keyframe and packet.pts is not None:
                self._pending = packet
                # Of several packets with one time it may be the second one.
                self._floor = self._index_from(packet.pts) + (self._index.doubled > 0)
                self._position = self._floor - 1
                return packet.pts <= latest_pts
            if packet.dts is not None and packet.dts > latest_pts:
                return False
        return False

    def _read(self, container: InputContainer) -> Iterator[av.Packet[VideoStream]]:
        by_decode_time = self._index.by_decode_time
        return read_packets(container, self._stream, by_decode_time=by_decode_time)

    def _index_from(self, label: int) -> int:
        known = self._place_of(label)
        return int(np.searchsorted(self._index.pts, label)) if known < 0 else known

    def _reopen(self) -> None:
        """Stand at the very start, with a decoder that carries nothing over."""
        self._check_unchanged()
        self._release()
        self._container = open_container(self._path)
        self._seeks_by_dts = self._container.format.name in _SEEK_BY_DTS
        self._stream = video_stream(self._container, self._path, self._wanted)
        prepare_decoder(self._stream)
        self._skips = may_skip(self._stream) and self._times_are_labels
        self._packets, self._emptied = self._read(self._container), False
        self._pending = None
        self._floor = 0
        self._position = self._skipped_to = -1
        self._newest_label = None

    def _check_unchanged(self) -> None:
        """A frame that is missing because the file is must not pass for one that is damaged."""
        if _stamp(self._path) != self._opened:
            raise EnvironmentProblem(
                f"{self._path.name} was changed or taken away while it was open; put it back and "
                "open it again."
            )


def _stamp(path: Path) -> tuple[int, int] | None:
    if path in GROWING:
        # A recording of this process: only its end changes.
        return (0, 0)
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_size, known.st_mtime_ns
