"""What clips go through before a phase network learns them, as its published training has it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import models
from app.learning.film_clips import Clip, Join
from app.learning.rand_augment import OPERATIONS, erased, rand_augment
from models.endomamba.training import MixedLabels, PhaseLoss
from models.errors import OptionError
from models.training import TrainConfig
from models.training.optimiser import optimiser_of, set_rates


def picture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(20, 220, (24, 32, 3)).astype(np.uint8)


@pytest.mark.parametrize("number", range(len(OPERATIONS)))
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_every_change_keeps_a_picture_a_picture(number: int, sign: float) -> None:
    rgb = picture()
    before = rgb.copy()
    strong = OPERATIONS[number](0.7, sign)(rgb)
    assert strong.shape == rgb.shape
    assert strong.dtype == np.uint8
    assert not np.array_equal(strong, rgb)
    assert np.array_equal(rgb, before)  # other clips have the same frames
    if number > 2:  # those that have a strength do nothing without it
        assert np.abs(OPERATIONS[number](0.0, sign)(rgb).astype(int) - rgb).max() <= 1


def test_all_frames_of_a_clip_change_alike() -> None:
    for seed in range(20):
        change = rand_augment(4, 7, np.random.default_rng(seed))
        assert np.array_equal(change(picture()), change(picture()))
    rng = np.random.default_rng(0)
    unchanged = sum(
        np.array_equal(rand_augment(4, 7, rng)(picture()), picture()) for _ in range(400)
    )
    assert unchanged == pytest.approx(400 / 16, abs=16)  # none of four, each every other time


def test_a_rectangle_is_erased_in_all_frames_at_once() -> None:
    clip = np.full((3, 5, 40, 40), 9.0, np.float32)
    rng = np.random.default_rng(1)
    assert erased(clip, 0.0, rng) is clip
    seen = [erased(clip, 1.0, rng) for _ in range(50)]
    for one in seen:
        gone = one[0, 0] != 9.0
        assert 0.01 <= gone.mean() <= 0.36
        assert np.array_equal(one[:, 0], one[:, 4])
    assert (clip == 9.0).all()
    hits = sum(erased(clip, 0.25, rng) is not clip for _ in range(400))
    assert hits == pytest.approx(100, abs=30)


def batch_of(number: int, join: Join) -> tuple[torch.Tensor, MixedLabels]:
    clips = [
        Clip(np.full((3, 2, 20, 20), v, np.float32), np.array([v, -1]), number + v)
        for v in range(2)
    ]
    mixed = join(clips)
    assert isinstance(mixed[1], MixedLabels)
    return mixed  # type: ignore[return-value]


def test_clips_are_mixed_by_the_share_that_their_labels_say() -> None:
    for number in range(20):
        clips, labels = batch_of(number, Join(mixup=0.8))
        share = float(labels.share[0])
        assert clips[0].unique().numpy() == pytest.approx(1 - share)
        assert clips[1].unique().numpy() == pytest.approx(share)
        assert labels.others.tolist() == [[1, -1], [0, -1]]
        clips, labels = batch_of(number, Join(cutmix=1.0))
        # The first clip shows the second in a rectangle, the same in both of its frames.
        assert 1 - float(labels.share[0]) == pytest.approx(float(clips[0].mean()), abs=1e-6)
        assert torch.equal(clips[0, :, 0], clips[0, :, 1])
        again, _ = batch_of(number, Join(cutmix=1.0))
        assert torch.equal(clips, again)
    both = [batch_of(n, Join(mixup=0.8, cutmix=1.0))[0][0].unique().numel() for n in range(40)]
    assert 5 < sum(count > 1 for count in both) < 35


def test_the_loss_of_mixed_clips_is_that_of_both_by_their_shares() -> None:
    torch.manual_seed(0)
    logits, loss = torch.randn(2, 3, 4), PhaseLoss(label_smoothing=0.1)
    one, other = torch.tensor([[0, 1, -1], [2, 2, 3]]), torch.tensor([[2, 2, 3], [0, 1, -1]])
    mixed = MixedLabels(labels=one, others=other, share=torch.full((2,), 0.3))
    expected = 0.3 * loss(logits, one)[0] + 0.7 * loss(logits, other)[0]
    assert loss(logits, mixed.to("cpu"))[0].item() == pytest.approx(expected.item())


def test_rates_fall_from_the_head_to_the_patches() -> None:
    options = {"width": 16, "depth": 4, "image_size": 32, "patch_size": 16, "num_classes": 3}
    network = models.create_model("endomamba", **options)
    config = TrainConfig(steps=10, warmup_steps=1, learning_rate=1e-2, layer_decay=0.5)
    optimiser = optimiser_of(network, config)
    set_rates(optimiser, config, step=1, progress=0.0)
    names = {id(p): name for name, p in network.named_parameters()}
    rate = {names[id(p)]: g["lr"] for g in optimiser.param_groups for p in g["params"]}
    assert rate.keys() == set(names.values())
    assert rate["head.weight"] == rate["norm_f.weight"] == pytest.approx(1e-2)
    assert rate["layers.3.mixer.in_proj.weight"] == pytest.approx(1e-2 / 2)
    assert rate["layers.0.mixer.A_log"] == pytest.approx(1e-2 / 16)
    assert rate["pos_embed"] == rate["patch_embed.proj.bias"] == pytest.approx(1e-2 / 32)
    with pytest.raises(OptionError, match="does not tell its layers apart"):
        optimiser_of(torch.nn.Linear(2, 2), config)
    with pytest.raises(OptionError, match="layer_decay must be above 0"):
        TrainConfig(steps=1, layer_decay=0.0)
