"""The rule by which EndoMamba's golden values were made: weights and pictures from sines."""

import torch
from torch import Tensor

from models.endomamba import EndoMamba

MICRO = {"width": 32, "depth": 4, "image_size": 64}

MICRO_LOGITS = (
    (0.253486, 0.170920, 0.061903, -0.041797, -0.109953, -0.122605, -0.075827),
    (0.335324, 0.230002, 0.081171, -0.067906, -0.173901, -0.205930, -0.154471),
    (0.503549, 0.327862, 0.080412, -0.167064, -0.342829, -0.395858, -0.310566),
    (0.534851, 0.340162, 0.070159, -0.196910, -0.383652, -0.435872, -0.338217),
)
TINY_LOGITS = (
    (0.025073, 0.150583, -0.007685, 0.185047, -0.035283, 0.213236, -0.055960),
    (0.059711, 0.111083, 0.036086, 0.137660, 0.015011, 0.160787, -0.002141),
)
STREAM_LOGITS = {
    31: (0.069403, 0.041085, 0.023799, 0.022832, 0.038750, 0.067240, 0.100350),
    999: (0.024559, 0.032320, 0.053644, 0.082670, 0.111305, 0.131565, 0.137873),
    9999: (-0.036616, 0.016622, 0.087956, 0.157085, 0.204339, 0.216357, 0.189945),
}


def golden_network(**options: object) -> EndoMamba:
    """Returns a network in eval mode whose tensor k, in sorted order, holds waves of phase k."""
    network = EndoMamba(**options).eval()
    for k, (name, tensor) in enumerate(sorted(network.state_dict().items())):
        index = torch.arange(tensor.numel(), dtype=torch.float64)
        tensor.copy_(_values(name, index, torch.sin(0.017 * index + 0.9 * k)).view_as(tensor))
    return network


def _values(name: str, index: Tensor, wave: Tensor) -> Tensor:
    if name.endswith(("A_log", "A_b_log")):
        return torch.log(1 + index % 16) + 0.01 * wave
    if name.endswith((".D", "D_b")) or "norm" in name:
        return 1 + 0.05 * wave
    if "dt_proj" in name and name.endswith("bias"):
        return -4.6 + 0.5 * wave
    if "dt_proj" in name or "conv1d" in name:
        return 0.3 * wave
    return (0.5 if name in ("cls_token", "pos_embed") else 0.1) * wave


def golden_clip(frames: int, size_px: int = 64) -> Tensor:
    """Returns float32 (1, 3, frames, size, size), a wave that wanders from frame to frame."""
    axes = (torch.arange(n, dtype=torch.float64) for n in (3, frames, size_px, size_px))
    c, t, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.sin(0.05 * y + 0.03 * x + 0.7 * c + 0.9 * t).float().unsqueeze(0)
