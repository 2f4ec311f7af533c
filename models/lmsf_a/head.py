"""Heads of LMSF-A: the shared GroupNorm head (LMSH), and decoupled ones such as YOLOv8's.

Specification sections 1.4 and 1.6. Both map three feature maps (strides 8, 16, 32) to `Levels`,
of which `assemble` makes an `InstanceOutput`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import log
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.conv import Conv, ConvGN, SeparableConv
from models.types import InstanceOutput, anchor_grid

STRIDES_PX = (8, 16, 32)
BINS = 16


class Proto(nn.Module):
    """Mask prototypes: (B, c, H / 8, W / 8) -> (B, P, H / 4, W / 4)."""

    def __init__(self, c: int, hidden: int, prototypes: int, norm: str = "bn") -> None:
        super().__init__()
        self.first = Conv(c, hidden, 3, norm=norm)
        self.upsample = nn.ConvTranspose2d(hidden, hidden, 2, 2)
        self.second = Conv(hidden, hidden, 3, norm=norm)
        self.third = Conv(hidden, prototypes, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if x.is_cuda:
            x = self.upsample(x)
        else:  # the same product as four 1 x 1 convolutions: 3x faster than oneDNN's transpose
            c = self.upsample.out_channels
            weight = self.upsample.weight.permute(1, 2, 3, 0).reshape(4 * c, c, 1, 1)
            bias = self.upsample.bias.repeat_interleave(4)  # type: ignore[union-attr]
            x = F.pixel_shuffle(F.conv2d(x, weight, bias), 2)
        return self.third(self.second(x))


class DFL(nn.Module):
    """The frozen bin values 0..15 as the 1 x 1 convolution that published weights hold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(BINS, 1, 1, bias=False)
        self.conv.weight.requires_grad = False
        self.conv.weight.data[:] = torch.arange(float(BINS)).reshape(1, BINS, 1, 1)

    def forward(self, bins: Tensor) -> Tensor:
        """(B, 64, A) logits -> (B, 4, A) expected distances in strides."""
        b, _, a = bins.shape
        shaped = bins.reshape(b, 4, BINS, a).transpose(1, 2).softmax(1)
        return self.conv(shaped).reshape(b, 4, a)


def class_bias(num_classes: int, stride_px: float) -> float:
    """Bias that starts scores at the rate of about five objects in a 640 x 640 picture."""
    return log(5 / num_classes / (640 / stride_px) ** 2)


class Levels(NamedTuple):
    """What a head puts out, level by level (strides 8, 16, 32): maps (B, C, H / s, W / s).

    Attributes:
        boxes: 4 * 16 logits of the distance bins.
        class_logits: K.
        mask_coefficients: P.
        prototypes: (B, P, H / 4, W / 4).
    """

    boxes: Sequence[Tensor]
    class_logits: Sequence[Tensor]
    mask_coefficients: Sequence[Tensor]
    prototypes: Tensor


def assemble(
    boxes: Sequence[Tensor], logits: Sequence[Tensor], coefficients: Sequence[Tensor], proto: Tensor
) -> InstanceOutput:
    """Joins the levels' maps along the anchors, keeping each anchor's values together."""

    def join(maps: Sequence[Tensor]) -> Tensor:
        flat = [m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, m.shape[1]) for m in maps]
        return torch.cat(flat, 1).transpose(1, 2)

    height, width = proto.shape[2] * 4, proto.shape[3] * 4
    centres, strides = anchor_grid(height, width, STRIDES_PX, proto.device)
    return InstanceOutput(join(boxes), join(logits), join(coefficients), proto, centres, strides)


class LMSH(nn.Module):
    """Lightweight multi-scale shared head: one GroupNorm trunk for all three levels."""

    def __init__(
        self,
        channels: tuple[int, int, int],
        num_classes: int,
        hidden: int = 64,
        prototypes: int = 32,
        norm: str = "bn",
    ) -> None:
        super().__init__()
        c4 = max(channels[0] // 4, prototypes)
        self.stems = nn.ModuleList(ConvGN(c, hidden) for c in channels)
        self.shared = nn.Sequential(ConvGN(hidden, hidden, 3), ConvGN(hidden, hidden, 3))
        self.box = nn.Conv2d(hidden, 4 * BINS, 1)
        self.box_scales = nn.Parameter(torch.ones(len(channels)))
        self.classify = nn.Conv2d(hidden, num_classes, 1)
        self.coefficients = nn.ModuleList(
            nn.Sequential(ConvGN(c, c4), ConvGN(c4, c4, 3), nn.Conv2d(c4, prototypes, 1))
            for c in channels
        )
        self.proto = Proto(channels[0], hidden, prototypes, norm)
        self.dfl = DFL()
        nn.init.constant_(self.box.bias, 1.0)  # type: ignore[arg-type]
        nn.init.constant_(self.classify.bias, class_bias(num_classes, 16))  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> Levels:
        boxes, logits, coefficients = [], [], []
        for i, x in enumerate(features):
            trunk = self.shared(self.stems[i](x))
            boxes.append(self.box(trunk) * self.box_scales[i])
            logits.append(self.classify(trunk))
            coefficients.append(self.coefficients[i](x))
        return Levels(boxes, logits, coefficients, self.proto(features[0]))


def _wide(c: int, mid: int, out: int, norm: str) -> nn.Sequential:
    first, second = Conv(c, mid, 3, norm=norm), Conv(mid, mid, 3, norm=norm)
    return nn.Sequential(first, second, nn.Conv2d(mid, out, 1))


def _narrow(c: int, mid: int, out: int, norm: str) -> nn.Sequential:
    return nn.Sequential(Conv(c, mid, norm=norm), Conv(mid, mid, norm=norm), nn.Conv2d(mid, out, 1))


def _single(c: int, _mid: int, out: int, _norm: str) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c, out, 1))


def _separable(c: int, mid: int, out: int, norm: str, depth: int = 2) -> nn.Sequential:
    units = [SeparableConv(mid if i else c, mid, norm=norm) for i in range(depth)]
    return nn.Sequential(*units, Conv(mid, mid, norm=norm), nn.Conv2d(mid, out, 1))


_BRANCHES = {
    "yolov8": (_wide, _wide, _wide),
    "lqe": (_wide, _wide, _wide),
    "efficient": (_single, _single, _wide),
    "ladh": (partial(_separable, depth=3), _narrow, _separable),
}
HEADS = tuple(_BRANCHES)
"""Forms of `DecoupledHead`: how each finds boxes, classes and mask coefficients."""


class DecoupledHead(nn.Module):
    """YOLOv8-seg's head, nothing shared between levels, and three others of Table VIII.

    Args:
        channels: of the three levels.
        num_classes: K.
        hidden: of the prototypes.
        prototypes: P.
        norm: "bn" or "gn".
        form: "yolov8": three branches of two 3 x 3 convolutions. "lqe": the same, and the class
            logits move by how sharp the box is (`BoxQuality`). "efficient": boxes and classes
            are one layer each behind two 3 x 3 convolutions that they share. "ladh": separable
            convolutions for boxes and masks, 1 x 1 ones for classes.
    """

    def __init__(
        self,
        channels: tuple[int, int, int],
        num_classes: int,
        hidden: int = 64,
        prototypes: int = 32,
        norm: str = "bn",
        form: str = "yolov8",
    ) -> None:
        super().__init__()
        c2 = max(16, channels[0] // 4, 4 * BINS)
        c3 = max(channels[0], min(num_classes, 100))
        c4 = max(channels[0] // 4, prototypes)

        box, classify, coefficients = _BRANCHES[form]
        self.box = nn.ModuleList(box(c, c2, 4 * BINS, norm) for c in channels)
        self.classify = nn.ModuleList(classify(c, c3, num_classes, norm) for c in channels)
        self.coefficients = nn.ModuleList(coefficients(c, c4, prototypes, norm) for c in channels)
        self.proto = Proto(channels[0], hidden, prototypes, norm)
        self.dfl = DFL()
        self.quality = nn.ModuleList(BoxQuality() for _ in channels if form == "lqe")
        self.stems = nn.ModuleList(
            nn.Sequential(Conv(c, c, 3, norm=norm), Conv(c, c, 3, norm=norm))
            for c in channels
            if form == "efficient"
        )
        for boxes, logits, stride in zip(self.box, self.classify, STRIDES_PX, strict=True):
            nn.init.constant_(boxes[-1].bias, 1.0)  # type: ignore[index]
            nn.init.constant_(logits[-1].bias, class_bias(num_classes, stride))  # type: ignore[index]

    def forward(self, features: Sequence[Tensor]) -> Levels:
        boxes, logits, coefficients = [], [], []
        for i, x in enumerate(features):
            trunk = self.stems[i](x) if self.stems else x
            boxes.append(self.box[i](trunk))
            logits.append(self.classify[i](trunk))
            if self.quality:
                logits[i] = logits[i] + self.quality[i](boxes[i])
            coefficients.append(self.coefficients[i](x))
        return Levels(boxes, logits, coefficients, self.proto(features[0]))


class BoxQuality(nn.Module):
    """LQE: how sure a box is of its sides, as a logit (Li et al. 2021, GFL v2, section 3.2).

    From the four likeliest bins of each side and their mean, 20 numbers, by a small network that
    answers 0 until it has learnt.
    """

    def __init__(self, hidden: int = 64, likeliest: int = 4) -> None:
        super().__init__()
        self.likeliest = likeliest
        self.first = nn.Conv2d(4 * (likeliest + 1), hidden, 1)
        self.second = nn.Conv2d(hidden, 1, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, bins: Tensor) -> Tensor:
        """(B, 64, h, w) logits of the bins -> (B, 1, h, w)."""
        b, _, h, w = bins.shape
        share = bins.reshape(b, 4, BINS, h, w).softmax(2).topk(self.likeliest, 2).values
        known = torch.cat((share, share.mean(2, keepdim=True)), 2).flatten(1, 2)
        return self.second(F.relu(self.first(known)))
