"""EndoARSS in the training loop: it learns by every weighting of its tasks, and repeats itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models import create_model
from models.endoarss import ACTIVITY, AREAS, TASKS, EndoARSS, resized_areas
from models.endoarss.training import ActivityAreaLoss, TaskWeighting
from models.errors import CheckpointError, OptionError
from models.metrics.confusion import Confusion
from models.training import TrainConfig, Trainer
from models.types import ActivityTargets

TINY: dict[str, Any] = {
    "backbone": "",
    "width": 48,
    "depth": 2,
    "heads": 3,
    "image_size": 56,
    "num_classes": 3,
    "num_activities": 4,
    "spatial_width": 4,
    "decoder_width": 24,
    "rates": (1, 2, 3),
    "norm": "gn",
}


def lesson() -> tuple[Tensor, ActivityTargets]:
    """Eight pictures: a bar on the left or right, of one of two colours; four activities."""
    generator = torch.Generator().manual_seed(5)
    x = 0.3 * torch.randn(8, 3, 56, 56, generator=generator)
    areas = torch.zeros(8, 56, 56, dtype=torch.int64)
    activities = torch.arange(8) % 4
    for number in range(8):
        side, kind = number % 2, (number // 2) % 2
        columns = slice(28 * side, 28 * side + 28)
        rows = slice(14, 42) if number < 4 else slice(0, 28)
        x[number, kind, rows, columns] += 3.0
        areas[number, rows, columns] = 1 + kind
    return x, ActivityTargets(activities=activities, areas=areas)


def network(**options: Any) -> EndoARSS:
    torch.manual_seed(1)
    return create_model("endoarss", **{**TINY, **options})


def batches(first: int) -> Iterator[tuple[Tensor, ActivityTargets]]:
    x, targets = lesson()
    while True:
        yield x, targets


def config(steps: int, **how: Any) -> TrainConfig:
    settings = {"learning_rate": 5e-3, "warmup_steps": 5, "average_decay": 0.0, "precision": "fp32"}
    return TrainConfig(steps=steps, **{**settings, **how})


def measured(trained: EndoARSS) -> tuple[float, float]:
    """Share of right activities, and mean IoU of the areas."""
    x, targets = lesson()
    with torch.no_grad():
        output = trained.eval()(x)
    table = Confusion(["background", "red", "green"])
    called = resized_areas(output.areas, 56, 56).argmax(1)
    table.add(targets.areas.numpy(), called.numpy())
    right = (output.activities.argmax(1) == targets.activities).float().mean()
    return float(right), table.figures()["miou"]


@pytest.mark.parametrize(
    ("method", "steps"),
    [
        ("equal", 60),
        pytest.param("surgery", 60, marks=pytest.mark.long),
        pytest.param("db_mtl", 120, marks=pytest.mark.long),
    ],
)
def test_eight_pictures_are_learnt(method: str, steps: int) -> None:
    """Check 10, by every weighting, with the encoder trained too since it begins untaught."""
    taught = network(freeze=False)
    weighting = TaskWeighting(taught, method)
    trainer = Trainer(taught, config(steps), weighting=weighting)
    trainer.run(batches, ActivityAreaLoss())
    accuracy, miou = measured(taught)
    assert accuracy == 1.0
    assert miou > 0.9


def test_a_run_repeats_itself_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Check 12: the same seed gives the same weights, also over a stop; averages included."""

    def trained(folder: Path | None, steps: int) -> EndoARSS:
        taught = network()
        weighting = TaskWeighting(taught, "db_mtl")
        plan = config(steps, schedule_steps=8, average_decay=0.9, save_every=4)
        trainer = Trainer(taught, plan, folder, weighting)
        trainer.resume()
        trainer.run(batches, ActivityAreaLoss())
        return taught

    whole = trained(None, 8).state_dict()
    again = trained(None, 8).state_dict()
    trained(tmp_path, 4)
    resumed = trained(tmp_path, 8).state_dict()
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name
        assert torch.equal(value, resumed[name]), name
    other = network()
    trainer = Trainer(other, config(4), tmp_path, TaskWeighting(other, "equal"))
    with pytest.raises(CheckpointError, match="belongs to another run"):
        trainer.resume()


def gradients(taught: EndoARSS, method: str) -> tuple[Tensor, dict[str, Tensor]]:
    """The shared gradient (P,), and each task's own, that one batch gives."""
    taught.zero_grad()
    weighting = TaskWeighting(taught, method)
    x, targets = lesson()
    torch.manual_seed(3)  # the decoder's dropout
    _, losses = ActivityAreaLoss()(taught.train()(x), targets)
    weighting.backward(losses)
    shared = torch.cat([p.grad.flatten() for p in taught.shared_parameters()])
    own = {t: torch.cat([p.grad.flatten() for p in taught.parameters_of(t)]) for t in TASKS}
    return shared, own


def alone(taught: EndoARSS, task: str) -> Tensor:
    """The shared gradient of one task's loss."""
    taught.zero_grad()
    x, targets = lesson()
    torch.manual_seed(3)
    _, losses = ActivityAreaLoss()(taught.train()(x), targets)
    losses[task].backward()
    return torch.cat([p.grad.flatten() for p in taught.shared_parameters()])


@pytest.fixture
def stirred() -> EndoARSS:
    taught = network()
    torch.manual_seed(9)
    with torch.no_grad():
        for name, parameter in taught.named_parameters():
            if name.endswith((".b", "join.weight")):
                parameter.normal_(std=0.3)
    return taught


def test_the_sum_is_the_plain_sum(stirred: EndoARSS) -> None:
    shared, _ = gradients(stirred, "equal")
    assert torch.allclose(shared, alone(stirred, ACTIVITY) + alone(stirred, AREAS), atol=1e-6)


def test_dual_balancing_makes_both_as_long_as_the_longest(stirred: EndoARSS) -> None:
    shared, own = gradients(stirred, "db_mtl")
    x, targets = lesson()
    torch.manual_seed(3)
    with torch.no_grad():
        _, losses = ActivityAreaLoss()(stirred.train()(x), targets)
    one, two = (alone(stirred, task) / (losses[task] + 1e-8) for task in TASKS)
    longest = max(one.norm(), two.norm())
    expected = longest * (one / one.norm() + two / two.norm())
    assert torch.allclose(shared, expected, rtol=1e-3, atol=1e-6)
    plain = gradients(stirred, "equal")[1]
    for task in TASKS:
        assert torch.allclose(own[task], plain[task] / losses[task], rtol=1e-3, atol=1e-6)


def test_dual_balancing_averages_over_steps() -> None:
    weighting = TaskWeighting(network(), "db_mtl", decay=0.75)
    weighting.average = torch.zeros(2, 2)
    first = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    assert weighting._combined(first).tolist() == pytest.approx([4.0, 4.0])
    # Averages (3, 0) + (0, 0.5) and (0, 0.75): the first is the longest.
    second = weighting._combined(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
    length = (9 + 0.25) ** 0.5
    assert second.tolist() == pytest.approx([3.0, 0.5 + length], rel=1e-5)


def test_surgery_removes_only_what_contradicts() -> None:
    weighting = TaskWeighting(network(), "surgery")
    agree = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert weighting._combined(agree).tolist() == [2.0, 1.0]
    against = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    # (1, 0) + 0.5 * (-1, 1) = (0.5, 0.5); (-1, 1) + 1 * (1, 0) = (0, 1).
    combined = weighting._combined(against)
    assert combined.tolist() == pytest.approx([0.5, 1.5])
    assert float(combined @ against[0]) >= 0
    assert float(combined @ against[1]) >= 0
    with pytest.raises(OptionError, match='"sum"'):
        TaskWeighting(network(), "sum")


def test_a_frozen_encoder_is_left_as_it_was() -> None:
    taught = network()
    before = {n: p.detach().clone() for n, p in taught.encoder.named_parameters()}
    Trainer(taught, config(3, weight_decay=0.1), weighting=TaskWeighting(taught)).run(
        batches, ActivityAreaLoss()
    )
    for name, parameter in taught.encoder.named_parameters():
        carried = ".shared." in name or ".tasks." in name
        assert torch.equal(parameter, before[name]) != (carried and parameter.requires_grad), name
