"""The training loop: it learns, stops, resumes to the bit, and survives a bad batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.checkpoint import write_tensors
from models.errors import CheckpointError, OptionError
from models.training import Progress, TrainConfig, Trainer, native_bf16

CONFIG = TrainConfig(
    steps=40,
    learning_rate=0.02,
    warmup_steps=4,
    average_decay=0.9,
    average_tau=5,
    precision="fp32",
    report_every=5,
    save_every=10,
)


def network() -> nn.Module:
    torch.manual_seed(11)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1),
        nn.Conv2d(8, 1, 1),
    )  # fmt: skip


def batches(first: int) -> Iterator[tuple[Tensor, Any]]:
    step = first
    while True:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(4, 2, 6, 6, generator=generator)
        yield x, (x[:, :1] * x[:, 1:] > 0).float()
        step += 1


def loss_of(output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    loss = functional.binary_cross_entropy_with_logits(output.float(), target)
    return loss, {"entropy": loss.detach()}


def spoiled(at: int, value: float) -> Callable[[int], Iterator[tuple[Tensor, Any]]]:
    def stream(first: int) -> Iterator[tuple[Tensor, Any]]:
        for i, (x, y) in enumerate(batches(first), first):
            yield (x * value if i == at else x), y

    return stream


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_it_learns_and_reports(optimiser: str) -> None:
    reports: list[Progress] = []
    config = replace(
        CONFIG, steps=120, optimiser=optimiser, learning_rate=0.1 if optimiser == "sgd" else 0.02
    )
    result = Trainer(network(), config).run(batches, loss_of, on_progress=reports.append)
    assert result.ended == "done"
    assert result.steps == 120
    assert [r.step for r in reports] == list(range(5, 121, 5))
    assert reports[-1].loss < 0.8 * reports[0].loss
    assert reports[0].parts["entropy"] == pytest.approx(reports[0].loss)
    assert reports[-1].learning_rate < 0.03 * config.learning_rate
    assert not result.network.training


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = (Trainer(network(), CONFIG).run(batches, loss_of).network for _ in range(2))
    other = Trainer(network(), replace(CONFIG, seed=1)).run(batches, loss_of).network
    assert same(first, second)
    assert not same(first, other)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_cancelled_run_resumes_to_the_same_weights(tmp_path: Path, optimiser: str) -> None:
    config = replace(CONFIG, optimiser=optimiser)
    whole = Trainer(network(), config).run(batches, loss_of)
    asked = iter(range(1000))
    cut = Trainer(network(), config, tmp_path)
    half = cut.run(batches, loss_of, should_stop=lambda: next(asked) == 17)
    assert (half.ended, half.steps) == ("cancelled", 17)
    again = Trainer(network(), config, tmp_path)
    assert again.resume()
    result = again.run(batches, loss_of)
    assert result.steps == 40
    assert same(result.network, whole.network)
    assert {p.name for p in tmp_path.iterdir()} == {"last.safetensors"}


def test_a_run_cancelled_within_an_update_learns_its_batches_again(tmp_path: Path) -> None:
    def still() -> nn.Module:
        torch.manual_seed(11)
        return nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))

    config = replace(CONFIG, accumulate=4, save_every=100)
    whole = Trainer(still(), config).run(batches, loss_of)
    seen: list[int] = []

    def watched(first: int) -> Iterator[tuple[Tensor, Any]]:
        for i, batch in enumerate(batches(first), first):
            seen.append(i)
            yield batch

    stopped = Trainer(still(), config, tmp_path)
    stopped.run(watched, loss_of, should_stop=lambda: len(seen) >= 14)
    again = Trainer(still(), config, tmp_path)
    assert again.resume()
    assert again.step % 4 == 0
    result = again.run(batches, loss_of)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, result.network.state_dict()[name]), name


def test_resume_without_or_with_a_foreign_checkpoint(tmp_path: Path) -> None:
    assert not Trainer(network(), CONFIG, tmp_path).resume()
    write_tensors(tmp_path / "last.safetensors", {"network.x": torch.ones(1)}, {"run": "{}"})
    with pytest.raises(CheckpointError, match="another run"):
        Trainer(network(), CONFIG, tmp_path).resume()


@pytest.mark.parametrize("average_decay", [0, 0.9])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(
    tmp_path: Path, value: float, average_decay: float
) -> None:
    config = replace(CONFIG, average_decay=average_decay)
    trainer = Trainer(network(), config, tmp_path)
    result = trainer.run(spoiled(25, value), loss_of)
    assert (result.ended, result.steps) == ("diverged", 25)
    assert all(torch.isfinite(t).all() for t in result.network.state_dict().values())
    assert torch.isfinite(result.network(next(batches(0))[0])).all()
    again = Trainer(network(), config, tmp_path)
    assert again.resume()
    assert again.step == 20


def test_the_best_weights_by_evaluation_are_kept() -> None:
    scores = iter([0.1, 0.9, 0.5, 0.4])
    kept: list[nn.Module] = []

    def evaluate(candidate: nn.Module) -> dict[str, float]:
        assert not candidate.training
        kept.append(network())
        kept[-1].load_state_dict(candidate.state_dict())
        return {"accuracy": next(scores)}

    result = Trainer(network(), CONFIG).run(batches, loss_of, evaluate=evaluate, score="accuracy")
    assert result.best == {"accuracy": 0.9}
    assert len(kept) == 4
    assert same(result.network, kept[1])


def test_a_run_ends_when_it_is_no_longer_better_and_counts_across_a_resume(
    tmp_path: Path,
) -> None:
    config = replace(CONFIG, steps=200, patience=3)
    scores = iter([0.5, 0.6, 0.4, 0.6, 0.5, 0.9])

    def run(trainer: Trainer, until: int) -> Any:
        return trainer.run(
            batches,
            loss_of,
            evaluate=lambda _: {"accuracy": next(scores)},
            score="accuracy",
            should_stop=lambda: trainer.step == until,
        )

    first = run(Trainer(network(), config, tmp_path), 32)
    assert (first.ended, first.best) == ("cancelled", {"accuracy": 0.6})
    again = Trainer(network(), config, tmp_path)
    assert again.resume()
    result = run(again, 10**6)
    assert (result.ended, result.steps, result.best) == ("no longer better", 50, {"accuracy": 0.6})
    with pytest.raises(OptionError, match="measure"):
        Trainer(network(), config).run(batches, loss_of)


def test_a_run_that_is_asked_to_finish_is_measured_and_keeps_the_best() -> None:
    reports: list[Progress] = []
    trainer = Trainer(network(), CONFIG)
    scores = iter([0.8, 0.2, 0.3])
    result = trainer.run(
        batches,
        loss_of,
        evaluate=lambda _: {"accuracy": next(scores)},
        score="accuracy",
        on_progress=reports.append,
        should_finish=lambda: trainer.step == 23,
    )
    assert (result.ended, result.steps, result.best) == ("stopped", 23, {"accuracy": 0.8})
    assert [(r.step, r.metrics) for r in reports if r.metrics] == [
        (10, {"accuracy": 0.8}),
        (20, {"accuracy": 0.2}),
        (23, {"accuracy": 0.3}),
    ]


def test_a_figure_that_is_missing_at_times_is_not_the_best() -> None:
    seen = iter([{"other": 1.0}, {"accuracy": 0.5}, {"other": 1.0}, {"accuracy": float("nan")}])
    trainer = Trainer(network(), CONFIG)
    result = trainer.run(batches, loss_of, evaluate=lambda _: next(seen), score="accuracy")
    assert result.best == {"accuracy": 0.5}


def test_without_a_score_the_last_weights_are_kept() -> None:
    scores = iter([0.9, 0.1, 0.2, 0.3])
    trainer = Trainer(network(), CONFIG)
    result = trainer.run(batches, loss_of, evaluate=lambda _: {"accuracy": next(scores)})
    assert result.best == {"accuracy": 0.3}
    assert same(result.network, trainer.result_network)


def test_the_network_is_shown_at_the_start_and_at_every_checkpoint(tmp_path: Path) -> None:
    shown: list[int] = []

    def show(step: int, candidate: nn.Module) -> None:
        assert not candidate.training
        shown.append(step)

    trainer = Trainer(network(), replace(CONFIG, steps=25), tmp_path)
    trainer.run(batches, loss_of, on_save=show)
    assert shown == [0, 10, 20, 25]
    again = Trainer(network(), replace(CONFIG, steps=40), tmp_path)
    assert again.resume()
    again.run(batches, loss_of, on_save=show)
    assert shown == [0, 10, 20, 25, 30, 40]


def deterministic_mode() -> bool:
    return torch.are_deterministic_algorithms_enabled()


def test_deterministic_operations_are_asked_for_while_a_run_lasts() -> None:
    seen: list[bool] = []
    for wanted in (True, False):
        config = replace(CONFIG, steps=5, deterministic=wanted)
        Trainer(network(), config).run(
            batches, loss_of, on_progress=lambda _: seen.append(deterministic_mode())
        )
    assert seen == [True, False]
    assert not deterministic_mode()


def short_of_memory(candidate: nn.Module, holds: int) -> list[int]:
    """A network whose forward pass holds so many examples; returns what it was given."""
    given: list[int] = []

    def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        given.append(len(inputs[0]))
        if len(inputs[0]) > holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    candidate.register_forward_pre_hook(hook)
    return given


def plain() -> nn.Module:
    torch.manual_seed(11)
    return nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))


def summed(output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    loss, parts = loss_of(output, target)
    return loss * len(output), parts


summed.grows_with_batch = True  # type: ignore[attr-defined]


@pytest.mark.parametrize("loss", [loss_of, summed])
def test_a_batch_that_memory_does_not_hold_is_learnt_in_pieces(tmp_path: Path, loss: Any) -> None:
    config = replace(CONFIG, steps=12, optimiser="sgd", average_decay=0, save_every=6)
    whole = Trainer(plain(), config).run(batches, loss)
    reports: list[Progress] = []
    short = plain()
    given = short_of_memory(short, 1)
    asked = iter(range(100))
    trainer = Trainer(short, config, tmp_path)
    half = trainer.run(
        batches, loss, on_progress=reports.append, should_stop=lambda: next(asked) == 7
    )
    # Once more as it was, then in two, then in four.
    assert given[:7] == [4, 4, 2, 1, 1, 1, 1]
    assert half.pieces == reports[0].pieces == 4
    again = Trainer(plain(), config, tmp_path)
    assert again.resume()
    assert again.pieces == 4
    result = again.run(batches, loss)
    for name, value in whole.network.state_dict().items():
        assert torch.allclose(value, result.network.state_dict()[name], atol=1e-5), name


def test_one_example_that_memory_does_not_hold_ends_the_run_with_its_checkpoint(
    tmp_path: Path,
) -> None:
    trained = plain()
    trainer = Trainer(trained, CONFIG, tmp_path)
    trainer.run(batches, loss_of, should_stop=lambda: trainer.step == 12)
    short_of_memory(trained, 0)
    with pytest.raises(torch.OutOfMemoryError):
        trainer.run(batches, loss_of)
    again = Trainer(plain(), CONFIG, tmp_path)
    assert again.resume()
    assert again.step == 12


def test_accumulated_gradients_equal_one_large_batch() -> None:
    """Two batches whose gradients add up move the weights as their sum does."""
    config = replace(
        CONFIG, steps=2, accumulate=2, optimiser="sgd", warmup_steps=1, average_decay=0, clip_norm=0
    )
    start = nn.Conv2d(2, 1, 1)
    reference = nn.Conv2d(2, 1, 1)
    reference.load_state_dict(start.state_dict())
    (xa, ya), (xb, yb) = (pair for pair, _ in zip(batches(0), range(2), strict=False))
    (loss_of(reference(xa), ya)[0] + loss_of(reference(xb), yb)[0]).backward()
    trainer = Trainer(start, config)
    trainer.run(batches, loss_of)
    rate = trainer.optimiser.param_groups[0]["lr"]
    weight = (
        reference.weight * (1 - rate * config.weight_decay) - rate * 1.9 * reference.weight.grad
    )
    assert torch.allclose(start.weight, weight, atol=1e-6)


def test_gradients_are_clipped() -> None:
    config = replace(
        CONFIG,
        steps=1,
        optimiser="sgd",
        clip_norm=0.01,
        warmup_steps=1,
        average_decay=0,
        momentum=0.1,
        weight_decay=0,
    )
    trained = network()
    before = torch.cat([p.detach().flatten().clone() for p in trained.parameters()])
    Trainer(trained, config).run(batches, loss_of)
    after = torch.cat([p.detach().flatten() for p in trained.parameters()])
    assert 0 < (after - before).norm() < 0.01 * config.learning_rate * 1.2


def test_frozen_norms_keep_their_statistics() -> None:
    trained = network()
    Trainer(trained, replace(CONFIG, freeze_norms=True)).run(batches, loss_of)
    assert torch.equal(trained[1].running_mean, torch.zeros(8))
    Trainer(trained, CONFIG).run(batches, loss_of)
    assert not torch.equal(trained[1].running_mean, torch.zeros(8))


def test_time_ends_a_run_and_is_counted_across_a_resume(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=10**9, max_seconds=0.5)
    result = Trainer(network(), config, tmp_path).run(batches, loss_of)
    assert result.ended == "out of time"
    assert result.steps > 0
    again = Trainer(network(), config, tmp_path)
    assert again.resume()
    assert again.seconds >= 0.5
    late = again.run(batches, loss_of)
    assert (late.ended, late.steps) == ("out of time", result.steps)


def test_bf16_trains_where_it_is_native() -> None:
    result = Trainer(network(), replace(CONFIG, precision="bf16", steps=5)).run(batches, loss_of)
    assert result.ended == "done"
    assert {p.dtype for p in result.network.parameters()} == {torch.float32}
    assert isinstance(native_bf16(torch.device("cpu")), bool)


def test_the_rate_falls_as_its_schedule_says() -> None:
    linear = replace(CONFIG, schedule="linear", final_ratio=0.01)
    assert linear.rate(0) == 1
    assert linear.rate(0.5) == pytest.approx(0.505)
    assert linear.rate(1) == pytest.approx(0.01)
    assert CONFIG.rate(0.5) == pytest.approx(0.505)


def test_a_run_may_end_before_its_schedule_does() -> None:
    rates: list[float] = []
    early = replace(CONFIG, steps=4, schedule_steps=8, warmup_steps=1, report_every=1)
    trainer = Trainer(network(), early)
    trainer.run(batches, loss_of, on_progress=lambda p: rates.append(p.learning_rate))
    assert len(rates) == 4
    assert rates[-1] > 0.5 * early.learning_rate


@pytest.mark.parametrize(
    "wrong",
    [
        {"optimiser": "lion"},
        {"schedule": "x"},
        {"precision": "fp8"},
        {"steps": 0},
        {"steps": 9, "schedule_steps": 8},
        {"learning_rate": 0},
        {"learning_rate": float("nan")},
        {"learning_rate": 1e39},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        replace(CONFIG, **wrong)
