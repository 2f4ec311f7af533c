"""C2fPro: YOLOv8's stage with RepViT units that carry multi-scale attention.

RepViT: Wang et al. 2024. EMA attention: Ouyang et al. 2023 ("Efficient multi-scale attention
with cross-spatial learning"). The arrangement is LMSF-A's, specification sections 1.2 and 1.5.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.conv import C2f, folded_weight, norm2d, replaced_conv


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Autocast off for the device of `x`, where the device has autocast at all."""
    if torch.amp.is_autocast_available(x.device.type):
        return torch.autocast(x.device.type, enabled=False)
    return nullcontext()


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
        """The gate, (B, H, W, G), for x (B, c, H, W); computed in float32 where x is half."""
        with without_autocast(x):
            whole = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
            rows, columns = whole.mean(3), whole.mean(2)
            gated = self._gated(whole, rows, columns)
            logits = self._fine_term(gated, self._branch_mean(whole, rows, columns))
            return (logits.reshape(*gated.shape[:3], -1) + self._branch_term(x)).sigmoid()

    def _gated(self, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """x (B, H, W, c) times its row gate and its column gate."""
        b, c, h, w = x.shape
        strip = torch.cat((rows, columns), 2).reshape(b, self.groups, self.width, h + w)
        weight, bias = self.point.weight.to(x.dtype), self.point.bias.to(x.dtype)  # type: ignore[union-attr]
        strip = weight.flatten(1) @ strip + bias[:, None]
        strip = strip.reshape(b, c, h + w).sigmoid().transpose(1, 2)
        down, across = strip[:, :h, None].contiguous(), strip[:, None, h:].contiguous()
        return x.permute(0, 2, 3, 1) * down * across

    def _fine_term(self, gated: Tensor, branch_mean: Tensor) -> Tensor:
        """Normalised `gated`, summed in each group with the branch's weights: (B, H * W, G)."""
        b, h, w, c = gated.shape
        flat = gated.reshape(b, h * w, c)
        share = flat.new_full((1, h * w), 1 / (h * w))
        # Moments as products are faster than var_mean over the same memory; centred first,
        # since the difference of two large moments loses the digits that folding relies on.
        flat = flat - share @ flat
        scale = torch.rsqrt((share @ flat.square())[:, 0] + self.norm.eps)
        scale = scale * self.norm.weight.to(scale.dtype).repeat(self.groups)
        weigh = branch_mean.softmax(-1).reshape(b, c)
        shift = weigh * self.norm.bias.to(scale.dtype).repeat(self.groups)
        sums = flat @ ((weigh * scale)[..., None] * self._blocks(flat))
        return sums + shift.reshape(b, 1, self.groups, self.width).sum(-1)

    def _branch_term(self, x: Tensor) -> Tensor:
        """The 3 x 3 branch, summed in each group with its constant weights: (B, H, W, G)."""
        constant = self.norm.bias.softmax(0)
        kernel = torch.einsum("o,oikl->ikl", constant, self.wide.weight).repeat(self.groups, 1, 1)
        kernel = self._blocks(kernel).T[..., None, None] * kernel
        out = F.conv2d(x, kernel.to(x.dtype), padding=1).permute(0, 2, 3, 1)
        return out + constant @ self.wide.bias  # type: ignore[operator]

    def _branch_mean(self, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Spatial mean of the 3 x 3 branch, (B, G, width), from sums and borders of x.

        A tap that looks one row down sees all rows but the first, and so on: its sum is the
        whole sum less a border row, less a border column, plus their corner.
        """
        b, _, h, w = x.shape
        order = [-1, 0, 0]
        edge = torch.tensor([1.0, 0.0, 1.0], dtype=x.dtype, device=x.device)
        cut_y = rows[:, :, order] / h * edge
        cut_x = columns[:, :, order] / w * edge
        corner = x[:, :, :: max(h - 1, 1), :: max(w - 1, 1)][:, :, order][..., order] / (h * w)
        taps = rows.mean(2)[..., None, None] - cut_y[..., None] - cut_x[:, :, None]
        taps = taps + corner * (edge[:, None] * edge)
        weight, bias = self.wide.weight.to(x.dtype), self.wide.bias.to(x.dtype)  # type: ignore[union-attr]
        return F.linear(taps.reshape(b, self.groups, self.width * 9), weight.flatten(1), bias)

    def _blocks(self, like: Tensor) -> Tensor:
        """(c, G): 1 where the channel belongs to the group."""
        eye = torch.eye(self.groups, device=like.device, dtype=like.dtype)
        return eye.repeat_interleave(self.width, 0)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        flat = x.permute(0, 2, 3, 1).reshape(b, h, w, self.groups, self.width)
        out = flat * self.gate(x).to(x.dtype)[..., None]
        return out.reshape(b, h, w, c).permute(0, 3, 1, 2)


class SE(nn.Module):
    """Squeeze-excite (Hu et al. 2018), ratio 1 / 4: x times a gate in (0, 1) per channel."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(c, c // 4, 1), nn.Conv2d(c // 4, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.mean((2, 3), keepdim=True)
        return x * self.expand(F.relu(self.reduce(squeezed))).sigmoid()


ATTENTIONS: dict[str, Callable[[int], nn.Module]] = {
    "ema": EMA,
    "se": SE,
    "none": lambda _: nn.Identity(),
}
"""What may stand in a unit's attention slot, by the channels it takes."""


class RVB(nn.Module):
    """RepViT unit: depthwise mixer, attention, channel mixer."""

    def __init__(self, c: int, norm: str = "bn", attention: str = "ema") -> None:
        super().__init__()
        self.mixer = RepVGGDW(c, norm)
        self.attention = ATTENTIONS[attention](c)
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
    """`C2f` with RepViT units; has no shortcut besides the units' own."""

    def _unit(self, c: int, norm: str, *, shortcut: bool, **options: str) -> nn.Module:  # noqa: ARG002
        return RVB(c, norm, **options)
