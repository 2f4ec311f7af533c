"""Heads of LMSF-A: the shared GroupNorm head (LMSH) and YOLOv8's decoupled head.

Specification sections 1.4 and 1.6. Both map three feature maps (strides 8, 16, 32) to an
`InstanceOutput`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.conv import Conv, ConvGN
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

    def forward(self, features: Sequence[Tensor]) -> InstanceOutput:
        boxes, logits, coefficients = [], [], []
        for i, x in enumerate(features):
            trunk = self.shared(self.stems[i](x))
            boxes.append(self.box(trunk) * self.box_scales[i])
            logits.append(self.classify(trunk))
            coefficients.append(self.coefficients[i](x))
        return assemble(boxes, logits, coefficients, self.proto(features[0]))


class DecoupledHead(nn.Module):
    """YOLOv8-seg's head: three branches per level, BatchNorm, nothing shared."""

    def __init__(
        self,
        channels: tuple[int, int, int],
        num_classes: int,
        hidden: int = 64,
        prototypes: int = 32,
        norm: str = "bn",
    ) -> None:
        super().__init__()
        c2 = max(16, channels[0] // 4, 4 * BINS)
        c3 = max(channels[0], min(num_classes, 100))
        c4 = max(channels[0] // 4, prototypes)

        def branch(c: int, mid: int, out: int) -> nn.Sequential:
            return nn.Sequential(
                Conv(c, mid, 3, norm=norm), Conv(mid, mid, 3, norm=norm), nn.Conv2d(mid, out, 1)
            )

        self.box = nn.ModuleList(branch(c, c2, 4 * BINS) for c in channels)
        self.classify = nn.ModuleList(branch(c, c3, num_classes) for c in channels)
        self.coefficients = nn.ModuleList(branch(c, c4, prototypes) for c in channels)
        self.proto = Proto(channels[0], hidden, prototypes, norm)
        self.dfl = DFL()
        for box, classify, stride in zip(self.box, self.classify, STRIDES_PX, strict=True):
            nn.init.constant_(box[-1].bias, 1.0)  # type: ignore[index]
            nn.init.constant_(classify[-1].bias, class_bias(num_classes, stride))  # type: ignore[index]

    def forward(self, features: Sequence[Tensor]) -> InstanceOutput:
        levels = range(len(features))
        return assemble(
            [self.box[i](features[i]) for i in levels],
            [self.classify[i](features[i]) for i in levels],
            [self.coefficients[i](features[i]) for i in levels],
            self.proto(features[0]),
        )
