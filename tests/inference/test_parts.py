"""One map of a network, cut into its connected parts in the frame's raster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import models
from app.inference.device import DeviceChoice
from app.inference.parts import parts_of, probability_map
from app.inference.postprocess import Rules
from app.inference.preprocess import letterbox
from app.inference.segmenter import Segmenter
from models.card import ModelCard, ModelClass
from models.pranet import IMAGE_MEAN_RGB, IMAGE_STD_RGB

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)


def blobs() -> np.ndarray:
    """Two discs, a speck and a doubt below one half, as logits (64, 96)."""
    y, x = np.mgrid[0:64, 0:96]
    logits = np.full((64, 96), -8.0, np.float32)
    logits[(y - 30) ** 2 + (x - 25) ** 2 < 100] = 1.0
    logits[(y - 40) ** 2 + (x - 70) ** 2 < 64] = 3.0
    logits[5:7, 90:92] = 6.0
    logits[55:63, 40:50] = -0.1
    return logits


def test_each_part_is_an_instance_and_its_score_the_mean_probability() -> None:
    fit = letterbox(96, 64, (96, 64))
    found = parts_of(blobs(), fit, Rules(), "polyp")
    assert [i.label for i in found] == ["polyp"] * 3
    sure, clear, vague = found
    assert sure.mask.box == (90, 5, 92, 7)
    assert sure.score == pytest.approx(1 / (1 + np.exp(-6)))
    assert clear.score == pytest.approx(1 / (1 + np.exp(-3)))
    assert vague.score == pytest.approx(1 / (1 + np.exp(-1)))
    assert (vague.mask.full() == (blobs() == 1.0)).all()
    assert (clear.mask.full() == (blobs() == 3.0)).all()


def test_rules_leave_out_what_is_small_or_vague() -> None:
    fit = letterbox(96, 64, (96, 64))
    large = parts_of(blobs(), fit, Rules(min_part_share=0.002), "polyp")
    assert [round(i.score or 0, 2) for i in large] == [0.95, 0.73]
    assert len(parts_of(blobs(), fit, Rules(score_threshold=0.8), "polyp")) == 2
    assert len(parts_of(blobs(), fit, Rules(max_instances=1), "polyp")) == 1


def test_a_frame_without_a_mark_stays_without() -> None:
    """No stretching to the map's own range: the least doubtful pixel is not a polyp."""
    logits = np.linspace(-9, -0.01, 64 * 96, dtype=np.float32).reshape(64, 96)
    assert parts_of(logits, letterbox(96, 64, (96, 64)), Rules(), "polyp") == ()


def test_a_map_that_is_sure_beyond_measure() -> None:
    logits = np.full((64, 96), -2000.0, np.float32)
    logits[10:20, 10:20] = 2000.0
    fit = letterbox(96, 64, (96, 64))
    (found,) = parts_of(logits, fit, Rules(), "polyp")
    assert found.score == 1.0
    assert set(np.unique(probability_map(logits, fit))) == {0.0, 1.0}


def test_padding_is_cut_off_and_the_rest_enlarged() -> None:
    """A 120 x 40 frame in 96 x 64: 96 x 32 of it is picture, with nothing above and below."""
    fit = letterbox(120, 40, (96, 64))
    logits = np.full((fit.input_height_px, fit.input_width_px), -4.0, np.float32)
    top, left = fit.top_px, fit.left_px
    logits[top : top + 16, left : left + 48] = 4.0  # the picture's upper left quarter
    logits[:top] = 9.0
    logits[top + fit.picture_height_px :] = 9.0
    (found,) = parts_of(logits, fit, Rules(), "polyp")
    assert (found.mask.width_px, found.mask.height_px) == (120, 40)
    assert found.mask.box == (0, 0, 60, 20)


def test_a_map_network_runs_as_a_segmenter(tmp_path: Path) -> None:
    """Folded, channels last and cut into parts, it marks what the plain network marks."""
    y, x = np.mgrid[0:64, 0:96]
    rgb = np.stack([2 * x, 3 * y, 128 + 100 * np.sin(x / 9) * np.cos(y / 7)], -1).astype(np.uint8)
    torch.manual_seed(2)
    network = models.create_model("pranet").eval()
    mean, std = torch.tensor(IMAGE_MEAN_RGB), torch.tensor(IMAGE_STD_RGB)
    images = ((torch.from_numpy(rgb) / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.no_grad():
        middle = network(images).logits.median()
        network.ra2_conv4.bn.bias -= middle
        plain = network(images).logits[0, 0].numpy()
    card = ModelCard(
        name="polyps",
        title="Polyps",
        system="pranet",
        task="instance-segmentation",
        classes=(ModelClass(key="polyp", name="Polyp"),),
        procedures=("colonoscopy",),
        input_size_px=(96, 64),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
    )
    card = models.save_model(network, card, tmp_path)
    segmenter = Segmenter(card, CPU, threads=1)
    found = segmenter.predict(rgb)
    assert found
    united = np.zeros((64, 96), bool)
    for instance in found:
        assert not (united & instance.mask.full()).any()
        united |= instance.mask.full()
    clear = np.abs(plain) > 1e-3 * np.abs(plain).max()
    assert 0.4 < united.mean() < 0.6
    assert (united == (plain > 0))[clear].all()
    raw = segmenter.raw(rgb)
    assert segmenter.instances_from(raw) == found
    probability = segmenter.map_from(raw)
    assert probability == pytest.approx(1 / (1 + np.exp(-plain)), abs=1e-3)
