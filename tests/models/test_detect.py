"""From raw output to instances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.lmsf_a.detect import detect, suppress
from models.types import InstanceOutput, anchor_grid


def output_with(
    boxes: list[tuple[float, float, float, float]], labels: list[int], scores: list[float]
) -> InstanceOutput:
    """An output of a 64 x 96 picture that says exactly these instances.

    Prototype 0 is 1 everywhere; prototype 1 is 1 in the left half and -1 in the right.
    """
    centres, strides = anchor_grid(64, 96, (8, 16, 32))
    a = len(centres)
    bins = torch.zeros(1, 4, 16, a)
    bins[:, :, 0] = 50
    logits = torch.full((1, 3, a), -12.0)
    coefficients = torch.zeros(1, 2, a)
    for box, label, score in zip(boxes, labels, scores, strict=True):
        middle = torch.tensor([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        at = int(((centres - middle).norm(dim=1) + 1000 * (logits[0].max(0).values > -12)).argmin())
        x, y = centres[at].tolist()
        sides = torch.tensor([x - box[0], y - box[1], box[2] - x, box[3] - y]) / strides[at]
        low, share = sides.long(), sides - sides.long()
        for side in range(4):
            bins[0, side, :, at] = -50
            bins[0, side, low[side], at] = torch.log(1 - share[side] + 1e-9)
            bins[0, side, low[side] + 1, at] = torch.log(share[side] + 1e-9)
        logits[0, label, at] = torch.logit(torch.tensor(score))
        coefficients[0, :, at] = (
            torch.tensor([0.0, 5.0]) if label == 2 else torch.tensor([5.0, 0.0])
        )
    prototypes = torch.ones(1, 2, 16, 24)
    prototypes[:, 1, :, 12:] = -1
    return InstanceOutput(bins.flatten(1, 2), logits, coefficients, prototypes, centres, strides)


def test_boxes_scores_and_masks_come_back() -> None:
    found = detect(output_with([(10, 12, 30, 40), (50, 20, 80, 50)], [0, 1], [0.6, 0.9]))[0]
    assert found.classes.tolist() == [1, 0]
    assert found.scores == pytest.approx([0.9, 0.6], abs=1e-4)
    assert found.boxes == pytest.approx(np.array([[50, 20, 80, 50], [10, 12, 30, 40]]), abs=1e-3)
    truth = np.zeros((2, 64, 96), np.bool_)
    truth[0, 20:50, 50:80] = truth[1, 12:40, 10:30] = True
    assert np.array_equal(found.masks, truth)


def test_masks_follow_the_prototypes_inside_the_box() -> None:
    mask = detect(output_with([(30, 10, 70, 50)], [2], [0.9]))[0].masks[0]
    assert mask[10:50, 30:48].mean() == pytest.approx(1)
    assert mask[:, 50:].sum() == 0
    assert mask[:, :30].sum() == mask[:10].sum() == mask[50:].sum() == 0


def test_boxes_are_cut_at_the_picture() -> None:
    found = detect(output_with([(-20, -10, 30, 40)], [0], [0.9]))[0]
    assert found.boxes[0] == pytest.approx([0, 0, 30, 40], abs=1e-3)


def test_a_better_box_suppresses_its_own_class_alone() -> None:
    boxes = [(10, 10, 40, 40), (11, 11, 41, 41), (10, 10, 41, 41)]
    found = detect(output_with(boxes, [0, 0, 1], [0.9, 0.8, 0.7]))[0]
    assert found.classes.tolist() == [0, 1]
    kept = suppress(np.array(boxes, np.float32), np.array([0, 0, 0]), 0.99)
    assert kept.tolist() == [0, 1, 2]


def test_nothing_above_the_threshold() -> None:
    found = detect(output_with([(10, 10, 40, 40)], [0], [0.2]), score_above=0.25)[0]
    assert found.masks.shape == (0, 64, 96)
    assert found.boxes.shape == (0, 4)
    assert len(found.scores) == len(found.classes) == 0
