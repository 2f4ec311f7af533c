"""Scores of the PitVis-2023 challenge (Das et al. 2024), 0 to 1, a video at a time.

Steps: mean of macro F1 and edit score, without the moments whose true step is background or one of
the two that are not scored. Instruments: F1 weighted by how often each is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.metrics.phases import edit_score

Labels = NDArray[np.int64]
UNSCORED_STEPS = (-1, 11, 13)
INSTRUMENTS = 19


def steps_score(truth: Labels, predicted: Labels) -> float:
    """(macro F1 + edit score) / 2 of one video; nan where no moment is scored.

    Args:
        truth: int (T,), the data set's own numbers, -1 background.
        predicted: int (T,).
    """
    kept = ~np.isin(truth, UNSCORED_STEPS)
    truth, predicted = truth[kept], predicted[kept]
    if len(truth) == 0:
        return float("nan")
    f1 = [_f1(truth == c, predicted == c) for c in np.union1d(truth, predicted)]
    return (float(np.mean(f1)) + edit_score(truth, predicted) / 100) / 2


def instruments_score(truth: Sequence[set[int]], predicted: Sequence[set[int]]) -> float:
    """F1 of the instruments weighted by their true moments; nan where there is none.

    Args:
        truth: per moment the numbers in the two slots, 0 for none in view; -1 and -2 do not count.
        predicted: per moment.
    """
    a, b = (
        np.array([[c in said for c in range(INSTRUMENTS)] for said in side])
        for side in (truth, predicted)
    )
    support = a.sum(0)
    if support.sum() == 0:
        return float("nan")
    f1 = np.array([_f1(a[:, c], b[:, c]) for c in range(INSTRUMENTS)])
    return float((f1 * support).sum() / support.sum())


def _f1(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """1 where neither has the class, as the challenge's ``zero_division``."""
    total = int(truth.sum() + predicted.sum())
    return 2 * int((truth & predicted).sum()) / total if total else 1.0
