"""PraNet's decoder: receptive field blocks, the partial decoder and reverse attention.

Source: specification section 3; Fan et al., "PraNet", 2020. Names of the published weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 32


class BasicConv(nn.Module):
    """Convolution without bias, BatchNorm, and no activation."""

    def __init__(
        self, c1: int, c2: int, k: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
        dilation: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, 1, padding, dilation, bias=False)
        self.bn = nn.BatchNorm2d(c2)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))  # type: ignore[no-any-return]


class RFB(nn.Module):
    """Receptive field block: four looks at growing distances, (B, c, H, W) -> (B, 32, H, W)."""

    def __init__(self, c: int) -> None:
        super().__init__()

        def branch(k: int) -> nn.Sequential:
            return nn.Sequential(
                BasicConv(c, WIDTH),
                BasicConv(WIDTH, WIDTH, (1, k), (0, k // 2)),
                BasicConv(WIDTH, WIDTH, (k, 1), (k // 2, 0)),
                BasicConv(WIDTH, WIDTH, 3, k, k),
            )

        self.branch0 = nn.Sequential(BasicConv(c, WIDTH))
        self.branch1, self.branch2, self.branch3 = branch(3), branch(5), branch(7)
        self.conv_cat = BasicConv(4 * WIDTH, WIDTH, 3, 1)
        self.conv_res = BasicConv(c, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        looks = (self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x))
        return torch.relu(self.conv_cat(torch.cat(looks, 1)) + self.conv_res(x))


class PartialDecoder(nn.Module):
    """Three maps of 32 channels -> one map of logits at the finest one's size."""

    def __init__(self) -> None:
        super().__init__()

        def conv(c: int) -> BasicConv:
            return BasicConv(c, c, 3, 1)

        self.conv_upsample1, self.conv_upsample2 = conv(WIDTH), conv(WIDTH)
        self.conv_upsample3, self.conv_upsample4 = conv(WIDTH), conv(WIDTH)
        self.conv_upsample5 = conv(2 * WIDTH)
        self.conv_concat2 = conv(2 * WIDTH)
        self.conv_concat3, self.conv4 = conv(3 * WIDTH), conv(3 * WIDTH)
        self.conv5 = nn.Conv2d(3 * WIDTH, 1, 1)

    def forward(self, x4: Tensor, x3: Tensor, x2: Tensor) -> Tensor:
        up4 = _doubled(x4)
        middle = self.conv_upsample1(up4) * x3
        fine = self.conv_upsample2(_doubled(up4)) * self.conv_upsample3(_doubled(x3)) * x2
        joined = self.conv_concat2(torch.cat((middle, self.conv_upsample4(up4)), 1))
        joined = torch.cat((fine, self.conv_upsample5(_doubled(joined))), 1)
        return self.conv5(self.conv4(self.conv_concat3(joined)))  # type: ignore[no-any-return]


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


def resized(logits: Tensor, size: Sequence[int]) -> Tensor:
    """A map of logits at (height, width), bilinear by pixel areas."""
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)


def reversed_attention(features: Tensor, guess: Tensor) -> Tensor:
    """Features of what the guess has not marked yet: weighted by 1 - sigmoid of its logits.

    Args:
        features: float (B, c, h, w).
        guess: float (B, 1, h, w), logits.
    """
    return features * (1 - torch.sigmoid(guess))
