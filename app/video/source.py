"""Exact frames of one file by index, by pts and by time. Used by one thread at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

from app.core.frame import Frame, pts_to_ms
from app.video.cache import FrameCache
from app.video.container import open_container, video_stream
from app.video.decoder import LATE_FRAMES, Decoder, UndecodableFrame
from app.video.index import PacketIndex, build_index
from app.video.info import describe
from app.video.raster import Rasteriser

CACHE_BYTES = 256 << 20

log = logging.getLogger(__name__)


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
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = path
        self._rasteriser = Rasteriser()
        with open_container(path) as container:
            stream = video_stream(container, path)
            self.index = index or build_index(container, stream, path, cancelled)
            self._decoder = Decoder(path, self.index, cache_bytes)
            try:
                first = self._first_picture()
                self.info = describe(container, stream, self.index, first, path.name)
            except BaseException:
                self.close()
                raise

    @property
    def cache(self) -> FrameCache:
        """The decoded pictures at hand."""
        return self._decoder.cache

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
        self._decoder.close()

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
        picture = self._decoder.picture(index, cancelled)
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
                self._decoder.picture(index, cancelled)
            except UndecodableFrame:
                lost.append(index)
            progress(index)
        return tuple(lost)

    def skip_to(self, index: int, cancelled: Callable[[], bool] | None = None) -> None:
        """Decode up to ``index`` into the cache without converting it."""
        self._decoder.picture(self._checked(index), cancelled)

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)} in {self.path.name}")
        return int(index)

    def _first_picture(self) -> av.VideoFrame | None:
        for index in range(min(len(self), LATE_FRAMES)):
            try:
                return self._decoder.picture(index)
            except UndecodableFrame:
                continue
        return None
