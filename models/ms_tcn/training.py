"""What the training loop needs to teach networks that answer in stages. Runs in a training process.

Batches are features (B, C, T) and labels int64 (B, T); one recording at a time is usual.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.endomamba.training import PhaseLoss


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesLoss:
    """The sum over stages of cross-entropy and a penalty on restless answers.

    Farha and Gall, "MS-TCN" (2019), equations 7 to 10: weight 0.15, changes cut off at 4, hence
    squares at 16.

    Attributes:
        of_stage: measures one stage.
    """

    of_stage: PhaseLoss = field(
        default_factory=lambda: PhaseLoss(label_smoothing=0.0, smoothness=0.15)
    )

    def __call__(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Measures one batch.

        Args:
            logits: (stages, B, K, T).
            labels: int64 (B, T), in [0, K) or the ignored label.

        Returns:
            The scalar loss, and the parts of the last stage (see `PhaseLoss`), detached.
        """
        measured = [self.of_stage(stage.transpose(1, 2), labels) for stage in logits]
        return torch.stack([loss for loss, _ in measured]).sum(), measured[-1][1]
