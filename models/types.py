"""What networks return and what their losses take: tensors with their shapes written down.

Letters: B images, A anchors, K classes, R bins per box side, P prototypes, M instances
(padded), H x W input pixels. Used on the inference thread and in training processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

MASK_STRIDE = 4


class InstanceOutput(NamedTuple):
    """Raw output of an instance segmentation network, before any threshold.

    A = sum over levels of (H / stride) * (W / stride), levels in order of stride 8, 16, 32,
    anchors of a level in row order.

    Attributes:
        boxes: float (B, 4 * R, A), logits of the distance bins left, top, right, bottom.
        class_logits: float (B, K, A); sigmoid gives the score.
        mask_coefficients: float (B, P, A).
        prototypes: float (B, P, H / 4, W / 4); a mask's logits are coefficients . prototypes.
        centres_px: float32 (A, 2), anchor centres x, y in input pixels.
        strides_px: float32 (A,).
    """

    boxes: Tensor
    class_logits: Tensor
    mask_coefficients: Tensor
    prototypes: Tensor
    centres_px: Tensor
    strides_px: Tensor

    def boxes_xyxy(self) -> Tensor:
        """Returns the decoded boxes, float32 (B, A, 4), x0 y0 x1 y1 in input pixels."""
        return decode_boxes(self.boxes, self.centres_px, self.strides_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceTargets:
    """Ground truth of one batch, padded to M instances per picture (M may be 0).

    Attributes:
        boxes: float32 (B, M, 4), x0 y0 x1 y1 in input pixels.
        classes: int64 (B, M).
        valid: bool (B, M), false where the row is padding.
        masks: bool (B, M, H / 4, W / 4).
        ignore: None, or bool (B, H / 4, W / 4), true where nothing is known: those
            anchors and pixels take no part in the loss.
    """

    boxes: Tensor
    classes: Tensor
    valid: Tensor
    masks: Tensor
    ignore: Tensor | None = None

    def __post_init__(self) -> None:
        batch, count = self.classes.shape
        if self.boxes.shape != (batch, count, 4) or self.valid.shape != (batch, count):
            raise ValueError("boxes, classes and valid must agree on (B, M)")
        if self.masks.ndim != 4 or self.masks.shape[:2] != (batch, count):
            raise ValueError("masks must be (B, M, H/4, W/4)")
        if self.ignore is not None and self.ignore.shape != (batch, *self.masks.shape[2:]):
            raise ValueError("ignore must be (B, H/4, W/4)")

    def to(self, device: torch.device | str) -> InstanceTargets:
        """Returns the same targets on another device."""
        return InstanceTargets(
            boxes=self.boxes.to(device),
            classes=self.classes.to(device),
            valid=self.valid.to(device),
            masks=self.masks.to(device),
            ignore=None if self.ignore is None else self.ignore.to(device),
        )


class ActivityOutput(NamedTuple):
    """Raw output of a network that names the activity in a picture and its semantic areas.

    Attributes:
        activities: float (B, K) logits; softmax gives the probabilities.
        areas: float (B, S, h, w) logits on the encoder's grid of patches; class 0 is background.
    """

    activities: Tensor
    areas: Tensor


UNKNOWN = -1
"""The label of what is not known and takes no part in a loss or a metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityTargets:
    """Ground truth of one batch for a network that names activity and areas.

    Attributes:
        activities: int64 (B,), in [0, K) or `UNKNOWN`.
        areas: int64 (B, H, W), in [0, S) or `UNKNOWN`.
    """

    activities: Tensor
    areas: Tensor

    def __post_init__(self) -> None:
        if self.activities.ndim != 1 or self.areas.ndim != 3:
            raise ValueError("activities must be (B,) and areas (B, H, W)")
        if len(self.activities) != len(self.areas):
            raise ValueError("activities and areas must agree on B")

    def to(self, device: torch.device | str) -> ActivityTargets:
        """Returns the same targets on another device."""
        return ActivityTargets(activities=self.activities.to(device), areas=self.areas.to(device))


class MapOutput(NamedTuple):
    """Raw output of a network that answers with one map in place of instances.

    Attributes:
        logits: float (B, 1, H, W) at the input's size; sigmoid gives the probability.
        logits_3, logits_4, logits_5: the coarser maps on the way there, of the same shape, which
            training looks at too.
    """

    logits: Tensor
    logits_3: Tensor
    logits_4: Tensor
    logits_5: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class MapTargets:
    """Ground truth of one batch for a network that answers with one map.

    Attributes:
        masks: float32 (B, 1, H, W) in [0, 1].
        ignore: None, or bool (B, 1, H, W), true where nothing is known.
    """

    masks: Tensor
    ignore: Tensor | None = None

    def __post_init__(self) -> None:
        if self.masks.ndim != 4 or self.masks.shape[1] != 1:
            raise ValueError("masks must be (B, 1, H, W)")
        if self.ignore is not None and self.ignore.shape != self.masks.shape:
            raise ValueError("ignore must be of the masks' shape")

    def to(self, device: torch.device | str) -> MapTargets:
        """Returns the same targets on another device."""
        return MapTargets(
            masks=self.masks.to(device),
            ignore=None if self.ignore is None else self.ignore.to(device),
        )


def anchor_grid(
    height_px: int, width_px: int, strides_px: tuple[int, ...], device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Anchor centres and strides of every level, in the order networks put them out.

    Args:
        height_px: input height, a multiple of the largest stride.
        width_px: input width, a multiple of the largest stride.
        strides_px: strides of the levels.
        device: where to build them.

    Returns:
        Centres float32 (A, 2) as x, y in input pixels, and strides float32 (A,).
    """
    centres, strides = [], []
    for stride in strides_px:
        y = (torch.arange(height_px // stride, device=device) + 0.5) * stride
        x = (torch.arange(width_px // stride, device=device) + 0.5) * stride
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        centres.append(torch.stack((grid_x, grid_y), -1).reshape(-1, 2))
        strides.append(torch.full((len(y) * len(x),), float(stride), device=device))
    return torch.cat(centres), torch.cat(strides)


def decode_boxes(bins: Tensor, centres_px: Tensor, strides_px: Tensor) -> Tensor:
    """Turns distance bins into boxes: the expected bin of each side times the stride.

    Source: generalised focal loss (Li et al. 2020), as in YOLOv8's DFL.

    Args:
        bins: float (B, 4 * R, A), logits.
        centres_px: float32 (A, 2).
        strides_px: float32 (A,).

    Returns:
        float32 (B, A, 4), x0 y0 x1 y1 in input pixels, not clipped to the picture. Input
        of double precision stays double.
    """
    batch, channels, anchors = bins.shape
    if bins.dtype != torch.float64:
        bins = bins.float()
    bins = bins.transpose(1, 2).reshape(batch, anchors, 4, channels // 4)
    values = torch.arange(channels // 4, device=bins.device, dtype=bins.dtype)
    distances = (bins.softmax(-1) @ values) * strides_px.to(bins.dtype)[:, None]
    centres = centres_px.to(bins.dtype)
    return torch.cat((centres - distances[..., :2], centres + distances[..., 2:]), -1)


def encode_boxes(boxes: Tensor, centres_px: Tensor, strides_px: Tensor, bins: int = 16) -> Tensor:
    """Distances from anchors to box sides in strides, clamped into the bins' range.

    Args:
        boxes: float (..., A, 4), x0 y0 x1 y1 in input pixels.
        centres_px: float32 (A, 2).
        strides_px: float32 (A,).
        bins: R.

    Returns:
        float (..., A, 4) in [0, bins - 1.01].
    """
    sides = torch.cat((centres_px - boxes[..., :2], boxes[..., 2:] - centres_px), -1)
    return (sides / strides_px[:, None]).clamp(0, bins - 1.01)
