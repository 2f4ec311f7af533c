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
    # On doubled pixels each contour point is nearest to exactly one pixel corner.
    doubled = cv2.resize(
        mask.bits.view(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST
    )
    found, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
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


def _corners(points: NDArray[np.int32]) -> NDArray[np.int32]:
    """Contour points of the doubled grid as pixel corners, without repeats or points on a line."""
    corners = (points + 1) // 2
    corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
    if len(corners) < 3:
        return corners
    before = corners - np.roll(corners, 1, axis=0)
    after = np.roll(corners, -1, axis=0) - corners
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return corners[turns]


def _simplified(ring: NDArray[np.int32], tolerance_px: float) -> NDArray[np.int32]:
    points = ring.reshape(-1, 1, 2).astype(np.int32)
    return cv2.approxPolyDP(points, tolerance_px, closed=True).reshape(-1, 2)
