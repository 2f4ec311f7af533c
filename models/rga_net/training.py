"""What the desmoking network learns from: pairs of smoky and clear pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CHARBONNIER = 1e-3
STRUCTURE_WEIGHT = 0.2
SPECTRUM_WEIGHT = 0.05


class DesmokeLoss:
    """Charbonnier + 0.2 (1 - SSIM) + 0.05 L1 of the spectrum's amplitude (specification 4)."""

    def __call__(self, output: Tensor, clear: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and its parts.

        Args:
            output: float (B, 3, H, W), what the network made of smoky pictures.
            clear: float32 (B, 3, H, W) in [0, 1], the same pictures without smoke.
        """
        output = output.float()
        pixels = (output - clear).square().add(CHARBONNIER**2).sqrt().mean()
        structure = 1 - ssim(output, clear).mean()
        spectra = (torch.fft.rfft2(x, norm="ortho").abs() for x in (output, clear))
        spectrum = F.l1_loss(*spectra)
        loss = pixels + STRUCTURE_WEIGHT * structure + SPECTRUM_WEIGHT * spectrum
        parts = {"pixels": pixels, "structure": structure, "spectrum": spectrum}
        return loss, {name: part.detach() for name, part in parts.items()}


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of two batches in [0, 1], (B, 3, H - 10, W - 10).

    Wang et al. 2004: Gaussian window 11 x 11 of sigma 1.5, K1 0.01, K2 0.03, without padding.
    """
    at = torch.arange(11, dtype=a.dtype, device=a.device) - 5
    bell = torch.exp(-at.square() / (2 * 1.5**2))
    bell = bell / bell.sum()

    def blurred(x: Tensor) -> Tensor:
        x = F.conv2d(x.flatten(0, 1)[:, None], bell.view(1, 1, 11, 1))
        return F.conv2d(x, bell.view(1, 1, 1, 11)).view(*b.shape[:2], *x.shape[2:3], -1)

    mean_a, mean_b = blurred(a), blurred(b)
    own_a = blurred(a * a) - mean_a.square()
    own_b = blurred(b * b) - mean_b.square()
    shared = blurred(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + 0.01**2) / (mean_a.square() + mean_b.square() + 0.01**2)
    return light * (2 * shared + 0.03**2) / (own_a + own_b + 0.03**2)
