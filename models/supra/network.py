"""Recognition with anticipation from frame features: what runs, what follows, how long until then.

The task of Maack et al., "SuPRA" (2024), in the reduction of the specification (temporal-models,
section 2.3): no code of theirs is public, so that everything here but the task is inferred. A
causal MS-TCN names the phase; heads read what it saw, what it says, and how long each phase has run
so far by its own account, and foresee the rest. No frame of the future is ever looked at.

Runs on the inference thread or in a training process; a network is used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelError, OptionError
from models.ms_tcn.network import MsTcn
from models.ms_tcn.state import State as TcnState
from models.supra.timing import median_minutes

QUANTILES = (0.1, 0.5, 0.9)
"""Of the remaining duration: the middle one is the estimate, the outer ones its spread."""

_HIDDEN = 96


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """What is carried from frame to frame.

    Attributes:
        tcn: of the MS-TCN.
        spent_min: float (B, K), minutes of each phase so far, as the network named them.
    """

    tcn: TcnState
    spent_min: Tensor

    @property
    def frames(self) -> int:
        """Consumed since the stream began."""
        return self.tcn.frames

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return self.tcn.nbytes + self.spent_min.nbytes

    def to(self, device: torch.device | str) -> State:
        """Returns the same state on another device."""
        return State(tcn=self.tcn.to(device), spent_min=self.spent_min.to(device))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns copies as arrays, ready for npz."""
        return self.tcn.to_arrays() | {"spent_min": self.spent_min.detach().cpu().numpy().copy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> State:
        """Rebuilds a state from `to_arrays`.

        Raises:
            ModelError: where an array is missing or is not what it should be.
        """
        if "spent_min" not in arrays:
            raise ModelError("A stored model state lacks spent_min.")
        return cls(tcn=TcnState.from_arrays(arrays), spent_min=torch.tensor(arrays["spent_min"]))


class Forecast(NamedTuple):
    """What T frames say.

    Attributes:
        logits: float (stages, B, K, T), phases that run; the last stage is the answer.
        next_logits: float (B, T, K + 1), the phase that follows; K is the recording's end.
        time_logits: float (B, T, K, bins + 2), when each phase begins, see `models.supra.timing`.
        minutes_left: float (B, T, 3), `QUANTILES` of the time to the end, ascending, at least 0.
    """

    logits: Tensor
    next_logits: Tensor
    time_logits: Tensor
    minutes_left: Tensor


class Supra(nn.Module):
    """The network.

    Args:
        in_features: channels of a frame's features.
        num_classes: phases, K.
        stages, layers, maps: of the MS-TCN, see `MsTcn`.
        horizon_min: minutes that times to phases are foreseen for; those beyond are the horizon.
        bins: parts of the horizon that a phase may begin in.
        frames_per_minute: rate of the features.
        dropout: in training.

    Attributes:
        spread: float (), how many times as far from the middle the outer quantiles of the minutes
            left lie as they were learnt; kept with the weights (see `spread_for`).

    Raises:
        OptionError: where an option is out of range.
    """

    spread: Tensor

    def __init__(
        self,
        in_features: int = 2048,
        num_classes: int = 7,
        *,
        stages: int = 2,
        layers: int = 8,
        maps: int = 32,
        horizon_min: float = 5.0,
        bins: int = 20,
        frames_per_minute: float = 60.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if min(horizon_min, frames_per_minute, bins) <= 0:
            raise OptionError("The horizon, its parts and the frames per minute must be above 0.")
        self.horizon_min, self.frames_per_minute = horizon_min, frames_per_minute
        self.in_features, self.num_classes = in_features, num_classes
        self.causal = True
        self.temporal = MsTcn(in_features, stages, layers, maps, num_classes, dropout=dropout)
        self.sight = nn.Sequential(
            nn.Linear(maps + 2 * num_classes + 1, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout / 2),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
        )
        self.next_phase = nn.Linear(_HIDDEN, num_classes + 1)
        self.time_to = nn.Linear(_HIDDEN, num_classes * (bins + 2))
        self.time_left = nn.Linear(_HIDDEN, len(QUANTILES))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, features: Tensor) -> Forecast:
        """Foresees from every frame of a whole recording (B, in_features, T), looking back alone.

        Raises:
            ModelError: where the features do not fit.
        """
        return self.advance(features)[0]

    def step(self, feature: Tensor, state: State | None = None) -> tuple[Forecast, State]:
        """Foresees from one frame (B, in_features); the forecast's T is 1."""
        return self.advance(feature.unsqueeze(-1), state)

    def advance(self, features: Tensor, state: State | None = None) -> tuple[Forecast, State]:
        """Consumes T further frames of a stream; any split of a stream gives the same numbers.

        Args:
            features: float (B, in_features, T).
            state: what the previous call returned, or None at the start. It is not changed.

        Raises:
            ModelError: the features or the state do not fit.
        """
        if state is not None:
            self.check(state, len(features))
        seen = self.temporal.advance(features, None if state is None else state.tcn)
        phases = seen.logits[-1].softmax(1).transpose(1, 2)
        before = phases.new_zeros(phases.shape[0], self.num_classes)
        before = before if state is None else state.spent_min
        # By the likeliest phase: how sure the network is must not stretch or shrink the time.
        named = functional.one_hot(phases.argmax(-1), self.num_classes).to(phases.dtype)
        spent = before.unsqueeze(1) + named.cumsum(1) / self.frames_per_minute
        elapsed = spent.sum(-1, keepdim=True)
        sight = self.sight(
            torch.cat((seen.hidden.transpose(1, 2), phases, spent.log1p(), elapsed.log1p()), -1)
        )
        forecast = Forecast(
            logits=seen.logits,
            next_logits=self.next_phase(sight),
            time_logits=self.time_to(sight).unflatten(-1, (self.num_classes, -1)),
            minutes_left=self._minutes_left(sight),
        )
        return forecast, State(tcn=seen.state, spent_min=spent[:, -1].detach())

    def minutes_to(self, forecast: Forecast) -> Tensor:
        """Minutes before which each phase begins as likely as not (B, T, K), in [0, horizon]: 0
        while it runs, the horizon where it likelier does not begin within it."""
        return median_minutes(self.shares_of_times(forecast), self.horizon_min)

    def shares_of_times(self, forecast: Forecast) -> Tensor:
        """How likely each phase begins in which part of the horizon (B, T, K, bins + 2)."""
        return forecast.time_logits.float().softmax(-1)

    def check(self, state: State, batch: int) -> None:
        """Raises `ModelError` where a state is not one of this network and batch size."""
        self.temporal.check(state.tcn, batch)
        if tuple(state.spent_min.shape) != (batch, self.num_classes):
            raise ModelError("The model state belongs to a network of other phases.")

    def _minutes_left(self, sight: Tensor) -> Tensor:
        # The first is a duration, the others what is added to it: quantiles never cross.
        learnt = (10.0 * functional.softplus(self.time_left(sight))).cumsum(-1)
        middle = learnt[..., 1:2]
        return (middle + self.spread.to(learnt.dtype) * (learnt - middle)).clamp(min=0)
