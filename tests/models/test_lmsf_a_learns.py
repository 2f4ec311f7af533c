"""LMSF-A learns: one picture at a time, and two pictures by heart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import create_model
from models.lmsf_a.detect import detect
from models.losses.instance import InstanceLoss
from models.losses.targets import targets_of_masks
from models.metrics.masks import LabelledMask, encode, mask_metrics
from models.training import TrainConfig, Trainer
from models.types import InstanceTargets

COLOURS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], np.float32)


def ellipses(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture (3, H, W) with one ellipse of each class in its four quarters, and the masks."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = rng.random((height, width, 3)).astype(np.float32) * 0.2
    masks = np.zeros((4, height, width), np.bool_)
    for k, quarter in enumerate(rng.permutation(4)):
        cy, cx = (quarter // 2 + 0.5) * height / 2, (quarter % 2 + 0.5) * width / 2
        ry, rx = rng.uniform(0.1, 0.22, 2) * (height, width)
        masks[k] = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        picture[masks[k]] = COLOURS[k]
    return picture.transpose(2, 0, 1), masks


Truth = list[list[LabelledMask]]


def data(count: int, height: int, width: int) -> tuple[Tensor, InstanceTargets, Truth]:
    pairs = [ellipses(height, width, seed) for seed in range(count)]
    masks = [m for _, m in pairs]
    targets = targets_of_masks(masks, [np.arange(4)] * count)
    truth = [[LabelledMask(rle=encode(m), label=k) for k, m in enumerate(four)] for four in masks]
    return torch.from_numpy(np.stack([p for p, _ in pairs])), targets, truth


def map50(network: nn.Module, images: Tensor, truth: Truth) -> dict[str, float]:
    said = [
        [
            LabelledMask(rle=encode(m), label=int(k), score=float(s))
            for m, k, s in zip(found.masks, found.classes, found.scores, strict=True)
        ]
        for found in detect(network(images), score_above=0.001)
    ]
    return {"map50": mask_metrics(truth, said, ["a", "b", "c", "d"]).map50}


def overfit(
    height: int, width: int, steps: int, momentum: float = 0.03, **options: object
) -> float:
    torch.manual_seed(0)
    images, targets, truth = data(2, height, width)

    def batches(_first: int) -> Iterator[tuple[Tensor, InstanceTargets]]:
        while True:
            yield images, targets

    config = TrainConfig(
        steps=steps, learning_rate=3e-3, warmup_steps=10, average_decay=0.9, average_tau=20,
        precision="fp32", save_every=steps,
    )  # fmt: skip
    network = create_model("lmsf_a", num_classes=4, **options)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = momentum
    result = Trainer(network, config).run(
        batches, InstanceLoss(), evaluate=lambda n: map50(n, images, truth), score="map50"
    )
    return result.best["map50"]


def test_two_pictures_by_heart() -> None:
    """BatchNorm's statistics follow faster than published, so that 60 steps are enough."""
    assert overfit(96, 128, 60, momentum=0.2) >= 0.95


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "options", [{}, {"norm": "gn"}, {"c2f_pro": False, "neck": False, "lmsh": False}]
)
def test_two_larger_pictures_by_heart(options: dict[str, object]) -> None:
    assert overfit(192, 256, 200, **options) >= 0.95


def single_steps(size_px: int, steps: int, norm: str = "bn") -> list[float]:
    torch.manual_seed(1)
    images, targets, _ = data(1, size_px, size_px)
    network, loss_of = create_model("lmsf_a", num_classes=4, norm=norm).train(), InstanceLoss()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.002, momentum=0.9, nesterov=True)
    history = []
    for _ in range(steps):
        loss, _ = loss_of(network(images), targets)
        optimiser.zero_grad()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
        optimiser.step()
        history.append(loss.item())
    return history


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_twenty_steps_of_a_batch_of_one_stay_finite_and_fall(norm: str) -> None:
    history = single_steps(96, 20, norm)
    assert np.isfinite(history).all()
    assert np.mean(history[-5:]) < 0.6 * np.mean(history[:5])


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_batch_of_one_at_full_size() -> None:
    history = single_steps(640, 20)
    assert np.isfinite(history).all()
    assert np.mean(history[-5:]) < 0.6 * np.mean(history[:5])
