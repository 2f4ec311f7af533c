"""Mask metrics against a case counted by hand, and at their edges."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

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
    # 200 true, 200 predicted and 100 shared in the first picture, nothing in the second.
    assert (out.mdice, out.miou) == pytest.approx((1 / 4, 1 / 6))
    # Masks of whole columns are their own boxes.
    assert (out.box_map50, out.box_map50_95) == pytest.approx((out.map50, out.map50_95))


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


Plane = NDArray[np.bool_]


def mask_iou(a: Plane, b: Plane) -> float:
    return float((a & b).sum() / (a | b).sum())


def box_iou(a: Plane, b: Plane) -> float:
    """Of the boxes around two masks."""

    def box(plane: Plane) -> Plane:
        out = np.zeros_like(plane)
        rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
        out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        return out

    return mask_iou(box(a), box(b))


def slow_ap(
    truth: list[list[Plane]],
    said: list[list[tuple[float, Plane]]],
    iou: Callable[[Plane, Plane], float],
    at_least: float,
) -> float:
    """Average precision of one class as COCO describes it, in plain loops."""
    hits: list[tuple[float, bool]] = []
    for masks, found in zip(truth, said, strict=True):
        free = list(range(len(masks)))
        for score, mask in sorted(found, key=lambda f: -f[0]):
            best = max(free, key=lambda t: iou(mask, masks[t]), default=None)
            hit = best is not None and iou(mask, masks[best]) >= at_least - 1e-10
            if hit:
                free.remove(best)
            hits.append((score, hit))
    hits.sort(key=lambda h: -h[0])
    total = sum(len(masks) for masks in truth)
    points, right = [], 0
    for n, (_, hit) in enumerate(hits, 1):
        right += hit
        points.append((right / total, right / n))
    return (
        sum(
            max((p for r, p in points if r >= level / 100 - 1e-9), default=0.0)
            for level in range(101)
        )
        / 101
    )


@settings(max_examples=15)
@given(st.integers(0, 2**30))
def test_average_precision_beside_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def blob(near: Plane | None = None) -> Plane:
        plane = np.zeros((12, 12), bool)
        y, x = rng.integers(0, 8, 2)
        plane[y : y + rng.integers(2, 6), x : x + rng.integers(2, 6)] = True
        plane[y, x] = False
        return plane if near is None else near & (rng.random((12, 12)) < 0.85) | plane & near

    truth = [[blob() for _ in range(rng.integers(1, 3))] for _ in range(3)]
    scores = iter(rng.permutation(100) / 100)
    said = [
        [(float(next(scores)), m) for m in [*(blob(t) for t in masks), blob()] if m.any()]
        for masks in truth
    ]
    out = mask_metrics(
        [[LabelledMask(rle=encode(m), label=0) for m in masks] for masks in truth],
        [[LabelledMask(rle=encode(m), label=0, score=s) for s, m in found] for found in said],
        ["thing"],
    )
    for iou, at_half, over_all in (
        (mask_iou, out.map50, out.map50_95),
        (box_iou, out.box_map50, out.box_map50_95),
    ):
        by_level = [slow_ap(truth, said, iou, 0.5 + 0.05 * n) for n in range(10)]
        assert at_half == pytest.approx(by_level[0], abs=1e-9)
        assert over_all == pytest.approx(np.mean(by_level), abs=1e-9)
