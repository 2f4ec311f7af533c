"""What EndoMamba's stack is made of: the patches of a clip as tokens, and one block."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.endomamba.mixer import MambaMixer


class Block(nn.Module):
    """RMSNorm, then a mixer; the residual is added one block later, in full precision."""

    def __init__(self, width: int, depth: int, drop: float, *, bidirectional: bool) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.mixer = MambaMixer(width, depth, bidirectional=bidirectional)
        self.drop = drop

    def forward(
        self, residual: Tensor, conv_state: Tensor | None = None, ssm_state: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Returns the residual stream (S, L, width) with this block's output added, and states."""
        hidden, conv_state, ssm_state = self.mixer(self.norm(residual), conv_state, ssm_state)
        if self.training and self.drop > 0:
            keep = hidden.new_empty(len(hidden), 1, 1).bernoulli_(1 - self.drop) / (1 - self.drop)
            hidden = hidden * keep
        return residual + hidden, conv_state, ssm_state


class PatchEmbed(nn.Module):
    """Non-overlapping patches of every frame as tokens; a Conv3d in name, a product in fact."""

    def __init__(self, width: int, patch_px: int) -> None:
        super().__init__()
        size = (1, patch_px, patch_px)
        self.proj = nn.Conv3d(3, width, kernel_size=size, stride=size)
        self.patch_px = patch_px

    def forward(self, clip: Tensor) -> Tensor:
        """Maps (B, 3, T, H, W) to (B, T, H/p * W/p, width), patches in row order."""
        batch, channels, frames, height, width = clip.shape
        p = self.patch_px
        patches = clip.reshape(batch, channels, frames, height // p, p, width // p, p)
        patches = patches.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(2, 3)
        return functional.linear(patches, self.proj.weight.flatten(1), self.proj.bias)
