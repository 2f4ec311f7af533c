"""Everything that outlines can be measured by, in one pass of a model over labelled pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.core.picture import LabelledPicture
from app.core.prediction import Instance
from app.learning.collate import class_of
from app.learning.evaluate import LOWEST_SCORE, false_area, found_rows, truth_rows, union_iou
from models.metrics.maps import MapBook, MapMetrics
from models.metrics.masks import MaskMetrics, mask_metrics

if TYPE_CHECKING:
    from app.inference import DeviceChoice
    from app.learning.worst import Worst
    from models import ModelCard

Change = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Figures of one pass.

    Attributes:
        masks: by class.
        maps: of the foreground, all classes together.
        union_ious: per picture, of all instances together.
        false_areas: per picture without an instance, the share that was marked all the same.
        left_out: labels of the data that are no class of the model, with their instances.
    """

    masks: MaskMetrics
    maps: MapMetrics
    union_ious: tuple[float, ...]
    false_areas: tuple[float, ...]
    left_out: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Percentages, with every convention in words."""
        overlaps = np.array(self.union_ious or (np.nan,))
        return {
            **self.masks.as_json(),
            "foreground": self.maps.as_json(),
            "empty_images": len(self.false_areas),
            "empty_images_over_half_percent": sum(a > 0.005 for a in self.false_areas),
            "union_iou_mean": round(100 * float(overlaps.mean()), 2),
            "union_iou_median": round(100 * float(np.median(overlaps)), 2),
            "left_out": self.left_out,
        }


def measure(
    card: ModelCard,
    pictures: Iterable[LabelledPicture],
    device: DeviceChoice | None = None,
    *,
    change: Change | None = None,
    worst: Worst | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Measured:
    """Runs a model over pictures, in full precision.

    Average precision sees predictions of any score, all else those above the card's threshold.
    Kinds that the model does not tell apart count as ``instrument`` where it has that class.

    Args:
        card: of a segmentation model.
        pictures: each is looked at once.
        device: chosen when None.
        change: what is done to a picture, given its number, before the model sees it.
        worst: is told of every picture as the model saw it, ranked by the overlap of all instances.
        on_progress: called with how many are done.

    Raises:
        BadInput: the model's weights or a picture cannot be read.
    """
    from app.inference import Segmenter

    low = replace(card, thresholds={**card.thresholds, "score": LOWEST_SCORE})
    segmenter = Segmenter(low, device)
    threshold = card.thresholds.get("score", 0.25)
    classes = card.class_keys
    truth, found, overlaps, alarms = [], [], [], []
    book, strange = MapBook(), Counter[str]()
    for number, picture in enumerate(pictures):
        rgb = picture.rgb if change is None else change(picture.rgb, number)
        output = segmenter.raw(rgb)
        said = segmenter.instances_from(output)
        sure = tuple(i for i in said if (i.score or 0.0) >= threshold)
        truth.append(truth_rows(picture, classes))
        found.append(found_rows(said, classes))
        overlaps.append(union_iou(sure, picture))
        if (share := false_area(sure, picture)) is not None:
            alarms.append(share)
        marked = segmenter.map_from(output)
        if marked is None:
            marked = _united(sure, picture).astype(np.float32)
        book.add(*_known(marked, picture, classes))
        if worst is not None:
            worst.note(replace(picture, rgb=rgb), sure, overlaps[-1])
        strange.update(i.label for i in picture.instances if class_of(i.label, classes) is None)
        on_progress(number + 1)
    return Measured(
        masks=mask_metrics(truth, found, classes, score_above=threshold),
        maps=book.metrics(),
        union_ious=tuple(overlaps),
        false_areas=tuple(alarms),
        left_out=dict(strange.most_common()),
    )


def _united(instances: Iterable[Instance], picture: LabelledPicture) -> NDArray[np.bool_]:
    plane = np.zeros(picture.rgb.shape[:2], bool)
    for instance in instances:
        x0, y0, x1, y1 = instance.mask.box
        plane[y0:y1, x0:x1] |= instance.mask.bits
    return plane


def _known(
    marked: NDArray[np.float32], picture: LabelledPicture, classes: tuple[str, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The map and the truth; pixels about which nothing is known are background in both."""
    mine = (i for i in picture.instances if class_of(i.label, classes) is not None)
    true = _united(mine, picture)
    if picture.ignore is not None:
        zone = picture.ignore.full()
        marked, true = np.where(zone, np.float32(0), marked), true & ~zone
    return marked, true
