"""VideoMamba's encoder under its released names: bidirectional Mamba over all tokens of a clip.

After Li et al., "VideoMamba" (2024), and the layout of the released files; its blocks are those of
EndoMamba's spatial half, run over one class token and every patch of every frame. Used as a frozen
teacher, in a training process.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.endomamba.blocks import Block, PatchEmbed
from models.endomamba.mixer import full_precision
from models.errors import ModelError, OptionError

SIZES = {"tiny": (192, 24), "small": (384, 24), "middle": (576, 32)}
"""Width and depth of the released sizes."""


class VideoMamba(nn.Module):
    """Clips to tokens.

    Args:
        size: "tiny", "small" or "middle"; `width` and `depth` override it.
        width, depth: channels of a token, blocks.
        frames: of every clip.
        image_size: side of the square input in pixels, a multiple of `patch_size`.
        patch_size: side of a patch in pixels.

    Raises:
        OptionError: an option is out of range.
    """

    def __init__(
        self,
        size: str = "small",
        *,
        width: int | None = None,
        depth: int | None = None,
        frames: int = 16,
        image_size: int = 224,
        patch_size: int = 16,
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise OptionError(f'videomamba: there is no "{size}"; there are {", ".join(SIZES)}.')
        self.width = SIZES[size][0] if width is None else width
        self.depth = SIZES[size][1] if depth is None else depth
        if min(self.width, self.depth, frames, patch_size) < 1 or image_size % patch_size:
            raise OptionError(
                "videomamba: width, depth, frames and patch_size must be at least 1, image_size a "
                "multiple of patch_size."
            )
        self.frames, self.image_size = frames, image_size
        self.patch_embed = PatchEmbed(self.width, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.width))
        patches = (image_size // patch_size) ** 2
        self.pos_embed = nn.Parameter(torch.zeros(1, patches + 1, self.width))
        self.temporal_pos_embedding = nn.Parameter(torch.zeros(1, frames, self.width))
        self.layers = nn.ModuleList(
            Block(self.width, self.depth, 0.0, bidirectional=True) for _ in range(self.depth)
        )
        self.norm_f = nn.RMSNorm(self.width, eps=1e-5)
        if not self.pos_embed.is_meta:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, clip: Tensor) -> Tensor:
        """Encodes a clip.

        Args:
            clip: float (B, 3, T, H, W), RGB normalised with ImageNet's mean and deviation.

        Returns:
            Tokens after the last norm, (B, T, N, width), the class token left out.

        Raises:
            ModelError: the clip is of another size or length than this network was made for.
        """
        wanted = (3, self.frames, self.image_size, self.image_size)
        if clip.ndim != 5 or tuple(clip.shape[1:]) != wanted:
            raise ModelError(
                f"This VideoMamba takes clips of {self.frames} frames of {self.image_size} x "
                f"{self.image_size} pixels as (B, 3, T, H, W), not {tuple(clip.shape)}."
            )
        patches = full_precision(self.patch_embed(clip)) + self.pos_embed[:, 1:]
        patches = patches + self.temporal_pos_embedding.unsqueeze(2)
        batch, frames, count, _ = patches.shape
        first = (self.cls_token + self.pos_embed[:, :1]).expand(batch, -1, -1)
        residual = torch.cat((full_precision(first), patches.flatten(1, 2)), 1)
        for block in self.layers:
            residual, _, _ = block(residual)
        return self.norm_f(residual)[:, 1:].unflatten(1, (frames, count))
