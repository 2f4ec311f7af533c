"""The guard compares tensor by tensor, and names what is too far away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from app.inference.engines.eager import Eager, TorchEngine
from app.inference.engines.guard import Difference, compare
from app.inference.outputs import Output
from app.inference.postprocess import rules_of
from app.inference.preprocess import letterbox
from models.card import ModelCard
from models.types import InstanceOutput, MapOutput
from tests.inference.engines.conftest import CPU, SIZE_PX, picture

FIT = letterbox(*SIZE_PX, SIZE_PX)


@pytest.fixture(scope="module")
def reference(instruments: ModelCard) -> InstanceOutput:
    output = Eager(instruments).forward(picture(), CPU)
    assert isinstance(output, InstanceOutput)
    return output


def judged(card: ModelCard, reference: Output, other: Output) -> Difference:
    return compare(reference, other, FIT, rules_of(card), card)


def test_the_same_output_passes(instruments: ModelCard, reference: InstanceOutput) -> None:
    found = judged(instruments, reference, reference)
    assert found.passes
    assert (found.box_px, found.score, found.mask_iou, found.flips) == (0.0, 0.0, 1.0, 0)


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("boxes", lambda t: t * 1.5, "boxes differ"),
        ("class_logits", lambda t: t + 0.2, "scores differ"),
        ("class_logits", lambda t: t.flip(1), "kinds are told apart otherwise"),
        ("mask_coefficients", lambda t: -t, "masks overlap"),
        ("prototypes", lambda t: t.roll(6, 3), "masks overlap"),
        ("prototypes", lambda t: t * torch.nan, "not numbers"),
        ("boxes", lambda t: t / 0.0, "not numbers"),
    ],
)
def test_a_tensor_that_is_off_is_named(
    instruments: ModelCard, reference: InstanceOutput, part: str, change, said: str
) -> None:
    found = judged(
        instruments, reference, reference._replace(**{part: change(getattr(reference, part))})
    )
    assert not found.passes
    assert said in found.words
    assert found.words.startswith("Refused: ")


def test_perturbed_weights_are_refused(instruments: ModelCard, reference: InstanceOutput) -> None:
    damaged = Eager(instruments)
    damaged_engine = TorchEngine(damaged, CPU, half=False)
    assert judged(instruments, reference, damaged_engine.forward(picture())).passes
    torch.manual_seed(0)
    with torch.inference_mode():
        for weight in damaged._placed.network.head.parameters():
            weight.add_(torch.randn_like(weight) * weight.abs().mean() * 0.2)
    assert not judged(instruments, reference, damaged_engine.forward(picture())).passes


def test_where_nothing_is_found_nothing_is_known(
    instruments: ModelCard, reference: InstanceOutput
) -> None:
    timid = replace(instruments, thresholds={"score": 1.0})
    found = judged(timid, reference, reference)
    assert not found.passes
    assert not found.faults()
    assert found.words.startswith("Not known")


def test_several_frames_are_as_good_as_the_worst() -> None:
    near = Difference(telling=True, box_px=0.1, score=0.01, mask_iou=0.99)
    far = Difference(box_px=0.7, flips=1)
    both = near | far
    assert both.telling
    assert both.faults() == far.faults()
    assert (both.box_px, both.score, both.mask_iou) == (0.7, 0.01, 0.99)


def test_a_map_is_compared_where_it_marks(instruments: ModelCard) -> None:
    card = replace(instruments, classes=instruments.classes[:1])
    logits = torch.full((1, 1, SIZE_PX[1], SIZE_PX[0]), -4.0)
    logits[..., 40:80, 50:120] = 4.0

    def as_map(values: torch.Tensor) -> MapOutput:
        return MapOutput(values, values, values, values)

    assert judged(card, as_map(logits), as_map(logits + 0.01)).passes
    moved = judged(card, as_map(logits), as_map(logits.roll(3, 3)))
    assert "masks overlap" in moved.words
    assert "scores differ" in judged(card, as_map(logits), as_map(logits * 0.5)).words
    assert np.isfinite(moved.score)
