"""DINOv2's vision transformer, its state dict laid out as the official files are.

Oquab et al. 2023; registers: Darcet et al. 2023. Written from the layout and the sizes in the
specification (segmentation-models, section 2.4; golden-values, section 4). Used on the inference
thread and in training processes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.dinov2.stream import Advance, State
from models.errors import ModelError, OptionError

IMAGE_MEAN_RGB = (0.485, 0.456, 0.406)
IMAGE_STD_RGB = (0.229, 0.224, 0.225)

SIZES = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}
"""Width, depth and heads of the official models."""

VARIANTS = {
    f"vit{size}14{'_reg4' if registers else ''}": {
        "width": width,
        "depth": depth,
        "heads": heads,
        "registers": registers,
    }
    for registers in (0, 4)
    for size, (width, depth, heads) in SIZES.items()
}
"""The options of the official models, by their names."""

_OLD_OFFSET = 0.1


class Tokens(NamedTuple):
    """What the encoder says of a batch, after its last norm.

    Attributes:
        whole: float (B, D), the class token.
        registers: float (B, R, D).
        patches: float (B, D, H / P, W / P), cell (y, x) of the patch at that place.
    """

    whole: Tensor
    registers: Tensor
    patches: Tensor


class DinoV2(nn.Module):
    """Encoder of (B, 3, H, W), RGB normalised with ImageNet's mean and deviation, to `Tokens`.

    Args:
        width: D, a multiple of `heads`.
        depth: blocks.
        heads: of attention.
        registers: R; the official models have 0 or 4. With registers the position table is
            resized with antialiasing, without them by the older rule; so the two were trained.
        image_size: side in pixels that the position table is for.
        patch_size: P, side of a patch in pixels.
        layer_scale: value that LayerScale starts from.

    Along a stream it says of each frame by itself what `advance` says; the class token is the
    frame's feature.
    """

    state_type = State

    def __init__(
        self,
        *,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        registers: int = 0,
        image_size: int = 518,
        patch_size: int = 14,
        layer_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if min(width, depth, heads, patch_size) < 1 or width % heads or registers < 0:
            raise OptionError(
                "dinov2: width, depth, heads and patch_size must be at least 1, width a multiple "
                "of heads, registers not negative."
            )
        if image_size < patch_size or image_size % patch_size:
            raise OptionError(
                f"dinov2: image_size is {image_size}, give a multiple of patch_size {patch_size}."
            )
        self.width, self.patch_px, self.side = width, patch_size, image_size // patch_size
        self.feature_channels = width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.side**2, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, width)) if registers else None
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.patch_embed = _PatchEmbed(width, patch_size)
        self.blocks = nn.ModuleList(Block(width, heads, layer_scale) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        if not self.cls_token.is_meta:
            self._initialise()

    def _initialise(self) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        if self.register_tokens is not None:
            nn.init.normal_(self.register_tokens, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tokens:
        """Encodes pictures.

        Args:
            x: float (B, 3, H, W), H and W multiples of the patch size.
        """
        rows, columns = x.shape[2] // self.patch_px, x.shape[3] // self.patch_px
        tokens = self.embed(x)
        for block in self.blocks:
            tokens = block(tokens)
        return self.tokens(self.norm(tokens), rows, columns)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The class token (B, D) and the patches in row order (B, N, D) of pictures."""
        tokens = self(x)
        return tokens.whole, tokens.patches.flatten(2).transpose(1, 2)

    def advance(self, clip: Tensor, state: State | None = None) -> Advance:
        """Class tokens of T further frames of a stream.

        Args:
            clip: float (B, 3, T, H, W), normalised; H and W multiples of the patch size.
            state: what the previous call returned, or None at the start.

        Raises:
            ModelError: where the clip does not fit.
        """
        return self.follow(self.look(clip), state)

    def look(self, clip: Tensor, first_frame: int = 0) -> Tensor:
        """Class tokens (B, T, D) of a clip's frames, all of the work; several threads may look at a
        time. `first_frame` is of no use here; networks that number their frames need it.

        Raises:
            ModelError: where the clip does not fit.
        """
        del first_frame
        fits = clip.ndim == 5 and clip.shape[1] == 3 and clip.shape[2] > 0
        if not fits or clip.shape[3] % self.patch_px or clip.shape[4] % self.patch_px:
            raise ModelError(
                f"DINOv2 takes RGB clips as (B, 3, T, H, W), sides multiples of {self.patch_px} "
                f"pixels, not {tuple(clip.shape)}."
            )
        return torch.stack([self(frame).whole for frame in clip.unbind(2)], 1)

    def follow(self, looked: Tensor, state: State | None = None) -> Advance:
        """As `advance`, from what `look` saw of the frames."""
        before = 0 if state is None else state.frames
        return Advance(logits=looked, features=looked, state=State(frames=before + looked.shape[1]))

    def check(self, state: State, batch: int) -> None:
        """A state says only how far the stream is: every one fits."""
        del state, batch

    def embed(self, x: Tensor) -> Tensor:
        """The tokens that enter the first block, (B, 1 + R + patches, D)."""
        height_px, width_px = x.shape[2:]
        if height_px % self.patch_px or width_px % self.patch_px:
            raise ValueError(f"{height_px} x {width_px} px is no multiple of {self.patch_px} px")
        patches = self.patch_embed(x)
        first = self.cls_token.expand(len(x), -1, -1)
        tokens = torch.cat((first, patches), 1)
        positions = self.positions(height_px // self.patch_px, width_px // self.patch_px)
        tokens = tokens + positions.to(tokens.dtype)
        if self.register_tokens is None:
            return tokens
        between = self.register_tokens.expand(len(x), -1, -1).to(tokens.dtype)
        return torch.cat((tokens[:, :1], between, tokens[:, 1:]), 1)

    def positions(self, rows: int, columns: int) -> Tensor:
        """The position table for a grid of patches, (1, 1 + rows * columns, D)."""
        if rows == columns == self.side:
            return self.pos_embed
        whole, table = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        table = table.reshape(1, self.side, self.side, self.width).permute(0, 3, 1, 2).float()
        if self.register_tokens is None:
            scale = ((rows + _OLD_OFFSET) / self.side, (columns + _OLD_OFFSET) / self.side)
            table = functional.interpolate(table, scale_factor=scale, mode="bicubic")
        else:
            size = (rows, columns)
            table = functional.interpolate(table, size=size, mode="bicubic", antialias=True)
        return torch.cat((whole, table.flatten(2).transpose(1, 2).to(whole.dtype)), 1)

    def tokens(self, sequence: Tensor, rows: int, columns: int) -> Tokens:
        """Takes a sequence (B, 1 + R + rows * columns, D) apart."""
        patches = sequence[:, -rows * columns :].transpose(1, 2)
        return Tokens(
            whole=sequence[:, 0],
            registers=sequence[:, 1 : -rows * columns],
            patches=patches.reshape(len(sequence), self.width, rows, columns),
        )


class Block(nn.Module):
    """One pre-norm block; attention and MLP each scaled per channel before they are added."""

    def __init__(self, width: int, heads: int, layer_scale: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = _Attention(width, heads)
        self.ls1 = _LayerScale(width, layer_scale)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = _Mlp(width)
        self.ls2 = _LayerScale(width, layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _PatchEmbed(nn.Module):
    def __init__(self, width: int, patch_px: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_px, patch_px)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class _Attention(nn.Module):
    """Self-attention; `qkv` puts out queries, keys and values in this order."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, count, width = x.shape
        qkv = self.qkv(x).reshape(batch, count, 3, self.heads, width // self.heads)
        queries, keys, values = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, width))


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class _LayerScale(nn.Module):
    def __init__(self, width: int, value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma
