"""Of a network's raw detections the distinct ones stay, with boxes in the input's pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.inference.masks import masks_of
from app.inference.postprocess import (
    Candidates,
    Rules,
    decode_boxes,
    find_candidates,
    instances_of,
    keep_distinct,
)
from app.inference.preprocess import fit_frame, letterbox


@given(st.integers(40, 2000), st.integers(40, 2000))
def test_the_input_is_the_smallest_that_holds_the_picture(width: int, height: int) -> None:
    fit = letterbox(width, height, (640, 640))
    assert fit.input_width_px % 32 == fit.input_height_px % 32 == 0
    assert max(fit.picture_width_px, fit.picture_height_px) == 640
    assert 0 <= fit.input_width_px - fit.picture_width_px < 32
    assert 0 <= fit.input_height_px - fit.picture_height_px < 32
    picture = fit_frame(np.zeros((height, width, 3), np.uint8), fit)
    assert picture.shape == (fit.input_height_px, fit.input_width_px, 3)
    black = (picture == 0).all(axis=2)
    assert black.sum() == fit.picture_width_px * fit.picture_height_px


def test_a_frame_fills_the_same_buffer_again() -> None:
    fit = letterbox(320, 180, (128, 128))
    first = fit_frame(np.full((180, 320, 3), 10, np.uint8), fit)
    second = fit_frame(np.full((180, 320, 3), 200, np.uint8), fit, first)
    assert second is first
    assert set(np.unique(first)) == {114, 200}


def test_candidates_are_the_best_classes_above_the_threshold() -> None:
    logits = np.full((6, 3), -9, np.float32)
    logits[4, 2], logits[1, 0], logits[3, 1] = 2.0, 0.5, -0.5
    found = find_candidates(logits, Rules(score_threshold=0.5))
    assert found.anchors.tolist() == [4, 1]
    assert found.classes.tolist() == [2, 0]
    assert found.scores == pytest.approx([0.8808, 0.6225], abs=1e-4)


def test_at_most_so_many_candidates_are_compared() -> None:
    logits = np.linspace(1, 2, 50, dtype=np.float32)[:, None]
    found = find_candidates(logits, Rules(max_candidates=7))
    assert found.anchors.tolist() == [49, 48, 47, 46, 45, 44, 43]


def test_boxes_are_the_expected_distances_in_strides() -> None:
    bins = np.full((1, 64), -30, np.float32)
    for side, distance in enumerate((1, 2, 3, 4)):
        bins[0, side * 16 + distance] = 30
    centres, strides = np.array([[100, 50]], np.float32), np.array([8], np.float32)
    assert decode_boxes(bins, centres, strides) == pytest.approx(np.array([[92, 34, 124, 82]]))


def candidates(classes: list[int], scores: list[float]) -> Candidates:
    return Candidates(
        anchors=np.arange(len(classes)),
        classes=np.array(classes),
        scores=np.array(scores, np.float32),
    )


def test_a_better_box_suppresses_its_own_class_alone_unless_asked() -> None:
    boxes = np.array([[0, 0, 100, 100], [2, 0, 102, 100], [1, 0, 101, 100], [300, 0, 400, 9]], "f4")
    some = candidates([0, 0, 1, 0], [0.9, 0.8, 0.7, 0.6])
    assert keep_distinct(boxes, some, Rules()).tolist() == [0, 2, 3]
    assert keep_distinct(boxes, some, Rules(class_agnostic=True)).tolist() == [0, 3]
    assert keep_distinct(boxes, some, Rules(max_instances=1)).tolist() == [0]
    assert keep_distinct(boxes[:0], candidates([], []), Rules()).tolist() == []


@settings(max_examples=40)
@example(seed=9235, agnostic=False)
@given(seed=st.integers(0, 10_000), agnostic=st.booleans())
def test_suppression_equals_the_greedy_definition(seed: int, agnostic: bool) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-50, 80, (30, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (30, 2))], 1).astype(np.float32)
    scores = np.sort(rng.uniform(0.3, 1, 30))[::-1]
    some = candidates(rng.integers(0, 3, 30).tolist(), scores.tolist())
    rules = Rules(class_agnostic=agnostic, overlap_threshold=0.5, max_instances=30)
    kept: list[int] = []
    for i in range(30):
        rivals = [k for k in kept if agnostic or some.classes[k] == some.classes[i]]
        if all(box_iou(boxes[i], boxes[k]) <= 0.5 for k in rivals):
            kept.append(i)
    assert keep_distinct(boxes, some, rules).tolist() == kept


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, float(w)) * max(0.0, float(h))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return both / (float(area) - both)


def test_a_mask_without_pixels_is_no_instance() -> None:
    fit = letterbox(640, 384, (640, 384))
    prototypes = np.full((96, 160, 1), -1, np.float32)
    prototypes[:, :80] = 1
    boxes = np.array([[400, 0, 500, 90], [10, 10, 90, 90], [700, 0, 900, 90]], np.float32)
    masks = masks_of(boxes, np.ones((3, 1), np.float32), prototypes, fit)
    some = candidates([0, 1, 0], [0.9, 0.8, 0.7])
    (found,) = instances_of(masks, some, np.arange(3), ("hook", "grasper"))
    assert (found.label, found.mask.box) == ("grasper", (10, 10, 90, 90))
    assert found.score == pytest.approx(0.8)
