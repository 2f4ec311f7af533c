"""Clips of a recording's features with what follows them, to teach state changes from.

Runs in a training process.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import OptionError
from models.supra.targets import anticipation_of
from models.surgfutr.network import Foreseen, SurgFutr
from models.surgfutr.training import FutureLoss, FutureTargets


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipTargets:
    """What follows B clips.

    Attributes:
        clip, future: float (B, C, T) and (B, C, F), what the teacher sees.
        events: int64 (B,), the phase that begins next within the horizon, K for none, or `UNKNOWN`.
        minutes_left: float (B,), until the recording ends.
    """

    clip: Tensor
    future: Tensor
    events: Tensor
    minutes_left: Tensor

    def to(self, device: torch.device | str) -> ClipTargets:
        """Returns the same targets on another device."""
        return ClipTargets(
            clip=self.clip.to(device),
            future=self.future.to(device),
            events=self.events.to(device),
            minutes_left=self.minutes_left.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipLoss:
    """`FutureLoss` against what the network in training itself teaches.

    Attributes:
        network: that learns; its `teach` gives the states to come.
        of_future: measures.
    """

    network: SurgFutr
    of_future: FutureLoss = field(default_factory=FutureLoss)

    def __call__(self, found: Foreseen, targets: ClipTargets) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the scalar loss and its parts, see `FutureLoss`."""
        taught = FutureTargets(
            assignment=self.network.teach(targets.clip, targets.future),
            events=targets.events,
            minutes_left=targets.minutes_left,
        )
        return self.of_future(found, taught)


def events_of(
    labels: NDArray[np.int64], classes: int, *, horizon_min: float, frames_per_minute: float
) -> NDArray[np.int64]:
    """The phase that begins next within the horizon of every frame (T,), K for none, `UNKNOWN`
    where the frame's or the next phase is not known. Arguments as of `anticipation_of`."""
    known = anticipation_of(
        labels, classes, horizon_min=horizon_min, frames_per_minute=frames_per_minute
    )
    events = known.next_phase.copy()
    follows = (events >= 0) & (events < classes)
    at = np.flatnonzero(follows)
    late = known.minutes_to[at, events[at]] >= horizon_min
    events[at[late]] = classes
    return events


def clips_of(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: int,
    *,
    clip: int,
    future: int,
    horizon_min: float,
    frames_per_minute: float,
    count: int,
    rng: np.random.Generator,
) -> tuple[Tensor, ClipTargets]:
    """Clips at random moments of one recording.

    Args:
        features: float32 (T, C).
        labels: int64 (T,).
        classes: K.
        clip, future: samples of each; beyond the recording its first and last are repeated.
        horizon_min, frames_per_minute: see `anticipation_of`.
        count: B.
        rng: draws the moments.

    Raises:
        OptionError: a length is not above 0.
    """
    if min(clip, future, count) < 1:
        raise OptionError("Clips, their futures and their number must be above 0.")
    last = len(labels) - 1
    now = rng.integers(len(labels), size=count)
    past = np.clip(now[:, None] + np.arange(1 - clip, 1), 0, last)
    ahead = np.clip(now[:, None] + np.arange(1, 1 + future), 0, last)
    events = events_of(
        labels, classes, horizon_min=horizon_min, frames_per_minute=frames_per_minute
    )
    seen = _tokens(features[past])
    left = ((last - now) / frames_per_minute).astype(np.float32)
    return seen, ClipTargets(
        clip=seen,
        future=_tokens(features[ahead]),
        events=torch.from_numpy(events[now]),
        minutes_left=torch.from_numpy(left),
    )


def _tokens(samples: NDArray[np.float32]) -> Tensor:
    """(B, T, C) as (B, C, T)."""
    return torch.from_numpy(np.ascontiguousarray(samples.transpose(0, 2, 1)))
