"""Half precision is taken only where the same instances come out, and a run says which it had."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.core.mask import Mask
from app.core.prediction import Instance
from app.inference import segmenter as segmenting
from app.inference.device import DeviceChoice
from app.inference.precision import agrees, half_type, is_telling
from app.inference.segmenter import Segmenter
from models.card import ModelCard
from models.types import InstanceOutput

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)

THRESHOLD = 0.15


def found(score: float, *, label: str = "hook", left: int = 10, width: int = 40) -> Instance:
    """A box of 40 rows and ``width`` columns."""
    plane = np.zeros((60, 200), bool)
    plane[10:50, left : left + width] = True
    return Instance(label=label, mask=Mask.from_full(plane), score=score)


@pytest.mark.parametrize(
    ("full", "half", "same"),
    [
        ([found(0.8)], [found(0.79)], True),
        ([found(0.8)], [found(0.77)], False),
        ([found(0.8)], [found(0.8, left=11)], False),
        ([found(0.8, width=100)], [found(0.8, width=99)], True),
        ([found(0.8)], [found(0.8, label="grasper")], False),
        ([found(0.8)], [], False),
        ([], [found(0.8)], False),
        ([found(0.8), found(0.16, left=90)], [found(0.8)], True),
        ([found(0.8)], [found(0.8), found(0.16, left=90)], True),
        ([found(0.8), found(0.16, left=90)], [found(0.8), found(0.16, left=120)], True),
        ([found(0.8), found(0.8)], [found(0.8)], False),
        ([found(0.8), found(0.5, left=90)], [found(0.5, left=90), found(0.8)], True),
    ],
)
def test_what_counts_as_the_same(full: list[Instance], half: list[Instance], same: bool) -> None:
    assert agrees(full, half, THRESHOLD) is same


def test_a_doubtful_frame_is_no_trial() -> None:
    assert not is_telling([], THRESHOLD)
    assert not is_telling([found(0.16)], THRESHOLD)
    assert is_telling([found(0.16), found(0.2)], THRESHOLD)


@pytest.mark.parametrize("part", ["class_logits", "boxes", "prototypes"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_overflows_is_refused(
    instruments: ModelCard, part: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenting, "half_type", lambda _: torch.bfloat16)
    monkeypatch.setattr(segmenting, "is_telling", lambda *_: True)
    segmenter = Segmenter(instruments, CPU, threads=1)
    right = segmenter._forward

    def overflowing(choice: DeviceChoice, *, half: bool = True) -> InstanceOutput:
        output = right(choice, half=half)
        if segmenter._half is None or not half:
            return output
        tried.append(True)
        return output._replace(**{part: torch.full_like(getattr(output, part), value)})

    tried: list[bool] = []
    monkeypatch.setattr(segmenter, "_forward", overflowing)
    segmenter.predict(np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8))
    assert tried
    assert segmenter.describe()["precision"] == "fp32"


@pytest.mark.parametrize("slow", [1, 9])
def test_a_trial_beside_other_work_is_repeated(
    instruments: ModelCard, slow: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenting, "half_type", lambda _: torch.bfloat16)
    monkeypatch.setattr(segmenting, "is_telling", lambda *_: True)
    monkeypatch.setattr(segmenting, "agrees", lambda *_: True)
    monkeypatch.setattr(segmenting, "_FRAMES_BETWEEN_TRIALS", 1)
    trials: list[bool] = []

    def faster(*_: object) -> bool:
        trials.append(len(trials) >= slow)
        return trials[-1]

    monkeypatch.setattr(segmenting, "faster", faster)
    segmenter = Segmenter(instruments, CPU, threads=1)
    for _ in range(12):
        segmenter.predict(np.zeros((64, 96, 3), np.uint8))
    assert len(trials) == min(slow + 1, 4)
    assert segmenter.describe()["precision"] == ("bfloat16" if slow == 1 else "fp32")


def test_a_run_does_not_claim_a_precision_that_a_trial_may_change(instruments: ModelCard) -> None:
    open_ended = Segmenter(instruments, CPU, threads=1)
    exact = Segmenter(instruments, CPU, threads=1, may_halve=False)
    assert exact.describe()["precision"] == "fp32"
    kind = half_type(torch.device("cpu"))
    may_change = "fp32, bfloat16 where a trial finds it as good"
    assert open_ended.describe()["precision"] == ("fp32" if kind is None else may_change)
    rng = np.random.default_rng(1)
    threshold = open_ended.rules.score_threshold
    seen = [open_ended.predict(rng.integers(0, 255, (200, 300, 3), np.uint8)) for _ in range(2)]
    if kind is not None and is_telling(seen[0], threshold):
        assert open_ended.describe()["precision"] in ("fp32", "bfloat16")
