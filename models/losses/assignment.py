"""Task-aligned assignment of anchors to ground truth (TOOD, Feng et al. 2021)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.losses.boxes import complete_iou
from models.types import InstanceTargets


class Assignment(NamedTuple):
    """Which anchor answers for which instance.

    Attributes:
        positive: bool (B, A).
        instance: int64 (B, A), index into M; 0 where not positive.
        scores: float32 (B, A, K), target scores; zero rows where not positive.
    """

    positive: Tensor
    instance: Tensor
    scores: Tensor


@torch.no_grad()
def assign(
    scores: Tensor,
    boxes: Tensor,
    centres_px: Tensor,
    targets: InstanceTargets,
    ignored: Tensor | None = None,
    *,
    top_k: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
) -> Assignment:
    """Gives each instance the `top_k` best aligned anchors inside its box.

    Alignment is score ** alpha * CIoU ** beta. An anchor claimed twice goes to the
    instance with the larger CIoU; an instance without an anchor inside gets none.

    Args:
        scores: float (B, A, K) in [0, 1].
        boxes: float (B, A, 4), predicted, x0 y0 x1 y1 in input pixels.
        centres_px: float32 (A, 2).
        targets: ground truth, padded to M instances.
        ignored: bool (B, A), anchors that may not be positive.

    Returns:
        The assignment. Target scores are the alignment scaled so that each instance's best
        anchor gets the instance's best CIoU.
    """
    batch, anchors, classes = scores.shape
    count = targets.classes.shape[1]
    if count == 0:
        nothing = torch.zeros(batch, anchors, dtype=torch.bool, device=scores.device)
        return Assignment(nothing, nothing.long(), torch.zeros_like(scores, dtype=torch.float32))
    gt = targets.boxes[:, :, None]
    margin = torch.cat((centres_px - gt[..., :2], gt[..., 2:] - centres_px), -1).amin(-1)
    inside = (margin > 1e-9) & targets.valid[..., None]
    if ignored is not None:
        inside &= ~ignored[:, None]
    iou = complete_iou(gt, boxes.float()[:, None]).clamp(min=0) * inside
    index = targets.classes[..., None].expand(-1, -1, anchors)
    score = scores.float().transpose(1, 2).gather(1, index)
    alignment = score.pow(alpha) * iou.pow(beta) * inside
    best = torch.where(inside, alignment, -1.0).topk(min(top_k, anchors), -1).indices
    claimed = torch.zeros_like(inside).scatter_(2, best, src=torch.ones_like(inside)) & inside
    owner = torch.where(claimed, iou, -1.0).argmax(1)
    claimed &= torch.nn.functional.one_hot(owner, count).transpose(1, 2).bool()
    alignment = alignment * claimed
    peak = alignment.amax(-1, keepdim=True)
    best_iou = (iou * claimed).amax(-1, keepdim=True)
    strength = (alignment * best_iou / (peak + 1e-9)).amax(1)
    positive = claimed.any(1)
    instance = owner * positive
    label = targets.classes.gather(1, instance)
    target = torch.nn.functional.one_hot(label, classes) * (strength * positive)[..., None]
    return Assignment(positive, instance, target)
