"""EndoMamba's hierarchical pre-training: hidden patches to be guessed, a teacher to agree with.

Written from the specification (temporal-models, section 1.9) after Tian et al., "EndoMamba" (2025),
under the released names: `encoder.` (no class token, no head, one position row a patch),
`encoder_to_decoder`, `mask_token` and `decoder.`. The same patches are hidden in every frame of a
clip; the encoder runs on the visible ones alone. Runs in a training process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.endomamba.mixer import full_precision
from models.endomamba.network import IMAGE_MEAN_RGB, IMAGE_STD_RGB, EndoMamba, temporal_code
from models.errors import ModelError, OptionError

HIDDEN_SHARE = 0.75
ALIGNMENT = 0.25
_DECODER_DEPTH = 4
_DECODERS = {192: (128, 3), 384: (192, 3), 576: (384, 6)}
"""Width and heads of the decoder by the width of the encoder."""
_EPS = 1e-6


class Mask(NamedTuple):
    """Which patches of a clip are seen: sorted int64 places (B, seen) and (B, hidden)."""

    visible: Tensor
    hidden: Tensor


class Masked(NamedTuple):
    """What the network says of a clip that it sees in part.

    Attributes:
        pixels: float (B, T, hidden, 3 p p), the hidden patches as `patch_targets` has them.
        tokens: float (B, T, visible, width), the visible ones after the encoder's last norm.
        mask: which they are.
    """

    pixels: Tensor
    tokens: Tensor
    mask: Mask


def tube_mask(
    batch: int, patches: int, share: float = HIDDEN_SHARE, generator: torch.Generator | None = None
) -> Mask:
    """Hides `int(share * patches)` places of each clip, drawn anew for each."""
    order = torch.rand(batch, patches, generator=generator).argsort(1)
    hidden = int(share * patches)
    return Mask(visible=order[:, hidden:].sort(1).values, hidden=order[:, :hidden].sort(1).values)


def picked(x: Tensor, places: Tensor) -> Tensor:
    """The tokens (B, T, K, C) at places (B, K) of every frame of (B, T, N, C)."""
    places = places.to(x.device)[:, None, :, None]
    return x.gather(2, places.expand(-1, x.shape[1], -1, x.shape[3]))


def patch_targets(clip: Tensor, patch_px: int) -> Tensor:
    """What is to be guessed: pixels, standardised in each patch and channel (unbiased).

    Args:
        clip: float (B, 3, T, H, W), normalised as the network takes it.
        patch_px: side of a patch.

    Returns:
        float32 (B, T, N, 3 p p); a pixel's three channels lie together.
    """
    mean, std = (
        torch.tensor(v, device=clip.device).view(1, 3, 1, 1, 1)
        for v in (IMAGE_MEAN_RGB, IMAGE_STD_RGB)
    )
    rgb = full_precision(clip) * std + mean
    batch, channels, frames, height, width = rgb.shape
    p = patch_px
    rgb = rgb.reshape(batch, channels, frames, height // p, p, width // p, p)
    patches = rgb.permute(0, 2, 3, 5, 4, 6, 1).reshape(batch, frames, -1, p * p, channels)
    spread = patches.var(3, keepdim=True, unbiased=True).sqrt()
    return ((patches - patches.mean(3, keepdim=True)) / (spread + _EPS)).flatten(3)


class VisibleEncoder(nn.Module):
    """EndoMamba's blocks on some patches of every frame, without class token and head."""

    def __init__(self, whole: EndoMamba) -> None:
        super().__init__()
        self.width, self.spatial_depth = whole.width, whole.spatial_depth
        self.patch_embed, self.layers, self.norm_f = whole.patch_embed, whole.layers, whole.norm_f
        self.pos_embed = nn.Parameter(whole.pos_embed.detach()[:, 1:].clone())
        self.pos_embed._no_weight_decay = True  # type: ignore[attr-defined]

    def forward(self, clip: Tensor, visible: Tensor) -> Tensor:
        """Maps (B, 3, T, H, W) and places (B, K) to tokens (B, T, K, width)."""
        patches = full_precision(self.patch_embed(clip))
        code = temporal_code(0, patches.shape[1], self.width).to(patches).unsqueeze(1)
        residual = picked(patches + code + self.pos_embed, visible)
        batch, frames, seen, _ = residual.shape
        residual = residual.flatten(0, 1)
        for block in self.layers[: self.spatial_depth]:
            residual, _, _ = block(residual)
        residual = residual.unflatten(0, (batch, frames)).flatten(1, 2)
        for block in self.layers[self.spatial_depth :]:
            residual, _, _ = block(residual)
        return self.norm_f(residual).unflatten(1, (frames, seen))


class DecoderBlock(nn.Module):
    """A standard pre-norm block of attention and MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, inner = heads, width // heads * heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=_EPS) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * inner)
        self.proj = nn.Linear(inner, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*qkv.unbind(0))
        x = x + self.proj(mixed.transpose(1, 2).flatten(2))
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))


class Decoder(nn.Module):
    """Visible tokens and places of hidden ones to the hidden patches' pixels."""

    def __init__(self, width: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DecoderBlock(width, heads) for _ in range(_DECODER_DEPTH))
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.head = nn.Linear(width, outputs)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, last: int) -> Tensor:
        """Maps tokens (B, L, width) to (B, last, outputs) of the last ones."""
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, -last:]))


class PretrainingEndoMamba(nn.Module):
    """The encoder with the decoder of its pre-training.

    Args:
        size: as `EndoMamba`.
        decoder_width: None for the published one, or half of another encoder's width.
        decoder_heads: None for the published ones (3, or 6 of the middle size).
        hidden_share: of the patches, above 0 and below 1.
        **options: `EndoMamba`'s `width`, `depth`, `image_size`, `patch_size` and `drop_path`.

    Raises:
        OptionError: an option is out of range.
    """

    def __init__(
        self,
        size: str = "small",
        *,
        decoder_width: int | None = None,
        decoder_heads: int | None = None,
        hidden_share: float = HIDDEN_SHARE,
        **options: Any,
    ) -> None:
        super().__init__()
        whole = EndoMamba(size, head="none", **options)
        self.image_size, self.patch_px = whole.image_size, whole.patch_embed.patch_px
        self.patches = (self.image_size // self.patch_px) ** 2
        self.hidden_share = hidden_share
        if not 0 < int(hidden_share * self.patches) < self.patches:
            raise OptionError(
                f"EndoMamba's pre-training must hide some of the {self.patches} patches and show "
                f"some; hidden_share is {hidden_share}."
            )
        width, heads = _DECODERS.get(whole.width, (whole.width // 2, 3))
        width, heads = decoder_width or width, decoder_heads or heads
        if width < 2 or width % 2 or not 1 <= heads <= width:
            raise OptionError(
                f"EndoMamba's decoder needs an even width and at most as many heads, not {width} "
                f"and {heads}."
            )
        self.encoder = VisibleEncoder(whole)
        self.encoder_to_decoder = nn.Linear(whole.width, width, bias=False)
        nn.init.xavier_uniform_(self.encoder_to_decoder.weight)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.mask_token._no_weight_decay = True  # type: ignore[attr-defined]
        self.decoder = Decoder(width, heads, 3 * self.patch_px**2)

    def forward(self, clip: Tensor, mask: Mask | None = None) -> Masked:
        """Guesses the hidden patches of a clip.

        Args:
            clip: float (B, 3, T, image_size, image_size), normalised as `EndoMamba` takes it.
            mask: which patches are hidden; None draws them.

        Raises:
            ModelError: the clip's size does not fit this network.
        """
        if clip.ndim != 5 or clip.shape[1] != 3 or clip.shape[3:] != (self.image_size,) * 2:
            raise ModelError(
                f"EndoMamba takes RGB clips of {self.image_size} x {self.image_size} pixels as "
                f"(B, 3, T, H, W), not {tuple(clip.shape)}."
            )
        if mask is None:
            mask = tube_mask(len(clip), self.patches, self.hidden_share)
        tokens = self.encoder(clip, mask.visible)
        batch, frames = tokens.shape[:2]
        width = self.mask_token.shape[2]
        code = temporal_code(0, frames * self.patches, width).to(self.mask_token)
        code = code.unflatten(0, (frames, self.patches)).expand(batch, -1, -1, -1)
        seen = self.encoder_to_decoder(tokens) + picked(code, mask.visible)
        unseen = (self.mask_token + picked(code, mask.hidden)).flatten(1, 2)
        pixels = self.decoder(torch.cat((seen.flatten(1, 2), unseen), 1), unseen.shape[1])
        return Masked(pixels=pixels.unflatten(1, (frames, -1)), tokens=tokens, mask=mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingLoss:
    """Mean squared error of the hidden patches, and how far the teacher disagrees on the others.

    Attributes:
        patch_px: side of a patch.
        teacher: frozen, maps clips to tokens (B, T, N, width) as `models.videomamba` does; None
            leaves its part out.
        alignment: weight of the teacher's part.
    """

    patch_px: int
    teacher: nn.Module | None = None
    alignment: float = ALIGNMENT

    def __call__(self, output: Masked, clip: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Measures one batch.

        Args:
            output: what the network said of the clip.
            clip: (B, 3, T, H, W), as the network was given it.

        Returns:
            The scalar loss and its parts `reconstruction` and, with a teacher, `alignment`
            (1 - cosine, in [0, 2]), detached.
        """
        truth = picked(patch_targets(clip, self.patch_px), output.mask.hidden)
        loss = functional.mse_loss(full_precision(output.pixels), truth)
        parts = {"reconstruction": loss.detach()}
        if self.teacher is not None:
            with torch.no_grad():
                wanted = picked(self.teacher(clip), output.mask.visible)
            apart = 1 - functional.cosine_similarity(full_precision(output.tokens), wanted, -1)
            parts["alignment"] = apart.mean().detach()
            loss = loss + self.alignment * apart.mean()
        return loss, parts
