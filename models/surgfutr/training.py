"""What the training loop needs to teach state changes. Runs in a training process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import OptionError
from models.surgfutr.network import Foreseen
from models.types import UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureTargets:
    """What is known of B clips.

    Attributes:
        assignment: float (B, P), what `SurgFutr.teach` gave.
        events: int64 (B,), in [0, K], K for none, or `UNKNOWN`.
        minutes_left: float (B,), negative where it is not known.
    """

    assignment: Tensor
    events: Tensor
    minutes_left: Tensor

    def to(self, device: torch.device | str) -> FutureTargets:
        """Returns the same targets on another device."""
        return FutureTargets(
            assignment=self.assignment.to(device),
            events=self.events.to(device),
            minutes_left=self.minutes_left.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureLoss:
    """Cross-entropy with the teacher's assignment and of the event, smooth L1 of the minutes left.

    Attributes:
        weights: of the three, in that order.
    """

    weights: Sequence[float] = (1.0, 1.0, 0.1)

    def __post_init__(self) -> None:
        if len(self.weights) != 3 or min(self.weights) < 0:
            raise OptionError("SurgFUTR's loss takes three weights of at least 0.")

    def __call__(self, found: Foreseen, targets: FutureTargets) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the scalar loss and its parts `state`, `event` and `left`, detached."""
        targets = targets.to(found.events.device)
        state = functional.cross_entropy(found.assignment.float(), targets.assignment.detach())
        known = (targets.events != UNKNOWN).sum().clamp(min=1)
        event = functional.cross_entropy(
            found.events.float(), targets.events, ignore_index=UNKNOWN, reduction="sum"
        )
        timed = targets.minutes_left >= 0
        left = functional.smooth_l1_loss(
            found.minutes_left.float(), targets.minutes_left, reduction="none"
        )
        parts = (state, event / known, (left * timed).sum() / timed.sum().clamp(min=1))
        loss = torch.stack([w * p for w, p in zip(self.weights, parts, strict=True)]).sum()
        named = dict(zip(("state", "event", "left"), (p.detach() for p in parts), strict=True))
        return loss, named
