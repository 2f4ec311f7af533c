"""Prototypes and coefficients made into masks that lie in the frame's raster.

Runs on the thread that owns the device. Everything is done on what an instance covers: mask logits
exist only at prototype resolution, and each region is enlarged once, straight into frame pixels
(specs: post-processing, measured).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.mask import Mask
from app.inference.preprocess import Fit

PROTOTYPE_STRIDE_PX = 4
_OUTSIDE_LOGIT = -4.0
_REACH_LOGIT = 16.0  # what is surer than this beyond a box is cut off there
_SHIFT_TOLERANCE = 1 / 64


def masks_of(
    boxes: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    fit: Fit,
    *,
    min_part_share: float = 0.0,
    box_fade: float = 0.0,
) -> tuple[Mask, ...]:
    """Masks in the frame's raster, each cropped to its box or faded out; some may be empty.

    Args:
        boxes: float32 (N, 4) in input pixels.
        coefficients: float32 (N, P).
        prototypes: float32 (h, w, P) at a quarter of the input's size.
        fit: geometry of the input.
        min_part_share, box_fade: see :class:`app.inference.postprocess.Rules`.
    """
    picture_cells = fit.picture_width_px * fit.picture_height_px / PROTOTYPE_STRIDE_PX**2
    limits = _Limits(box_fade=box_fade, min_part_cells=min_part_share * picture_cells)
    reach_px = PROTOTYPE_STRIDE_PX * _REACH_LOGIT / box_fade if box_fade else 0.0
    regions = _regions(boxes + reach_px * np.array([-1, -1, 1, 1], np.float32), fit)
    cells = boxes / PROTOTYPE_STRIDE_PX
    return tuple(
        _mask(region, box, vector, prototypes, fit, limits)
        for region, box, vector in zip(regions, cells, coefficients, strict=True)
    )


class _Limits(NamedTuple):
    """What a mask leaves out of its region: logits per cell beyond the box, small parts."""

    box_fade: float
    min_part_cells: float


def _regions(boxes: NDArray[np.float32], fit: Fit) -> list[list[int]]:
    """Boxes in input pixels as x0, y0, x1, y1 in whole pixels of the frame."""
    to_frame = np.array([fit.scale_x, fit.scale_y] * 2, np.float32)
    offset = np.array([fit.left_px, fit.top_px] * 2, np.float32)
    limits = np.array([fit.frame_width_px, fit.frame_height_px] * 2, np.float32)
    pixels: list[list[int]] = (
        np.clip(np.rint((boxes - offset) / to_frame), 0, limits).astype(int).tolist()
    )
    return pixels


def _mask(
    region: Sequence[int],
    box: NDArray[np.float32],
    vector: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    fit: Fit,
    limits: _Limits,
) -> Mask:
    x0, y0, x1, y1 = region
    if x0 >= x1 or y0 >= y1:
        return Mask.empty(fit.frame_width_px, fit.frame_height_px)
    step_x, step_y = fit.scale_x / PROTOTYPE_STRIDE_PX, fit.scale_y / PROTOTYPE_STRIDE_PX
    across = _span(x0, x1, step_x, fit.left_px / PROTOTYPE_STRIDE_PX, prototypes.shape[1])
    down = _span(y0, y1, step_y, fit.top_px / PROTOTYPE_STRIDE_PX, prototypes.shape[0])
    logits = prototypes[down.first : down.last, across.first : across.last] @ vector
    if limits.box_fade > 0:
        core = box - np.array([across.first, down.first] * 2, np.float32)
        _fade(logits, core, limits.box_fade)
        _drop_parts(logits, limits.min_part_cells, core)
    elif limits.min_part_cells > 0:
        _drop_parts(logits, limits.min_part_cells)
    if max(abs(across.shift), abs(down.shift)) > _SHIFT_TOLERANCE:
        logits = cv2.warpAffine(
            logits,
            np.array([[1.0, 0.0, across.shift], [0.0, 1.0, down.shift]]),
            logits.shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    warped = cv2.resize(logits, None, fx=1 / step_x, fy=1 / step_y, interpolation=cv2.INTER_LINEAR)
    x, y = x0 - across.origin_px, y0 - down.origin_px
    inside = warped[y : y + y1 - y0, x : x + x1 - x0] > 0
    return _tight(np.ascontiguousarray(inside), x0, y0, fit)


class _Span(NamedTuple):
    """Prototype cells that one side of a region needs.

    Attributes:
        first, last: cells [first, last).
        origin_px: frame pixel at which the enlarged cells begin.
        shift: cells by which they must move for that pixel to be whole, at most half a frame
            pixel: a plain enlargement costs an eighth of a general warp (measured).
    """

    first: int
    last: int
    origin_px: int
    shift: float


def _span(start_px: int, end_px: int, step: float, padding: float, cells: int) -> _Span:
    first = max(0, int(start_px * step + padding) - 1)
    last = min(cells, int(end_px * step + padding) + 2)
    exact_px = (first - padding) / step
    origin_px = math.floor(exact_px + 0.5)
    return _Span(first, last, origin_px, (origin_px - exact_px) * step)


def _fade(logits: NDArray[np.float32], core: NDArray[np.float32], per_cell: float) -> None:
    """Lower logits by how far they lie beyond a box.

    Networks of this kind learn masks inside their boxes alone, so what they say outside deserves
    less belief the farther it is.

    Args:
        logits: float32 (h, w), changed in place.
        core: the box in cells of the logits, x0 y0 x1 y1.
        per_cell: logits per cell of distance, along the farther axis.
    """
    x = np.arange(logits.shape[1], dtype=np.float32) + 0.5
    y = np.arange(logits.shape[0], dtype=np.float32) + 0.5
    beyond_x = np.maximum(core[0] - x, x - core[2]).clip(0)
    beyond_y = np.maximum(core[1] - y, y - core[3]).clip(0)
    logits -= np.float32(per_cell) * np.maximum(beyond_x, beyond_y[:, None])


def _drop_parts(
    logits: NDArray[np.float32], min_cells: float, core: NDArray[np.float32] | None = None
) -> None:
    """Leave out, in place, connected parts that are too small or do not reach into the core."""
    inside = (logits > 0).view(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    drop = stats[:, cv2.CC_STAT_AREA] < min_cells
    if core is not None:
        x0, y0 = np.floor(core[:2]).astype(int).clip(0).tolist()
        x1, y1 = np.ceil(core[2:]).astype(int).clip(0).tolist()
        drop |= np.bincount(parts[y0:y1, x0:x1].ravel(), minlength=len(drop)) == 0
    drop[0] = False
    if drop.any():
        logits[drop[parts]] = _OUTSIDE_LOGIT


def _tight(bits: NDArray[np.bool_], x0: int, y0: int, fit: Fit) -> Mask:
    x, y, w, h = cv2.boundingRect(bits.view(np.uint8))
    if not w:
        return Mask.empty(fit.frame_width_px, fit.frame_height_px)
    return Mask(
        width_px=fit.frame_width_px,
        height_px=fit.frame_height_px,
        x_px=x0 + x,
        y_px=y0 + y,
        bits=np.ascontiguousarray(bits[y : y + h, x : x + w]),
    )
