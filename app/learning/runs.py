"""A training run in a folder of its own: weights, progress, and how it ended.

A run that was stopped or killed goes on where its last checkpoint was. What came out is in
``result.safetensors`` and ``run.json``; publishing turns it into a model with a card.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.errors import BadInput
from app.core.picture import LabelledPicture
from app.core.prediction import PHASES, SEGMENTATION
from app.learning.recipes import Recipe

if TYPE_CHECKING:
    import torch

    from models.training import Progress, TrainResult

RESULT = "result.safetensors"
RUN = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a finished run ended.

    Attributes:
        steps: batches learnt from.
        seconds: of training, earlier processes of a resumed run included.
        ended: ``done``, ``out of time``, ``cancelled`` or ``diverged``.
        best: metrics of the kept weights, empty without evaluation.
    """

    steps: int
    seconds: float
    ended: str
    best: dict[str, float]


def finished(run_folder: Path) -> RunEnd | None:
    """How the run in this folder ended, None while it has not."""
    path = run_folder / RUN
    if not path.exists():
        return None
    return RunEnd(**json.loads(path.read_text(encoding="utf-8")))


def train(
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    run_folder: Path,
    *,
    network: torch.nn.Module | None = None,
    evaluate: Callable[[torch.nn.Module], dict[str, float]] | None = None,
    score: str = "",
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> RunEnd:
    """Train in ``run_folder``; a run that is already finished there is left as it is.

    Raises:
        BadInput: no trainer knows the recipe's task.
    """
    done = finished(run_folder)
    if done is not None:
        return done
    run_folder.mkdir(parents=True, exist_ok=True)
    result = _trained(
        recipe, pictures, run_folder, network, evaluate, score, on_progress, should_stop
    )
    from models.checkpoint import save_weights

    end = RunEnd(steps=result.steps, seconds=result.seconds, ended=result.ended, best=result.best)
    if end.ended != "cancelled":
        save_weights(result.network, run_folder / RESULT, half=True)
        (run_folder / RUN).write_text(json.dumps(asdict(end)), encoding="utf-8")
    return end


def _trained(
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    run_folder: Path,
    network: torch.nn.Module | None,
    evaluate: Callable[[torch.nn.Module], dict[str, float]] | None,
    score: str,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> TrainResult:
    if recipe.task == SEGMENTATION:
        from app.learning.instruments import train_instruments

        return train_instruments(
            recipe,
            pictures,
            run_folder,
            network=network,
            evaluate=evaluate,
            score=score,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    if recipe.task == PHASES:
        from app.learning.phases import train_phases

        return train_phases(
            recipe,
            run_folder,
            network=network,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    raise BadInput(f"Trocar cannot train a model for {recipe.task}.")
