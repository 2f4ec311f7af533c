"""Metrics of maps: how well one foreground is found, picture by picture.

What papers on polyps report. A map is a probability of every pixel, taken as it is: the published
scripts first stretch each map to its own range, which hides a map that is sure of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.metrics.weighted_f import weighted_f

Probability = NDArray[np.floating]
Truth = NDArray[np.bool_]

LEVELS = 256
CONVENTION = (
    "foreground maps, all classes together, a probability for every pixel, not stretched to its "
    "own range (a network of instances: 1 inside its masks above the score threshold); mDice and "
    "mIoU: mean over pictures at probability 0.5, a picture empty in both "
    "counts 1; mDice and mIoU over 256: mean over thresholds 0, 1/255 ... 1 as well, as PraNet's "
    "tables; weighted F (Margolin 2014, beta 1): pictures with foreground; S-measure (Fan 2017, "
    "alpha 0.5); max E-measure (Fan 2018): mean over pictures at the best of the 256 thresholds, "
    "divided by all pixels; MAE: mean absolute difference"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapMetrics:
    """Metrics of a set of maps as shares in [0, 1]; nan without pictures to measure.

    Attributes:
        images: pictures.
        mdice, miou: mean over pictures at probability 0.5.
        mdice_256, miou_256: mean over pictures and 256 thresholds.
        weighted_f: mean over the pictures that have foreground.
        s_measure: mean over pictures.
        e_measure_max: of the best threshold for all pictures together.
        mae: mean over pictures; smaller is better.
    """

    images: int
    mdice: float
    miou: float
    mdice_256: float
    miou_256: float
    weighted_f: float
    s_measure: float
    e_measure_max: float
    mae: float

    def as_json(self) -> dict[str, Any]:
        """Percentages, None for nan, with the convention in words."""
        keys = ("mdice", "miou", "mdice_256", "miou_256", "weighted_f", "s_measure",
                "e_measure_max", "mae")  # fmt: skip
        values = {k: float(getattr(self, k)) for k in keys}
        shown = {k: None if np.isnan(v) else round(100 * v, 3) for k, v in values.items()}
        return {"images": self.images, **shown, "convention": CONVENTION}


def map_metrics(maps: Sequence[tuple[Probability, Truth]]) -> MapMetrics:
    """Measures maps against the truth.

    Args:
        maps: per picture the probability, float (H, W) in [0, 1], and the truth, bool (H, W).

    Raises:
        ValueError: a map and its truth have different sizes, or a value is outside [0, 1].
    """
    book = MapBook()
    for probability, truth in maps:
        book.add(probability, truth)
    return book.metrics()


class MapBook:
    """Metrics gathered picture by picture, so that the maps need not be kept."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, ...]] = []
        self._curves: list[NDArray[np.float64]] = []

    def add(self, probability: Probability, truth: Truth) -> None:
        """Counts one picture; see `map_metrics`."""
        if probability.shape != truth.shape or probability.ndim != 2:
            raise ValueError(f"a map of {probability.shape} for a truth of {truth.shape}")
        if not (probability.min() >= 0 and probability.max() <= 1):
            raise ValueError("a probability lies in [0, 1]")
        curves = threshold_curves(probability, truth)
        dice, iou = overlap(probability >= 0.5, truth)
        mae = float(np.abs(probability - truth).mean())
        row = (dice, iou, weighted_f(probability, truth), s_measure(probability, truth), mae)
        self._rows.append(row)
        self._curves.append(curves)

    def metrics(self) -> MapMetrics:
        """What was counted so far."""
        if not self._rows:
            nothing = float("nan")
            return MapMetrics(
                images=0, mdice=nothing, miou=nothing, mdice_256=nothing, miou_256=nothing,
                weighted_f=nothing, s_measure=nothing, e_measure_max=nothing, mae=nothing,
            )  # fmt: skip
        rows, curves = np.array(self._rows), np.mean(self._curves, axis=0)
        with_foreground = rows[~np.isnan(rows[:, 2]), 2]
        return MapMetrics(
            images=len(rows),
            mdice=float(rows[:, 0].mean()),
            miou=float(rows[:, 1].mean()),
            mdice_256=float(curves[0].mean()),
            miou_256=float(curves[1].mean()),
            weighted_f=float(with_foreground.mean()) if len(with_foreground) else float("nan"),
            s_measure=float(rows[:, 3].mean()),
            e_measure_max=float(curves[2].max()),
            mae=float(rows[:, 4].mean()),
        )


def overlap(found: Truth, truth: Truth) -> tuple[float, float]:
    """Dice and IoU of two masks, each 1 where both are empty."""
    shared, either = int((found & truth).sum()), int((found | truth).sum())
    if not either:
        return 1.0, 1.0
    return 2 * shared / (shared + either), shared / either


def threshold_curves(probability: Probability, truth: Truth) -> NDArray[np.float64]:
    """Dice, IoU and E-measure of a map cut at 0, 1/255 ... 1 (found: at least that), (3, 256)."""
    # The level up to which a pixel is found; what rounding leaves just below a level reaches it.
    reached = np.floor(probability.astype(np.float64) * (LEVELS - 1) + 1e-6).astype(np.intp)
    total, area = truth.size, int(truth.sum())
    right = _at_least(reached[truth])
    found = right + _at_least(reached[~truth])
    either = found + area - right
    empty = either == 0
    safe = np.maximum(either, 1)
    iou = np.where(empty, 1.0, right / safe)
    dice = np.where(empty, 1.0, 2 * right / (safe + right))
    return np.stack((dice, iou, _alignment(right, found, area, total)))


def _at_least(reached: NDArray[np.intp]) -> NDArray[np.float64]:
    """How many pixels are found at each of the thresholds, (256,)."""
    counts = np.bincount(reached, minlength=LEVELS)
    return counts[::-1].cumsum()[::-1].astype(np.float64)


def _alignment(
    right: NDArray[np.float64], found: NDArray[np.float64], area: int, total: int
) -> NDArray[np.float64]:
    """E-measure of binary masks: pixels fall into four kinds, each with one value.

    Source: Fan et al., "Enhanced-alignment measure", IJCAI 2018.
    """
    if area in (0, total):
        return found / total if area else 1 - found / total
    mean_found, mean_true = found / total, area / total
    score = np.zeros_like(found)
    for is_found, is_true, count in (
        (1, 1, right),
        (1, 0, found - right),
        (0, 1, area - right),
        (0, 0, total - found - area + right),
    ):
        a, b = is_found - mean_found, is_true - mean_true
        score += count * (1 + 2 * a * b / np.maximum(a * a + b * b, 1e-12)) ** 2 / 4
    return score / total


def s_measure(probability: Probability, truth: Truth) -> float:
    """Structure measure with alpha 0.5, in [0, 1].

    Half from objects, half from four regions around the truth's centre. Without foreground it is
    1 - the mean probability, without background the mean probability.

    Source: Fan et al., "Structure-measure", ICCV 2017.

    Args:
        probability: float (H, W) in [0, 1].
        truth: bool (H, W).
    """
    map_, share = probability.astype(np.float64), float(truth.mean())
    if share in (0.0, 1.0):
        return float(map_.mean()) if share else 1 - float(map_.mean())
    objects = share * _object(map_[truth]) + (1 - share) * _object(1 - map_[~truth])
    return max(0.0, 0.5 * objects + 0.5 * _regions(map_, truth))


def _object(values: NDArray[np.float64]) -> float:
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + spread + 1e-12)


def _regions(map_: NDArray[np.float64], truth: Truth) -> float:
    rows, columns = np.nonzero(truth)
    y, x = (int(np.floor(v.mean() + 1.5)) for v in (rows, columns))
    score = 0.0
    for across in (np.s_[:x], np.s_[x:]):
        for down in (np.s_[:y], np.s_[y:]):
            part = truth[down, across]
            if part.size:
                alike = _similarity(map_[down, across], part.astype(np.float64))
                score += alike * part.size / truth.size
    return score


def _similarity(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Structural similarity of two regions as wholes."""
    x, y, free = a.mean(), b.mean(), max(a.size - 1, 1)
    var_a, var_b = ((a - x) ** 2).sum() / free, ((b - y) ** 2).sum() / free
    both = ((a - x) * (b - y)).sum() / free
    top, bottom = 4 * x * y * both, (x * x + y * y) * (var_a + var_b)
    if top == 0:
        return 1.0 if bottom == 0 else 0.0
    return float(top / (bottom + 1e-12))
