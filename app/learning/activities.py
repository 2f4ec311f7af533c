"""Training EndoARSS: what goes on in a frame, and the areas in it.

It learns from given pictures, else from the phantom: frames of operations around moments of every
activity, and instrument stills. Runs in a training process; batches are made in a loader process
beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from app.core.errors import BadInput
from app.core.picture import LabelledPicture
from app.learning.batches import generator_of, loaded, share_of
from app.learning.measure_scenes import SceneTask
from app.learning.phantom import PhantomStills
from app.learning.recipes import Recipe
from app.learning.scenes import (
    BAGGING,
    INSPECTING,
    OPERATING,
    OUTSIDE,
    Scene,
    draw_still,
    draw_window,
    network_input,
)
from app.learning.views import Augmentation, photometric
from models import create_model
from models.endoarss.training import ActivityAreaLoss, TaskWeighting
from models.training import Hooks, TrainConfig, Trainer, TrainResult
from models.training.ranks import ranks
from models.types import ActivityTargets

COLOUR = Augmentation(hue=4, saturation=0.2, brightness=0.2, blur_px=0.8, jpeg=50)
KEPT_SCENES = 1500
# Moments of each activity: in an operation's own shares the rare ones would hardly be seen.
SHARES = {OUTSIDE: 0.13, INSPECTING: 0.25, OPERATING: 0.37, BAGGING: 0.25}


class _PhantomScenes:
    """Scenes of the phantom without end. A third of each batch is new; the rest is from what was
    drawn before, which is then seen through another mirror and other colours."""

    def __init__(self, recipe: Recipe) -> None:
        self.task, self.data = SceneTask.of_recipe(recipe), recipe.data
        self.batch = share_of(recipe.batch)

    def __call__(self, rng: np.random.Generator, first: int) -> Iterator[list[Scene]]:
        """Batches from a step on."""
        del first  # the generator was begun with it
        fresh = self._fresh(rng)
        kept: list[Scene] = []
        while True:
            wanted = self.batch if len(kept) < self.batch else (self.batch + 2) // 3
            new = [next(fresh) for _ in range(wanted)]
            old = rng.integers(len(kept) or 1, size=self.batch - wanted)
            yield [*new, *(kept[int(i)] for i in old)]
            kept = (kept + new)[-KEPT_SCENES:]

    def _fresh(self, rng: np.random.Generator) -> Iterator[Scene]:
        """New scenes: windows of operations with stills among them."""
        names, seed = list(SHARES), int(self.data["seed"])
        stills = PhantomStills(seed=seed, size_px=self.task.size_px)
        while True:
            number = int(rng.integers(int(self.data["operations"])))
            activity = names[int(rng.choice(len(names), p=list(SHARES.values())))]
            for scene in draw_window(rng, self.task, seed * 100_000 + number, activity):
                yield scene
                if rng.random() < float(self.data["still_share"]):
                    yield draw_still(self.task, stills, int(rng.integers(2**40)))


class _PictureScenes:
    """Scenes of given pictures; every one comes once before any comes again."""

    def __init__(self, recipe: Recipe, pictures: Sequence[LabelledPicture]) -> None:
        self.task, self.batch = SceneTask.of_recipe(recipe), recipe.batch
        self.pictures, self.seed = pictures, int(recipe.data["seed"])

    def __call__(self, rng: np.random.Generator, first: int) -> Iterator[list[Scene]]:
        """Batches from a step on."""
        del rng  # the order is the run's, not the step's
        place, count, mine = first * self.batch, len(self.pictures), ranks()
        while True:
            scenes = []
            for number in range(place, place + self.batch)[mine.rank :: mine.count]:
                order = np.random.default_rng((self.seed, number // count)).permutation(count)
                scenes.append(self.task.scene(self.pictures[int(order[number % count])]))
            yield scenes
            place += self.batch


class _Batches(IterableDataset):  # type: ignore[misc]
    """Scenes as the network takes them, from a step on, mirrored half the time, recoloured."""

    def __init__(self, recipe: Recipe, scenes: _PhantomScenes | _PictureScenes, first: int) -> None:
        self.scenes, self.seed, self.first = scenes, int(recipe.data["seed"]), first
        self.colour = replace(
            COLOUR, **{k: float(recipe.data.get(k, 0.0)) for k in ("veil", "contrast")}
        )
        self.mean = np.array(recipe.card["mean_rgb"], np.float32)
        self.std = np.array(recipe.card["std_rgb"], np.float32)

    def __iter__(self) -> Iterator[tuple[Tensor, ActivityTargets]]:
        rng = generator_of(self.seed, self.first)
        for scenes in self.scenes(rng, self.first):
            yield self._collated(scenes, rng)

    def _collated(
        self, scenes: Sequence[Scene], rng: np.random.Generator
    ) -> tuple[Tensor, ActivityTargets]:
        pictures, areas = [], []
        for scene in scenes:
            step = -1 if rng.random() < 0.5 else 1
            pictures.append(photometric(scene.rgb, self.colour, rng)[:, ::step])
            areas.append(scene.areas[:, ::step])
        targets = ActivityTargets(
            activities=torch.tensor([s.activity for s in scenes]),
            areas=torch.from_numpy(np.ascontiguousarray(np.stack(areas))),
        )
        return network_input(pictures, self.mean, self.std), targets


def train_activities(
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    run_folder: Path,
    *,
    network: nn.Module | None = None,
    device: str = "cpu",
    **hooks: Unpack[Hooks],
) -> TrainResult:
    """Train a recipe's EndoARSS.

    Args:
        recipe: its ``data`` names ``seed``; for the phantom ``operations`` (how many different
            ones) and ``still_share`` (stills for each frame of an operation); if wanted ``veil``
            and ``contrast`` (see ``Augmentation``), ``weighting`` (see ``TaskWeighting``) and
            ``class_weights`` of the areas.
        pictures: to learn from in place of the phantom; may be empty.
        run_folder, network, device: see ``app.learning.instruments.train_instruments``.
        hooks: see ``models.training.Hooks``.

    Raises:
        BadInput: the recipe lacks one of these.
    """
    _check(recipe, phantom=not pictures)
    config = TrainConfig(**recipe.train)
    torch.manual_seed(config.seed)
    network = (network or create_model(recipe.system, **recipe.options)).to(device)
    weighting = TaskWeighting(network, str(recipe.data.get("weighting", "equal")))
    trainer = Trainer(network, config, run_folder, weighting)
    trainer.resume()
    scenes = _PictureScenes(recipe, pictures) if pictures else _PhantomScenes(recipe)

    weights = tuple(float(w) for w in recipe.data.get("class_weights", ()))
    return trainer.run(
        lambda first: loaded(_Batches(recipe, scenes, first)),
        ActivityAreaLoss(class_weights=weights),
        **hooks,
    )


def _check(recipe: Recipe, *, phantom: bool) -> None:
    needed = {
        "data": ("seed", "operations", "still_share") if phantom else ("seed",),
        "card": ("mean_rgb", "std_rgb"),
    }
    for table, names in needed.items():
        for name in names:
            if name not in getattr(recipe, table):
                raise BadInput(f"The recipe {recipe.name} lacks {table}.{name}.")
    told = {OUTSIDE, INSPECTING, OPERATING, BAGGING}
    if phantom and (unknown := told - set(recipe.activities)):
        raise BadInput(f"The phantom also shows {min(unknown)}; name it among the activities.")
