"""ResNet-50 as a frame encoder, under torchvision's tensor names.

He et al., "Deep Residual Learning" (2016), with the stride in the 3 x 3 convolution ("v1.5"), as
ImageNet's and SelfSupSurg's public weights have it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

EXPANSION = 4
FEATURES = 2048
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Planes, units and stride of layers 1 to 4."""


class Bottleneck(nn.Module):
    """(B, c, H, W) -> (B, 4 * planes, H / stride, W / stride)."""

    def __init__(self, c: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        out = planes * EXPANSION
        self.conv1 = nn.Conv2d(c, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or c != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(c, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    """Maps (B, 3, H, W) to its averaged features (B, 2048); 23,508,032 parameters.

    Sides are at least 32 pixels; the public weights saw 224.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        c = 64
        for number, (planes, units, stride) in enumerate(STAGES, 1):
            first = Bottleneck(c, planes, stride)
            c = planes * EXPANSION
            rest = (Bottleneck(c, planes) for _ in range(units - 1))
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        x: Any = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        for number in range(1, 1 + len(STAGES)):
            x = self.get_submodule(f"layer{number}")(x)
        return x.mean((2, 3))
