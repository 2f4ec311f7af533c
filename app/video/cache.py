"""Decoded frames kept by display index, bounded by bytes. Used by one thread."""

from __future__ import annotations

import av

# A frame that has been passed counts as so many times farther away.
_LEANING = 8


class FrameCache:
    """Keeps what lies nearest to the frame that is being looked at.

    Frames are kept as the decoder made them (4:2:0 takes half the room of RGB).

    Args:
        limit_bytes: upper bound of the pictures' memory; at least one frame is always kept.

    Attributes:
        bytes: memory of the kept frames.
        focus: the frame that is looked at.
        leaning: direction of travel, -1, 0 or 1: frames behind it are the sooner let go.
        held: frames of a loop: the last to be let go, wherever the focus is.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.bytes = 0
        self.focus = 0
        self.leaning = 0
        self.held = range(0)
        self._frames: dict[int, av.VideoFrame] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, index: int) -> bool:
        return index in self._frames

    @property
    def room(self) -> int:
        """How many frames of the present size it takes."""
        return self.limit_bytes // max(1, self.bytes // max(1, len(self._frames)))

    def get(self, index: int) -> av.VideoFrame | None:
        """The frame, or None."""
        return self._frames.get(index)

    def nearest(self, index: int) -> int | None:
        """The kept frame nearest to an index, or None."""
        return min(self._frames, key=lambda kept: abs(kept - index), default=None)

    def put(self, index: int, frame: av.VideoFrame) -> None:
        """Keep a frame; drops those farthest from ``focus`` when over the limit."""
        if index in self._frames:
            return
        self._frames[index] = frame
        self.bytes += _bytes(frame)
        while self.bytes > self.limit_bytes and len(self._frames) > 1:
            self._drop(self._farthest())

    def clear(self) -> None:
        """Forget everything."""
        self._frames.clear()
        self.bytes = 0

    def _farthest(self) -> int:
        # Frames arrive in runs, so the farthest is at one end of the kept range.
        free = self._frames if not self.held else [i for i in self._frames if i not in self.held]
        free = free or self._frames
        low, high = min(free), max(free)
        behind = (self.focus - low) * (_LEANING if self.leaning > 0 else 1)
        ahead = (high - self.focus) * (_LEANING if self.leaning < 0 else 1)
        return low if behind >= ahead else high

    def _drop(self, index: int) -> None:
        self.bytes -= _bytes(self._frames.pop(index))


def _bytes(frame: av.VideoFrame) -> int:
    return sum(plane.buffer_size for plane in frame.planes)
