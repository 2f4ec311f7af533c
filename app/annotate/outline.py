"""An outline under edit: a few corners to hold, all the points between them kept. GUI thread.

Corners are points of the exact outline; moving one bends the stretch to its two neighbours and
leaves the rest of the mask as it was, pixel for pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.mask import Mask
from app.overlay import contours, mask_from_polygon

Ring = NDArray[np.float32]
_TOLERANCE_PX = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Corner:
    """A point of an outline that can be held: which ring, and which point of it."""

    ring: int
    point: int


class Outline:
    """The exact rings around a mask, with corners to move.

    Attributes:
        rings: float32 (N, 2) arrays of x, y in continuous raster coordinates.
        corners: in the order of the rings.
    """

    def __init__(self, mask: Mask, spacing_px: float) -> None:
        """Find corners at least ``spacing_px`` raster pixels apart."""
        self._size = mask.width_px, mask.height_px
        self.rings: tuple[Ring, ...] = contours(mask)
        self.corners: tuple[Corner, ...] = tuple(
            Corner(ring=r, point=i)
            for r, ring in enumerate(self.rings)
            for i in _spread(ring, spacing_px)
        )

    def position(self, corner: Corner) -> tuple[float, float]:
        """Where a corner lies: x, y in raster pixels."""
        x, y = self.rings[corner.ring][corner.point]
        return float(x), float(y)

    def nearest(self, x_px: float, y_px: float, reach_px: float) -> int | None:
        """Place in ``corners`` of the one nearest to a point, None beyond ``reach_px``."""
        if not self.corners:
            return None
        at = np.array([self.rings[c.ring][c.point] for c in self.corners])
        distances = np.hypot(at[:, 0] - x_px, at[:, 1] - y_px)
        best = int(distances.argmin())
        return best if distances[best] <= reach_px else None

    def moved(self, place: int, x_px: float, y_px: float) -> tuple[Ring, ...]:
        """The rings with one corner at another point, which may lie outside the raster."""
        corner = self.corners[place]
        ring = self.rings[corner.ring]
        mates = sorted(c.point for c in self.corners if c.ring == corner.ring)
        here = mates.index(corner.point)
        count = len(ring)
        back = (corner.point - mates[here - 1]) % count or count
        ahead = (mates[(here + 1) % len(mates)] - corner.point) % count or count
        weights = np.zeros(count, np.float32)
        for steps, sign in ((back, -1), (ahead, 1)):
            along = np.arange(steps)
            np.maximum.at(weights, (corner.point + sign * along) % count, 1 - along / steps)
        shift = np.array([x_px, y_px], np.float32) - ring[corner.point]
        bent = ring + weights[:, None] * shift
        return (*self.rings[: corner.ring], bent, *self.rings[corner.ring + 1 :])

    def inserted(self, x_px: float, y_px: float, reach_px: float) -> tuple[Outline, int] | None:
        """The same outline with one more corner where its line passes a point.

        Returns:
            The outline and the new corner's place; None beyond ``reach_px`` of every ring.
        """
        here = np.array([x_px, y_px], np.float32)
        feet = [_foot(ring, here) for ring in self.rings]
        if not feet:
            return None
        r = min(range(len(feet)), key=lambda i: feet[i][0])
        distance, after, foot = feet[r]
        if distance > reach_px:
            return None
        ring = np.insert(self.rings[r], after + 1, foot, axis=0)
        moved = [
            Corner(ring=c.ring, point=c.point + (c.ring == r and c.point > after))
            for c in self.corners
        ]
        new = Corner(ring=r, point=after + 1)
        out = copy(self)
        out.rings = (*self.rings[:r], ring, *self.rings[r + 1 :])
        out.corners = tuple(sorted((*moved, new), key=lambda c: (c.ring, c.point)))
        return out, out.corners.index(new)

    def removed(self, place: int) -> tuple[Ring, ...]:
        """The rings with a straight line where a corner was; a ring of three corners goes whole."""
        corner = self.corners[place]
        ring = self.rings[corner.ring]
        mates = sorted(c.point for c in self.corners if c.ring == corner.ring)
        before, after = self.rings[: corner.ring], self.rings[corner.ring + 1 :]
        if len(mates) <= 3:
            return (*before, *after)
        at = mates.index(corner.point)
        back, ahead = mates[at - 1], mates[(at + 1) % len(mates)]
        whole = back < ahead
        rest = np.concatenate([ring[: back + 1], ring[ahead:]]) if whole else ring[ahead : back + 1]
        return (*before, rest, *after)

    def mask_of(self, rings: Sequence[Ring]) -> Mask:
        """The pixels inside rings of this outline's raster."""
        return mask_from_polygon(rings, *self._size)


def _spread(ring: Ring, spacing_px: float) -> list[int]:
    """Indices of telling points of a ring, at least ``spacing_px`` apart where it is that long."""
    simple = cv2.approxPolyDP(ring.reshape(-1, 1, 2), _TOLERANCE_PX, closed=True).reshape(-1, 2)
    place = {(float(x), float(y)): i for i, (x, y) in reversed(list(enumerate(ring)))}
    telling = sorted({place[float(x), float(y)] for x, y in simple})
    kept: list[int] = []
    for i in telling:
        far = all(np.hypot(*(ring[i] - ring[k])) >= spacing_px for k in (kept[-1:] + kept[:1]))
        if far or not kept:
            kept.append(i)
    return kept if len(kept) >= 3 else telling


def _foot(ring: Ring, at: Ring) -> tuple[float, int, Ring]:
    """Nearest point of a closed ring: its distance, the ring's point before it, where it lies."""
    along = np.roll(ring, -1, axis=0) - ring
    length2 = np.maximum((along**2).sum(1), 1e-12)
    share = np.clip(((at - ring) * along).sum(1) / length2, 0.0, 1.0)
    feet = ring + share[:, None] * along
    distances = np.hypot(*(feet - at).T)
    best = int(distances.argmin())
    return float(distances[best]), best, feet[best].astype(np.float32)


def smoothed(ring: Ring, tolerance_px: float = 1.0) -> Ring:
    """A ring with fewer points, for drawing: pixel steps along a slope become a line."""
    fewer = cv2.approxPolyDP(ring.reshape(-1, 1, 2), tolerance_px, closed=True)
    return np.asarray(fewer, np.float32).reshape(-1, 2)
