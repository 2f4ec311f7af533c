"""A training run in a folder of its own: weights, progress, and how it ended.

A run that was stopped or killed goes on where its last checkpoint was. What came out is in
``result.safetensors`` and ``run.json``; publishing turns it into a model with a card.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.core.errors import BadInput, EnvironmentProblem
from app.core.picture import LabelledPicture
from app.core.prediction import ACTIVITIES, ENHANCEMENT, PHASES, SEGMENTATION
from app.learning.datasets import entries_of
from app.learning.recipes import Recipe

if TYPE_CHECKING:
    import torch

    from app.inference.device import DeviceChoice
    from models.training import Progress, TrainResult

RESULT = "result.safetensors"
RUN = "run.json"
PLAN = "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a finished run ended.

    Attributes:
        steps: batches learnt from.
        seconds: of training, earlier processes of a resumed run included.
        ended: ``done``, ``out of time`` or ``cancelled``.
        best: metrics of the kept weights, empty without evaluation.
        device: what it computed on, in words.
    """

    steps: int
    seconds: float
    ended: str
    best: dict[str, float]
    device: str = ""


def finished(run_folder: Path) -> RunEnd | None:
    """How the run in this folder ended, None while it has not."""
    path = run_folder / RUN
    if not path.exists():
        return None
    return RunEnd(**json.loads(path.read_text(encoding="utf-8")))


def write_end(run_folder: Path, end: RunEnd) -> None:
    """Note that the run in this folder has ended."""
    (run_folder / RUN).write_text(json.dumps(asdict(end)), encoding="utf-8")


def claim(run_folder: Path, plan: dict[str, Any], file: str = PLAN) -> None:
    """Write down what the run in this folder is of, or see that it is of the same.

    Raises:
        BadInput: a run of something else lies there; it would go on with the wrong lesson.
    """
    text = json.dumps(plan, indent=1, sort_keys=True)
    path = run_folder / file
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise BadInput(
                f"{run_folder.name} holds a run that was started with other material or "
                "settings; choose another name for this one."
            )
        return
    run_folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def train(
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    run_folder: Path,
    *,
    network: torch.nn.Module | None = None,
    device: str | None = None,
    evaluate: Callable[[torch.nn.Module], dict[str, float]] | None = None,
    score: str = "",
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> RunEnd:
    """Train in ``run_folder``; a run that is already finished there is left as it is.

    Args:
        recipe: what and how; the same as before where a run goes on.
        pictures: labelled pictures to learn from besides the phantom.
        run_folder: where checkpoints and the result go.
        network: where to start; None for fresh weights.
        device: see ``device_for``.
        evaluate, score, on_progress, should_stop: see ``models.training.Trainer.run``.

    Raises:
        BadInput: the recipe asks for what there is not, the folder holds another run, or the
            run diverged.
        EnvironmentProblem: the graphics card failed.
    """
    train_plan = {k: v for k, v in recipe.train.items() if k != "max_seconds"}
    names = [f"{p.group}/{p.name}" for p in entries_of(pictures)]
    claim(run_folder, {**asdict(recipe), "train": train_plan, "card": {}, "pictures": names})
    done = finished(run_folder)
    if done is not None:
        return done
    from app.inference.cards import model_errors
    from models.checkpoint import save_weights

    with model_errors():
        _check_settings(recipe)
        chosen = device_for(device)
        with _card_errors(chosen):
            result = _lesson(recipe, pictures, evaluate, score)(
                run_folder,
                network=network,
                device=chosen.device,
                on_progress=on_progress,
                should_stop=should_stop,
            )
    if result.ended == "diverged":
        raise BadInput(
            f"Training {recipe.name} diverged after {result.steps} batches, so there is no model; "
            "start again under another name with a smaller learning rate."
        )
    end = RunEnd(
        steps=result.steps,
        seconds=result.seconds,
        ended=result.ended,
        best=result.best,
        device=device_words(chosen, recipe),
    )
    if end.ended != "cancelled":
        save_weights(result.network, run_folder / RESULT, half=True)
        write_end(run_folder, end)
    return end


def device_for(asked: str | None) -> DeviceChoice:
    """Where to train: what was asked for, else an NVIDIA card that works, else the processor."""
    from app.inference.device import choose_device

    return choose_device(asked or "cuda")


def device_words(choice: DeviceChoice, recipe: Recipe) -> str:
    """What a run computes on, for its card."""
    import torch

    from models.training import TrainConfig, native_bf16

    precision = TrainConfig(**recipe.train).precision
    bf16 = precision == "bf16" or (precision == "auto" and native_bf16(torch.device(choice.device)))
    name = choice.name
    if choice.is_cpu:
        count = torch.get_num_threads()
        name = f"processor ({platform.machine()}), {count} thread{'s' if count > 1 else ''}"
    return f"{name}, {'bfloat16' if bf16 else 'float32'}"


def _check_settings(recipe: Recipe) -> None:
    from models.training import TrainConfig

    known = [f.name for f in fields(TrainConfig)]
    for name in recipe.train:
        if name not in known:
            raise BadInput(
                f"The recipe {recipe.name} sets train.{name}, which there is not; there are "
                f"{', '.join(known)}."
            )


@contextmanager
def _card_errors(choice: DeviceChoice) -> Iterator[None]:
    """A graphics card that fails becomes a sentence; what was saved is kept."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, torch.AcceleratorError) as error:
        raise EnvironmentProblem(
            f"{choice.name} stopped working or has not enough free memory; the same command with "
            "--device cpu goes on at the last checkpoint.",
            str(error),
        ) from error


def _lesson(
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    evaluate: Callable[[torch.nn.Module], dict[str, float]] | None,
    score: str,
) -> Callable[..., TrainResult]:
    """What teaches the recipe's network: called with a folder, where to start, and the hooks."""
    if recipe.task == SEGMENTATION:
        from app.learning.instruments import train_instruments

        return partial(train_instruments, recipe, pictures, evaluate=evaluate, score=score)
    if recipe.task == PHASES:
        from app.learning.phases import train_phases

        return partial(train_phases, recipe)
    if recipe.task == ENHANCEMENT:
        from app.learning.smoke import train_desmoking

        return partial(train_desmoking, recipe)
    if recipe.task == ACTIVITIES:
        from app.learning.activities import train_activities

        return partial(train_activities, recipe, pictures, evaluate=evaluate, score=score)
    raise BadInput(f"Trocar cannot train a model for {recipe.task}.")
