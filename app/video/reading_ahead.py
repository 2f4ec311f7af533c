"""Which frames of a file are decoded before they are asked for. Used by the thread of the source.

Backwards, a frame costs its whole group of pictures, so a long run is decoded at once while the
one before it is still being looked at: crossing a border then costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from app.video.decoder import Decoder, UndecodableFrame

# While nothing moves, so many frames on both sides are kept at hand.
_STILL_FRAMES = 24
# Going forwards, decoding keeps up by itself.
_FORWARD_FRAMES = 12


class Reach(NamedTuple):
    """How far backwards: fewer than ``least`` frames at hand are filled up to ``most``."""

    least: int
    most: int


class ReadAhead:
    """Keeps frames at hand in the direction of travel.

    Args:
        decoder: of the file.
        frames: of the file.
    """

    def __init__(self, decoder: Decoder, frames: int) -> None:
        self.frames = frames
        self._decoder = decoder

    def step(self, at: int, direction: int, cancelled: Callable[[], bool] | None) -> bool:
        """Decode what is missing next; False when enough is at hand.

        Args:
            at: the frame that is looked at.
            direction: 1 forwards, -1 backwards, 0 when it stands still.
            cancelled: asked between packets.

        Raises:
            SeekCancelled: ``cancelled()`` answered true; what was decoded is kept.
        """
        cache = self._decoder.cache
        cache.focus, cache.leaning = at, direction
        if direction >= 0 and (missing := self._missing(at, 1, self._forward())) is not None:
            self._decode(missing, _STILL_FRAMES, cancelled)
            return True
        reach = self._backward(direction)
        missing = self._missing(at, -1, reach.least) if direction <= 0 else None
        if missing is None:
            return False
        self._decode(missing, max(1, reach.most - (at - missing)), cancelled)
        return True

    def _forward(self) -> int:
        return min(_FORWARD_FRAMES, self._decoder.cache.room // 4)

    def _backward(self, direction: int) -> Reach:
        room = self._decoder.cache.room
        if direction == 0:
            return Reach(min(_STILL_FRAMES, room // 4), min(2 * _STILL_FRAMES, room // 2))
        return Reach(room // 4, room * 3 // 4)

    def _missing(self, at: int, way: int, most: int) -> int | None:
        """The nearest frame on that side that is not at hand and may decode."""
        decoder = self._decoder
        for index in range(at + way, at + way * (most + 1), way):
            if not 0 <= index < self.frames:
                return None
            if index not in decoder.cache and not decoder.is_lost(index):
                return index
        return None

    def _decode(self, index: int, run: int, cancelled: Callable[[], bool] | None) -> None:
        try:
            self._decoder.picture(index, cancelled, run)
        except UndecodableFrame:
            return
