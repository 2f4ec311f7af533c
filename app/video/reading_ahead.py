"""Which frames of a file are decoded before they are asked for. Used by the thread of the source.

Backwards, a frame costs its whole group of pictures, so a long run is decoded at once while the
one before it is still being looked at: crossing a border then costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from app.video.decoder import RUN_FRAMES, Decoder, UndecodableFrame

# While nothing moves, so many frames on both sides are kept at hand.
_STILL_FRAMES = 24
# Going forwards, decoding keeps up by itself.
_FORWARD_FRAMES = 12
# Of them, those that cost next to nothing where the decoder stands; it goes backwards after that.
_NEXT_FRAMES = 4
# Asked for so near before the last one, a frame is a step back.
_STEP_BACK_FRAMES = 8
# On the way to it, this share of its group is decoded whole for the steps that follow; on the way
# to a frame that was jumped to a smaller one, which costs next to nothing.
_STEP_BACK_SHARE, _JUMP_SHARE = 4, 8


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
        self._asked = 0

    def run_to(self, index: int, key: int) -> int:
        """How many frames before one that is asked for are decoded whole on the way to it.

        Args:
            index: the frame; the one that was asked for before it says which way it goes.
            key: its keyframe.
        """
        back, self._asked = self._asked - index, index
        if not 0 < back <= _STEP_BACK_FRAMES:
            return min(RUN_FRAMES, (index - key) // _JUMP_SHARE)
        run = max(_STILL_FRAMES, (index - key) // _STEP_BACK_SHARE)
        return min(run, self._decoder.cache.room // 2)

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
        if direction == 0 and self._forwards(at, _NEXT_FRAMES, cancelled):
            return True
        if direction <= 0 and self._backwards(at, direction, cancelled):
            return True
        return direction >= 0 and self._forwards(at, _FORWARD_FRAMES, cancelled)

    def _forwards(self, at: int, most: int, cancelled: Callable[[], bool] | None) -> bool:
        missing = self._missing(at, 1, min(most, self._decoder.cache.room // 4))
        if missing is not None:
            self._decode(missing, _STILL_FRAMES, cancelled)
        return missing is not None

    def _backwards(self, at: int, direction: int, cancelled: Callable[[], bool] | None) -> bool:
        reach = self._reach(direction)
        missing = self._missing(at, -1, reach.least)
        if missing is not None:
            self._decode(missing, max(1, reach.most - (at - missing)), cancelled)
        return missing is not None

    def _reach(self, direction: int) -> Reach:
        room = self._decoder.cache.room
        if direction == 0:
            return Reach(min(_STILL_FRAMES, room // 4), min(2 * _STILL_FRAMES, room // 2))
        # Half of what fits is looked at while the other half is decoded.
        return Reach(room * 7 // 16, room * 7 // 8)

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
