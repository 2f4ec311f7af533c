"""Masks as polygons and back, exact to the pixel.

Points are continuous raster coordinates: pixel (x, y) covers [x, x + 1) by [y, y + 1), so that a
polygon encloses the area that its mask has, as COCO counts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise

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
    return contours_of((mask,), tolerance_px)[0]


def contours_of(masks: Sequence[Mask], tolerance_px: float = 0.0) -> tuple[tuple[Ring, ...], ...]:
    """``contours`` of each mask; all of a frame at once cost half as much (measured)."""
    borders = [_borders(mask) for mask in masks]
    offsets = [[m.x_px, m.y_px] for m, found in zip(masks, borders, strict=True) for _ in found]
    rings = iter(_rings([border for found in borders for border in found], offsets))
    exact = [tuple(islice(rings, len(found))) for found in borders]
    if tolerance_px <= 0:
        return tuple(exact)
    return tuple(_simplified(rings, tolerance_px) for rings in exact)


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


def _borders(mask: Mask) -> Sequence[NDArray[np.int32]]:
    """Per border, the ends of rows' runs along it, int32 (N, 1, 2) of x, y in the mask's region.

    OpenCV walks with the outside on its left and begins with a left end: left ends are met
    upwards, right ends downwards.
    """
    if not mask.bits.size:
        return ()
    return cv2.findContoursLinkRuns(mask.bits.view(np.uint8))[0]


def _rings(borders: Sequence[NDArray[np.int32]], offsets: Sequence[Sequence[int]]) -> list[Ring]:
    """The pixel corners along borders, without points on a straight line.

    The end of a run is a vertical side of one pixel's length; what is horizontal lies between two.
    """
    if not borders:
        return []
    lengths = np.array([len(border) for border in borders])
    lasts = np.cumsum(lengths) - 1
    starts = lasts - lengths + 1
    runs = np.concatenate(borders).reshape(-1, 2)
    right = _are_right(runs[:, 1], starts)
    x, y = (runs + np.repeat(np.array(offsets, np.int32), lengths, axis=0)).T
    x = x + right
    # Where the side before ended and where this one begins: the same point on a straight line.
    # Points are moved and compared as words of eight bytes: a tenth of what pairs cost (measured).
    joints = np.empty((len(runs), 2, 2), np.float32)
    words = joints.view(np.int64)[..., 0]
    joints[:, 1, 0], joints[:, 1, 1] = x, y + right
    words[1:, 0] = words[:-1, 1]
    words[starts, 0] = words[lasts, 1]
    joints[:, 1, 1] = y + ~right
    turns = words[:, 0] != words[:, 1]
    corners = words.compress(turns, axis=0).view(np.float32).reshape(-1, 2)
    cuts = 2 * np.cumsum(turns).take(lasts)
    return [corners[a:b] for a, b in pairwise([0, *cuts.tolist()])]


def _are_right(runs_y: NDArray[np.int32], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which ends of runs along borders are right ones.

    A border begins with a left end; one after a step down is a right end, after a step up a left
    one, and within a row the two alternate.
    """
    rise = np.empty_like(runs_y)
    np.subtract(runs_y[1:], runs_y[:-1], out=rise[1:])
    rise[starts] = -1
    place = np.arange(len(rise), dtype=np.int32)
    stepped = np.maximum.accumulate(place * (rise != 0))
    return (rise.take(stepped) > 0) ^ ((place - stepped) & 1).astype(bool)


def _simplified(rings: tuple[Ring, ...], tolerance_px: float) -> tuple[Ring, ...]:
    simple = (cv2.approxPolyDP(r[:, None], tolerance_px, closed=True)[:, 0] for r in rings)
    return tuple(r for r in simple if len(r) >= 3) or rings
