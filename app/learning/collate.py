"""Views -> the tensors a network and its loss take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from app.core.picture import UNNAMED
from app.learning.views import MASK_STRIDE, View

if TYPE_CHECKING:
    from torch import Tensor

    from models.types import InstanceTargets, MapTargets

NOT_INSTRUMENTS = ("specimen_bag", "tissue")


def collate(views: Sequence[View], classes: Sequence[str]) -> tuple[Tensor, InstanceTargets]:
    """Images float32 (B, 3, H, W) in [0, 1] and targets, padded to the most instances.

    Any kind of instrument that is not in ``classes`` counts as ``instrument`` where that is a
    class, and is ignored where it is not. What is no instrument is background.
    """
    import torch

    from models.types import InstanceTargets

    height, width = views[0].rgb.shape[:2]
    small = (width // MASK_STRIDE, height // MASK_STRIDE)
    count = max((len(v.masks) for v in views), default=0)
    boxes = np.zeros((len(views), count, 4), np.float32)
    kinds = np.zeros((len(views), count), np.int64)
    valid = np.zeros((len(views), count), bool)
    masks = np.zeros((len(views), count, small[1], small[0]), bool)
    ignore = np.zeros((len(views), small[1], small[0]), bool)
    for b, view in enumerate(views):
        if view.ignore.any():
            ignore[b] = _shrunk(view.ignore, small) > 60
        for m, (mask, label) in enumerate(zip(view.masks, view.labels, strict=True)):
            if label in NOT_INSTRUMENTS and label not in classes:
                continue
            at_quarter = _shrunk(mask, small) > 127
            kind = class_of(label, classes)
            if kind is None or not at_quarter.any():
                ignore[b] |= _shrunk(mask, small) > 60
                continue
            rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            boxes[b, m] = cols[0], rows[0], cols[-1] + 1, rows[-1] + 1
            kinds[b, m], valid[b, m], masks[b, m] = kind, True, at_quarter
    stacked = np.stack([v.rgb for v in views]).transpose(0, 3, 1, 2)
    images = torch.from_numpy(np.ascontiguousarray(stacked)).float().div_(255)
    targets = InstanceTargets(
        boxes=torch.from_numpy(boxes),
        classes=torch.from_numpy(kinds),
        valid=torch.from_numpy(valid),
        masks=torch.from_numpy(masks),
        ignore=torch.from_numpy(ignore),
    )
    return images, targets


def collate_maps(
    views: Sequence[View],
    classes: Sequence[str],
    mean_rgb: Sequence[float],
    std_rgb: Sequence[float],
) -> tuple[Tensor, MapTargets]:
    """Images float32 (B, 3, H, W), normalised, and one map of all instances of the classes."""
    import torch

    from models.types import MapTargets

    masks = np.zeros((len(views), 1, *views[0].rgb.shape[:2]), np.float32)
    for plane, view in zip(masks[:, 0], views, strict=True):
        for mask, label in zip(view.masks, view.labels, strict=True):
            if class_of(label, classes) is not None:
                plane[mask] = 1
    ignore = np.stack([v.ignore for v in views])[:, None]
    stacked = np.stack([v.rgb for v in views]).transpose(0, 3, 1, 2)
    images = torch.from_numpy(np.ascontiguousarray(stacked)).float().div_(255)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (mean_rgb, std_rgb))
    return images.sub_(mean).div_(std), MapTargets(
        masks=torch.from_numpy(masks),
        ignore=torch.from_numpy(ignore) if ignore.any() else None,
    )


def _shrunk(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)


def class_of(label: str, classes: Sequence[str]) -> int | None:
    """Index of a label; of ``instrument`` for a kind that the model does not tell apart.

    What a dataset does not name is of a model's only class.
    """
    if label in classes:
        return classes.index(label)
    if label == UNNAMED and len(classes) == 1:
        return 0
    if label in NOT_INSTRUMENTS or "instrument" not in classes:
        return None
    return classes.index("instrument")
