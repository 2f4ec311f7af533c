"""Exact frames of one file by index, by pts and by time. Used by one thread at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import InputContainer

from app.core.errors import BadInput
from app.core.frame import Frame, pts_to_ms
from app.video.cache import FrameCache
from app.video.container import (
    check_size,
    open_container,
    prepare_decoder,
    read_packets,
    video_stream,
)
from app.video.index import PacketIndex, build_index
from app.video.raster import Rasteriser, orientation, rotation_deg

CACHE_BYTES = 256 << 20
# Up to this many frames ahead, decoding on is cheaper than a seek.
_STEP_FRAMES = 12
# A decoder may hand out a few frames late; after that many later ones, a frame will not come.
_LATE_FRAMES = 16
_SEEK_BY_DTS = ("mpegts", "mpeg")

log = logging.getLogger(__name__)


class UndecodableFrame(BadInput):
    """A packet of the file does not decode; its frame keeps its index."""

    def __init__(self, index: int, name: str) -> None:
        super().__init__(f"Frame {index} of {name} is damaged and cannot be shown.")
        self.index = index


class SeekCancelled(Exception):
    """The caller's ``cancelled`` answered true before the frame was reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """One stream of a container.

    Attributes:
        index: in the container.
        kind: ``video``, ``audio``, ``subtitle``, ``data``, ``attachment``.
        codec: FFmpeg's name, "" when unknown.
    """

    index: int
    kind: str
    codec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a file holds.

    Attributes:
        frames: number of presentable frames.
        duration_ms: from the first frame's start to the last one's end.
        width_px, height_px: the raster, upright.
        codec, container: FFmpeg's names.
        frame_rate: mean frames per second.
        is_variable_rate: the steps between frames differ by more than rounding.
        is_interlaced: the first frame is made of two fields.
        rotation_deg: clockwise turn that makes the stored picture upright.
        time_base: seconds per pts unit.
        start_pts, end_pts: of the first frame; just after the last one.
        stream: index of the stream in the container.
        streams: all of the container's streams.
        problems: sentences about what is wrong with the file.
    """

    frames: int
    duration_ms: float
    width_px: int
    height_px: int
    codec: str
    container: str
    frame_rate: Fraction
    is_variable_rate: bool
    is_interlaced: bool
    rotation_deg: int
    time_base: Fraction
    start_pts: int
    end_pts: int
    stream: int
    streams: tuple[StreamInfo, ...] = ()
    problems: tuple[str, ...] = ()


class VideoSource:
    """A video file as a sequence of exact frames; a context manager.

    Made by ``open_video``. ``len()`` counts presentable frames.
    """

    def __init__(
        self,
        path: Path,
        *,
        index: PacketIndex | None = None,
        cache_bytes: int = CACHE_BYTES,
        threads: int = 0,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = path
        self.cache = FrameCache(cache_bytes)
        self._threads = threads
        self._rasteriser = Rasteriser()
        self._undecodable: set[int] = set()
        container = open_container(path)
        self._container: InputContainer | None = container
        self._seeks_by_dts = container.format.name in _SEEK_BY_DTS
        try:
            self._stream = video_stream(container, path)
            self.index = index or build_index(container, self._stream, path, cancelled)
            self._index_of = {int(label): i for i, label in enumerate(self.index.label)}
            self._reopen()
            self.info = self._describe()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file and the cached frames."""
        self.cache.clear()
        self._release()

    def _release(self) -> None:
        self._packets: Iterator[av.Packet] = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def __len__(self) -> int:
        return len(self.index)

    def pts(self, index: int) -> int:
        """Pts of a display index."""
        return int(self.index.pts[self._checked(index)])

    def index_of(self, pts: int) -> int:
        """Display index of a frame's pts.

        Raises:
            KeyError: no frame has that pts.
        """
        found = int(np.searchsorted(self.index.pts, pts))
        if found == len(self) or self.index.pts[found] != pts:
            raise KeyError(pts)
        return found

    def time_ms(self, index: int) -> float:
        """Milliseconds of a frame from the first one."""
        return pts_to_ms(self.pts(index), self.info.start_pts, self.info.time_base)

    def index_at_ms(self, time_ms: float) -> int:
        """Index of the frame that is on screen at ``time_ms``, clamped to the video."""
        unit_ms = float(self.info.time_base * 1000)
        # Forgives times that were rounded on their way: half a unit, at most a millisecond.
        pts = self.info.start_pts + int((time_ms + min(unit_ms / 2, 1.0)) // unit_ms)
        found = int(np.searchsorted(self.index.pts, pts, side="right")) - 1
        return min(max(found, 0), len(self) - 1)

    def frame_at(self, seconds: float) -> Frame:
        """The frame on screen ``seconds`` after the first one's start."""
        return self.frame(self.index_at_ms(seconds * 1000))

    def frame(self, index: int, cancelled: Callable[[], bool] | None = None) -> Frame:
        """The exact frame.

        Args:
            index: display index, 0 <= index < len.
            cancelled: asked between frames while decoding towards the target.

        Raises:
            IndexError: outside the video.
            UndecodableFrame: its packet does not decode.
            SeekCancelled: ``cancelled()`` answered true.
        """
        index = self._checked(index)
        picture = self._picture(index, cancelled)
        try:
            rgb = self._rasteriser.rgb(picture)
        except av.FFmpegError as error:
            raise UndecodableFrame(index, self.path.name) from error
        return Frame(
            rgb=rgb,
            pts=self.pts(index),
            index=index,
            time_ms=self.time_ms(index),
            damaged=bool(picture.is_corrupt),
        )

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Frames in display order from ``start``; those that do not decode are left out."""
        for index in range(start, len(self)):
            try:
                yield self.frame(index)
            except UndecodableFrame as error:
                log.info("frame %d does not decode", error.index)

    def undecodable(
        self,
        progress: Callable[[int], None] = lambda _index: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[int, ...]:
        """Decode the whole file; returns the indices of frames that do not decode.

        Raises:
            SeekCancelled: ``cancelled()`` answered true.
        """
        lost = []
        for index in range(len(self)):
            try:
                self._picture(index, cancelled)
            except UndecodableFrame:
                lost.append(index)
            progress(index)
        return tuple(lost)

    def skip_to(self, index: int, cancelled: Callable[[], bool] | None = None) -> None:
        """Decode up to ``index`` into the cache without converting it."""
        self._picture(self._checked(index), cancelled)

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)} in {self.path.name}")
        return int(index)

    def _picture(self, index: int, cancelled: Callable[[], bool] | None) -> av.VideoFrame:
        self.cache.focus = index
        found = self.cache.get(index)
        if found is not None:
            return found
        if index in self._undecodable:
            raise UndecodableFrame(index, self.path.name)
        if self._is_just_ahead(index):
            found = self._decode_to(index, cancelled)
        if found is None:
            for keyframes_back in (0, 1):
                self._go_before(index, keyframes_back)
                found = self._decode_to(index, cancelled)
                if found is not None or self._floor == 0:
                    break
        if found is None:
            self._undecodable.add(index)
            raise UndecodableFrame(index, self.path.name)
        return found

    def _is_just_ahead(self, index: int) -> bool:
        at = self._position
        return index > at and (index - at <= _STEP_FRAMES or self.index.key_at(index) <= at)

    def _decode_to(self, index: int, cancelled: Callable[[], bool] | None) -> av.VideoFrame | None:
        later = 0
        while later < _LATE_FRAMES:
            if cancelled is not None and cancelled():
                raise SeekCancelled
            decoded = self._decode_packet()
            if decoded is None:
                break
            for picture in decoded:
                reached = self._keep(picture)
                later += reached > index
            if (found := self.cache.get(index)) is not None:
                return found
        return self.cache.get(index)

    def _keep(self, picture: av.VideoFrame) -> int:
        """Cache a decoded frame; returns its index, or -1 for one that is not presentable."""
        check_size(picture.width, picture.height, self.path)
        pts = picture.pts if picture.pts is not None else picture.dts
        index = -1 if pts is None else self._index_of.get(pts, -1)
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
        try:
            return list(self._stream.decode(packet))
        except av.FFmpegError as error:
            log.debug("a packet does not decode: %s", type(error).__name__)
            return []

    def _go_before(self, index: int, keyframes_back: int) -> None:
        """Stand on a keyframe packet from which ``index`` decodes."""
        keys = self.index.keys
        position = int(np.searchsorted(keys, index, side="right")) - 1 - keyframes_back
        back = 1
        while position >= 0:
            key = int(keys[position])
            label = int(self.index.label[key])
            times = [label, int(self.index.dts[key])]
            for time in reversed(times) if self._seeks_by_dts else times:
                if self._land(time, latest_pts=label):
                    return
            position -= back
            back *= 2
        self._reopen()

    def _land(self, timestamp: int, latest_pts: int) -> bool:
        """Seek and read up to a keyframe; False where it lies after ``latest_pts``."""
        self._position = -1
        if self._container is None:
            return False
        try:
            self._container.seek(timestamp, stream=self._stream, backward=True)
        except av.FFmpegError:
            return False
        self._packets, self._emptied = read_packets(self._container, self._stream), False
        for packet in self._packets:
            if packet.is_keyframe and packet.pts is not None:
                self._pending = packet
                self._floor = self._index_from(packet.pts)
                return packet.pts <= latest_pts
            if packet.dts is not None and packet.dts > latest_pts:
                return False
        return False

    def _index_from(self, label: int) -> int:
        known = self._index_of.get(label)
        return int(np.searchsorted(self.index.pts, label)) if known is None else known

    def _reopen(self) -> None:
        """Stand at the very start, with a decoder that carries nothing over."""
        self._release()
        self._container = open_container(self.path)
        self._stream = video_stream(self._container, self.path)
        prepare_decoder(self._stream, self._threads)
        self._packets, self._emptied = read_packets(self._container, self._stream), False
        self._pending: av.Packet | None = None
        self._floor = 0
        self._position = -1

    def _describe(self) -> VideoInfo:
        context = self._stream.codec_context
        pts, time_base = self.index.pts, self._stream.time_base
        width_px, height_px, turn_deg, interlaced = context.width, context.height, 0, False
        problems = list(_index_problems(self.index))
        first = self._first_picture()
        if first is None:
            problems.append("None of the first frames decodes; the file is damaged or encrypted.")
        else:
            matrix = orientation(first)
            turn_deg, interlaced = rotation_deg(matrix), bool(first.interlaced_frame)
            sides = (first.width, first.height)
            width_px, height_px = sides if matrix[0] else sides[::-1]
        if not width_px or not height_px:
            raise BadInput(f"{self.path.name}: the size of its picture is unknown; it is damaged.")
        rate, variable = frame_rate(pts, time_base, self._stream.average_rate)
        return VideoInfo(
            frames=len(pts),
            duration_ms=pts_to_ms(self.index.end_pts, int(pts[0]), time_base),
            width_px=width_px,
            height_px=height_px,
            codec=context.codec.canonical_name,
            container=self._container.format.name,
            frame_rate=rate,
            is_variable_rate=variable,
            is_interlaced=interlaced,
            rotation_deg=turn_deg,
            time_base=time_base,
            start_pts=int(pts[0]),
            end_pts=self.index.end_pts,
            stream=self._stream.index,
            streams=tuple(_stream_info(s) for s in self._container.streams),
            problems=tuple(problems),
        )

    def _first_picture(self) -> av.VideoFrame | None:
        for index in range(min(len(self), _LATE_FRAMES)):
            try:
                return self._picture(index, None)
            except UndecodableFrame:
                continue
        return None


def _stream_info(stream: av.stream.Stream) -> StreamInfo:
    context = stream.codec_context
    codec = "" if context is None else context.codec.canonical_name
    return StreamInfo(index=stream.index, kind=stream.type, codec=codec)


def _index_problems(index: PacketIndex) -> Iterator[str]:
    if index.timeless:
        yield f"{index.timeless} packets have no time and are left out."
    if index.doubled:
        yield f"{index.doubled} packets share their time with another and are left out."
    if not index.key.any():
        yield "The file has no keyframe: it can be played from the start, but seeking is slow."


def frame_rate(
    pts: np.ndarray, time_base: Fraction, declared: Fraction | None
) -> tuple[Fraction, bool]:
    """Mean frames per second, and whether the steps differ by more than rounding explains."""
    if len(pts) < 2:
        return declared or Fraction(25), False
    measured = Fraction(len(pts) - 1) / (int(pts[-1] - pts[0]) * time_base)
    steps = np.diff(pts)
    variable = bool(np.ptp(steps) > max(2, 0.02 * float(np.median(steps))))
    if declared and abs(measured - declared) < declared / 1000:
        return declared, variable
    return measured.limit_denominator(100_000), variable
