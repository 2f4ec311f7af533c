"""What a model foresees at one moment: the phase that follows and how long until then.

A run of the task ``prediction.ANTICIPATION`` holds these, beside what goes on now as
``PhasePrediction``s where its network tells that. The horizon stands in the run's settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from app.core import validate

HORIZON_MIN = "horizon_min"
"""Under this name a run's settings hold how many minutes times to phases are foreseen for."""

NEXT_WITHIN_HORIZON = "next_within_horizon"
"""A run whose settings hold this name foresees only what follows within the horizon."""

QUANTILES = (0.1, 0.5, 0.9)
"""Of the minutes left; the middle one is the estimate, the outer ones its spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """The future as a model sees it at one sampled frame.

    Attributes:
        pts, index: the frame that was looked at.
        next_probabilities: K + 1, one per class of the run and last the recording's end: which
            phase follows the one that runs. Sums to 1. The last is none at all within the horizon,
            where the run's settings hold ``NEXT_WITHIN_HORIZON``.
        minutes_to: K, until each phase next begins, 0 while it runs; the run's horizon stands for
            "not within the horizon", hence for finished phases. Empty where the model foresees no
            times to phases.
        minutes_left: until the recording ends, its ``QUANTILES``, ascending; all three are the same
            where the model knows no spread.
    """

    pts: int
    index: int
    next_probabilities: tuple[float, ...]
    minutes_to: tuple[float, ...]
    minutes_left: tuple[float, float, float]

    def __post_init__(self) -> None:
        validate.not_empty("Foreseen.next_probabilities", self.next_probabilities)
        if self.minutes_to and len(self.minutes_to) != len(self.next_probabilities) - 1:
            raise ValueError(
                f"Foreseen.minutes_to: expected {len(self.next_probabilities) - 1} times or none, "
                f"got {len(self.minutes_to)}"
            )
        if len(self.minutes_left) != len(QUANTILES):
            raise ValueError(f"Foreseen.minutes_left: expected 3, got {len(self.minutes_left)}")
        every = (*self.next_probabilities, *self.minutes_to, *self.minutes_left)
        if not all(isfinite(v) and v >= 0 for v in every):
            raise ValueError("Foreseen: expected finite numbers of at least 0")
        if any(later < earlier for earlier, later in pairwise(self.minutes_left)):
            raise ValueError("Foreseen.minutes_left: expected ascending quantiles")
