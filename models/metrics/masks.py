"""Metrics of instance masks: COCO average precision, precision and recall, Dice and IoU."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CONVENTION = (
    "COCO mask AP: IoU 0.50 to 0.95 in steps of 0.05, 101 recall points, at most 100 instances "
    "per picture, all sizes, mean over classes that occur in the truth; precision and recall at "
    "IoU 0.5 and the confidence of the largest mean F1; Dice and IoU per class from the united "
    "masks of all pictures, predictions above the score threshold"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledMask:
    """One instance, true or predicted.

    Attributes:
        rle: COCO's compressed run lengths, {"size": [H, W], "counts": bytes}.
        label: class index.
        score: confidence; 1 for a human's.
        ignore: a true region in which nothing is counted (COCO's crowd).
    """

    rle: dict[str, Any]
    label: int
    score: float = 1.0
    ignore: bool = False


def encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO run lengths of a bool (H, W) mask."""
    return rle_tools.encode(np.asfortranarray(mask, np.uint8))  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskMetrics:
    """Metrics as shares in [0, 1]; nan where the truth has nothing to measure.

    A class that is predicted and not in the truth has Dice and IoU 0, which the means count.

    Attributes:
        images: pictures.
        instances: true instances, ignored regions left out.
        map50: mean over classes of AP at IoU 0.5.
        map50_95: mean over classes and the ten IoUs.
        precision: at the confidence of the largest mean F1, IoU 0.5.
        recall: there too.
        dice: mean over classes.
        iou: mean over classes.
        per_class: the same six by class name, and "instances".
    """

    images: int
    instances: int
    map50: float
    map50_95: float
    precision: float
    recall: float
    dice: float
    iou: float
    per_class: dict[str, dict[str, float]]

    def as_json(self) -> dict[str, Any]:
        """Percentages, None for nan, with the convention in words."""
        keys = ("map50", "map50_95", "precision", "recall", "dice", "iou")

        def percent(value: float) -> float | None:
            return None if np.isnan(value) else round(100 * value, 3)

        def row(values: dict[str, float]) -> dict[str, float | None]:
            return {k: percent(v) if k in keys else v for k, v in values.items()}

        return {
            "images": self.images,
            "instances": self.instances,
            **{key: percent(getattr(self, key)) for key in keys},
            "per_class": {name: row(values) for name, values in self.per_class.items()},
            "convention": CONVENTION,
        }


def mask_metrics(
    truth: Sequence[Sequence[LabelledMask]],
    predicted: Sequence[Sequence[LabelledMask]],
    classes: Sequence[str],
    *,
    score_above: float = 0.25,
) -> MaskMetrics:
    """Compares predictions with the truth, picture by picture.

    Args:
        truth: per picture its true instances.
        predicted: per picture its predictions, down to very low scores for average precision.
        classes: class names by index.
        score_above: predictions that count for Dice and IoU.

    Raises:
        ValueError: the two have different lengths.
    """
    if len(truth) != len(predicted):
        raise ValueError("truth and predictions are of different numbers of pictures")
    instances = np.zeros(len(classes), np.int64)
    for items in truth:
        for item in items:
            instances[item.label] += not item.ignore
    ap = np.full((10, len(classes)), np.nan)
    pr = np.full((2, len(classes)), np.nan)
    if instances.any():
        evaluation = _evaluate(truth, predicted, len(classes))
        table = evaluation.eval["precision"][:, :, :, 0, -1]
        ap = np.where(instances > 0, table.mean(1), np.nan)
        pr = _at_best_f1(evaluation, instances)
    overlap = _overlaps(truth, predicted, len(classes), score_above)
    values = {
        "map50": ap[0],
        "map50_95": ap.mean(0),
        "precision": pr[0],
        "recall": pr[1],
        "dice": overlap[0],
        "iou": overlap[1],
    }
    return MaskMetrics(
        images=len(truth),
        instances=int(instances.sum()),
        per_class={
            name: {"instances": int(instances[i]), **{k: float(v[i]) for k, v in values.items()}}
            for i, name in enumerate(classes)
        },
        **{k: _mean(v) for k, v in values.items()},
    )


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _evaluate(
    truth: Sequence[Sequence[LabelledMask]],
    predicted: Sequence[Sequence[LabelledMask]],
    classes: int,
) -> COCOeval:
    """Runs COCO's evaluation, silently."""

    def rows(sets: Sequence[Sequence[LabelledMask]]) -> list[dict[str, Any]]:
        flat = [(i, item) for i, items in enumerate(sets) for item in items]
        return [
            {
                "id": number,
                "image_id": i,
                "category_id": item.label,
                "segmentation": item.rle,
                "area": float(rle_tools.area(item.rle)),
                "bbox": rle_tools.toBbox(item.rle).tolist(),
                "iscrowd": int(item.ignore),
                "score": item.score,
            }
            for number, (i, item) in enumerate(flat, 1)
        ]

    shared = {
        "images": [{"id": i, "height": 0, "width": 0} for i in range(len(truth))],
        "categories": [{"id": k} for k in range(classes)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        books = []
        for sets in (truth, predicted):
            book = COCO()
            book.dataset = {**shared, "annotations": rows(sets)}
            book.createIndex()
            books.append(book)
        evaluation = COCOeval(*books, "segm")
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _at_best_f1(evaluation: COCOeval, instances: NDArray[np.int64]) -> NDArray[np.float64]:
    """Precision and recall, (2, classes), at the confidence where the mean F1 peaks.

    Above its last prediction a class has precision 1; one that is never predicted has 0.
    """
    grid = np.linspace(0, 1, 1001)
    curves = np.full((2, len(instances), len(grid)), np.nan)
    pictures = len(evaluation.params.imgIds)
    for k in np.flatnonzero(instances):
        seen = [e for e in evaluation.evalImgs[k * pictures : (k + 1) * pictures] if e]
        scores = np.concatenate([e["dtScores"] for e in seen])
        hit = np.concatenate([e["dtMatches"][0] > 0 for e in seen])
        counted = ~np.concatenate([e["dtIgnore"][0].astype(bool) for e in seen])
        above = scores[None] >= grid[:, None]
        right = (above & hit & counted).sum(1)
        given = (above & counted).sum(1)
        beyond = 1.0 if counted.any() else 0.0
        curves[0, k] = np.where(given > 0, right / np.maximum(given, 1), beyond)
        curves[1, k] = right / instances[k]
    known = curves[:, instances > 0]
    f1 = 2 * known.prod(0) / np.maximum(known.sum(0), 1e-12)
    best: NDArray[np.float64] = curves[:, :, f1.mean(0).argmax()]
    return best


def _overlaps(
    truth: Sequence[Sequence[LabelledMask]],
    predicted: Sequence[Sequence[LabelledMask]],
    classes: int,
    score_above: float,
) -> NDArray[np.float64]:
    """Dice and IoU, (2, classes), of the united masks, over the pixels of all pictures."""
    areas = np.zeros((3, classes))
    for true, said in zip(truth, predicted, strict=True):
        zone = [t.rle for t in true if t.ignore]
        for k in {m.label for m in (*true, *said)}:
            a = [t.rle for t in true if t.label == k and not t.ignore]
            b = [p.rle for p in said if p.label == k and p.score >= score_above]
            for row, sides in enumerate(((a, b), (a,), (b,))):
                areas[row, k] += _common(*sides) - (_common(*sides, zone) if zone else 0)
    shared, size_a, size_b = areas
    with np.errstate(invalid="ignore"):
        dice = 2 * shared / (size_a + size_b)
        return np.stack((dice, shared / (size_a + size_b - shared)))


def _common(*sides: list[dict[str, Any]]) -> float:
    """Pixels that lie in every side, a side being the union of its regions."""
    if not all(sides):
        return 0.0
    unions = [rle_tools.merge(side) for side in sides]
    return float(rle_tools.area(rle_tools.merge(unions, intersect=True)))
