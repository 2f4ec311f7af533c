"""Metrics of anticipation: mean absolute errors of the time to a phase or tool, in minutes.

Definitions of Rivoir et al. 2020 and Yuan et al. 2022 (IIA-Net): times are cut at the horizon h,
which stands for "not within h". A pair of video and class counts where it has the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Average = Literal["pairs", "videos_then_classes"]
CONVENTIONS: dict[Average, str] = {
    "videos_then_classes": "per video and phase, those without the set left out; mean over videos, "
    "then over phases",
    "pairs": "mean over all pairs of video and phase at once",
}
"""What each way to average is."""

_SETS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AnticipationErrors:
    """Mean absolute errors in minutes; nan where no moment counts.

    Attributes:
        horizon_min: h.
        inside: moments at which it comes within h and is not there, 0 < truth < h (inMAE).
        outside: moments at which it does not come within h (outMAE).
        weighted: mean of both (wMAE).
        early: moments just before it, 0 < truth < h / 10 (eMAE).
        expected: moments at which it is expected, h / 10 < prediction < 9 h / 10 (pMAE).
    """

    horizon_min: float
    inside: float
    outside: float
    weighted: float
    early: float
    expected: float


def anticipation_errors(
    truth: Sequence[Floats],
    predicted: Sequence[Floats],
    horizon_min: float,
    *,
    average: Average = "pairs",
) -> AnticipationErrors:
    """Compares predicted times with the true ones.

    Args:
        truth: per video (T, classes), minutes until the class comes, 0 while it is there; nan,
            infinity or anything beyond the horizon where it does not come.
        predicted: per video (T, classes), minutes.
        horizon_min: h.
        average: over all pairs of video and class at once, or over videos for each class and then
            over classes; they differ where a class does not have a set in every video.

    Raises:
        ValueError: shapes differ.
    """
    pairs = []
    for true, said in zip(truth, predicted, strict=True):
        if true.shape != said.shape:
            raise ValueError(f"times of shape {said.shape} for {true.shape}")
        a, b = _cut(true, horizon_min), _cut(said, horizon_min)
        pairs.append([_errors(a[:, c], b[:, c], horizon_min) for c in range(a.shape[1])])
    table = np.array(pairs)
    by_class = table.reshape(-1, _SETS) if average == "pairs" else _mean(table)
    inside, outside, weighted, early, expected = _mean(by_class).tolist()
    return AnticipationErrors(
        horizon_min=horizon_min,
        inside=inside,
        outside=outside,
        weighted=weighted,
        early=early,
        expected=expected,
    )


def _mean(table: Floats) -> Floats:
    """Means over the first axis of what is there; nan where nothing is."""
    known = ~np.isnan(table)
    sums, counts = np.where(known, table, 0).sum(0), known.sum(0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _cut(minutes: Floats, horizon_min: float) -> Floats:
    inside = (minutes >= 0) & (minutes <= horizon_min)
    return np.where(inside, minutes, horizon_min)


def _errors(true: Floats, said: Floats, h: float) -> tuple[float, float, float, float, float]:
    error = np.abs(true - said)

    def mean(chosen: NDArray[np.bool_]) -> float:
        return float(error[chosen].mean()) if chosen.any() else float("nan")

    inside, outside = mean((true > 0) & (true < h)), mean(true == h)
    known = [v for v in (inside, outside) if not np.isnan(v)]
    weighted = sum(known) / len(known) if known else float("nan")
    early = mean((true > 0) & (true < 0.1 * h))
    return inside, outside, weighted, early, mean((said > 0.1 * h) & (said < 0.9 * h))
