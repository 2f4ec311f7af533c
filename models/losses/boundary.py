"""Losses of a mask's border: LMSF-A's edge stream and gradient consistency, both optional.

The paper (equations 16 and 22) trains two further projections of its features by them and prints no
formula for either; its released configuration has neither. Here both look at the masks
themselves, so that the network stays as it is.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def edge_loss(logits: Tensor, truth: Tensor, window: Tensor) -> Tensor:
    """Cross entropy of a mask's edges: how far it changes within 3 x 3 cells.

    Args:
        logits: float32 (N, h, w) of predicted masks.
        truth: float32 (N, h, w) in {0, 1}.
        window: float32 (N, h, w), 1 where the mask counts; outside it is no mask.

    Returns:
        Scalar: mean over the windows' cells of each mask, then over masks.
    """
    said, wanted = _edges(logits.sigmoid() * window), _edges(truth * window)
    entropy = F.binary_cross_entropy(said.clamp(1e-6, 1 - 1e-6), wanted, reduction="none")
    return _mean(entropy, window)


def gradient_loss(logits: Tensor, truth: Tensor, window: Tensor) -> Tensor:
    """Mean difference of the gradients of masks, predicted and true; arguments as `edge_loss`."""
    error = logits.sigmoid() * window - truth * window
    across = F.pad(error, (1, 1, 0, 0)).unfold(2, 3, 1)
    down = F.pad(error, (0, 0, 1, 1)).unfold(1, 3, 1)
    steps = (across[..., 2] - across[..., 0]).abs() + (down[..., 2] - down[..., 0]).abs()
    return _mean(steps / 2, window)


def _edges(mask: Tensor) -> Tensor:
    """Largest less smallest value within 3 x 3 cells, (N, h, w) in [0, 1]."""
    return F.max_pool2d(mask[:, None], 3, 1, 1)[:, 0] + F.max_pool2d(-mask[:, None], 3, 1, 1)[:, 0]


def _mean(values: Tensor, window: Tensor) -> Tensor:
    return ((values * window).sum((1, 2)) / window.sum((1, 2)).clamp(min=1)).mean()
