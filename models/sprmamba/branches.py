"""The two branches of a SPRMamba layer: frames near one another, and every 64th frame.

Both cut the recording into groups of frames, let half of the channels through a Mamba and the other
half through attention, and put the frames back where they were.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.endomamba.mixer import MambaMixer
from models.sprmamba.mamba2 import Mamba2

MIXERS = ("mamba2", "mamba1", "mamba1-bi")
_DROPOUT = 0.1


class Attention(nn.Module):
    """Every frame of a group looks at all of them; heads are as wide as the input.

    (S, L, c), queries and the rest, to (S, L, c).
    """

    def __init__(self, c: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.W_Q = nn.Linear(c, c * heads, bias=False)
        self.W_K = nn.Linear(c, c * heads, bias=False)
        self.W_V = nn.Linear(c, c * heads, bias=False)
        self.proj = nn.Sequential(nn.GELU(), nn.Conv1d(c * heads, c, 1))
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, asking: Tensor, x: Tensor) -> Tensor:
        q, k, v = (
            project(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project, y in ((self.W_Q, asking), (self.W_K, x), (self.W_V, x))
        )
        weights = (q @ k.transpose(2, 3) / math.sqrt(x.shape[-1])).softmax(-1)
        found = (weights @ v).transpose(2, 3).flatten(1, 2)
        return self.dropout(self.proj(found)).transpose(1, 2)


class Mlp(nn.Module):
    """Two linear layers, four times as wide between them."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(c, 4 * c)
        self.fc2 = nn.Linear(4 * c, c)
        self.drop = nn.Dropout(_DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(functional.gelu(self.fc1(x)))))


class Mixer1(MambaMixer):
    """EndoMamba's mixer as one that answers with tokens alone."""

    def forward(self, tokens: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(tokens)[0]


class Branch(nn.Module):
    """Groups of frames through Mamba and attention; (B, c, T) to the same shape.

    The last group is filled up with zeros, which the attention sees, as in the released code.

    Args:
        c: channels, of which the first half goes through the Mamba.
        heads: of the attention.
        mixer: one of `MIXERS`.
        group_frames: G. Windows are of G frames; far frames are those of equal number modulo G.
        far: groups far frames in place of windows.
    """

    def __init__(self, c: int, heads: int, mixer: str, group_frames: int, *, far: bool) -> None:
        super().__init__()
        self.group_frames, self.far = group_frames, far
        half = c // 2
        self.mamba: nn.Module = (
            Mamba2(half)
            if mixer == "mamba2"
            else Mixer1(half, 1, bidirectional=mixer == "mamba1-bi")
        )
        self.attn = Attention(half, heads)
        self.mlp = Mlp(half)

    def forward(self, x: Tensor, asking: Tensor | None) -> Tensor:
        """`asking` (B, c / 2, T) are the attention's queries; None takes its own channels."""
        batch, _, frames = x.shape
        groups = self._grouped(x)
        scanned, attended = groups.chunk(2, -1)
        queries = attended if asking is None else self._grouped(asking)
        mixed = torch.cat(
            (self.mlp(self.mamba(scanned)), self.mlp(self.attn(queries, attended))), -1
        )
        return self._put_back(mixed, batch)[..., :frames]

    def _grouped(self, x: Tensor) -> Tensor:
        """(B, c, T) to (B * groups, frames of a group, c)."""
        x = functional.pad(x, (0, -x.shape[-1] % self.group_frames))
        x = x.unflatten(-1, (-1, self.group_frames))
        order = (0, 3, 2, 1) if self.far else (0, 2, 3, 1)
        return x.permute(order).flatten(0, 1)

    def _put_back(self, x: Tensor, batch: int) -> Tensor:
        x = x.unflatten(0, (batch, -1))
        order = (0, 3, 2, 1) if self.far else (0, 3, 1, 2)
        return x.permute(order).flatten(2)
