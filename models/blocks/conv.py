"""Convolution blocks of the YOLOv8 family, and the folding of BatchNorm into them.

Sources: specs of LMSF-A, section 1.2 (shapes and eps) and 1.5 (folding algebra).
"""

from __future__ import annotations

from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def group_norm(channels: int, groups: int = 16) -> nn.GroupNorm:
    """GroupNorm with at most `groups` groups, fewer where they do not divide the channels."""
    return nn.GroupNorm(gcd(groups, channels), channels)


def norm2d(kind: str, channels: int, *, eps: float = 1e-3, momentum: float = 0.03) -> nn.Module:
    """The normalisation a network was asked for: "bn", or "gn" for training with tiny batches."""
    if kind == "gn":
        return group_norm(channels)
    return nn.BatchNorm2d(channels, eps=eps, momentum=momentum)


def folded_weight(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that equals `norm(conv(x))` in eval mode."""
    mean, var = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    scale = norm.weight / torch.sqrt(var + norm.eps)
    bias = torch.zeros_like(mean) if conv.bias is None else conv.bias
    weight = conv.weight * scale[:, None, None, None]
    return weight.detach(), (norm.bias + (bias - mean) * scale).detach()


def replaced_conv(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution of the same geometry with another weight and a bias."""
    new = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        groups=conv.groups,
    ).to(weight)
    new.weight.data.copy_(weight)
    new.bias.data.copy_(bias)  # type: ignore[union-attr]
    return new


class Conv(nn.Module):
    """Conv2d without bias, normalisation, SiLU. Keeps H x W / stride."""

    def __init__(
        self, c1: int, c2: int, k: int = 1, s: int = 1, norm: str = "bn", groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, s, k // 2, groups=groups, bias=False)
        self.norm = norm2d(norm, c2)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.norm(self.conv(x)), inplace=True)

    def fuse(self) -> None:
        """Folds BatchNorm into the convolution; does nothing to GroupNorm or when folded."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = replaced_conv(self.conv, *folded_weight(self.conv, self.norm))
            self.norm = nn.Identity()


class SeparableConv(nn.Sequential):
    """A depthwise k x k and a pointwise convolution, each with normalisation and SiLU."""

    def __init__(self, c1: int, c2: int, k: int = 3, norm: str = "bn") -> None:
        super().__init__(Conv(c1, c1, k, norm=norm, groups=c1), Conv(c1, c2, norm=norm))


class ConvGN(nn.Module):
    """Conv2d without bias, GroupNorm of 16 groups, SiLU."""

    def __init__(self, c1: int, c2: int, k: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, 1, k // 2, bias=False)
        self.norm = group_norm(c2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if x.dtype == torch.bfloat16 and not x.is_cuda:
            # GroupNorm in bf16 takes 3x as long as in float32 on a CPU, casts included.
            n = self.norm
            weight, bias = n.weight.float(), n.bias.float()
            y = F.group_norm(x.float(), n.num_groups, weight, bias, n.eps).to(x.dtype)
        else:
            y = self.norm(x)
        return F.silu(y, inplace=True)


class SPPF(nn.Module):
    """Three chained 5 x 5 max pools, all kept, between two 1 x 1 convolutions."""

    def __init__(self, c1: int, c2: int, norm: str = "bn") -> None:
        super().__init__()
        self.reduce = Conv(c1, c1 // 2, norm=norm)
        self.expand = Conv(c1 * 2, c2, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [self.reduce(x)]
        for _ in range(3):
            pooled.append(F.max_pool2d(pooled[-1], 5, 1, 2))
        return self.expand(torch.cat(pooled, 1))


class Bottleneck(nn.Module):
    """Two 3 x 3 convolutions, with the input added where `shortcut`."""

    def __init__(self, c: int, norm: str = "bn", *, shortcut: bool) -> None:
        super().__init__()
        self.first = Conv(c, c, 3, norm=norm)
        self.second = Conv(c, c, 3, norm=norm)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))
        return x + y if self.shortcut else y


class C2f(nn.Module):
    """YOLOv8's stage: split in two halves, n units chained on the second, all kept.

    (B, c1, H, W) -> (B, c2, H, W). Subclasses choose the unit.
    """

    def __init__(
        self,
        c1: int,
        c2: int,
        n: int = 1,
        *,
        shortcut: bool = False,
        norm: str = "bn",
        **options: str,
    ) -> None:
        super().__init__()
        self.half = c2 // 2
        self.split = Conv(c1, 2 * self.half, norm=norm)
        self.units = nn.ModuleList(
            self._unit(self.half, norm, shortcut=shortcut, **options) for _ in range(n)
        )
        self.merge = Conv((2 + n) * self.half, c2, norm=norm)

    def _unit(self, c: int, norm: str, *, shortcut: bool, **_options: str) -> nn.Module:
        return Bottleneck(c, norm, shortcut=shortcut)

    def forward(self, x: Tensor) -> Tensor:
        kept = list(self.split(x).chunk(2, 1))
        for unit in self.units:
            kept.append(unit(kept[-1]))
        return self.merge(torch.cat(kept, 1))
