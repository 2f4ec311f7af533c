"""The loss of LMSF-A and YOLOv8-seg: boxes, bins, classes and masks (specification 1.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from models.errors import OptionError
from models.losses.assignment import Assignment, assign
from models.losses.boundary import edge_loss, gradient_loss
from models.losses.boxes import complete_iou
from models.types import MASK_STRIDE, InstanceOutput, InstanceTargets, encode_boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceLoss:
    """Sum of CIoU, class, bin and mask losses times the batch size; a callable.

    Attributes:
        box: weight of 1 - CIoU.
        classify: weight of the class cross entropy.
        bins: weight of the distribution focal loss.
        mask: weight of the mask cross entropy.
        edge: weight of `edge_loss`; 0 as published.
        gradient: weight of `gradient_loss`; 0 as published.
        top_k: anchors per instance.
    """

    box: float = 7.5
    classify: float = 0.5
    bins: float = 1.5
    mask: float = 7.5
    edge: float = 0.0
    gradient: float = 0.0
    top_k: int = 10
    grows_with_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        weights = [getattr(self, name) for name in _PARTS]
        if not all(isinstance(w, int | float) and w >= 0 for w in weights) or self.top_k < 1:
            raise OptionError("The loss takes weights of at least 0, and a top_k of at least 1.")

    def __call__(
        self, output: InstanceOutput, targets: InstanceTargets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Computes the loss in float32, whatever precision the output has.

        Args:
            output: the network's raw output for B pictures.
            targets: their ground truth; M = 0 is allowed.

        Returns:
            The scalar to minimise (times B), and its weighted parts per picture, detached:
            "box", "classify", "bins", "mask", and those of the border that have a weight.
        """
        logits = output.class_logits.float().transpose(1, 2)
        boxes = output.boxes_xyxy()
        ignored = ignored_anchors(targets, output.centres_px)
        given = assign(
            logits.sigmoid(), boxes, output.centres_px, targets, ignored, top_k=self.top_k
        )
        total = given.scores.sum().clamp(min=1)
        entropy = F.binary_cross_entropy_with_logits(logits, given.scores, reduction="none")
        if ignored is not None:
            entropy = entropy * ~ignored[..., None]
        zero = logits.sum() * 0
        parts = {"box": zero, "classify": entropy.sum() / total, "bins": zero, "mask": zero}
        borders = {k: f for k, f in _BORDERS.items() if getattr(self, k)}
        parts |= dict.fromkeys(borders, zero)
        if given.positive.any():
            parts["box"], parts["bins"] = _box_losses(output, boxes, targets, given, total)
            masks = _masks(output, targets, given)
            parts["mask"] = _mask_loss(*masks, _boxes(targets, given))
            parts |= {name: loss_of(*masks) for name, loss_of in borders.items()}
        parts = {name: value * getattr(self, name) for name, value in parts.items()}
        loss = torch.stack(list(parts.values())).sum() * len(logits)
        return loss, {name: value.detach() for name, value in parts.items()}


def ignored_anchors(targets: InstanceTargets, centres_px: Tensor) -> Tensor | None:
    """bool (B, A): anchors whose centre lies where nothing is known; None without a zone."""
    if targets.ignore is None:
        return None
    cell = (centres_px / MASK_STRIDE).long()
    return targets.ignore[:, cell[:, 1], cell[:, 0]]


def _box_losses(
    output: InstanceOutput,
    boxes: Tensor,
    targets: InstanceTargets,
    given: Assignment,
    total: Tensor,
) -> tuple[Tensor, Tensor]:
    """1 - CIoU and the cross entropy of the two bins beside each side, weighted by score."""
    image, anchor = given.positive.nonzero(as_tuple=True)
    weight = given.scores[image, anchor].sum(-1)
    truth = targets.boxes[image, given.instance[image, anchor]]
    box = ((1 - complete_iou(boxes[image, anchor], truth)) * weight).sum() / total
    bins = output.boxes.float().transpose(1, 2)[image, anchor]
    bins = bins.reshape(len(image), 4, -1).log_softmax(-1)
    sides = encode_boxes(
        truth, output.centres_px[anchor], output.strides_px[anchor], bins.shape[-1]
    )
    low = sides.long()
    share = sides - low
    near = bins.gather(2, low[..., None]).squeeze(2) * (1 - share)
    far = bins.gather(2, low[..., None] + 1).squeeze(2) * share
    return box, -((near + far).mean(-1) * weight).sum() / total


def _boxes(targets: InstanceTargets, given: Assignment) -> Tensor:
    """Box of each positive's instance in cells of the masks, float32 (N, 4)."""
    image, anchor = given.positive.nonzero(as_tuple=True)
    return targets.boxes[image, given.instance[image, anchor]] / MASK_STRIDE


def _masks(
    output: InstanceOutput, targets: InstanceTargets, given: Assignment
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each positive mask logits, truth, and where its box is and known, (N, h, w) each."""
    image, anchor = given.positive.nonzero(as_tuple=True)
    prototypes = output.prototypes.float()
    height, width = prototypes.shape[2:]
    coefficients = output.mask_coefficients.float().transpose(1, 2)[image, anchor]
    per_image = coefficients.split(given.positive.sum(1).tolist())
    logits = torch.cat([c @ p.flatten(1) for c, p in zip(per_image, prototypes, strict=True)])
    logits = logits.reshape(-1, height, width)
    truth = targets.masks[image, given.instance[image, anchor]].float()
    boxes = _boxes(targets, given)
    x = torch.arange(width, device=logits.device)
    y = torch.arange(height, device=logits.device)
    in_x = (x >= boxes[:, :1]) & (x < boxes[:, 2:3])
    in_y = (y >= boxes[:, 1:2]) & (y < boxes[:, 3:])
    window = (in_y[:, :, None] & in_x[:, None]).float()
    if targets.ignore is not None:
        window = window * ~targets.ignore[image]
    return logits, truth, window


def _mask_loss(logits: Tensor, truth: Tensor, window: Tensor, boxes: Tensor) -> Tensor:
    """Cross entropy of each positive's mask inside its box, over the box's share of the frame."""
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    share = (boxes[:, 2:] - boxes[:, :2]).prod(-1) / window[0].numel()
    return ((entropy * window).mean((1, 2)) / share.clamp(min=1e-6)).mean()


_PARTS = ("box", "classify", "bins", "mask", "edge", "gradient")
_BORDERS = {"edge": edge_loss, "gradient": gradient_loss}
