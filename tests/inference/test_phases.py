"""The phase stream is the network's forward pass frame by frame, and can be taken up again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from app.core.errors import BadInput
from app.inference.device import DeviceChoice
from app.inference.phases import PhaseStream
from app.inference.preprocess import resized
from models.card import ModelCard, ModelClass

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)


def frames(count: int) -> list[np.ndarray]:
    """Random pictures, uint8 (90, 160, 3)."""
    rng = np.random.default_rng(4)
    return [rng.integers(0, 255, (90, 160, 3), dtype=np.uint8) for _ in range(count)]


def test_steps_equal_the_forward_pass_over_the_clip(phases: ModelCard) -> None:
    stream, clip = PhaseStream(phases, CPU), frames(5)
    got = np.array([stream.step(f) for f in clip])
    small = np.stack([resized(f, 64, 64) for f in clip]).astype(np.float32) / 255
    small = (small - phases.mean_rgb) / phases.std_rgb
    images = torch.from_numpy(small.astype(np.float32)).permute(3, 0, 1, 2)[None]
    with torch.no_grad():
        expected = models.load_model(phases)(images)[0].softmax(-1).numpy()
    assert got == pytest.approx(expected, abs=1e-4)
    assert got.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("threads", [2, 3, 9])
def test_frames_looked_at_ahead_are_told_the_same_to_the_bit(
    phases: ModelCard, threads: int
) -> None:
    plain, ahead = PhaseStream(phases, CPU), PhaseStream(phases, CPU, threads=threads)
    clip, got, features = frames(9), [], []

    def tell() -> None:
        got.append(ahead.tell())
        features.append(ahead.features)

    try:
        assert 0 < ahead.ahead <= threads
        for number, frame in enumerate(clip):
            ahead.show(frame)
            if number >= ahead.ahead:
                tell()
        while len(got) < len(clip):
            tell()
    finally:
        ahead.close()
    for one, said, vector in zip(clip, got, features, strict=True):
        assert np.array_equal(said, plain.step(one))
        assert np.array_equal(vector, plain.features)
    assert ahead.snapshot() == plain.snapshot()


def test_a_snapshot_carries_on_where_it_was_taken(phases: ModelCard) -> None:
    clip = frames(6)
    whole, first, second = (PhaseStream(phases, CPU) for _ in range(3))
    expected = [whole.step(f) for f in clip]
    for f in clip[:3]:
        first.step(f)
    second.restore(first.snapshot())
    assert np.array([second.step(f) for f in clip[3:]]) == pytest.approx(np.array(expected[3:]))


def test_what_was_seen_before_matters(phases: ModelCard) -> None:
    one, other = PhaseStream(phases, CPU), PhaseStream(phases, CPU)
    clip = frames(3)
    one.step(clip[0])
    other.step(clip[1])
    assert not np.allclose(one.step(clip[2]), other.step(clip[2]), atol=1e-6)


def test_reset_starts_afresh(phases: ModelCard) -> None:
    stream, clip = PhaseStream(phases, CPU), frames(2)
    assert stream.snapshot() == b""
    expected = stream.step(clip[0])
    stream.step(clip[1])
    stream.reset()
    assert stream.step(clip[0]) == pytest.approx(expected)
    stream.restore(b"")
    assert stream.step(clip[0]) == pytest.approx(expected)


@pytest.mark.parametrize("state", [b"nonsense", b"PK\x03\x04"])
def test_a_damaged_state_is_refused(phases: ModelCard, state: bytes) -> None:
    with pytest.raises(BadInput, match="computed anew"):
        PhaseStream(phases, CPU).restore(state)


def test_a_state_of_another_network_is_refused(phases: ModelCard) -> None:
    other = PhaseStream(replace(phases), CPU)
    other._placed.network = models.create_model(
        "endomamba", width=16, depth=4, image_size=64, num_classes=3
    ).eval()
    other.step(frames(1)[0])
    stream = PhaseStream(phases, CPU)
    with pytest.raises(BadInput, match="computed anew"):
        stream.restore(other.snapshot())
    assert stream.snapshot() == b""


def test_a_device_that_fails_keeps_the_stream_alive(phases: ModelCard) -> None:
    broken = DeviceChoice(device="meta", name="Broken card", reason="chosen", memory_mb=1)
    stream, sound = PhaseStream(phases, broken), PhaseStream(phases, CPU)
    for f in frames(3):
        assert stream.step(f) == pytest.approx(sound.step(f))
    assert stream.device.is_cpu
    assert "stopped working" in stream.device.reason


def test_endonets_stream_is_its_clip_and_carries_on_from_a_snapshot(tmp_path: Path) -> None:
    """A network with another kind of state; features are of the frame alone."""
    torch.manual_seed(1)
    options = {"num_classes": 3, "num_tools": 2, "layers": 2, "maps": 4}
    card = ModelCard(
        name="endonet",
        title="EndoNet",
        system="endonet",
        options=options,
        task="phase-recognition",
        classes=tuple(ModelClass(key=k, name=k) for k in "abc"),
        input_size_px=(32, 32),
        mean_rgb=(0.485, 0.456, 0.406),
        std_rgb=(0.229, 0.224, 0.225),
        frames_per_second=1.0,
    )
    network = models.create_model("endonet", **options)
    card = models.save_model(network, card, tmp_path)
    whole, second, clip = PhaseStream(card, CPU), PhaseStream(card, CPU), frames(4)
    expected = []
    for number, frame in enumerate(clip):
        expected.append(whole.step(frame))
        if number == 1:
            second.restore(whole.snapshot())
    assert whole.features is not None
    assert whole.features.shape == (2048,)
    got = [second.step(f) for f in clip[2:]]
    assert np.array(got) == pytest.approx(np.array(expected[2:]), abs=1e-6)
    small = np.stack([resized(f, 32, 32) for f in clip]).astype(np.float32) / 255
    images = torch.from_numpy(((small - card.mean_rgb) / card.std_rgb).astype(np.float32))
    with torch.no_grad():
        logits = network.eval()(images.permute(3, 0, 1, 2)[None])[0]
    assert np.array(expected) == pytest.approx(logits.softmax(-1).numpy(), abs=1e-4)
