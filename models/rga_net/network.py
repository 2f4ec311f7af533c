"""A desmoking network in the manner of RGA-Net (arXiv 2602.13726); it is not the authors' network.

Theirs, from the abstract: a hierarchical encoder and decoder; dual-stream hybrid attention of
shifted windows and frequencies; axis-decomposed attention over blocks and a grid; reciprocal
cross-gating. Widths, depths, order and losses are this project's choice (specification,
section 4), because neither code nor tables were published.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.errors import OptionError
from models.rga_net.attention import ADA, DHA, CrossGate

LEVELS = 3


class RGANet(nn.Module):
    """Removes smoke from (B, 3, H, W) RGB in [0, 1], any size from one window up.

    A new network returns its input: the last layer begins at zero and adds to the picture.

    Args:
        width: channels at full size, even; they double at each of three halvings.
        depth: blocks per level, at least 1.
        window_px: edge of an attention window.
    """

    def __init__(self, *, width: int = 24, depth: int = 2, window_px: int = 8) -> None:
        super().__init__()
        if width < 4 or width % 4 or depth < 1 or window_px < 2 or window_px % 2:
            raise OptionError(
                "rga_net: width must be a multiple of 4, depth at least 1, window_px even."
            )
        self.multiple_px = 2**LEVELS * window_px
        widths = [width * 2**level for level in range(LEVELS + 1)]
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.encoders = nn.ModuleList(
            nn.Sequential(
                *(
                    DHA(c, 2 * 2**level, window_px, window_px // 2 * ((i + level) % 2))
                    for i in range(depth)
                )
            )
            for level, c in enumerate(widths[:-1])
        )
        self.downs = nn.ModuleList(nn.Conv2d(c, 2 * c, 4, stride=2, padding=1) for c in widths[:-1])
        self.bottom = self._decoder(widths[-1], 2**LEVELS, depth, window_px)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * c, 4 * c, 1), nn.PixelShuffle(2)) for c in widths[:-1]
        )
        self.gates = nn.ModuleList(CrossGate(c) for c in widths[:-1])
        self.decoders = nn.ModuleList(
            self._decoder(c, 2**level, depth, window_px) for level, c in enumerate(widths[:-1])
        )
        self.head = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @staticmethod
    def _decoder(channels: int, heads: int, depth: int, side: int) -> nn.Sequential:
        return nn.Sequential(*(ADA(channels, heads, side) for _ in range(depth)))

    def forward(self, images: Tensor) -> Tensor:
        """The picture without smoke.

        Args:
            images: float (B, 3, H, W) in [0, 1], RGB.

        Returns:
            float32 (B, 3, H, W); within [0, 1] in eval mode.
        """
        height, width = images.shape[2:]
        padded = _padded(images, self.multiple_px)
        x, skips = self.stem(padded), []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.bottom(x)
        for level in reversed(range(LEVELS)):
            x = self.decoders[level](self.gates[level](skips[level], self.ups[level](x)))
        clear = padded.float() + self.head(x).float()
        clear = clear[..., :height, :width]
        return clear if self.training else clear.clamp(0, 1)


def _padded(images: Tensor, multiple_px: int) -> Tensor:
    """Mirrored at the right and lower edge to multiples; a mirror needs more than it adds."""
    height, width = images.shape[2:]
    down, right = -height % multiple_px, -width % multiple_px
    mode = "reflect" if down < height and right < width else "replicate"
    return F.pad(images, (0, right, 0, down), mode=mode) if down or right else images


@torch.no_grad()
def in_tiles(
    network: Callable[[Tensor], Tensor], image: Tensor, tile_px: int = 256, overlap_px: int = 32
) -> Tensor:
    """A large picture in tiles that fade into one another, so that memory stays bounded.

    A tile's own light decides its frequencies and its grid: the tiles of a picture are close to
    the picture in one piece, not equal to it.

    Args:
        network: in eval mode; (1, 3, h, w) to the same.
        image: float (3, H, W) in [0, 1].
        tile_px: edge of a tile.
        overlap_px: shared by neighbours, below half of a tile.

    Returns:
        float32 (3, H, W) in [0, 1].
    """
    height, width = image.shape[1:]
    total = torch.zeros_like(image, dtype=torch.float32)
    weight = torch.zeros(1, height, width, device=image.device)
    for top in _starts(height, tile_px, overlap_px):
        for left in _starts(width, tile_px, overlap_px):
            part = image[:, top : top + tile_px, left : left + tile_px]
            fade = _fade(part.shape[1:], overlap_px).to(image.device)
            clear = network(part[None])[0]
            total[:, top : top + tile_px, left : left + tile_px] += clear * fade
            weight[:, top : top + tile_px, left : left + tile_px] += fade
    return total / weight


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin: at equal steps, the last one flush with the end."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def _fade(size: torch.Size, overlap: int) -> Tensor:
    """float (h, w): 1 within, falling towards the edges over the overlap."""
    ramps = []
    for length in size:
        from_edge = torch.minimum(torch.arange(length), torch.arange(length).flip(0)) + 1.0
        ramps.append((from_edge / (overlap + 1)).clamp(max=1.0))
    return ramps[0][:, None] * ramps[1][None, :]
