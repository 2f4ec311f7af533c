"""Metrics of labels that exclude one another, all from one table of what was called what.

For semantic areas the table counts pixels of all pictures, for activities it counts pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONVENTION = (
    "One confusion matrix over everything measured. Dice, IoU, precision and recall per class, "
    "their means over the classes that occur in truth or prediction, background included; "
    "miou_published is EndoARSS's: TP / (TP + FP + FN + 0.001), its plain mean over all classes"
)


class Confusion:
    """Counts of (true class, called class); what is labelled below 0 is left out.

    Args:
        names: of the classes, in order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.counts = np.zeros((len(names), len(names)), np.int64)

    def add(self, truth: NDArray[np.integer[Any]], called: NDArray[np.integer[Any]]) -> None:
        """Counts some labels.

        Args:
            truth: class indices of any shape; below 0 where nothing is known.
            called: class indices, of the same shape.

        Raises:
            ValueError: the shapes differ, or an index is beyond the classes.
        """
        if truth.shape != called.shape:
            raise ValueError(f"truth is {truth.shape}, called {called.shape}")
        known = truth >= 0
        true, said = truth[known].astype(np.int64), called[known].astype(np.int64)
        size = len(self.names)
        if true.size and (true.max() >= size or said.max() >= size or said.min() < 0):
            raise ValueError(f"labels beyond the {size} classes")
        pairs = np.bincount(true * size + said, minlength=size * size)
        self.counts += pairs.reshape(size, size)

    def per_class(self) -> dict[str, dict[str, float]]:
        """Shares in [0, 1] by class name; nan where there is nothing to divide by."""
        right = np.diag(self.counts).astype(float)
        true, said = self.counts.sum(1), self.counts.sum(0)
        columns = {
            "iou": _share(right, true + said - right),
            "dice": _share(2 * right, true + said),
            "precision": _share(right, said),
            "recall": _share(right, true),
        }
        return {
            name: {key: float(values[i]) for key, values in columns.items()}
            for i, name in enumerate(self.names)
        }

    def figures(self) -> dict[str, float]:
        """Means over the classes that occur, and the accuracy; nan where nothing was counted.

        A class that is called and never true has no recall and precision 0; one that is true and
        never called has no precision and recall 0. For the means, what such a class lacks is 0.
        """
        right = np.diag(self.counts).astype(float)
        true, said = self.counts.sum(1), self.counts.sum(0)
        occurs = (true + said) > 0
        total = self.counts.sum()
        if not total:
            keys = ("accuracy", "miou", "mdice", "precision", "recall", "f1", "miou_published")
            return dict.fromkeys(keys, float("nan"))

        def mean(values: NDArray[np.float64]) -> float:
            return float(np.nan_to_num(values[occurs]).mean())

        dice = _share(2 * right, true + said)
        return {
            "accuracy": float(right.sum() / total),
            "miou": mean(_share(right, true + said - right)),
            "mdice": mean(dice),
            "precision": mean(_share(right, said)),
            "recall": mean(_share(right, true)),
            "f1": mean(dice),
            "miou_published": float((right / (true + said - right + 1e-3)).mean()),
        }

    def as_json(self) -> dict[str, Any]:
        """Percentages, None for nan, with the convention in words."""
        return {
            **{k: _percent(v) for k, v in self.figures().items()},
            "per_class": {
                name: {k: _percent(v) for k, v in values.items()}
                for name, values in self.per_class().items()
            },
            "convention": CONVENTION,
        }


def _share(part: NDArray[np.float64], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=np.asarray(whole) > 0)


def _percent(value: float) -> float | None:
    return None if np.isnan(value) else round(100 * value, 3)
