"""What foreseeing is worth: errors of times to phases, against what anybody would expect.

The baseline knows how long phases lasted in the training procedures and how long the present one
has run, and nothing of the picture. Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.learning.courses import Labels, runs_of
from models.metrics.anticipation import anticipation_errors
from models.supra import anticipation_of

HORIZONS_MIN = (2.0, 3.0, 5.0)
_NEVER_MIN = 1e6
Floats = NDArray[np.float64]
Told = Mapping[float, Sequence[Floats]]
"""By each of ``HORIZONS_MIN``, (T, K) minutes of every recording, cut at that horizon or later."""


def minutes_to(labels: Labels, classes: int, per_minute: float, horizon_min: float) -> Floats:
    """True minutes until each phase begins, (T, K), cut at the horizon."""
    known = anticipation_of(labels, classes, horizon_min=horizon_min, frames_per_minute=per_minute)
    return known.minutes_to.astype(np.float64)


def minutes_left(labels: Labels, per_minute: float) -> Floats:
    """True minutes to the last sample, (T,)."""
    return np.arange(len(labels) - 1, -1, -1) / per_minute


def errors_of(
    truth: Sequence[Labels], said: Told, classes: int, per_minute: float
) -> dict[str, dict[str, float]]:
    """Errors in minutes by horizon: inside, outside, weighted, early and expected (see
    ``models.metrics.anticipation``).

    Args:
        truth: labels of every recording.
        said: minutes of the same.
        classes: K.
        per_minute: samples.
    """
    out = {}
    for horizon in HORIZONS_MIN:
        true = [minutes_to(labels, classes, per_minute, horizon) for labels in truth]
        found = asdict(anticipation_errors(true, said[horizon], horizon))
        del found["horizon_min"]
        out[f"{horizon:g}"] = found
    return out


class ExpectedTimes:
    """How long until each phase, given the one that runs and the time already spent in it.

    The mean over the training procedures that were in that phase for as long: of the times cut at
    the horizon (``cut``), or of those in which the phase still came, where it came in most
    (``plain``). Beyond the longest stay that was seen, the last moment of it stands.

    Args:
        courses: labels of the training procedures.
        classes: K.
        per_minute: samples.
    """

    def __init__(self, courses: Sequence[Labels], classes: int, per_minute: float) -> None:
        self._classes, self._per_minute = classes, per_minute
        self._times = [
            (labels, minutes_to(labels, classes, per_minute, _NEVER_MIN)) for labels in courses
        ]
        self._left = self._mean(
            [(labels, minutes_left(labels, per_minute)[:, None]) for labels in courses], 1
        )

    def cut(self, labels: Labels, horizon_min: float) -> Floats:
        """(T, K) minutes of the mean time cut at the horizon."""
        cut = [(known, np.minimum(times, horizon_min)) for known, times in self._times]
        return self._read(self._mean(cut, self._classes), labels, horizon_min)

    def plain(self, labels: Labels, horizon_min: float) -> Floats:
        """(T, K) minutes of the mean time where the phase came, cut at the horizon afterwards."""
        came = [(known, times < _NEVER_MIN) for known, times in self._times]
        share = self._mean([(known, c.astype(float)) for known, c in came], self._classes)
        sums = self._mean(
            [
                (known, np.where(c, times, 0.0))
                for (known, times), (_, c) in zip(self._times, came, strict=True)
            ],
            self._classes,
        )
        table = {
            phase: np.where(share[phase] > 0.5, sums[phase] / np.maximum(share[phase], 0.5), 1e6)
            for phase in sums
        }
        return np.minimum(self._read(table, labels, horizon_min), horizon_min)

    def left(self, labels: Labels) -> Floats:
        """(T,) minutes to the end, the mean over the training procedures."""
        return self._read(self._left, labels, 0.0)[:, 0]

    def _mean(
        self, tables: Sequence[tuple[Labels, Floats]], columns: int
    ) -> dict[int, NDArray[np.float64]]:
        """By phase, the mean (longest stay, columns) of what was true so long after it began."""
        found: dict[int, list[Floats]] = {}
        for labels, values in tables:
            for first, last in runs_of(labels):
                if labels[first] >= 0:
                    found.setdefault(int(labels[first]), []).append(values[first:last])
        out = {}
        for phase, stays in found.items():
            longest = max(len(stay) for stay in stays)
            sums, counts = np.zeros((longest, columns)), np.zeros((longest, 1))
            for stay in stays:
                sums[: len(stay)] += stay
                counts[: len(stay)] += 1
            out[phase] = sums / counts
        return out

    def _read(self, table: Mapping[int, Floats], labels: Labels, unknown: float) -> Floats:
        columns = next(iter(table.values())).shape[1]
        out = np.full((len(labels), columns), unknown)
        for first, last in runs_of(labels):
            stay = table.get(int(labels[first]))
            if stay is not None:
                spent = np.minimum(np.arange(last - first), len(stay) - 1)
                out[first:last] = stay[spent]
        return out


def compared(
    truth: Sequence[Labels],
    said: Mapping[str, Told],
    expected: ExpectedTimes,
    recognised: Sequence[Labels],
    classes: int,
    per_minute: float,
) -> dict[str, Any]:
    """Errors of what a model tells beside those of the baseline, by horizon.

    Args:
        truth: labels of every recording.
        said: the model's minutes, by the ways it tells them.
        expected: learned from the training procedures.
        recognised: phases as a model that sees no later sample names them: what a baseline in use
            would have to go by.
        classes: K.
        per_minute: samples.
    """
    rows = {name: errors_of(truth, told, classes, per_minute) for name, told in said.items()}
    sources = (("expected", truth), ("expected_of_recognised", recognised))
    for name, known in sources:
        for kind in ("cut", "plain"):
            minutes = getattr(expected, kind)
            times = {h: [minutes(labels, h) for labels in known] for h in HORIZONS_MIN}
            rows[f"{name}_{kind}"] = errors_of(truth, times, classes, per_minute)
    return rows
