"""What a model is worth on pictures: masks against masks, coverage of boxes, false alarms.

``predict`` maps uint8 (H, W, 3) RGB to instances in that picture's pixels, such as
``app.inference.Segmenter.predict``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.picture import LabelledPicture
from app.core.prediction import Instance
from app.learning.collate import NOT_INSTRUMENTS, class_of

if TYPE_CHECKING:
    from app.inference import DeviceChoice
    from app.learning.worst import Worst
    from models import ModelCard
    from models.metrics.masks import LabelledMask

LOWEST_SCORE = 0.001

Predict = Callable[[NDArray[np.uint8]], tuple[Instance, ...]]


def union(instances: Sequence[Instance], height_px: int, width_px: int) -> NDArray[np.bool_]:
    """Pixels of any instrument, bool (H, W); a specimen bag is none."""
    plane = np.zeros((height_px, width_px), bool)
    for instance in instances:
        if instance.label in NOT_INSTRUMENTS:
            continue
        x0, y0, x1, y1 = instance.mask.box
        plane[y0:y1, x0:x1] |= instance.mask.bits
    return plane


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Recall of boxes next to the predicted share, without which it means nothing.

    Attributes:
        boxes: number of boxes.
        covered: share of boxes of which at least 20 % of the area is predicted.
        area: mean predicted share of the picture.
        per_kind: label -> share covered.
    """

    boxes: int
    covered: float
    area: float
    per_kind: dict[str, float]


def box_coverage(
    predict: Predict,
    pictures: Iterable[LabelledPicture],
    at_least: float = 0.2,
    worst: Worst | None = None,
) -> Coverage:
    """Coverage of the pictures' boxes (specs: phantom findings, experiment).

    Args:
        worst: is told of every picture, ranked by how much of its least covered box is predicted.
    """
    hits: dict[str, list[bool]] = {}
    areas = []
    for picture in pictures:
        height, width = picture.rgb.shape[:2]
        said = predict(picture.rgb)
        plane = union(said, height, width)
        areas.append(float(plane.mean()))
        shares = []
        for label, (x0, y0, x1, y1) in picture.boxes:
            rows = slice(max(0, int(y0)), max(0, int(np.ceil(y1))))
            box = plane[rows, max(0, int(x0)) : max(0, int(np.ceil(x1)))]
            shares.append(float(box.mean()) if box.size else 0.0)
            hits.setdefault(label, []).append(shares[-1] >= at_least)
        if worst is not None and shares:
            worst.note(picture, said, min(shares))
    flat = [h for kind in hits.values() for h in kind]
    return Coverage(
        boxes=len(flat),
        covered=float(np.mean(flat)) if flat else float("nan"),
        area=float(np.mean(areas)) if areas else float("nan"),
        per_kind={kind: float(np.mean(found)) for kind, found in sorted(hits.items())},
    )


def false_area(found: Sequence[Instance], picture: LabelledPicture) -> float | None:
    """Predicted share of a picture, ignored pixels left out; None where it has an instrument."""
    if any(i.label not in NOT_INSTRUMENTS for i in picture.instances):
        return None
    plane = union(found, *picture.rgb.shape[:2])
    return float((plane & _known(picture)).mean())


def union_iou(found: Sequence[Instance], picture: LabelledPicture) -> float:
    """Intersection over union of all instruments together, ignored pixels left out.

    A picture without any instrument, seen and predicted, counts 1.
    """
    height, width = picture.rgb.shape[:2]
    known = _known(picture)
    said = union(found, height, width) & known
    truth = union(picture.instances, height, width) & known
    together = np.count_nonzero(said | truth)
    return float(np.count_nonzero(said & truth) / together) if together else 1.0


def _known(picture: LabelledPicture) -> NDArray[np.bool_]:
    if picture.ignore is None:
        return np.ones(picture.rgb.shape[:2], bool)
    return ~picture.ignore.full()


def truth_rows(picture: LabelledPicture, classes: Sequence[str]) -> list[LabelledMask]:
    """A picture's instances of the classes, and its unknown pixels as a region to ignore.

    Kinds that the model does not tell apart count as ``instrument``.
    """
    from models.metrics.masks import LabelledMask, encode

    known = [(class_of(i.label, classes), i.mask) for i in picture.instances]
    rows = [LabelledMask(rle=encode(m.full()), label=k) for k, m in known if k is not None]
    if picture.ignore is not None:
        zone = encode(picture.ignore.full())
        rows += [LabelledMask(rle=zone, label=k, ignore=True) for k in range(len(classes))]
    return rows


def found_rows(instances: Iterable[Instance], classes: Sequence[str]) -> list[LabelledMask]:
    """What a model of these classes found in a picture."""
    from models.metrics.masks import LabelledMask, encode

    return [
        LabelledMask(rle=encode(i.mask.full()), label=classes.index(i.label), score=i.score or 0.0)
        for i in instances
    ]


def mask_figures(
    card: ModelCard, pictures: Iterable[LabelledPicture], device: DeviceChoice | None = None
) -> dict[str, float]:
    """``map50``, ``map50_95``, ``dice`` and ``iou`` as shares; see ``app.learning.measure``."""
    from app.learning.measure import measure

    got = measure(card, pictures, device).masks
    figures = {k: getattr(got, k) for k in ("map50", "map50_95", "dice", "iou")}
    return {k: float(v) for k, v in figures.items() if not np.isnan(v)}
