"""Half precision is taken only where it says the same, and a run says which precision it had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from app.inference.device import DeviceChoice
from app.inference.precision import Detected, agrees, half_type
from app.inference.segmenter import Segmenter
from models.card import ModelCard

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)


def detected() -> Detected:
    mask = np.zeros((4, 4, 1), bool)
    mask[1:3] = True
    return Detected(
        anchors=np.array([2]),
        scores=np.array([0.1, 0.2, 0.9], np.float32),
        boxes=np.array([[1, 2, 30, 40]], np.float32),
        masks=mask,
    )


def test_the_same_agrees_and_a_little_less_does_too() -> None:
    full = detected()
    assert agrees(full, full)
    assert agrees(full, replace(full, scores=full.scores + 0.01, boxes=full.boxes + 0.3))


@pytest.mark.parametrize("field", ["scores", "boxes"])
@pytest.mark.parametrize("wrong", [1.0, np.nan, np.inf])
def test_another_answer_does_not_agree(field: str, wrong: float) -> None:
    full = detected()
    assert not agrees(full, replace(full, **{field: getattr(full, field) + np.float32(wrong)}))


def test_another_mask_does_not_agree() -> None:
    full = detected()
    assert not agrees(full, replace(full, masks=~full.masks))


def test_a_run_does_not_claim_a_precision_that_a_trial_may_change(instruments: ModelCard) -> None:
    open_ended = Segmenter(instruments, CPU, threads=1)
    exact = Segmenter(instruments, CPU, threads=1, may_halve=False)
    assert exact.describe()["precision"] == "fp32"
    kind = half_type(torch.device("cpu"))
    if kind is None:
        assert open_ended.describe()["precision"] == "fp32"
        return
    assert open_ended.describe()["precision"] == "fp32, bfloat16 where a trial finds it as good"
    rng = np.random.default_rng(1)
    for _ in range(2):
        open_ended.predict(rng.integers(0, 255, (200, 300, 3), dtype=np.uint8))
    assert open_ended.describe()["precision"] in ("fp32", "bfloat16")
