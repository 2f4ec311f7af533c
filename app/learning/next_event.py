"""What foreseeing the next event is worth: which phase begins next within a horizon, or none.

Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.inference.outlook import Outlook
from app.learning.courses import Labels, runs_of
from models.metrics.average_precision import mean_known, per_class
from models.surgfutr.clips import events_of

Floats = NDArray[np.float64]


def event_shares(outlook: Outlook) -> Floats:
    """How likely each phase is the next to begin within the horizon, (T, K + 1), last none.

    Of a model that also tells times: its next phase, where some phase begins within the horizon, as
    likely as the likeliest of them does.
    """
    if not outlook.shares_of_times.shape[1]:
        return outlook.next_probabilities
    begins = outlook.shares_of_times[..., 1:-1].sum(-1).max(1, keepdims=True)
    following = outlook.next_probabilities[:, :-1] * begins
    return np.concatenate([following, 1 - following.sum(1, keepdims=True)], axis=1)


class CommonestNext:
    """How often each phase was the next to begin within the horizon, by the phase that runs and the
    time already spent in it, in the training procedures.

    Args:
        courses: labels of the training procedures.
        classes: K.
        per_minute: samples.
        horizon_min: that is looked ahead.
    """

    def __init__(
        self, courses: Sequence[Labels], classes: int, per_minute: float, horizon_min: float
    ) -> None:
        self._classes = classes
        self._counts: dict[int, Floats] = {}
        for labels in courses:
            events = events_of(
                labels, classes, horizon_min=horizon_min, frames_per_minute=per_minute
            )
            for first, last in runs_of(labels):
                if labels[first] >= 0:
                    self._count(int(labels[first]), events[first:last])

    def shares(self, labels: Labels) -> Floats:
        """(T, K + 1), last none within the horizon; that too for a phase that was never seen."""
        out = np.zeros((len(labels), self._classes + 1))
        out[:, -1] = 1.0
        for first, last in runs_of(labels):
            table = self._counts.get(int(labels[first]))
            if table is not None:
                spent = np.minimum(np.arange(last - first), len(table) - 1)
                out[first:last] = table[spent] / table[spent].sum(1, keepdims=True)
        return out

    def _count(self, phase: int, events: Labels) -> None:
        table = self._counts.get(phase, np.zeros((0, self._classes + 1)))
        known = int(np.argmax(events < 0)) if (events < 0).any() else len(events)
        if known > len(table):
            table = np.pad(table, ((0, known - len(table)), (0, 0)))
        table[np.arange(known), events[:known]] += 1
        self._counts[phase] = table


def event_figures(
    truth: Sequence[Labels], said: Sequence[Floats], per_minute: float, horizon_min: float
) -> dict[str, Any]:
    """Percent of moments whose next event was named, of those at which one comes, and the mean
    average precision over the events that come, all moments of all recordings together.

    Args:
        truth: labels of every recording.
        said: (T, K + 1) each, how likely each event is.
        per_minute: samples.
        horizon_min: that is looked ahead.
    """
    events = np.concatenate(
        [
            events_of(labels, s.shape[1] - 1, horizon_min=horizon_min, frames_per_minute=per_minute)
            for labels, s in zip(truth, said, strict=True)
        ]
    )
    scores = np.concatenate(list(said))[events >= 0]
    events = events[events >= 0]
    none = scores.shape[1] - 1
    right = scores.argmax(1) == events
    comes = events < none
    precisions = per_class(events[:, None] == np.arange(none), scores[:, :none])
    return {
        "accuracy": 100 * float(right.mean()) if len(right) else float("nan"),
        "accuracy_where_one_comes": 100 * float(right[comes].mean())
        if comes.any()
        else float("nan"),
        "mean_ap": mean_known(precisions),
    }
