"""PraNet's structure loss: cross-entropy and IoU, both heavier where a mask's border is near.

Source: specification section 3; Wei et al., "F3Net", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.types import MapOutput, MapTargets

_WINDOW_PX = 31
_BORDER_WEIGHT = 5.0


def border_weights(masks: Tensor) -> Tensor:
    """1, and up to 6 where the mask's surroundings differ from it, float (B, 1, H, W).

    1 + 5 |average over 31 x 31 - mask|; beyond the picture counts as background.
    """
    around = F.avg_pool2d(masks, _WINDOW_PX, 1, _WINDOW_PX // 2)
    return 1 + _BORDER_WEIGHT * (around - masks).abs()


def structure_loss(
    logits: Tensor, masks: Tensor, ignore: Tensor | None = None, *, weigh_entropy: bool = False
) -> Tensor:
    """Cross-entropy plus 1 - IoU of one map, a scalar.

    Args:
        logits: float (B, 1, H, W).
        masks: float (B, 1, H, W) in [0, 1].
        ignore: bool (B, 1, H, W), pixels that take no part; None for none.
        weigh_entropy: weigh the cross-entropy by `border_weights`, as the paper says. The
            published training code asks PyTorch for what PyTorch reads as the plain mean, so the
            published weights were trained without it.
    """
    logits = logits.float() if logits.dtype != torch.float64 else logits
    known = torch.ones_like(masks) if ignore is None else (~ignore).to(masks)
    weights = border_weights(masks) * known
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    share = weights if weigh_entropy else known
    per_picture = (entropy * share).sum((2, 3)) / share.sum((2, 3)).clamp(min=1e-6)
    likely = logits.sigmoid()
    both = (likely * masks * weights).sum((2, 3))
    either = ((likely + masks) * weights).sum((2, 3)) - both
    return (per_picture + 1 - (both + 1) / (either + 1)).mean()


@dataclass(frozen=True, slots=True, kw_only=True)
class MapLoss:
    """The structure loss summed over a network's four maps.

    Attributes:
        weigh_entropy: see `structure_loss`.
    """

    weigh_entropy: bool = False

    def __call__(self, output: MapOutput, targets: MapTargets) -> tuple[Tensor, dict[str, Tensor]]:
        """Measures one batch.

        Returns:
            The scalar loss, and the share of each map, finest first, detached.
        """
        losses = [
            structure_loss(m, targets.masks, targets.ignore, weigh_entropy=self.weigh_entropy)
            for m in output
        ]
        names = ("map2", "map3", "map4", "map5")
        parts = {name: loss.detach() for name, loss in zip(names, losses, strict=True)}
        return torch.stack(losses).sum(), parts
