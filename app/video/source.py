"""What every source of frames is: exact frames by index, by pts and by time. One thread at a time.

A kind of source is a subclass in a file of its own; ``open_video`` chooses it.
"""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from app.core.frame import Frame, pts_to_ms
from app.video.decoder import UndecodableFrame
from app.video.index import PacketIndex
from app.video.info import VideoInfo

CACHE_BYTES = 256 << 20
# While nothing moves, so many frames on both sides are kept at hand.
_AROUND_FRAMES = 12
NEAR_FRAMES = 4
"""A frame so near behind its keyframe is there nearly as soon as the keyframe is."""

log = logging.getLogger(__name__)


class VideoSource(ABC):
    """A recording as a sequence of exact frames; a context manager, made by ``open_video``.

    ``len()`` counts presentable frames.

    Attributes:
        path: the file, or the first one of several.
        index: pts, keyframes and order of the frames.
        info: what the recording holds.
    """

    path: Path
    index: PacketIndex
    info: VideoInfo

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Release the files and the cached frames."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it reads; nothing may ever be written in their place."""
        return (self.path,)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def is_whole(self) -> bool:
        """Whether all frames are known: a long file is indexed while it is looked at."""
        return True

    @property
    def grows(self) -> bool:
        """Whether more frames may become known; not of a file that could not be read on."""
        return False

    @property
    def estimated_ms(self) -> float:
        """How long it is, as far as can be told while not all frames are known."""
        return self.info.duration_ms

    def grow(self) -> bool:
        """Take in what is known by now; whether ``index`` and ``info`` are others now.

        Frames keep their indices, but where the file's times are out of order: then the same
        frame is known by its pts.

        Raises:
            TrocarError: once, where the file could not be read to its end; what is known stays.
        """
        return False

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

    @abstractmethod
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

    def set_deinterlacing(self, *, on: bool) -> None:
        """Make pictures of two fields whole, or leave them woven, from the next frame on.

        A kind of source whose pictures have no fields does nothing.
        """
        del on

    @abstractmethod
    def skip_to(self, index: int, cancelled: Callable[[], bool] | None = None) -> None:
        """Decode up to ``index`` into the cache without converting it; raises as ``frame``."""

    @property
    @abstractmethod
    def cached_bytes(self) -> int:
        """Memory of the decoded frames at hand."""

    @abstractmethod
    def holds(self, index: int) -> bool:
        """Whether a frame is decoded and at hand."""

    @abstractmethod
    def keep_around(self, index: int) -> None:
        """Frames near ``index`` are the last to be let go when the cache is full."""

    def hold(self, loop: tuple[int, int] | None) -> None:
        """Keep the frames of a loop at hand as far as there is room; None for no loop.

        A kind of source that reaches every frame quickly does nothing.
        """
        del loop

    def read_ahead(
        self, index: int, direction: int, cancelled: Callable[[], bool] | None = None
    ) -> bool:
        """Decode some of what will be wanted next; False when enough is at hand.

        Args:
            index: the frame that is looked at; those near it are the last to be let go.
            direction: of travel: 1 forwards, -1 backwards, 0 when it stands still.
            cancelled: asked while decoding.

        Raises:
            SeekCancelled: ``cancelled()`` answered true; what was decoded is kept.
        """
        del direction
        around = range(max(0, index - _AROUND_FRAMES), min(len(self), index + _AROUND_FRAMES))
        for near in around:
            if not self.holds(near):
                try:
                    self.skip_to(near, cancelled)
                except UndecodableFrame:
                    log.debug("frame %d does not decode", near)
        self.keep_around(index)
        return False

    def glimpse(self, index: int, cancelled: Callable[[], bool] | None = None) -> Frame | None:
        """A picture near a frame that takes long to reach, at once; None where it does not.

        Raises:
            SeekCancelled: ``cancelled()`` answered true.
        """
        key = self.index.key_at(index)
        if self.holds(index) or key < 0 or index - key <= NEAR_FRAMES:
            return None
        try:
            return self.frame(key, cancelled)
        except UndecodableFrame:
            return None

    def decoded_hash(self, index: int) -> bytes:
        """SHA-256 of a picture as it is stored, before any change of colour; raises as ``frame``.

        A kind of source whose decoder has such a picture says it better than this one.
        """
        return hashlib.sha256(self.frame(index).rgb.tobytes()).digest()

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
                self.skip_to(index, cancelled)
            except UndecodableFrame:
                lost.append(index)
            progress(index)
        return tuple(lost)

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)} in {self.path.name}")
        return int(index)
