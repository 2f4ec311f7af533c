"""Coverage, overlap and false alarms against pictures counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.course import Course
from app.core.mask import Mask
from app.core.picture import LabelledPicture
from app.core.prediction import Instance
from app.learning.evaluate import box_coverage, false_area, union_iou
from app.learning.evaluate_phases import shown

Columns = tuple[int, int]


def instance(columns: Columns, label: str = "grasper") -> Instance:
    """Columns [a, b) of a picture of 10 rows and 100 columns."""
    plane = np.zeros((10, 100), bool)
    plane[:, columns[0] : columns[1]] = True
    return Instance(label=label, mask=Mask.from_full(plane))


def picture(
    *instances: Instance, ignore: Columns | None = None, boxes: tuple = ()
) -> LabelledPicture:
    return LabelledPicture(
        name="p",
        group="g",
        rgb=np.zeros((10, 100, 3), np.uint8),
        instances=instances,
        ignore=None if ignore is None else instance(ignore).mask,
        boxes=boxes,
    )


def says(*instances: Instance):
    return lambda _rgb: instances


def test_overlap_of_all_instruments_together() -> None:
    found = instance((0, 10)), instance((5, 20))
    assert union_iou(found, picture(instance((10, 30)))) == pytest.approx(10 / 30)
    rest = union_iou(found, picture(instance((10, 30)), ignore=(0, 10)))
    assert rest == pytest.approx(10 / 20)
    assert union_iou((), picture()) == 1.0


def test_a_specimen_bag_is_no_instrument() -> None:
    bag = instance((50, 90), "specimen_bag")
    found = (instance((10, 20)),)
    assert union_iou(found, picture(instance((10, 20)), bag)) == 1.0
    assert false_area(found, picture(bag)) == 0.1
    assert false_area((bag,), picture()) == 0.0


def test_false_alarms_are_counted_where_nothing_is_to_be_found() -> None:
    found = (instance((10, 20)),)
    assert false_area(found, picture()) == pytest.approx(0.1)
    assert false_area(found, picture(instance((0, 5)))) is None
    assert false_area(found, picture(ignore=(10, 15))) == pytest.approx(0.05)


def test_boxes_are_covered_from_a_fifth_of_their_area_on() -> None:
    boxes = (
        ("hook", (0.0, 0.0, 50.0, 10.0)),
        ("hook", (40.0, 0.0, 100.0, 10.0)),
        ("grasper", (-20.0, -3.0, 10.0, 10.0)),
    )
    got = box_coverage(says(instance((0, 10))), [picture(boxes=boxes), picture()])
    assert got.boxes == 3
    assert got.per_kind == {"grasper": 1.0, "hook": 0.5}
    assert got.covered == pytest.approx(2 / 3)
    assert got.area == pytest.approx(0.1)


@pytest.mark.parametrize("with_course", [False, True])
def test_the_measured_timeline_names_a_phase_for_every_second(with_course: bool) -> None:
    course = Course(start=(0.5, 0.5), change=((0.9, 0.1), (0.1, 0.9)), seen=(0.5, 0.5), weight=0.5)
    truth = np.repeat([0, 1], 30)
    answers = np.where(truth[:, None] == [0, 1], 0.8, 0.2)
    found = shown(answers, ("a", "b"), course if with_course else None, 1.0)
    assert found.tolist() == truth.tolist()
