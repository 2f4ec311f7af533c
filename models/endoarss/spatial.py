"""SMA: attention that lets every pixel of the picture see the whole of it, before the encoder.

Specification, segmentation-models, section 2.3; the attention is `models.blocks.repvit.EMA`
over the P * P places in a patch as channels. Used on the inference thread and in training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.blocks.repvit import EMA


class SpatialAttention(nn.Module):
    """Maps (B, 3, H, W) to the same shape; at first the identity.

    Args:
        width: d, channels in between; the released code has 512. The attention's cost and memory
            are proportional to it.
        patch: P, side of the patches in pixels; H and W must be multiples of it.
    """

    def __init__(self, width: int = 64, patch: int = 7) -> None:
        super().__init__()
        self.patch = patch
        self.mix = nn.Conv2d(3, 3, 3, padding=1)
        self.expand = nn.Conv2d(3, width, 1)
        self.attention = EMA(patch * patch, groups=1)
        self.reduce = nn.Conv2d(width, 3, 1)
        self.join = nn.Conv2d(6, 3, 3, padding=1)
        with torch.no_grad():
            # The picture passes through, what was attended to adds nothing yet.
            nn.init.zeros_(self.join.weight)
            nn.init.zeros_(self.join.bias)
            for channel in range(3):
                self.join.weight[channel, channel, 1, 1] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        y = unfolded(self.expand(self.mix(x)), self.patch)
        y = folded(self.attention(y), self.patch, x.shape[2] // self.patch)
        return self.join(torch.cat((x, self.reduce(y)), 1))


def unfolded(x: Tensor, patch: int) -> Tensor:
    """(B, C, H, W) as (B, P * P, H / P * W / P, C): place in the patch, patch, channel."""
    batch, channels, height, width = x.shape
    y = x.reshape(batch, channels, height // patch, patch, width // patch, patch)
    y = y.permute(0, 3, 5, 2, 4, 1)
    return y.reshape(batch, patch * patch, -1, channels)


def folded(x: Tensor, patch: int, rows: int) -> Tensor:
    """`unfolded` undone, for a picture that is `rows` patches high."""
    batch, _, count, channels = x.shape
    y = x.reshape(batch, patch, patch, rows, count // rows, channels)
    y = y.permute(0, 5, 3, 1, 4, 2)
    return y.reshape(batch, channels, rows * patch, -1)
