"""What the training loop needs to teach anticipation. Runs in a training process.

Batches are features (B, C, T) and `ForecastTargets`; one recording at a time is usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.errors import OptionError
from models.ms_tcn.training import StagesLoss
from models.supra.network import QUANTILES, Forecast
from models.supra.targets import anticipation_of
from models.supra.timing import parts_of
from models.types import UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForecastTargets:
    """What is known of B recordings of T frames.

    Attributes:
        phases: int64 (B, T), in [0, K) or `UNKNOWN`; where unknown, no other part counts either.
        next_phase: int64 (B, T), in [0, K] or `UNKNOWN`.
        horizons_to: float32 (B, T, K), in [0, 1].
        minutes_left: float32 (B, T).
    """

    phases: Tensor
    next_phase: Tensor
    horizons_to: Tensor
    minutes_left: Tensor

    @classmethod
    def of(
        cls,
        labels: NDArray[np.int64],
        classes: int,
        *,
        horizon_min: float,
        frames_per_minute: float,
    ) -> ForecastTargets:
        """Targets of one whole recording, with the arguments of `anticipation_of`."""
        known = anticipation_of(
            labels, classes, horizon_min=horizon_min, frames_per_minute=frames_per_minute
        )
        return cls(
            phases=torch.from_numpy(np.maximum(labels, UNKNOWN).astype(np.int64))[None],
            next_phase=torch.from_numpy(known.next_phase)[None],
            horizons_to=torch.from_numpy(known.minutes_to / np.float32(horizon_min))[None],
            minutes_left=torch.from_numpy(known.minutes_left)[None],
        )

    def to(self, device: torch.device | str) -> ForecastTargets:
        """Returns the same targets on another device."""
        return ForecastTargets(
            phases=self.phases.to(device),
            next_phase=self.next_phase.to(device),
            horizons_to=self.horizons_to.to(device),
            minutes_left=self.minutes_left.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastLoss:
    """The phases' loss, cross-entropy of the next phase and of the part of the horizon in which
    each phase begins, and the pinball loss of the remaining duration's quantiles.

    Attributes:
        phases: measures the stages.
        weights: of the other three, in that order.
    """

    phases: StagesLoss = field(default_factory=StagesLoss)
    weights: Sequence[float] = (0.5, 2.0, 0.1)

    def __post_init__(self) -> None:
        if len(self.weights) != 3 or min(self.weights) < 0:
            raise OptionError("The forecast's loss takes three weights of at least 0.")

    def __call__(
        self, found: Forecast, targets: ForecastTargets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the scalar loss and its parts, detached: those of the phases, `next`, `to` and
        `left`."""
        targets = targets.to(found.next_logits.device)
        loss, parts = self.phases(found.logits, targets.phases)
        known = targets.phases != UNKNOWN
        foreseen = (known & (targets.next_phase != UNKNOWN)).sum().clamp(min=1)
        count = known.sum().clamp(min=1)
        following = functional.cross_entropy(
            found.next_logits.float().flatten(0, 1),
            targets.next_phase.where(known, UNKNOWN).flatten(),
            ignore_index=UNKNOWN,
            reduction="sum",
        )
        logits = found.time_logits.float()
        parts_to = parts_of(targets.horizons_to, logits.shape[-1] - 2)
        # A proper score: shares that are as they should be cost least, whatever is told of them.
        times = functional.cross_entropy(
            logits.flatten(0, 2), parts_to.flatten(), reduction="none"
        ).view_as(targets.horizons_to)
        short = targets.minutes_left.unsqueeze(-1) - found.minutes_left.float()
        levels = short.new_tensor(QUANTILES)
        pinball = torch.maximum(levels * short, (levels - 1) * short)
        others = (
            following / foreseen,
            (times.mean(-1) * known).sum() / count,
            (pinball.mean(-1) * known).sum() / count,
        )
        for weight, part in zip(self.weights, others, strict=True):
            loss = loss + weight * part
        named = dict(zip(("next", "to", "left"), (p.detach() for p in others), strict=True))
        return loss, parts | named


def spread_for(
    told: Sequence[NDArray[np.float64]], truth: Sequence[NDArray[np.float64]], share: float = 0.8
) -> float | None:
    """How far the outer quantiles must be moved from the middle, so that a moment of a recording
    never seen lies between them with a probability of at least ``share``.

    Conformal, by recordings, whose moments are not independent: Dunn, Wasserman and Ramdas,
    "Distribution-Free Prediction Sets for Two-Layer Hierarchical Models" (2022), pooled; one more
    recording than there are is reckoned with, of which nothing is known.

    Args:
        told: (T, 3) ascending quantiles of each recording, as learnt.
        truth: (T,) of each.
        share: above 0 and below 1.

    Returns:
        The factor, at least 0; None where there are too few recordings for this share.
    """
    needed = share * (len(told) + 1)
    if needed > len(told):
        return None
    factors, worth = [], []
    for quantiles, true in zip(told, truth, strict=True):
        low, middle, high = quantiles.T
        wide = np.where(true < middle, middle - low, high - middle)
        factors.append(np.abs(true - middle) / np.maximum(wide, 1e-6))
        worth.append(np.full(len(true), 1 / max(len(true), 1)))
    every = np.concatenate(factors)
    order = np.argsort(every, kind="stable")
    reached = np.cumsum(np.concatenate(worth)[order])
    place = int(np.searchsorted(reached, needed - 1e-9))
    return float(every[order][min(place, len(every) - 1)])
