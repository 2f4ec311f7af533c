"""Which pictures a growing recording holds. Written by the recorder, read by any thread."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left

import numpy as np

from app.video.index import PacketIndex

# A picture is shown at most so many places from where it is decoded.
_REORDERED = 32


class WrittenIndex:
    """Times of the pictures in decode order; 17 bytes each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pts, self._dts, self._keys = array("q"), array("q"), array("b")
        self._is_whole = False

    def __len__(self) -> int:
        return len(self._pts)

    def add(self, pts: int, dts: int, *, is_keyframe: bool) -> None:
        """A picture is in the file."""
        with self._lock:
            self._pts.append(pts)
            self._dts.append(dts)
            self._keys.append(is_keyframe)

    def finish(self) -> None:
        """No more pictures come."""
        with self._lock:
            self._is_whole = True

    def span(self, first: int) -> tuple[int, int]:
        """Lowest and highest pts of the pictures from the ``first`` written one on."""
        with self._lock:
            part = self._pts[first:]
        return min(part), max(part)

    def snapshot(self) -> PacketIndex | None:
        """The pictures that can be shown now; None before there are two."""
        with self._lock:
            pts = np.array(self._pts, dtype=np.int64)
            dts = np.array(self._dts, dtype=np.int64)
            key = np.array(self._keys, dtype=bool)
            is_whole = self._is_whole
        order = np.argsort(pts, kind="stable")
        if len(pts) and not is_whole:
            # A picture that is decoded later is shown later than this.
            order = order[pts[order] <= dts[-1]]
        if len(order) < 2:
            return None
        pts = pts[order]
        step = int(np.median(np.diff(pts[-100:])))
        return PacketIndex(pts=pts, label=pts, dts=dts[order], key=key[order], last_duration=step)

    def pts_from(self, pts: int) -> int | None:
        """The pts of the first picture at or after ``pts``; the last one's if there is none."""
        with self._lock:
            if not self._pts:
                return None
            at = min(bisect_left(self._dts, pts), len(self._dts) - 1)
            near = self._pts[max(0, at - _REORDERED) : at + _REORDERED]
        later = [p for p in near if p >= pts]
        return min(later) if later else max(near)
