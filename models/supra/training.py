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
    """The phases' loss, cross-entropy of the next phase, smooth L1 of the times to phases, and the
    pinball loss of the remaining duration's quantiles.

    Attributes:
        phases: measures the stages.
        weights: of the other three, in that order.
        within: how much a phase that comes within the horizon counts against one that does not;
            at most moments most phases do not come, and above 1 they are expected sooner.
    """

    phases: StagesLoss = field(default_factory=StagesLoss)
    weights: Sequence[float] = (0.5, 2.0, 0.1)
    within: float = 1.0

    def __post_init__(self) -> None:
        if self.within <= 0:
            raise OptionError("What counts within the horizon must be above 0.")
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
        # Beyond its bounds an answer is cut, so that it is as right there as on them.
        to, said = targets.horizons_to, found.horizons_to.float()
        bounded = torch.where(to >= 1, said.clamp(max=1), torch.where(to <= 0, said.clamp(0), said))
        times = functional.smooth_l1_loss(bounded, to, reduction="none", beta=0.1)
        counts = torch.where(to < 1, self.within, 1.0) * known.unsqueeze(-1)
        short = targets.minutes_left.unsqueeze(-1) - found.minutes_left.float()
        levels = short.new_tensor(QUANTILES)
        pinball = torch.maximum(levels * short, (levels - 1) * short)
        others = (
            following / foreseen,
            (times * counts).sum() / counts.sum().clamp(min=1),
            (pinball.mean(-1) * known).sum() / count,
        )
        for weight, part in zip(self.weights, others, strict=True):
            loss = loss + weight * part
        named = dict(zip(("next", "to", "left"), (p.detach() for p in others), strict=True))
        return loss, parts | named
