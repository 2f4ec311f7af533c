"""PraNet's loss and its training: hand values, three sizes, limited gradients, blobs learnt."""

from __future__ import annotations

from collections.abc import Iterator
from math import log

import pytest
import torch
from torch import Tensor

from models import create_model
from models.losses.structure import MapLoss, border_weights, structure_loss
from models.pranet.training import at_scales, rescaled, scaled_side
from models.training import TrainConfig, Trainer
from models.types import MapOutput, MapTargets


def square(side: int, low: int, high: int) -> Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., low:high, low:high] = 1
    return mask


def test_border_weights_are_one_away_from_borders() -> None:
    """Check 6: 1 wherever all of 31 x 31 is alike, more near the border, most at corners."""
    weights = border_weights(square(128, 30, 98))[0, 0]
    assert weights[64, 64] == pytest.approx(1)
    assert weights[:12].min() == weights[:12].max() == pytest.approx(1)
    assert weights[[30, 29], 64].tolist() == pytest.approx([1 + 5 * 15 / 31] * 2)
    assert weights[30, 30] == pytest.approx(1 + 5 * (1 - (16 / 31) ** 2))
    assert weights.max() == weights[30, 30] == weights[97, 97]


@pytest.mark.parametrize("weigh", [False, True])
def test_structure_loss_by_hand(weigh: bool) -> None:
    """Check 6 on 4 x 4: all logits 0, the left half marked."""
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    # Every 31 x 31 window holds the whole picture: the average is 8 / 961 everywhere.
    inside, outside = 1 + 5 * (1 - 8 / 961), 1 + 5 * 8 / 961
    both = 0.5 * 8 * inside
    either = 1.5 * 8 * inside + 0.5 * 8 * outside - both
    expected = log(2) + 1 - (both + 1) / (either + 1)
    got = structure_loss(torch.zeros(1, 1, 4, 4), mask, weigh_entropy=weigh)
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_weighing_the_entropy_counts_borders_more() -> None:
    mask = square(64, 16, 48)
    wrong_at_border = torch.where(mask > 0, 8.0, -8.0)
    wrong_at_border[..., 14:16, 16:48] = 8.0
    plain = structure_loss(wrong_at_border, mask)
    weighed = structure_loss(wrong_at_border, mask, weigh_entropy=True)
    assert weighed > 1.2 * plain


def test_perfect_logits_cost_nothing_and_ignored_pixels_do_not_count() -> None:
    mask = square(48, 10, 30)
    sure = torch.where(mask > 0, 40.0, -40.0)
    output = MapOutput(sure, sure, sure, sure)
    loss, parts = MapLoss()(output, MapTargets(masks=mask))
    assert loss.item() == pytest.approx(0, abs=1e-4)
    assert set(parts) == {"map2", "map3", "map4", "map5"}
    wrong = sure.clone()
    wrong[..., 40:, 40:] = 40.0
    unknown = torch.zeros_like(mask, dtype=torch.bool)
    unknown[..., 40:, 40:] = True
    assert structure_loss(wrong, mask) > 0.1
    assert structure_loss(wrong, mask, unknown) == structure_loss(sure, mask, unknown)


def test_three_sizes() -> None:
    """Check 7."""
    assert [scaled_side(352, s) for s in (0.75, 1.0, 1.25)] == [256, 352, 448]
    assert scaled_side(32, 0.1) == 32
    images = torch.rand(2, 3, 128, 96)
    ignore = torch.zeros(2, 1, 128, 96, dtype=torch.bool)
    ignore[..., :64, :] = True
    targets = MapTargets(masks=torch.rand(2, 1, 128, 96), ignore=ignore)
    larger, scaled = rescaled(images, targets, 1.25)
    assert (larger.shape, scaled.masks.shape) == ((2, 3, 160, 128), (2, 1, 160, 128))
    assert scaled.ignore is not None
    assert scaled.ignore[:, :, :80].all()
    assert not scaled.ignore[:, :, 80:].any()
    same, unchanged = rescaled(images, targets, 1.0)
    assert (same is images, unchanged is targets) == (True, True)


def test_a_resumed_run_goes_on_in_the_middle_of_a_batch() -> None:
    def batches(first: int) -> Iterator[tuple[Tensor, MapTargets]]:
        number = first
        while True:
            yield torch.full((1, 3, 128, 128), float(number)), MapTargets(masks=square(128, 0, 9))
            number += 1

    def seen(first: int) -> list[tuple[int, int]]:
        stream = at_scales(batches)(first)
        return [(int(i.mean()), i.shape[-1]) for i, _ in (next(stream) for _ in range(5))]

    assert seen(0) == [(0, 96), (0, 128), (0, 160), (1, 96), (1, 128)]
    assert seen(4) == [(1, 128), (1, 160), (2, 96), (2, 128), (2, 160)]


def test_every_part_of_the_gradient_is_limited() -> None:
    """Check 9: on one layer whose gradient would be in the thousands."""
    layer = torch.nn.Conv2d(3, 1, 1)
    config = TrainConfig(
        steps=1, clip_value=0.5, clip_norm=0.0, average_decay=0.0, precision="fp32",
        optimiser="sgd", learning_rate=1.0, momentum=0.9, warmup_steps=0, weight_decay=0.0,
    )  # fmt: skip
    before = layer.weight.detach().clone()

    def loss(output: Tensor, factor: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return (output * factor).sum(), {}

    scale = torch.tensor([1000.0, -1000.0, 1e-4]).reshape(1, 3, 1, 1)
    trainer = Trainer(layer, config)
    trainer.run(lambda _: iter([(scale.expand(1, 3, 4, 4), torch.tensor(1.0))]), loss)
    moved = (before - layer.weight.detach()).flatten() / 1.9  # Nesterov's first step
    assert moved.tolist() == pytest.approx([0.5, -0.5, 0.0016], rel=1e-3)


def blobs(side: int) -> tuple[Tensor, Tensor]:
    """Four pictures with a blob each and two without, and their masks."""
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    generator = torch.Generator().manual_seed(4)
    images, masks = [], []
    for n, (cx, cy, r) in enumerate(
        [(0.3, 0.3, 0.2), (0.7, 0.4, 0.25), (0.5, 0.7, 0.15), (0.6, 0.6, 0.3), (0, 0, 0), (0, 0, 0)]
    ):
        mask = ((x - cx) ** 2 + (y - cy) ** 2 < r * r).float()
        light = 0.2 * torch.sin(12 * x + n) + 0.2 * torch.cos(9 * y - n)
        noise = 0.1 * torch.randn(3, side, side, generator=generator)
        images.append(torch.stack([1.5 * mask - 0.5 + light, mask - 0.3, light - mask]) + noise)
        masks.append(mask[None])
    return torch.stack(images), torch.stack(masks)


def settings(steps: int) -> TrainConfig:
    return TrainConfig(
        steps=steps, learning_rate=1e-3, final_ratio=0.1, warmup_steps=0, weight_decay=0.0,
        clip_norm=0.0, clip_value=0.5, average_decay=0.0, precision="fp32", report_every=1,
    )  # fmt: skip


def test_a_step_reaches_every_part_of_the_network() -> None:
    images, masks = (half[::2] for half in blobs(32))
    network = create_model("pranet")
    before = {k: v.detach().clone() for k, v in network.named_parameters()}
    batches = iter([(images, MapTargets(masks=masks))])
    result = Trainer(network, settings(1)).run(lambda _: batches, MapLoss())
    assert result.ended == "done"
    # Adam's first step is the learning rate wherever the gradient is not nothing.
    moved = {k: (v.detach() - before[k]).abs().max() for k, v in network.named_parameters()}
    assert max(moved.values()) == pytest.approx(1e-3, rel=1e-3)
    still = [k for k, v in moved.items() if v < 5e-4]
    assert still == []


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_blobs_are_learnt_and_blank_pictures_stay_blank() -> None:
    """Checks 8 and 10: Dice above 0.95 on four blobs, nothing where there is none."""
    images, masks = blobs(96)

    def batches(_: int) -> Iterator[tuple[Tensor, MapTargets]]:
        while True:
            yield images, MapTargets(masks=masks)

    network = create_model("pranet")
    result = Trainer(network, settings(160)).run(batches, MapLoss())
    with torch.no_grad():
        found = result.network(images).logits > 0
    true = masks.bool()
    for said, right in zip(found[:4], true[:4], strict=True):
        dice = 2 * (said & right).sum() / (said.sum() + right.sum())
        assert dice.item() > 0.95
    assert not found[4:].any()
