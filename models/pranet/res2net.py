"""Res2Net-50 v1b, 26w x 4s: the encoder of PraNet, under the published tensor names.

Source: specification section 3; Gao et al., "Res2Net", 2019, the v1b variant (a stem of three
3 x 3 convolutions, averaging before the shortcut's convolution).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

EXPANSION = 4
SCALES = 4
BASE_WIDTH = 26
IMAGENET_CLASSES = 1000


class Features(NamedTuple):
    """What the decoder looks at.

    Attributes:
        x2: float (B, 512, H / 8, W / 8).
        x3: float (B, 1024, H / 16, W / 16).
        x4: float (B, 2048, H / 32, W / 32).
    """

    x2: Tensor
    x3: Tensor
    x4: Tensor


class Bottle2neck(nn.Module):
    """A residual unit that works at four scales: each split sees the sum of those before it.

    (B, c, H, W) -> (B, 4 * planes, H / stride, W / stride).

    Args:
        c: channels that come in.
        planes: a quarter of those that go out.
        stride: of the unit.
        is_first: the first unit of a stage: no running sum, the last split is averaged, and the
            shortcut has a convolution.
    """

    def __init__(self, c: int, planes: int, stride: int = 1, *, is_first: bool = False) -> None:
        super().__init__()
        width = planes * BASE_WIDTH // 64
        out = planes * EXPANSION
        self.is_first = is_first
        self.conv1 = nn.Conv2d(c, width * SCALES, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width * SCALES)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride, 1, bias=False) for _ in range(SCALES - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(SCALES - 1))
        self.conv3 = nn.Conv2d(width * SCALES, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        if is_first:
            self.pool = nn.AvgPool2d(3, stride, 1)
            self.downsample = nn.Sequential(
                nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(c, out, 1, bias=False),
                nn.BatchNorm2d(out),
            )

    def forward(self, x: Tensor) -> Tensor:
        splits = torch.relu(self.bn1(self.conv1(x))).chunk(SCALES, 1)
        kept: list[Tensor] = []
        for i, (conv, bn) in enumerate(zip(self.convs, self.bns, strict=True)):
            summed = splits[i] if self.is_first or i == 0 else splits[i] + kept[-1]
            kept.append(torch.relu(bn(conv(summed))))
        kept.append(self.pool(splits[-1]) if self.is_first else splits[-1])
        y = self.bn3(self.conv3(torch.cat(kept, 1)))
        return torch.relu(y + (self.downsample(x) if self.is_first else x))


class Res2Net50(nn.Module):
    """The encoder on (B, 3, H, W).

    Args:
        classifier: keep the ImageNet classifier that the published weights hold and PraNet never
            asks; it adds 2,049,000 parameters.
    """

    def __init__(self, *, classifier: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, 1, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, 1, 1, bias=False),
        )
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(64, 64, 3, 1)
        self.layer2 = _stage(256, 128, 4, 2)
        self.layer3 = _stage(512, 256, 6, 2)
        self.layer4 = _stage(1024, 512, 3, 2)
        if classifier:
            self.fc = nn.Linear(2048, IMAGENET_CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Features:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        x2 = self.layer2(self.layer1(x))
        x3 = self.layer3(x2)
        return Features(x2, x3, self.layer4(x3))


def _stage(c: int, planes: int, units: int, stride: int) -> nn.Sequential:
    first = Bottle2neck(c, planes, stride, is_first=True)
    rest = (Bottle2neck(planes * EXPANSION, planes) for _ in range(units - 1))
    return nn.Sequential(first, *rest)
