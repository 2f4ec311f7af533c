"""The blocks of RGA-Net: attention in windows and grids, the frequency stream, cross-gating.

Feature maps are (B, C, H, W) between blocks. RGA-Net's authors published no code; which
statements are theirs and which are this project's is said in `network.py`.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Layout = Literal["block", "grid"]


def partition(x: Tensor, side: int, layout: Layout) -> Tensor:
    """Cuts a map into sets of `side` x `side` pixels that attend to one another.

    Args:
        x: (B, C, H, W), H and W multiples of `side`.
        side: pixels along a set's edge.
        layout: "block" for neighbouring pixels, "grid" for pixels spread evenly over the map
            (block and grid attention of MaxViT).

    Returns:
        (B * H * W / side^2, side^2, C).
    """
    b, c, h, w = x.shape
    if layout == "block":
        x = x.view(b, c, h // side, side, w // side, side).permute(0, 2, 4, 3, 5, 1)
    else:
        x = x.view(b, c, side, h // side, side, w // side).permute(0, 3, 5, 2, 4, 1)
    return x.reshape(-1, side * side, c)


def merge(sets: Tensor, size: tuple[int, int], side: int, layout: Layout) -> Tensor:
    """Puts back together what `partition` cut: (B, C, H, W)."""
    h, w = size
    rows, columns = h // side, w // side
    x = sets.view(-1, rows, columns, side, side, sets.shape[-1])
    x = x.permute(0, 5, 1, 3, 2, 4) if layout == "block" else x.permute(0, 5, 3, 1, 4, 2)
    return x.reshape(-1, sets.shape[-1], h, w)


def shift_mask(size: tuple[int, int], side: int, shift: int) -> Tensor:
    """Keeps pixels that a cyclic shift brought together from attending to one another.

    Args:
        size: (H, W) of the map.
        side: of a window.
        shift: pixels by which the map was rolled up and to the left.

    Returns:
        float (windows, 1, side^2, side^2), 0 where attention is allowed, else -100
        (Swin Transformer, section 3.2).
    """
    h, w = size
    region = torch.zeros(1, 1, h, w)
    edges = (slice(0, -side), slice(-side, -shift), slice(-shift, None))
    for row, rows in enumerate(edges):
        for column, columns in enumerate(edges):
            region[..., rows, columns] = row * len(edges) + column
    sets = partition(region, side, "block").squeeze(-1)
    return (sets[:, :, None] != sets[:, None, :]).float().mul(-100.0).unsqueeze(1)


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of (B, C, H, W), with a scale and no bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).square().mean(1, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + 1e-6) * self.weight[:, None, None]


class SetAttention(nn.Module):
    """Multi-head self-attention within the sets of a layout, with a relative position bias.

    Args:
        channels: C, a multiple of `heads`.
        heads: attention heads.
        side: of a set in pixels.
        layout: how the map is cut into sets.
        shift: pixels by which windows are moved, for "block" alone; 0 for none.
    """

    def __init__(
        self, channels: int, heads: int, side: int, layout: Layout = "block", shift: int = 0
    ) -> None:
        super().__init__()
        self.heads, self.side, self.layout, self.shift = heads, side, layout, shift
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.position = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        nn.init.trunc_normal_(self.position, std=0.02)
        at = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
        apart = at.flatten(1)[:, :, None] - at.flatten(1)[:, None, :] + side - 1
        self.register_buffer("pairs", apart[0] * (2 * side - 1) + apart[1], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2], x.shape[3]
        # A single window holds the whole map: nothing is to be reached by moving it.
        shift = self.shift if min(size) > self.side else 0
        if shift:
            x = x.roll((-shift, -shift), (2, 3))
        sets = partition(x, self.side, self.layout)
        count, length, channels = sets.shape
        qkv = self.qkv(sets).view(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.position[self.pairs].permute(2, 0, 1)[None]
        if shift:
            mask = shift_mask(size, self.side, shift).to(x.device)
            bias = (bias + mask).repeat(x.shape[0], 1, 1, 1)
        mixed = F.scaled_dot_product_attention(
            qkv[0], qkv[1], qkv[2], attn_mask=bias.to(qkv.dtype).expand(count, -1, -1, -1)
        )
        mixed = self.out(mixed.transpose(1, 2).reshape(count, length, channels))
        x = merge(mixed, size, self.side, self.layout)
        return x.roll((shift, shift), (2, 3)) if shift else x


class FrequencyStream(nn.Module):
    """Mixes channels at every spatial frequency: light that changes over the whole picture.

    The transform is computed in float32 whatever the precision around it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Conv2d(2 * channels, 2 * channels, 1),
            nn.GELU(),
            nn.Conv2d(2 * channels, 2 * channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            spectrum = torch.fft.rfft2(x.float(), norm="ortho")
            mixed = self.mix(torch.cat((spectrum.real, spectrum.imag), 1))
            real, imaginary = mixed.chunk(2, 1)
            whole = torch.complex(real.contiguous(), imaginary.contiguous())
            return torch.fft.irfft2(whole, s=x.shape[2:], norm="ortho").to(x.dtype)


class GatedFeedForward(nn.Module):
    """1x1 to twice the hidden width, 3x3 depthwise, one half gates the other, 1x1 back."""

    def __init__(self, channels: int, ratio: int = 2) -> None:
        super().__init__()
        hidden = ratio * channels
        self.enter = nn.Conv2d(channels, 2 * hidden, 1)
        self.local = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.leave = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.local(self.enter(x)).chunk(2, 1)
        return self.leave(F.gelu(gate) * value)


class DHA(nn.Module):
    """Dual-stream hybrid attention: shifted windows beside the frequency stream."""

    def __init__(self, channels: int, heads: int, side: int, shift: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.windows = SetAttention(channels, heads, side, "block", shift)
        self.frequencies = FrequencyStream(channels)
        self.join = nn.Conv2d(2 * channels, channels, 1)
        self.feed_forward = GatedFeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.join(torch.cat((self.windows(y), self.frequencies(y)), 1))
        return x + self.feed_forward(self.norm2(x))


class ADA(nn.Module):
    """Axis-decomposed attention: half of the channels in blocks, half over the grid."""

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.block = SetAttention(channels // 2, heads, side, "block")
        self.grid = SetAttention(channels // 2, heads, side, "grid")
        self.join = nn.Conv2d(channels, channels, 1)
        self.feed_forward = GatedFeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        near, far = self.norm1(x).chunk(2, 1)
        x = x + self.join(torch.cat((self.block(near), self.grid(far)), 1))
        return x + self.feed_forward(self.norm2(x))


class CrossGate(nn.Module):
    """Reciprocal cross-gating: each of encoder and decoder lets through what the other asks for."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.value_e, self.value_d = (
            nn.Conv2d(channels, channels, 1),
            nn.Conv2d(channels, channels, 1),
        )
        self.gate_e, self.gate_d = (
            nn.Conv2d(channels, channels, 1),
            nn.Conv2d(channels, channels, 1),
        )
        self.join = nn.Conv2d(2 * channels, channels, 1)

    def gated(self, encoder: Tensor, decoder: Tensor) -> tuple[Tensor, Tensor]:
        """Both maps (B, C, H, W), each with its own features where the other's gate is open."""
        e, d = self.value_e(encoder), self.value_d(decoder)
        return encoder + e * self.gate_d(d).sigmoid(), decoder + d * self.gate_e(e).sigmoid()

    def forward(self, encoder: Tensor, decoder: Tensor) -> Tensor:
        return self.join(torch.cat(self.gated(encoder, decoder), 1))
