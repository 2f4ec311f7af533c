"""What the training loop needs to teach EndoMamba phases. Runs in a training process.

Batches are clips (B, 3, T, H, W), normalised as the network asks, and labels int64 (B, T); give
`PhaseLoss` and `models.training.loop.Trainer` the rest. On one core of an AMD EPYC a step of B = 2,
T = 48, 8 blocks, patches of 16 takes: width 96 at 96 pixels 1.06 s, at 112 pixels 1.4 s; width 112
at 96 pixels 1.2 s (1.1 s with bfloat16 products); width 128 at 96 pixels 1.4 s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedLabels:
    """Labels of clips that are two clips each.

    Attributes:
        labels, others: int64 (B, T), of the one and of the other.
        share: float32 (B,), of the one in the clip; alike in a batch.
    """

    labels: Tensor
    others: Tensor
    share: Tensor

    def to(self, device: torch.device | str) -> "MixedLabels":
        """Returns the same labels on another device."""
        return MixedLabels(
            labels=self.labels.to(device),
            others=self.others.to(device),
            share=self.share.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseLoss:
    """Cross-entropy of every labelled frame, with an optional penalty on restless answers.

    Attributes:
        label_smoothing: share of a label spread over all classes, in [0, 1).
        class_weights: weight of each class, or None for equal ones.
        ignore_index: label of frames whose phase is unknown; they take no part.
        smoothness: weight of the truncated squared change of log-probabilities from frame to
            frame (Farha and Gall, "MS-TCN", 2019, equations 8-10, which use 0.15). 0 leaves it out.
        smoothness_limit: largest change that counts (their tau).
    """

    label_smoothing: float = 0.1
    class_weights: Sequence[float] | None = None
    ignore_index: int = -1
    smoothness: float = 0.0
    smoothness_limit: float = 4.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1 or self.smoothness < 0 or self.smoothness_limit <= 0:
            raise OptionError(
                "Label smoothing must be in [0, 1), smoothness at least 0 and its limit above 0."
            )
        if self.class_weights is not None and min(self.class_weights, default=-1.0) < 0:
            raise OptionError("Class weights must not be negative.")

    def __call__(
        self, logits: Tensor, labels: Tensor | MixedLabels
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Measures one batch.

        Args:
            logits: (B, T, K), any floating dtype; the loss is computed in at least float32.
            labels: int64 (B, T), in [0, K) or `ignore_index`; of mixed clips two of them.

        Returns:
            The scalar loss, 0 where no frame is labelled, and its parts `phase`, `smoothness`
            and `accuracy` (share of labelled frames, in [0, 1]), detached.
        """
        if isinstance(labels, MixedLabels):
            share = labels.share.to(logits.device).mean()
            (one, parts), (other, _) = self(logits, labels.labels), self(logits, labels.others)
            return share * one + (1 - share) * other, parts
        logits = logits.float() if logits.dtype != torch.float64 else logits
        labels = labels.to(logits.device)
        known = labels != self.ignore_index
        weights = None
        if self.class_weights is not None:
            weights = torch.as_tensor(self.class_weights, dtype=logits.dtype, device=logits.device)
        total = functional.cross_entropy(
            logits.flatten(0, 1),
            labels.flatten(),
            weights,
            ignore_index=self.ignore_index,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        share = known.to(logits) if weights is None else weights[labels.where(known, 0)] * known
        phase = total / share.sum().clamp(min=1e-6)
        right = (logits.argmax(-1) == labels)[known]
        restless = self._restlessness(logits) if self.smoothness else logits.new_zeros(())
        parts = {
            "phase": phase.detach(),
            "smoothness": restless.detach(),
            "accuracy": right.float().sum() / max(1, right.numel()),
        }
        return phase + self.smoothness * restless, parts

    def _restlessness(self, logits: Tensor) -> Tensor:
        if logits.shape[1] < 2:
            return logits.sum() * 0
        log_p = functional.log_softmax(logits, -1)
        change = (log_p[:, 1:] - log_p[:, :-1].detach()).clamp(
            -self.smoothness_limit, self.smoothness_limit
        )
        return change.square().mean()
