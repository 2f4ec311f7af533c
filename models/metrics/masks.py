"""Metrics of instances: COCO's average precision of masks and boxes, precision, recall, overlap."""

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
    "per picture, all sizes, mean over classes that occur in the truth; box AP likewise, of the "
    "boxes around the masks; precision and recall at mask IoU 0.5 and the confidence of the "
    "largest mean F1; Dice and IoU per class from the united masks of all pictures, mDice and mIoU "
    "the mean over pictures that hold the class, true or predicted; predictions above the score "
    "threshold"
)
KEYS = ("map50", "map50_95", "box_map50", "box_map50_95", "precision", "recall", "dice", "iou",
        "mdice", "miou")  # fmt: skip


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
        map50: mean over classes of mask AP at IoU 0.5.
        map50_95: mean over classes and the ten IoUs.
        box_map50, box_map50_95: the same of the boxes around the masks.
        precision: at the confidence of the largest mean F1, IoU 0.5.
        recall: there too.
        dice, iou: mean over classes, of the united masks of all pictures.
        mdice, miou: mean over classes of the mean over pictures in which the class is true or
            predicted, of that picture's united masks.
        per_class: the same ten by class name, and "instances".
    """

    images: int
    instances: int
    map50: float
    map50_95: float
    box_map50: float
    box_map50_95: float
    precision: float
    recall: float
    dice: float
    iou: float
    mdice: float
    miou: float
    per_class: dict[str, dict[str, float]]

    def as_json(self) -> dict[str, Any]:
        """Percentages, None for nan, with the convention in words."""

        def percent(value: float) -> float | None:
            return None if np.isnan(value) else round(100 * value, 3)

        def row(values: dict[str, float]) -> dict[str, float | None]:
            return {k: percent(v) if k in KEYS else v for k, v in values.items()}

        return {
            "images": self.images,
            "instances": self.instances,
            **{key: percent(getattr(self, key)) for key in KEYS},
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
    ap = {kind: np.full((10, len(classes)), np.nan) for kind in ("segm", "bbox")}
    pr = np.full((2, len(classes)), np.nan)
    if instances.any():
        for kind in ap:
            evaluation = _evaluate(truth, predicted, len(classes), kind)
            table = evaluation.eval["precision"][:, :, :, 0, -1]
            ap[kind] = np.where(instances > 0, table.mean(1), np.nan)
            if kind == "segm":
                pr = _at_best_f1(evaluation, instances)
    overlap = _overlaps(truth, predicted, len(classes), score_above)
    rows = (ap["segm"][0], ap["segm"].mean(0), ap["bbox"][0], ap["bbox"].mean(0), *pr, *overlap)
    values = dict(zip(KEYS, rows, strict=True))
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
    kind: str,
) -> COCOeval:
    """Runs COCO's evaluation of masks ("segm") or boxes ("bbox"), silently."""

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
        evaluation = COCOeval(*books, kind)
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
    """Dice and IoU of the united masks, over all pictures' pixels and by picture, (4, classes)."""
    areas = np.zeros((3, classes))
    by_picture = np.zeros((3, classes))
    for true, said in zip(truth, predicted, strict=True):
        zone = [t.rle for t in true if t.ignore]
        for k in {m.label for m in (*true, *said)}:
            a = [t.rle for t in true if t.label == k and not t.ignore]
            b = [p.rle for p in said if p.label == k and p.score >= score_above]
            counts = [
                _common(*sides) - (_common(*sides, zone) if zone else 0)
                for sides in ((a, b), (a,), (b,))
            ]
            areas[:, k] += counts
            if counts[1] + counts[2]:
                by_picture[:, k] += (*_dice_and_iou(*counts), 1)
    with np.errstate(invalid="ignore"):
        means = by_picture[:2] / by_picture[2]
        return np.stack((*_dice_and_iou(*areas), *means))


def _dice_and_iou(shared: Any, size_a: Any, size_b: Any) -> tuple[Any, Any]:
    return 2 * shared / (size_a + size_b), shared / (size_a + size_b - shared)


def _common(*sides: list[dict[str, Any]]) -> float:
    """Pixels that lie in every side, a side being the union of its regions."""
    if not all(sides):
        return 0.0
    unions = [rle_tools.merge(side) for side in sides]
    return float(rle_tools.area(rle_tools.merge(unions, intersect=True)))
