"""The packet index: which frames a file presents, in display order. Built on the owning thread.

Identity and order come from the packets' timestamps, never from time times frame rate.
"""

from __future__ import annotations

import io
import itertools
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.video.container import (
    check_size,
    open_container,
    prepare_decoder,
    read_packets,
)
from app.video.picture_size import SizeWatch
from app.video.sample_table import agreed_rows, read_table

_NO_TIME = np.iinfo(np.int64).min
_CHECK_EVERY = 512
# While a file is read through, what is known is told after so many packets for the first time.
_FIRST_TOLD = 256
# Codecs show a picture at most 16 later than its place in the file; twice that for fields.
_HELD_BACK = 32
_FORMAT = 5
_OFTEN_IN_DECODE_ORDER = ("avi", "asf", "mxf")
# A programme stream may hold several H.264 pictures behind one time.
_OFTEN_TIMELESS = ("mpeg",)
_REORDERING = ("h264", "hevc", "mpeg4", "vc1", "wmv3")
_UNREADABLE = (ValueError, KeyError, OSError, EOFError, IndexError, zipfile.BadZipFile, zlib.error)


class OpenCancelled(Exception):
    """The caller's ``cancelled`` answered true while the file was being opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketIndex:
    """Presentable packets sorted by presentation time.

    Attributes:
        pts: int64 (N,), strictly ascending, in the stream's time base.
        label: int64 (N,), the pts that the decoder gives the frame; differs from ``pts`` only in
            files with B-frames whose packets are timed in decode order (AVI, ASF, some MXF).
        dts: int64 (N,), decode times; equal to pts where the container has none.
        key: bool (N,), keyframes.
        last_duration: of the last frame, in the time base.
        doubled: packets left out because another has their pts.
        timeless: packets left out because they have no pts.
        unordered: packets whose decode time lies before the one of the packet before them.
        sizes: (pts, width, height) int64 (S, 3) in stored pixels from where the pictures have
            another size, the first ones before them; empty where all have one size.
        stream: index of the stream in its container, -1 where there is none.
        by_decode_time: pictures are known by their decode times, since some have no other.
    """

    pts: NDArray[np.int64]
    label: NDArray[np.int64]
    dts: NDArray[np.int64]
    key: NDArray[np.bool_]
    last_duration: int
    doubled: int = 0
    timeless: int = 0
    unordered: int = 0
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), np.int64))
    stream: int = -1
    by_decode_time: bool = False

    def __len__(self) -> int:
        return len(self.pts)

    def key_at(self, index: int) -> int:
        """Index of the keyframe from which ``index`` decodes; -1 when none comes before it."""
        position = int(np.searchsorted(self.keys, index, side="right")) - 1
        return int(self.keys[position]) if position >= 0 else -1

    @property
    def keys(self) -> NDArray[np.int64]:
        """Indices of the keyframes, ascending."""
        return np.flatnonzero(self.key)

    @property
    def end_pts(self) -> int:
        """Pts just after the last frame."""
        return int(self.pts[-1]) + self.last_duration

    def to_bytes(self) -> bytes:
        """The index as a compressed block, to be kept in a file."""
        buffer = io.BytesIO()
        numbers = [self.last_duration, self.doubled, self.timeless, self.unordered, self.stream]
        numbers.append(int(self.by_decode_time))
        np.savez_compressed(
            buffer,
            version=np.int64(_FORMAT),
            pts_steps=np.diff(self.pts, prepend=0),
            label_shift=self.pts - self.label,
            dts_lag=self.pts - self.dts,
            key=np.packbits(self.key),
            numbers=np.array(numbers, dtype=np.int64),
            sizes=self.sizes,
        )
        return buffer.getvalue()

    @staticmethod
    def from_bytes(block: bytes) -> PacketIndex:
        """Read what ``to_bytes`` wrote.

        Raises:
            BadInput: the block is damaged or of another version.
        """
        try:
            with np.load(io.BytesIO(block), allow_pickle=False) as stored:
                if int(stored["version"]) != _FORMAT:
                    raise BadInput("The kept index of this video is of another version.")
                pts = np.cumsum(stored["pts_steps"])
                numbers = [int(n) for n in stored["numbers"]]
                return PacketIndex(
                    pts=pts,
                    label=pts - stored["label_shift"],
                    dts=pts - stored["dts_lag"],
                    key=np.unpackbits(stored["key"], count=len(pts)).astype(bool),
                    last_duration=numbers[0],
                    doubled=numbers[1],
                    timeless=numbers[2],
                    unordered=numbers[3],
                    sizes=stored["sizes"],
                    stream=numbers[4],
                    by_decode_time=bool(numbers[5]),
                )
        except _UNREADABLE as error:
            raise BadInput("The kept index of this video is damaged.", str(error)) from error


def build_index(
    container: InputContainer,
    stream: VideoStream,
    path: Path,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    by_table: bool = True,
    by_decode_time: bool = False,
    told: Callable[[PacketIndex], None] | None = None,
) -> PacketIndex:
    """Index a freshly opened file; leaves the container somewhere else than at its start.

    Args:
        container: the file.
        stream: of the pictures.
        path: of the file.
        cancelled: asked while the file is read.
        by_table: believe an MP4's own table where FFmpeg agrees with it.
        by_decode_time: give packets without a time what follows from the one before.
        told: called now and then, while the file is read through, with the index of the frames
            whose place among the others cannot change any more.

    Raises:
        OpenCancelled: ``cancelled()`` answered true.
        BadInput: no packet can be shown.
        EnvironmentProblem: the drive fails before the file's end.
    """
    sizes = SizeWatch(stream)
    is_mp4 = by_table and container.format.name.startswith("mov")
    samples = read_table(path) if is_mp4 else None
    table = None if samples is None else agreed_rows(container, stream, samples)
    if table is None and samples is not None:
        with open_container(path) as again:
            own = again.streams.video[container.streams.video.index(stream)]
            return build_index(again, own, path, cancelled, by_table=False, told=told)
    if table is None:
        changes = _may_be_ordered_anew(container, stream)
        known = None if changes else told
        packets = read_packets(container, stream, by_decode_time=by_decode_time, to_the_end_of=path)
        table = _by_demuxing(
            packets, stream, sizes, cancelled, lambda rows: _tell(known, rows, stream)
        )
    elif samples is not None:
        _tell(told, table, stream)
        sizes.note_in_file(path, samples.keyframes(table), cancelled)
        if cancelled():
            raise OpenCancelled
    timed = table[table[:, 0] != _NO_TIME]
    if len(timed) < len(table) and not by_decode_time and _is_often_timeless(container, stream):
        with open_container(path) as again:
            own = again.streams.video[container.streams.video.index(stream)]
            return build_index(again, own, path, cancelled, by_decode_time=True)
    if not len(timed):
        raise BadInput(f"{path.name} holds no picture that can be shown; it is damaged or cut off.")
    kept = _in_order(timed)
    pts, dts = _times(kept)
    shown = np.arange(len(pts))
    if _is_timed_in_decode_order(container, stream, timed[:, 0], by_decode_time):
        shown = _display_order(pts, stream, path, cancelled, by_decode_time)
    return PacketIndex(
        pts=pts,
        label=pts[shown],
        dts=dts[shown],
        key=kept[shown, 2].astype(bool),
        last_duration=_last_duration(pts, int(kept[-1, 3]), stream),
        doubled=len(timed) - len(kept),
        timeless=len(table) - len(timed),
        unordered=_unordered(timed),
        sizes=np.array(sizes.sizes, np.int64).reshape(-1, 3),
        stream=stream.index,
        by_decode_time=by_decode_time,
    )


def _may_be_ordered_anew(container: InputContainer, stream: VideoStream) -> bool:
    """Whether the whole file must be known before anything is said of its order."""
    often = container.format.name in _OFTEN_IN_DECODE_ORDER
    return often or _is_often_timeless(container, stream)


def _is_often_timeless(container: InputContainer, stream: VideoStream) -> bool:
    codec = stream.codec_context.codec.canonical_name
    return container.format.name in _OFTEN_TIMELESS and codec in {"h264", "hevc"}


def _in_order(timed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows by presentation time, the first of those that share one."""
    ordered: NDArray[np.int64] = timed[np.argsort(timed[:, 0], kind="stable")]
    kept: NDArray[np.int64] = ordered[np.concatenate([[True], np.diff(ordered[:, 0]) > 0])]
    return kept


def _times(kept: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Presentation and decode times; the former where there are none of the latter."""
    pts, dts = kept[:, 0].copy(), kept[:, 1].copy()
    dts[dts == _NO_TIME] = pts[dts == _NO_TIME]
    return pts, dts


def _tell(
    told: Callable[[PacketIndex], None] | None, table: NDArray[np.int64], stream: VideoStream
) -> None:
    """Say what is known of a file that is being read through."""
    timed = table[table[:, 0] != _NO_TIME]
    if told is None or len(timed) <= 2 * _HELD_BACK:
        return
    # A frame that comes later in the file may yet be shown before the newest ones.
    kept = _in_order(timed)[:-_HELD_BACK]
    pts, dts = _times(kept)
    told(
        PacketIndex(
            pts=pts,
            label=pts,
            dts=dts,
            key=kept[:, 2].astype(bool),
            last_duration=_last_duration(pts, int(kept[-1, 3]), stream),
            stream=stream.index,
        )
    )


def _unordered(timed: NDArray[np.int64]) -> int:
    """How many packets, in the file's order, have a decode time before their predecessor's."""
    known = timed[timed[:, 1] != _NO_TIME, 1]
    return int((np.diff(known) < 0).sum())


def _by_demuxing(
    packets: Iterable[av.Packet[VideoStream]],
    stream: VideoStream,
    sizes: SizeWatch,
    cancelled: Callable[[], bool],
    told: Callable[[NDArray[np.int64]], None],
) -> NDArray[np.int64]:
    """Rows (pts, dts, is a keyframe, duration) of what is shown, in the file's order."""
    rows: list[tuple[int, int, int, int]] = []
    tell_at = _FIRST_TOLD
    codec = stream.codec_context.codec.canonical_name
    for packet in packets:
        if len(rows) % _CHECK_EVERY == 0 and cancelled():
            raise OpenCancelled
        if packet.is_discard or not _is_shown(codec, packet):
            continue
        pts = _NO_TIME if packet.pts is None else packet.pts
        dts = _NO_TIME if packet.dts is None else packet.dts
        if packet.is_keyframe:
            sizes.note(packet)
        rows.append((pts, dts, int(packet.is_keyframe), packet.duration or 0))
        if len(rows) == tell_at:
            # Ever more seldom, since every telling sorts what is known.
            tell_at += max(_FIRST_TOLD, tell_at // 3)
            told(np.array(rows, dtype=np.int64))
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def _last_duration(pts: NDArray[np.int64], declared: int, stream: VideoStream) -> int:
    if len(pts) > 1:
        step = int(np.median(np.diff(pts)))
    else:
        step = round(1 / (stream.average_rate or 25) / (stream.time_base or 1))
    return declared if 0 < declared < 100 * step else max(step, 1)


def _is_timed_in_decode_order(
    container: InputContainer,
    stream: VideoStream,
    in_file: NDArray[np.int64],
    by_decode_time: bool,
) -> bool:
    """Whether the pts rise with the packets although the codec shows pictures in another order.

    So are AVI and ASF, and MXF without temporal offsets in its index table.
    """
    context = stream.codec_context
    reorders = context.codec.canonical_name in _REORDERING and context.reorder_depth > 0
    return (
        reorders
        and (by_decode_time or container.format.name in _OFTEN_IN_DECODE_ORDER)
        and bool((np.diff(in_file) >= 0).all())
    )


def _display_order(
    labels: NDArray[np.int64],
    shown: VideoStream,
    path: Path,
    cancelled: Callable[[], bool],
    by_decode_time: bool,
) -> NDArray[np.intp]:
    """Positions in ``labels`` in the order in which the decoder shows them; decodes the file."""
    rank = np.full(len(labels), -1.0)
    place = 0
    # Opened anew: a seek to the first picture of an ASF file lands behind it.
    with open_container(path) as container:
        stream = next(s for s in container.streams.video if s.index == shown.index)
        prepare_decoder(stream)
        packets = read_packets(container, stream, by_decode_time=by_decode_time, to_the_end_of=path)
        for packet in itertools.chain(packets, [None]):
            if cancelled():
                raise OpenCancelled
            try:
                pictures = stream.decode(packet)
            except av.FFmpegError:
                continue
            for picture in pictures:
                check_size(picture.width, picture.height, path)
                at = int(np.searchsorted(labels, picture.pts or 0))
                if at < len(labels) and labels[at] == picture.pts:
                    rank[at], place = place, place + 1
    # What does not decode keeps its place behind its predecessor in the file.
    for lost in np.flatnonzero(rank < 0):
        rank[lost] = rank[lost - 1] + 0.5 if lost else -0.5
    return np.argsort(rank, kind="stable")


def _is_shown(codec: str, packet: av.Packet[VideoStream]) -> bool:
    """Whether a VP8 or VP9 packet is shown at all (RFC 6386 §9.1; VP9 bitstream §7.2)."""
    if codec == "vp8":
        return bool(bytes(packet)[0] & 0x10)
    if codec != "vp9":
        return True
    data = bytes(packet)
    if data[-1] & 0xE0 == 0xC0:
        # A superframe: hidden frames and the shown one in one packet.
        return True
    first = data[0]
    # Marker (2 bits), profile (2, and a reserved bit in profile 3), show_existing_frame, frame
    # type, show_frame.
    shift = 2 if first & 0x30 == 0x30 else 3
    return bool(first >> shift & 1 or first >> (shift - 2) & 1)
