"""Mask metrics against a case counted by hand, and at their edges."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models.metrics.masks import LabelledMask, encode, mask_metrics


def block(
    x0: int, x1: int, label: int = 0, score: float = 1.0, *, ignore: bool = False
) -> LabelledMask:
    """A mask over columns x0 to x1 of a picture of 10 rows and 100 columns."""
    mask = np.zeros((10, 100), np.bool_)
    mask[:, x0:x1] = True
    return LabelledMask(rle=encode(mask), label=label, score=score, ignore=ignore)


def test_average_precision_by_hand() -> None:
    """Three true masks in two pictures; predictions by score: hit, miss, hit at IoU 0.8.

    At IoU 0.5 the precision envelope is 1 up to recall 1/3 and 2/3 up to recall 2/3: of the
    101 recall points 34 lie at or below 1/3 and 33 more at or below 2/3. Above IoU 0.8 only
    the first hit counts.
    """
    truth = [[block(0, 10), block(20, 30)], [block(50, 60)]]
    said = [[block(0, 10, score=0.9), block(70, 80, score=0.8)], [block(52, 60, score=0.7)]]
    out = mask_metrics(truth, said, ["tool"], score_above=0.75)
    at_half = (34 * 1 + 33 * 2 / 3) / 101
    strict = 34 / 101
    assert out.map50 == pytest.approx(at_half, abs=1e-9)
    assert out.map50_95 == pytest.approx((7 * at_half + 3 * strict) / 10, abs=1e-9)
    # F1: 2/4 with one prediction, 2/5 with two, 4/6 with all three.
    assert out.precision == pytest.approx(2 / 3)
    assert out.recall == pytest.approx(2 / 3)
    # Scores above 0.75: 100 px right of 200 predicted and 300 true.
    assert out.dice == pytest.approx(2 * 100 / 500)
    assert out.iou == pytest.approx(100 / 400)
    assert (out.images, out.instances) == (2, 3)


def test_classes_are_apart_and_absent_ones_do_not_count() -> None:
    truth = [[block(0, 10, 0), block(20, 30, 1)]]
    said = [[block(0, 10, 0, 0.9), block(20, 30, 0, 0.8)]]
    out = mask_metrics(truth, said, ["a", "b", "c"])
    assert out.per_class["a"]["map50"] == pytest.approx(1)
    assert out.per_class["b"]["map50"] == 0
    assert np.isnan(out.per_class["c"]["map50"])
    assert np.isnan(out.per_class["c"]["iou"])
    assert out.map50 == pytest.approx(0.5)
    assert out.iou == pytest.approx((0.5 + 0) / 2)
    row = out.as_json()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert row["map50"] == 50
    assert row["per_class"]["c"]["map50"] is None
    assert row["per_class"]["a"]["instances"] == 1
    assert "101 recall points" in row["convention"]


def test_ignored_regions_cost_nothing() -> None:
    truth = [[block(0, 10), block(40, 100, ignore=True)]]
    said = [[block(0, 10, score=0.9), block(50, 60, score=0.95)]]
    out = mask_metrics(truth, said, ["tool"])
    assert out.instances == 1
    assert out.map50 == pytest.approx(1)
    assert out.precision == pytest.approx(1)
    assert out.iou == pytest.approx(1)
    without = mask_metrics([truth[0][:1]], said, ["tool"])
    assert without.map50 == pytest.approx(0.5)
    assert without.iou == pytest.approx(0.5)


def test_nothing_predicted_and_nothing_true() -> None:
    nothing = mask_metrics([[block(0, 10)]], [[]], ["tool"])
    assert (nothing.map50, nothing.precision, nothing.recall, nothing.iou) == (0, 0, 0, 0)
    one_class = mask_metrics(
        [[block(0, 10), block(20, 30, 1)]], [[block(0, 10, 0, 0.9)]], ["said", "never said"]
    )
    assert one_class.per_class["said"]["precision"] == pytest.approx(1)
    assert one_class.per_class["never said"]["precision"] == 0
    assert one_class.precision == pytest.approx(0.5)
    empty = mask_metrics([[]], [[block(0, 10, score=0.9)]], ["tool"])
    assert np.isnan(empty.map50)
    assert empty.iou == 0
    blank = mask_metrics([[]], [[]], ["tool"])
    assert np.isnan([blank.map50, blank.precision, blank.dice, blank.iou]).all()
    with pytest.raises(ValueError, match="different numbers"):
        mask_metrics([[]], [], ["tool"])
    assert blank.as_json()["map50"] is None


def test_two_predictions_of_one_instance_are_one_hit() -> None:
    out = mask_metrics([[block(0, 10)]], [[block(0, 10, score=0.5), block(0, 9, score=0.9)]], ["t"])
    assert out.map50 == pytest.approx(1)
    assert out.precision == pytest.approx(1)
    # Above IoU 0.9 only the second-best prediction is right, at precision one half.
    assert out.map50_95 == pytest.approx((9 + 0.5) / 10)
