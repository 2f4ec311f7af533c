"""What a timeline says of its own future, frame by frame. Pure; for training and scoring.

Conventions (specification: temporal-models, sections 2.3 and 5.4): minutes until a phase next
begins, 0 while it runs, the horizon where it does not begin within it, hence for finished phases.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.errors import OptionError
from models.types import UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anticipation:
    """The future of T frames.

    Attributes:
        next_phase: int64 (T,), the phase that follows the one that runs, K where the recording ends
            first, `UNKNOWN` where the frame's or the next phase is not known.
        minutes_to: float32 (T, K), in [0, horizon].
        minutes_left: float32 (T,), to the recording's last frame.
    """

    next_phase: NDArray[np.int64]
    minutes_to: NDArray[np.float32]
    minutes_left: NDArray[np.float32]


def anticipation_of(
    labels: NDArray[np.int64], classes: int, *, horizon_min: float, frames_per_minute: float
) -> Anticipation:
    """The future of every frame of a labelled recording.

    Args:
        labels: int (T,), in [0, classes) or negative where nothing is known.
        classes: K.
        horizon_min: minutes that are looked ahead.
        frames_per_minute: of the labels, 60 at one a second.

    Raises:
        OptionError: a label is not one of the classes, or horizon or rate is not above 0.
    """
    if horizon_min <= 0 or frames_per_minute <= 0:
        raise OptionError("Horizon and frames per minute must be above 0.")
    frames = len(labels)
    if frames and labels.max() >= classes:
        raise OptionError(f"A label says class {labels.max()}, there are only {classes}.")
    numbers = np.arange(frames)
    next_phase = np.full(frames, UNKNOWN, np.int64)
    minutes_to = np.full((frames, classes), horizon_min, np.float32)
    cuts = [0, *(np.flatnonzero(np.diff(labels)) + 1), frames] if frames else []
    for first, last in pairwise(cuts):
        if labels[first] < 0:
            continue
        after = classes if last == frames else labels[last]
        next_phase[first:last] = max(after, UNKNOWN)
        ahead = (first - numbers[:last]) / frames_per_minute
        column = minutes_to[:last, labels[first]]
        # Runs come in order of time: of two runs of a phase the earlier one stands.
        column[:] = np.minimum(column, np.where(ahead >= 0, ahead, horizon_min))
        column[first:last] = 0.0
    left = (frames - 1 - numbers) / frames_per_minute
    return Anticipation(
        next_phase=next_phase, minutes_to=minutes_to, minutes_left=left.astype(np.float32)
    )
