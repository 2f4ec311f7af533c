"""Average precision of scores, as the field's scripts take it: a sum of steps, ties together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def average_precision(truth: Bools, scores: Floats) -> float:
    """Sum over distinct scores of precision times the recall that it adds, 0 to 1.

    The definition of scikit-learn's ``average_precision_score``; no interpolation.

    Args:
        truth: (T,).
        scores: (T,), higher is surer.

    Returns:
        nan where nothing is true.
    """
    positives = int(truth.sum())
    if positives == 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits = np.cumsum(truth[order])[ends]
    precision, recall = hits / (ends + 1), hits / positives
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def per_class(truth: Bools, scores: Floats) -> Floats:
    """Average precision of every column of (T, classes), in percent; nan where nothing is true."""
    columns = range(truth.shape[1])
    return 100 * np.array([average_precision(truth[:, c], scores[:, c]) for c in columns])


def mean_known(values: Floats) -> float:
    """Mean of what is known; nan where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
