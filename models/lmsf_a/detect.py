"""From raw output to instances with masks at the network's input size.

Used in training and evaluation; `app.inference` has its own, which cuts masks out at the size
of the video. Specification section 1.7, post-process.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from models.types import MASK_STRIDE, InstanceOutput


class Detections(NamedTuple):
    """Instances found in one picture, best first.

    Attributes:
        boxes: float32 (N, 4), x0 y0 x1 y1 in input pixels, inside the picture.
        classes: int64 (N,).
        scores: float32 (N,) in [0, 1].
        masks: bool (N, H, W).
    """

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]
    masks: NDArray[np.bool_]


def suppress(
    boxes: NDArray[np.float32], classes: NDArray[np.int64], iou_above: float
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression within each class.

    Args:
        boxes: float (N, 4), best first.
        classes: int (N,).
        iou_above: a box that overlaps a better one of its class by more than this goes.

    Returns:
        Indices of those kept, best first.
    """
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(-1)
    iou = shared / np.maximum(area[:, None] + area[None] - shared, 1e-9)
    rival = (iou > iou_above) & (classes[:, None] == classes[None])
    alive = np.ones(len(boxes), np.bool_)
    for i in range(len(boxes)):
        if alive[i]:
            alive[i + 1 :] &= ~rival[i, i + 1 :]
    return np.flatnonzero(alive)


@torch.no_grad()
def detect(
    output: InstanceOutput,
    *,
    score_above: float = 0.25,
    iou_above: float = 0.7,
    most: int = 100,
    candidates: int = 300,
) -> list[Detections]:
    """Thresholds, suppresses and draws the masks of a batch.

    Args:
        output: the network's raw output for B pictures.
        score_above: smallest score; 0.001 for average precision.
        iou_above: see `suppress`.
        most: instances per picture.
        candidates: boxes per picture that enter suppression.

    Returns:
        B times the instances; a mask is cut to its box.
    """
    height, width = (side * MASK_STRIDE for side in output.prototypes.shape[2:])
    limit = output.boxes.new_tensor([width, height, width, height]).float()
    boxes = output.boxes_xyxy().clamp(min=0).minimum(limit)
    best, label = output.class_logits.float().sigmoid().max(1)
    found = []
    for i in range(len(boxes)):
        score, order = best[i].topk(min(candidates, best.shape[1]))
        order = order[score > score_above]
        box, kind = boxes[i, order].cpu().numpy(), label[i, order].cpu().numpy()
        kept = torch.from_numpy(suppress(box, kind, iou_above)[:most]).to(order.device)
        order = order[kept]
        logits = output.mask_coefficients[i, :, order].float().T @ output.prototypes[
            i
        ].float().flatten(1)
        logits = logits.reshape(1, len(order), height // MASK_STRIDE, width // MASK_STRIDE)
        masks = np.zeros((0, height, width), np.bool_)
        if len(order):
            large = F.interpolate(logits, size=(height, width), mode="bilinear")[0]
            masks = (large > 0).cpu().numpy() & _windows(boxes[i, order].cpu().numpy(), masks)
        found.append(
            Detections(
                boxes[i, order].cpu().numpy(),
                label[i, order].cpu().numpy(),
                best[i, order].cpu().numpy(),
                masks,
            )
        )
    return found


def _windows(boxes: NDArray[np.float32], like: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool (N, H, W): the inside of each box, by pixel centres."""
    x, y = np.arange(like.shape[2]) + 0.5, np.arange(like.shape[1]) + 0.5
    in_x = (x >= boxes[:, :1]) & (x <= boxes[:, 2:3])
    in_y = (y >= boxes[:, 1:2]) & (y <= boxes[:, 3:])
    return in_y[:, :, None] & in_x[:, None]
