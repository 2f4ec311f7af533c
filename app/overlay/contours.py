"""Masks as polygons and back, exact to the pixel.

Points are continuous raster coordinates: pixel (x, y) covers [x, x + 1) by [y, y + 1), so that a
polygon encloses the area that its mask has, as COCO counts it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.mask import MAX_PIXELS, Mask

Ring = NDArray[np.float32]

# Eight directions around a pixel as (x, y), clockwise on the screen from the right.
_AROUND = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
_SQUARE = ((0, 0), (0, 1), (1, 1), (1, 0))


def _corner_tables() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """For a border walked with the outside on its right: which pixel corners lie on the way.

    Of a pixel entered in one direction and left in another, the sides that face the outside are
    those between where the walk came from and where it goes.

    Returns:
        int64 (9,) direction of a step by its 3 * y + x + 4; by 8 * entering + leaving direction,
        int64 (64,) number of corners; by four times that + place, int32 (256, 2) their x, y in the
        pixel.
    """
    direction_of = np.zeros((3, 3), np.int64)
    counts = np.zeros((8, 8), np.int64)
    offsets = np.zeros((8, 8, 4, 2), np.int32)
    for number, (x, y) in enumerate(_AROUND):
        direction_of[y + 1, x + 1] = number
    for entering in range(8):
        for leaving in range(8):
            side = (entering + 3) % 8
            while side != leaving and counts[entering, leaving] < 4:
                if side % 2 == 0:
                    x, y = _AROUND[(side - 1) % 8]
                    offsets[entering, leaving, counts[entering, leaving]] = x > 0, y > 0
                    counts[entering, leaving] += 1
                side = (side - 1) % 8
    return direction_of.ravel(), counts.ravel(), offsets.reshape(-1, 2)


_DIRECTION_OF, _COUNTS, _OFFSETS = _corner_tables()


def contours(mask: Mask, tolerance_px: float = 0.0) -> tuple[Ring, ...]:
    """The rings around a mask: outer edges and holes, to be filled by the even-odd rule.

    Args:
        mask: the pixels.
        tolerance_px: largest distance that leaving out points may move the edge; 0 is exact.

    Returns:
        float32 (N, 2) arrays of x, y; a ring is not repeated at its end. Rings that leave fewer
        than three points after simplifying are dropped unless nothing else is left.
    """
    if not mask.bits.size:
        return ()
    inside = mask.bits.view(np.uint8)
    found, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [_corners(points.reshape(-1, 2)) for points in found]
    if tolerance_px > 0:
        simple = [_simplified(r, tolerance_px) for r in rings]
        rings = [r for r in simple if len(r) >= 3] or rings
    offset = np.array([mask.x_px, mask.y_px], np.float32)
    return tuple(r.astype(np.float32) + offset for r in rings)


def mask_from_polygon(rings: Sequence[Ring], width_px: int, height_px: int) -> Mask:
    """The pixels whose centres lie inside the rings, by the even-odd rule.

    Args:
        rings: float (N, 2) arrays of x, y in continuous raster coordinates; parts outside the
            raster are cut off.
        width_px, height_px: the raster.

    Raises:
        ValueError: a point is not finite, or the raster is larger than masks may be.
    """
    if width_px * height_px > MAX_PIXELS:
        raise ValueError(f"mask_from_polygon: expected at most {MAX_PIXELS} pixels")
    usable = [np.asarray(r, np.float64) for r in rings if len(r) >= 3]
    if not usable:
        return Mask.empty(width_px, height_px)
    points = np.concatenate(usable)
    if not np.isfinite(points).all():
        raise ValueError("mask_from_polygon: expected finite points")
    low = np.floor(points.min(axis=0)).clip(0, (width_px, height_px)).astype(int)
    high = np.ceil(points.max(axis=0)).clip(0, (width_px, height_px)).astype(int)
    if (low >= high).any():
        return Mask.empty(width_px, height_px)
    w, h = high - low
    toggles = np.zeros((h, w + 1), np.uint8)
    for ring in usable:
        _toggle_crossings(toggles, ring - low)
    inside = np.bitwise_xor.accumulate(toggles, axis=1)[:, :-1].astype(bool)
    mask = Mask(
        width_px=width_px, height_px=height_px, x_px=int(low[0]), y_px=int(low[1]), bits=inside
    )
    return mask.tightened()


def _toggle_crossings(toggles: NDArray[np.uint8], ring: NDArray[np.float64]) -> None:
    """Flip the pixel at which each edge is crossed, on the line through the row's centres."""
    rows, columns = toggles.shape
    ends = np.roll(ring, -1, axis=0)
    upper = np.where((ring[:, 1] <= ends[:, 1])[:, None], ring, ends)
    lower = np.where((ring[:, 1] <= ends[:, 1])[:, None], ends, ring)
    first = np.ceil(upper[:, 1] - 0.5).clip(0, rows).astype(int)
    last = np.ceil(lower[:, 1] - 0.5).clip(0, rows).astype(int)
    spans = last - first
    edge = np.repeat(np.arange(len(ring)), spans)
    if not edge.size:
        return
    starts = np.repeat(np.cumsum(spans) - spans, spans)
    row = first[edge] + np.arange(edge.size) - starts
    slope = (lower[edge, 0] - upper[edge, 0]) / (lower[edge, 1] - upper[edge, 1])
    x = upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * slope
    column = np.ceil(x - 0.5).clip(0, columns - 1).astype(int)
    np.bitwise_xor.at(toggles, (row, column), 1)


def _corners(chain: NDArray[np.int32]) -> NDArray[np.int32]:
    """The pixel corners along a chain of border pixels, without points on a straight line."""
    if len(chain) == 1:
        return chain + np.array(_SQUARE, np.int32)
    closed = np.concatenate((chain[-1:], chain, chain[:1]))
    steps = closed[1:] - closed[:-1]
    directions = _DIRECTION_OF.take(steps[:, 1] * 3 + steps[:, 0] + 4)
    turns = directions[:-1] * 8 + directions[1:]
    counts = _COUNTS.take(turns)
    ends = np.cumsum(counts)
    pixel = np.repeat(np.arange(len(chain)), counts)
    place = np.arange(ends[-1]) - (ends - counts).take(pixel)
    corners = chain.take(pixel, axis=0) + _OFFSETS.take(turns.take(pixel) * 4 + place, axis=0)
    closed = np.concatenate((corners[-1:], corners, corners[:1]))
    # Neighbouring corners are one side of a pixel apart, so a step has one of four values.
    sides = (closed[1:] - closed[:-1]) @ np.array([1, 2], np.int32)
    return corners[sides[1:] != sides[:-1]]


def _simplified(ring: NDArray[np.int32], tolerance_px: float) -> NDArray[np.int32]:
    points = ring.reshape(-1, 1, 2).astype(np.int32)
    return cv2.approxPolyDP(points, tolerance_px, closed=True).reshape(-1, 2)
