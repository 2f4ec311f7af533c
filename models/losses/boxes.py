"""Overlap of boxes: IoU and complete IoU (Zheng et al. 2020)."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor


def complete_iou(a: Tensor, b: Tensor, eps: float = 1e-7) -> Tensor:
    """Complete IoU of boxes that broadcast against each other.

    Args:
        a: float (..., 4), x0 y0 x1 y1.
        b: float (..., 4).
        eps: keeps empty boxes finite.

    Returns:
        float (...), at most 1; IoU less the normalised centre distance and the aspect term.
    """
    wh_a, wh_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    overlap = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    intersection = overlap.clamp(min=0).prod(-1)
    union = wh_a.prod(-1) + wh_b.prod(-1) - intersection + eps
    iou = intersection / union
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    centre = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]).square().sum(-1) / 4
    distance = centre / (hull.square().sum(-1) + eps)
    angle_a = torch.atan(wh_a[..., 0] / (wh_a[..., 1] + eps))
    angle_b = torch.atan(wh_b[..., 0] / (wh_b[..., 1] + eps))
    aspect = 4 / pi**2 * (angle_a - angle_b).square()
    with torch.no_grad():
        weight = aspect / (aspect - iou + 1 + eps)
    return iou - distance - weight * aspect
