"""A card's network on frames: masks in the frame's raster, the same as a plain forward gives."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import models
from app.core.errors import BadInput
from app.core.mask import Mask
from app.inference.device import DeviceChoice, choose_device
from app.inference.segmenter import Segmenter
from models.card import ModelCard
from models.lmsf_a.detect import detect

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)


def picture(width: int = 300, height: int = 200, seed: int = 0) -> np.ndarray:
    """Coloured blobs on brown, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    out = np.full((height, width, 3), (120, 60, 50), np.uint8)
    for _ in range(6):
        centre = tuple(int(v) for v in rng.uniform((0, 0), (width, height)))
        colour = tuple(int(v) for v in rng.integers(0, 255, 3))
        cv2.circle(out, centre, int(rng.integers(10, 50)), colour, -1)
    return out


def test_instances_lie_in_the_frame_with_the_cards_classes(instruments: ModelCard) -> None:
    found = Segmenter(instruments, CPU, threads=1).predict(picture())
    assert 1 <= len(found) <= 6
    assert {i.label for i in found} <= {"grasper", "hook"}
    scores = [i.score for i in found]
    assert scores == sorted(scores, reverse=True)
    assert all(s is not None and s >= 0.3 for s in scores)
    for instance in found:
        assert (instance.mask.width_px, instance.mask.height_px) == (300, 200)
        assert instance.mask.area_px > 0
        assert instance.track is None


def test_it_finds_what_the_plain_network_finds(instruments: ModelCard) -> None:
    """Against the slow reference of ``models``: no folding, no channels-last, full masks."""
    rgb = picture(192, 128)
    found = Segmenter(instruments, CPU, threads=1).predict(rgb)
    network = models.load_model(instruments)
    images = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        (expected,) = detect(network(images), score_above=0.3, iou_above=0.3, most=6)
    shown = [i for i in range(len(expected.scores)) if expected.masks[i].any()]
    assert len(found) == len(shown)
    for instance, i in zip(found, shown, strict=True):
        assert instance.score == pytest.approx(float(expected.scores[i]), abs=1e-4)
        assert instance.label == instruments.class_keys[expected.classes[i]]
        reference = Mask.from_full(expected.masks[i])
        wrong = reference.area_px + instance.mask.area_px
        wrong -= 2 * reference.intersection_px(instance.mask)
        # The box's rim rounds either way.
        assert wrong <= 0.04 * reference.area_px + 40


def test_a_frame_of_another_size_is_fitted_anew(instruments: ModelCard) -> None:
    segmenter = Segmenter(instruments, CPU, threads=1)
    wide, tall = picture(), picture(120, 240)
    first = segmenter.predict(wide)
    assert all(i.mask.height_px == 240 for i in segmenter.predict(tall))
    again = segmenter.predict(wide)
    assert [i.mask for i in again] == [i.mask for i in first]


def test_a_frame_on_which_nothing_is_found_is_no_trouble(instruments: ModelCard) -> None:
    timid = replace(instruments, thresholds={"score": 1.0})
    segmenter = Segmenter(timid, CPU, threads=1)
    assert [segmenter.predict(picture()) for _ in range(3)] == [(), (), ()]


def test_the_same_frame_gives_the_same_answer(instruments: ModelCard) -> None:
    one, two = (Segmenter(instruments, CPU, threads=1) for _ in range(2))
    a, b = one.predict(picture()), two.predict(picture())
    assert [(i.label, i.score, i.mask) for i in a] == [(i.label, i.score, i.mask) for i in b]


def test_a_device_that_fails_is_left_for_the_processor(instruments: ModelCard) -> None:
    # torch's "meta" device accepts networks and fails on every real computation.
    broken = DeviceChoice(device="meta", name="Broken card", reason="chosen", memory_mb=1)
    segmenter = Segmenter(instruments, broken, threads=1)
    found = segmenter.predict(picture())
    assert segmenter.device.is_cpu
    assert "Broken card stopped working" in segmenter.device.reason
    expected = Segmenter(instruments, CPU, threads=1).predict(picture())
    assert [i.mask for i in found] == [i.mask for i in expected]
    assert segmenter.describe()["device"] == "cpu"
    assert segmenter.describe()["engine"] == "torch"
    assert segmenter.describe()["precision"] == "fp32"


def test_threads_are_given_back(instruments: ModelCard) -> None:
    torch.set_num_threads(1)
    Segmenter(instruments, CPU, threads=2).predict(picture())
    assert torch.get_num_threads() == 1


def test_cost_is_measured(instruments: ModelCard) -> None:
    segmenter = Segmenter(instruments, CPU, threads=1)
    segmenter.predict(picture())
    cost = segmenter.cost
    assert cost.total_ms == pytest.approx(cost.preprocess_ms + cost.forward_ms + cost.post_ms)
    assert min(cost.preprocess_ms, cost.forward_ms, cost.post_ms) > 0


def test_a_card_without_its_weights_is_bad_input(instruments: ModelCard) -> None:
    with pytest.raises(BadInput, match="no weights"):
        Segmenter(replace(instruments, weights_sha256=""), CPU)


def test_the_processor_can_be_asked_for() -> None:
    choice = choose_device("cpu")
    assert choice.is_cpu
    assert choice.reason == "The processor was asked for."
    assert choice.memory_mb > 100
    assert choice.name


def test_a_device_always_comes_with_a_sentence() -> None:
    choice = choose_device()
    assert choice.reason.endswith(".")
    if choice.is_cpu:
        assert "processor" in choice.reason


def test_asking_for_a_card_that_is_not_there_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is an NVIDIA card here")
    choice = choose_device("cuda")
    assert choice.is_cpu
    assert "processor" in choice.reason


@pytest.mark.parametrize("name", ["abacus", "cuda:", "cuda:first", "cudax", ""])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="no device"):
        choose_device(name)


def test_prototypes_are_looked_up_like_torch_interpolates() -> None:
    """The geometry of postprocess against torch's bilinear, edge for edge."""
    from app.inference.masks import masks_of
    from app.inference.preprocess import letterbox

    rng = np.random.default_rng(1)
    fit = letterbox(192, 128, (192, 128))
    logits = rng.standard_normal((32, 48, 1)).astype(np.float32)
    large = F.interpolate(
        torch.from_numpy(logits).permute(2, 0, 1)[None], size=(128, 192), mode="bilinear"
    )[0, 0]
    boxes = np.array([[0, 0, 192, 128]], np.float32)
    (mask,) = masks_of(boxes, np.ones((1, 1), np.float32), logits, fit)
    assert (mask.full() != (large.numpy() > 0)).sum() <= 5
