"""Training EndoNet in its modern form on labelled cases: the encoder, then the MS-TCN.

First encoder and heads learn phases and tools from single frames; then the encoder stays as it is,
and the MS-TCN learns whole courses of its features, as TeCNO does (specs: temporal-models, section
2.1). Both are one run with one result, and go on where they were stopped. Runs in a training
process.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import nn

from app.core.errors import BadInput
from app.learning.batches import batches_from
from app.learning.endonet_frames import (
    FRAMES_SCORE,
    FilmFrames,
    frame_figures,
    joined_frames,
    looked,
)
from app.learning.feature_networks import train_on_features
from app.learning.film_validation import phase_shares
from app.learning.filmed import LIBRARY, Filmed
from app.learning.recipes import Recipe
from app.learning.recorded import Recorded
from app.learning.run_log import FRAMES, SECOND_TRAIN
from models import create_model
from models.checkpoint import load_weights, save_weights
from models.endonet import EndoNet
from models.endonet.training import FrameHeads, FrameLoss, median_frequency
from models.training import Hooks, Progress, TrainConfig, Trainer, TrainResult
from models.training.ranks import ranks
from models.types import UNKNOWN

FEATURES = "features"
_NEEDED = {"data": (SECOND_TRAIN,), "card": ("mean_rgb", "std_rgb", "frames_per_second")}
_DONE = "result.safetensors"
_FRAMES_TIME = 0.8


def train_endonet(
    recipe: Recipe,
    films: Sequence[Filmed],
    run_folder: Path,
    *,
    network: nn.Module | None = None,
    device: str = "cpu",
    **hooks: Unpack[Hooks],
) -> TrainResult:
    """Train a recipe's EndoNet on labelled cases.

    Args:
        recipe: its ``train`` is of the frames, ``data.second_train`` of the courses; ``data`` may
            name ``seed``, ``workers``, ``phase_weight`` and ``tool_weight`` (see ``FrameLoss``),
            and for the courses what ``train_on_features`` takes.
        films: to learn from.
        run_folder, network, device: see ``app.learning.instruments.train_instruments``.
        hooks: see ``models.training.Hooks``. Asked to finish while it looks at frames, the run
            still learns the courses, without which there is no model.

    Raises:
        BadInput: nothing to learn from, the recipe lacks something, or several processes train.
    """
    course = _check(recipe, films)
    config = TrainConfig(**recipe.train)
    torch.manual_seed(config.seed)
    made = network or create_model(recipe.system, **recipe.options)
    assert isinstance(made, EndoNet)  # noqa: S101 - the recipe's system says so
    validation: Any = hooks.get("evaluate")
    held: Sequence[Filmed] = () if validation is None else validation.films
    told = hooks.get("on_progress", lambda _: None)
    both = config.steps + int(course["steps"])
    before: Hooks = {**hooks, "on_progress": _of(told, both)}
    frames = _learn_frames(recipe, config, films, held, made, run_folder, device, before)
    if frames is not None and frames.ended in ("cancelled", "diverged"):
        return replace(frames, network=made)
    done = _frames_done(run_folder, recipe)
    found = frame_figures(FrameHeads(made).eval(), held, recipe) if held else {}
    learnt, held_out = (
        [_recorded(made, film, recipe, run_folder / FEATURES) for film in some if _named(film)]
        for some in (films, held)
    )
    if recipe.train.get("max_seconds") is not None:
        course["max_seconds"] = (1 - _FRAMES_TIME) * float(recipe.train["max_seconds"])
    after: Hooks = {**hooks, "on_progress": _of(told, both, done)}
    if frames is not None and frames.ended == "stopped":
        after.pop("should_finish", None)
    if validation is not None:
        named = [film for film in held if _named(film)]
        after["evaluate"] = _measured(named, held_out, recipe, found) if named else None
    after.pop("on_save", None)
    result = train_on_features(
        replace(
            recipe, system="ms_tcn", train=course, batch=1, data={**recipe.data, "source": LIBRARY}
        ),
        learnt,
        run_folder,
        network=made.temporal,
        device=device,
        **after,
    )
    made.temporal.load_state_dict(result.network.state_dict())
    if result.ended not in ("cancelled", "diverged"):
        shutil.rmtree(run_folder / FEATURES, ignore_errors=True)
    return replace(
        result,
        network=made.eval(),
        steps=done + result.steps,
        best=result.best or found,
    )


def _check(recipe: Recipe, films: Sequence[Filmed]) -> dict[str, Any]:
    """The settings of the courses."""
    if ranks().count > 1:
        raise BadInput("EndoNet is taught by one process; start it without torchrun.")
    for table, names in _NEEDED.items():
        for name in names:
            if name not in getattr(recipe, table):
                raise BadInput(f"The recipe {recipe.name} lacks {table}.{name}.")
    course = dict(recipe.data[SECOND_TRAIN])
    known = [f.name for f in fields(TrainConfig)]
    for name in course:
        if name not in known:
            raise BadInput(
                f"The recipe {recipe.name} sets data.{SECOND_TRAIN}.{name}, which there is not; "
                f"there are {', '.join(known)}."
            )
    if "steps" not in course:
        raise BadInput(f"The recipe {recipe.name} lacks data.{SECOND_TRAIN}.steps.")
    if not any(_named(film) for film in films):
        raise BadInput(f"{recipe.title} learns from cases with phases by a human; there are none.")
    if recipe.tools and not any((film.tools != UNKNOWN).any() for film in films):
        raise BadInput(
            f"{recipe.title} tells tools as well, and no case to learn from names any: import "
            "their labels, or take the tools out of the recipe."
        )
    return course


def _learn_frames(
    recipe: Recipe,
    config: TrainConfig,
    films: Sequence[Filmed],
    held: Sequence[Filmed],
    network: EndoNet,
    run_folder: Path,
    device: str,
    hooks: Hooks,
) -> TrainResult | None:
    """Teaches encoder and heads in place; None where an earlier process has done so."""
    network.to(device)
    folder = run_folder / FRAMES
    heads = FrameHeads(network)
    if (folder / _DONE).exists():
        load_weights(heads, folder / _DONE)
        return None
    folder.mkdir(parents=True, exist_ok=True)
    if config.max_seconds is not None:
        config = replace(config, max_seconds=_FRAMES_TIME * config.max_seconds)
    trainer = Trainer(heads, config, folder)
    trainer.resume()
    columns = range(len(recipe.tools))
    present = [sum(int((film.tools[:, i] == 1).sum()) for film in films) for i in columns]
    loss = FrameLoss(
        phase_weight=float(recipe.data.get("phase_weight", 1.0)),
        tool_weight=float(recipe.data.get("tool_weight", 1.0)),
        tool_weights=median_frequency(present) if any(present) else None,
    )
    examples = FilmFrames(recipe, films, network.num_tools)
    workers = int(recipe.data.get("workers", 1))
    own: Hooks = {**hooks, "score": FRAMES_SCORE if any(map(_named, held)) else ""}
    own.pop("on_save", None)
    own["evaluate"] = (lambda heads: frame_figures(heads, held, recipe)) if held else None
    result = trainer.run(batches_from(examples, joined_frames, recipe.batch, workers), loss, **own)
    heads.load_state_dict(result.network.state_dict())
    heads.eval()
    if result.ended not in ("cancelled", "diverged"):
        save_weights(heads, folder / _DONE)
        (folder / "steps").write_text(str(result.steps), encoding="utf-8")
    return result


def _frames_done(run_folder: Path, recipe: Recipe) -> int:
    """Batches of frames that were learnt."""
    path = run_folder / FRAMES / "steps"
    return int(path.read_text("utf-8")) if path.exists() else int(recipe.train["steps"])


def _recorded(network: EndoNet, film: Filmed, recipe: Recipe, folder: Path) -> Recorded:
    """A recording's features, kept in the run folder until the run ends."""
    path = folder / f"{film.name}.npy"
    if path.exists():
        features = np.load(path, allow_pickle=False)
    else:
        folder.mkdir(exist_ok=True)
        features = looked(FrameHeads(network).eval(), film, recipe).features
        beside = path.with_suffix(".part")
        with beside.open("wb") as out:
            np.save(out, features)
        beside.replace(path)
    return Recorded(
        name=film.name,
        group=film.group,
        features=features,
        labels=film.labels,
        probabilities=np.zeros((len(film.labels), 0), np.float32),
    )


def _measured(
    films: Sequence[Filmed], recordings: Sequence[Recorded], recipe: Recipe, found: dict[str, float]
) -> Callable[[nn.Module], dict[str, float]]:
    """What measures the MS-TCN on held-out courses; what is known of frames stays as it is."""
    inputs = [torch.from_numpy(one.features.astype(np.float32)).T[None] for one in recordings]

    def measure(temporal: nn.Module) -> dict[str, float]:
        device = next(temporal.parameters()).device
        said = [temporal(x.to(device))[-1, 0].T.softmax(-1).cpu().numpy() for x in inputs]
        return phase_shares(films, said, recipe) | found

    return measure


def _named(film: Filmed) -> bool:
    return bool((film.labels != UNKNOWN).any())


def _of(
    told: Callable[[Progress], None], steps: int, before: int = 0
) -> Callable[[Progress], None]:
    """Tells of one part of a run as of the whole."""
    return lambda now: told(replace(now, step=before + now.step, steps=steps))
