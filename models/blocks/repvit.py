"""C2fPro: YOLOv8's stage with RepViT units that carry multi-scale attention.

RepViT: Wang et al. 2024. EMA attention: Ouyang et al. 2023 ("Efficient multi-scale attention
with cross-spatial learning"). The arrangement is LMSF-A's, specification sections 1.2 and 1.5.
"""

from __future__ import annotations

from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.conv import C2f, folded_weight, norm2d, replaced_conv


class RepVGGDW(nn.Module):
    """Depthwise mixer: norm(norm(DW3x3 x) + DW1x1 x + x); one DW3x3 once fused."""

    def __init__(self, c: int, norm: str = "bn") -> None:
        super().__init__()
        self.wide = nn.Conv2d(c, c, 3, 1, 1, groups=c, bias=False)
        self.wide_norm = norm2d(norm, c, eps=1e-5, momentum=0.1)
        self.point = nn.Conv2d(c, c, 1, groups=c)
        self.norm = norm2d(norm, c, eps=1e-5, momentum=0.1)
        self.fused = False

    def forward(self, x: Tensor) -> Tensor:
        if self.fused:
            return self.wide(x)
        return self.norm(self.wide_norm(self.wide(x)) + self.point(x) + x)

    def fuse(self) -> None:
        """Folds the three branches and both BatchNorms into the 3 x 3 convolution."""
        if self.fused or not isinstance(self.norm, nn.BatchNorm2d):
            return
        weight, bias = folded_weight(self.wide, self.wide_norm)
        weight[:, :, 1, 1] += self.point.weight.data[:, :, 0, 0] + 1
        merged = replaced_conv(self.wide, weight, bias + self.point.bias.data)  # type: ignore[union-attr]
        self.wide = replaced_conv(merged, *folded_weight(merged, self.norm))
        del self.wide_norm, self.point, self.norm
        self.fused = True


class EMA(nn.Module):
    """Efficient multi-scale attention over G channel groups: x times a gate in (0, 1).

    Written so that the full 3 x 3 branch is never computed. With n = GroupNorm of one
    channel per group, mean(n(z)) is n's bias, so the softmax that weighs the 3 x 3 branch
    is a constant of the weights and the branch collapses into one output channel per group;
    the branch's own spatial mean follows from the input's sums and its border rows.
    Equal to the published form up to rounding (tests hold both side by side).
    """

    def __init__(self, c: int, groups: int = 8) -> None:
        super().__init__()
        self.groups = gcd(groups, c)
        self.width = c // self.groups
        self.norm = nn.GroupNorm(self.width, self.width)
        self.point = nn.Conv2d(self.width, self.width, 1)
        self.wide = nn.Conv2d(self.width, self.width, 3, 1, 1)

    def gate(self, x: Tensor) -> Tensor:
        """The gate, (B, H, W, G), for x (B, c, H, W)."""
        b, c, h, w = x.shape
        g, width = self.groups, self.width
        rows, columns = x.mean(3), x.mean(2)
        strip = torch.cat((rows, columns), 2).reshape(b, g, width, h + w)
        strip = self.point.weight.flatten(1) @ strip + self.point.bias[:, None]  # type: ignore[index]
        strip = strip.reshape(b, c, h + w).sigmoid().transpose(1, 2)
        flat = x.permute(0, 2, 3, 1)
        gated = flat * strip[:, :h, None].contiguous() * strip[:, None, h:].contiguous()
        var, mean = torch.var_mean(gated, (1, 2), correction=0)
        scale = self.norm.weight.repeat(g) * torch.rsqrt(var + self.norm.eps)
        weigh = self._branch_mean(rows, columns, x).softmax(-1).reshape(b, c)
        blocks = torch.eye(g, device=x.device, dtype=x.dtype).repeat_interleave(width, 0)
        first = gated.reshape(b, h * w, c) @ ((weigh * scale)[..., None] * blocks)
        first = first + (weigh * (self.norm.bias.repeat(g) - mean * scale)).reshape(
            b, 1, g, width
        ).sum(-1)
        constant = self.norm.bias.softmax(0)
        kernel = torch.einsum("o,oikl->ikl", constant, self.wide.weight)
        kernel = (blocks.T.reshape(g, c, 1, 1) * kernel.repeat(g, 1, 1)).to(x.dtype)
        second = F.conv2d(x, kernel, padding=1) + constant @ self.wide.bias  # type: ignore[operator]
        return (first.reshape(b, h, w, g) + second.permute(0, 2, 3, 1)).sigmoid()

    def _branch_mean(self, rows: Tensor, columns: Tensor, x: Tensor) -> Tensor:
        """Spatial mean of the 3 x 3 branch, (B, G, width), from sums and borders of x."""
        b, _, h, w = x.shape
        total = rows.mean(2)
        top, bottom = rows[:, :, 0] / h, rows[:, :, -1] / h
        left, right = columns[:, :, 0] / w, columns[:, :, -1] / w
        zero = torch.zeros_like(total)
        corner = x[:, :, :: max(h - 1, 1), :: max(w - 1, 1)] / (h * w)
        cut_y, cut_x = (bottom, zero, top), (right, zero, left)
        taps = []
        for dy in range(3):
            for dx in range(3):
                tap = total - cut_y[dy] - cut_x[dx]
                if dy != 1 and dx != 1:
                    tap = tap + corner[:, :, -1 if dy == 0 else 0, -1 if dx == 0 else 0]
                taps.append(tap)
        sums = torch.stack(taps, -1).reshape(b, self.groups, self.width * 9)
        return F.linear(sums, self.wide.weight.flatten(1), self.wide.bias)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        flat = x.permute(0, 2, 3, 1).reshape(b, h, w, self.groups, self.width)
        out = flat * self.gate(x)[..., None]
        return out.reshape(b, h, w, c).permute(0, 3, 1, 2)


class RVBEMA(nn.Module):
    """RepViT unit: depthwise mixer, EMA in the slot of squeeze-excite, channel mixer."""

    def __init__(self, c: int, norm: str = "bn") -> None:
        super().__init__()
        self.mixer = RepVGGDW(c, norm)
        self.attention = EMA(c)
        self.expand = nn.Conv2d(c, 2 * c, 1, bias=False)
        self.expand_norm = norm2d(norm, 2 * c, eps=1e-5, momentum=0.1)
        self.reduce = nn.Conv2d(2 * c, c, 1, bias=False)
        self.reduce_norm = norm2d(norm, c, eps=1e-5, momentum=0.1)
        nn.init.zeros_(self.reduce_norm.weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        t = self.attention(self.mixer(x))
        return t + self.reduce_norm(self.reduce(F.gelu(self.expand_norm(self.expand(t)))))

    def fuse(self) -> None:
        """Folds the channel mixer's BatchNorms."""
        if isinstance(self.expand_norm, nn.BatchNorm2d):
            self.expand = replaced_conv(self.expand, *folded_weight(self.expand, self.expand_norm))
            self.reduce = replaced_conv(self.reduce, *folded_weight(self.reduce, self.reduce_norm))
            self.expand_norm, self.reduce_norm = nn.Identity(), nn.Identity()


class C2fPro(C2f):
    """`C2f` with RVBEMA units; has no shortcut besides the units' own."""

    def _unit(self, c: int, norm: str, *, shortcut: bool) -> nn.Module:  # noqa: ARG002
        return RVBEMA(c, norm)
