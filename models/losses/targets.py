"""From full-size instance masks to the padded targets that `InstanceLoss` takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.types import MASK_STRIDE, InstanceTargets


def boxes_of_masks(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Tight boxes of non-empty masks.

    Args:
        masks: bool (N, H, W).

    Returns:
        float32 (N, 4), x0 y0 x1 y1 with x1, y1 just past the last pixel.
    """
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        y, x = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box[:] = x[0], y[0], x[-1] + 1, y[-1] + 1
    return boxes


def shrink(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool (..., H, W) -> (..., H / 4, W / 4): a cell is set where at least half of it is."""
    *lead, height, width = masks.shape
    s = MASK_STRIDE
    cells = masks.reshape(*lead, height // s, s, width // s, s)
    return cells.sum((-3, -1)) * 2 >= s * s


def targets_of_masks(
    masks: Sequence[NDArray[np.bool_]],
    classes: Sequence[NDArray[np.int64]],
    ignore: Sequence[NDArray[np.bool_]] | None = None,
    *,
    smallest_px: int = 8,
) -> InstanceTargets:
    """Builds the targets of a batch.

    Args:
        masks: per picture bool (N, H, W) at input size, H and W multiples of 4.
        classes: per picture int (N,).
        ignore: per picture bool (H, W), true where nothing is known; None for none.
        smallest_px: masks of fewer pixels are left out.

    Returns:
        Targets on the CPU, padded to the largest N.
    """
    kept = [np.flatnonzero(m.sum((1, 2)) >= smallest_px) for m in masks]
    batch, most = len(masks), max((len(k) for k in kept), default=0)
    height, width = masks[0].shape[1:]
    boxes = np.zeros((batch, most, 4), np.float32)
    labels = np.zeros((batch, most), np.int64)
    small = np.zeros((batch, most, height // MASK_STRIDE, width // MASK_STRIDE), np.bool_)
    valid = np.zeros((batch, most), np.bool_)
    for i, keep in enumerate(kept):
        n = len(keep)
        chosen = masks[i][keep]
        boxes[i, :n], labels[i, :n] = boxes_of_masks(chosen), classes[i][keep]
        small[i, :n], valid[i, :n] = shrink(chosen), True
    zones = None if ignore is None else torch.from_numpy(shrink(np.stack(ignore)))
    return InstanceTargets(
        boxes=torch.from_numpy(boxes),
        classes=torch.from_numpy(labels),
        valid=torch.from_numpy(valid),
        masks=torch.from_numpy(small),
        ignore=zones,
    )
