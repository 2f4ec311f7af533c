"""One media file as a source of exact frames. Used by one thread at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import av
import numpy as np

from app.core.errors import TrocarError
from app.core.frame import Frame
from app.video.container import open_container, video_stream
from app.video.decoder import LATE_FRAMES, Decoder, UndecodableFrame
from app.video.deinterlace import Deinterlacer
from app.video.index import PacketIndex, build_index
from app.video.raster import Rasteriser
from app.video.reading_ahead import ReadAhead
from app.video.source import CACHE_BYTES, NEAR_FRAMES, VideoSource


class Growth(Protocol):
    """An index that somebody is still building."""

    def now(self) -> tuple[PacketIndex, bool]:
        """What is known, and whether that is all; raises where no more will be."""

    def leave(self) -> None:
        """It is not wanted any more."""


class FileSource(VideoSource):
    """A media file; see ``VideoSource``.

    Args:
        path: the file.
        index: its packet index where it is known already, or as far as it is.
        growth: what tells more of the index later, None where it is whole.
        cache_bytes: room for decoded frames.
        stream: index of the video stream; None for the best one.
        deinterlace: pictures of two fields are made whole.
        cancelled: asked while the file is indexed.
    """

    def __init__(
        self,
        path: Path,
        *,
        index: PacketIndex | None = None,
        growth: Growth | None = None,
        cache_bytes: int = CACHE_BYTES,
        stream: int | None = None,
        deinterlace: bool = True,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = path
        self._rasteriser = Rasteriser(deinterlaces=False)
        # For a glimpse, which does not wait for the pictures beside it.
        self._hasty = Rasteriser(deinterlaces=deinterlace)
        self.index = index or _built_index(path, stream, cancelled)
        self._growth, self._broke_off = growth, False
        self._decoder = Decoder(path, self.index, cache_bytes, stream)
        self._ahead = ReadAhead(self._decoder, len(self.index))
        self._fields = Deinterlacer(len(self.index)) if deinterlace else None
        try:
            self._first = self._first_picture()
            self.info = self._decoder.describe(self.index, self._first)
        except BaseException:
            self.close()
            raise

    def set_deinterlacing(self, *, on: bool) -> None:
        """Make pictures of two fields whole, or leave them woven, from the next frame on."""
        self._fields = Deinterlacer(len(self.index)) if on else None
        self._hasty = Rasteriser(deinterlaces=on)

    def close(self) -> None:
        """Release the file and the cached frames."""
        self._decoder.close()
        self._first = None
        self._end_growth()

    def _end_growth(self) -> None:
        if self._growth is not None:
            self._growth.leave()
            self._growth = None

    @property
    def is_whole(self) -> bool:
        """Whether all frames are known."""
        return not (self.grows or self._broke_off)

    @property
    def grows(self) -> bool:
        """Whether more frames may become known."""
        return self._growth is not None

    @property
    def estimated_ms(self) -> float:
        """How long it is; as the file says while that is not known."""
        if self._growth is None:
            return self.info.duration_ms
        return max(self.info.duration_ms, self._decoder.declared_ms)

    def grow(self) -> bool:
        """Take in what is known of the file by now; see ``VideoSource.grow``."""
        if self._growth is None:
            return False
        try:
            return self._take_in(*self._growth.now())
        except (TrocarError, OSError, av.FFmpegError):
            self._broke_off = True
            self._end_growth()
            raise

    def _take_in(self, index: PacketIndex, is_whole: bool) -> bool:
        if index is self.index and not is_whole:
            return False
        known = self.index
        renumbered = not np.array_equal(index.pts[: len(known)], known.pts)
        self._decoder.grow(index, renumbered=renumbered)
        self.index, self._ahead.frames = index, len(index)
        if self._fields is not None:
            self._fields = Deinterlacer(len(index))
        if is_whole:
            self._end_growth()
        self.info = self._decoder.describe(index, self._first)
        return True

    @property
    def cached_bytes(self) -> int:
        """Memory of the decoded frames at hand."""
        return self._decoder.cache.bytes

    def holds(self, index: int) -> bool:
        """Whether a frame is decoded and at hand."""
        return index in self._decoder.cache

    def keep_around(self, index: int) -> None:
        """Frames near ``index`` are the last to be let go when the cache is full."""
        self._decoder.cache.focus = index

    def frame(self, index: int, cancelled: Callable[[], bool] | None = None) -> Frame:
        """The exact frame; see ``VideoSource.frame``."""
        index = self._checked(index)
        self._decoder.cache.focus = index
        run = self._ahead.run_to(index, self.index.key_at(index))
        try:
            return self._framed(index, self._picture(index, cancelled, run), self._rasteriser)
        except av.FFmpegError as error:
            raise UndecodableFrame(index, self.path.name) from error

    def _framed(self, index: int, picture: av.VideoFrame, raster: Rasteriser) -> Frame:
        rgb = raster.rgb(picture)
        return Frame(
            rgb=rgb,
            pts=self.pts(index),
            index=index,
            time_ms=self.time_ms(index),
            damaged=bool(picture.is_corrupt),
        )

    def skip_to(self, index: int, cancelled: Callable[[], bool] | None = None) -> None:
        """Decode up to ``index`` into the cache without converting it."""
        self._decoder.cache.focus = index
        self._decoder.picture(self._checked(index), cancelled)

    def hold(self, loop: tuple[int, int] | None) -> None:
        """Keep a loop at hand; of a long one its beginning, during which the rest is reached."""
        cache = self._decoder.cache
        if loop is None:
            cache.held = range(0)
            return
        first, last = loop
        whole = last - first + 1
        room = cache.room
        cache.held = range(first, first + (whole if whole <= room * 0.9 else room // 3))

    def read_ahead(
        self, index: int, direction: int, cancelled: Callable[[], bool] | None = None
    ) -> bool:
        """Decode some of what will be wanted next; see ``VideoSource.read_ahead``."""
        return self._ahead.step(self._checked(index), direction, cancelled)

    def glimpse(self, index: int, cancelled: Callable[[], bool] | None = None) -> Frame | None:
        """The nearest picture that is at hand, or the keyframe; see ``VideoSource.glimpse``."""
        del cancelled
        key, cache = self.index.key_at(self._checked(index)), self._decoder.cache
        if index in cache or key < 0 or index - key <= NEAR_FRAMES:
            return None
        cache.focus, near = index, cache.nearest(index)
        if near is None or abs(near - index) > index - key:
            near = key
        picture = self._decoder.keyframe(key, index) if near == key else cache.get(near)
        try:
            return None if picture is None else self._framed(near, picture, self._hasty)
        except av.FFmpegError:
            return None

    def decoded_hash(self, index: int) -> bytes:
        """SHA-256 of the luma of a picture as the decoder made it."""
        picture = self._decoder.picture(self._checked(index))
        plane, kind = picture.planes[0], picture.format
        bits = kind.components[0].bits if kind.is_planar else kind.padded_bits_per_pixel
        rows = np.frombuffer(plane, np.uint8).reshape(-1, abs(plane.line_size))
        shown = rows[: picture.height, : -(-bits // 8) * picture.width]
        return hashlib.sha256(np.ascontiguousarray(shown)).digest()

    def _picture(self, index: int, cancelled: Callable[[], bool] | None, run: int) -> av.VideoFrame:
        if self._fields is None:
            return self._decoder.picture(index, cancelled, run)
        return self._fields.picture(index, lambda at: self._decoder.picture(at, cancelled, run))

    def _first_picture(self) -> av.VideoFrame | None:
        for index in range(min(len(self), LATE_FRAMES)):
            try:
                return self._decoder.picture(index)
            except UndecodableFrame:
                continue
        return None


def _built_index(path: Path, stream: int | None, cancelled: Callable[[], bool]) -> PacketIndex:
    with open_container(path) as container:
        return build_index(container, video_stream(container, path, stream), path, cancelled)
