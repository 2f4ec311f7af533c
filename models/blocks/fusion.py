"""Fusion of feature maps of different strides: TFE and SSFF (ASF-YOLO, Kang et al. 2023).

LMSF-A's specification, section 1.3: TFE has no weights; SSFF's attention is a plain add.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.conv import Conv, norm2d


def triple_encode(large: Tensor, middle: Tensor, small: Tensor) -> Tensor:
    """TFE: brings three neighbouring scales to the middle one's size and concatenates them.

    Args:
        large: (B, c1, 2H, 2W), pooled by max plus mean.
        middle: (B, c2, H, W).
        small: (B, c3, H / 2, W / 2), nearest upsampling.

    Returns:
        (B, c1 + c2 + c3, H, W).
    """
    size = middle.shape[2:]
    if large.shape[2] == 2 * size[0] and large.shape[3] == 2 * size[1]:
        pooled = F.max_pool2d(large, 2) + F.avg_pool2d(large, 2)
    else:
        pooled = F.adaptive_max_pool2d(large, size) + F.adaptive_avg_pool2d(large, size)
    return torch.cat((pooled, middle, F.interpolate(small, size=size, mode="nearest")), 1)


class SSFF(nn.Module):
    """Scale-sequence fusion: (p3, p4, p5) -> (B, c, H / 8, W / 8).

    The published layer stacks the three scales on a depth axis and runs Conv3d 1x1x1,
    BatchNorm3d, LeakyReLU and a maximum over depth. A 1x1x1 kernel never mixes scales and
    commutes with nearest upsampling, so each scale is convolved at its own size; the
    BatchNorm sees the upsampled stack in training (the same statistics) and each small
    map in eval.
    """

    def __init__(self, channels: tuple[int, int, int], c: int, norm: str = "bn") -> None:
        super().__init__()
        c3, c4, c5 = channels
        self.level3 = nn.Identity() if c3 == c else Conv(c3, c, norm=norm)
        self.level4 = Conv(c4, c, norm=norm)
        self.level5 = Conv(c5, c, norm=norm)
        self.project = nn.Conv2d(c, c, 1)
        self.norm = norm2d(norm, c, eps=1e-5, momentum=0.1)

    def forward(self, p3: Tensor, p4: Tensor, p5: Tensor) -> Tensor:
        size = p3.shape[2:]
        levels = [self.level3(p3), self.level4(p4), self.level5(p5)]
        levels = [self.project(level) for level in levels]
        if self.training and isinstance(self.norm, nn.BatchNorm2d):
            stack = torch.cat([F.interpolate(level, size=size) for level in levels])
            stack = F.leaky_relu(self.norm(stack), 0.1)
            return stack.reshape(3, p3.shape[0], *stack.shape[1:]).amax(0)
        levels = [F.leaky_relu(self.norm(level), 0.1) for level in levels]
        fine, middle, coarse = (F.interpolate(level, size=size) for level in levels)
        return torch.maximum(torch.maximum(fine, middle), coarse)
