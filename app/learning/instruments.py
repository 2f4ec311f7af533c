"""Training a segmentation network on the phantom or on labelled pictures.

Runs in a training process. Batches are made in loader processes beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch

from app.core.errors import BadInput
from app.core.picture import LabelledPicture
from app.learning.batches import batches_from
from app.learning.collate import collate, collate_maps
from app.learning.phantom import PhantomStills
from app.learning.recipes import Recipe
from app.learning.views import Augmentation, View, augmented, fitted, mosaic
from models import create_model
from models.losses.instance import InstanceLoss
from models.losses.structure import MapLoss
from models.pranet.training import at_scales
from models.training import Hooks, Loss, TrainConfig, Trainer, TrainResult

if TYPE_CHECKING:
    from torch import Tensor

Make = Callable[[int], View]
Join = Callable[[Sequence[View]], "tuple[Tensor, Any]"]

MAP_SYSTEMS = ("pranet",)
"""Networks that answer with one map in place of instances."""


class PhantomViews:
    """Training views from the phantom: the number decides the picture."""

    def __init__(self, seed: int, size_px: tuple[int, int]) -> None:
        self.stills = PhantomStills(seed=seed, size_px=size_px)

    def __call__(self, number: int) -> View:
        sample = self.stills.sample(number)
        return View(
            rgb=sample.rgb,
            masks=tuple(i.mask for i in sample.instances),
            labels=tuple(i.key for i in sample.instances),
            ignore=sample.ignore,
        )


class PictureViews:
    """Views of given pictures, mixed with the phantom so that nothing is forgotten.

    Where no phantom is mixed in, every picture comes once before any comes again.

    Args:
        pictures: the labelled pictures.
        size_px: the network's input (width, height).
        seed: decides the views.
        phantom_share: share of phantom views, 0 to 1.
        how: how far a view may stray from its picture; None for the picture as it is.
        views: of the whole run, after which the mosaic's last passes are counted back; None where
            it has no end.
    """

    def __init__(
        self,
        pictures: Sequence[LabelledPicture],
        size_px: tuple[int, int],
        seed: int,
        phantom_share: float,
        how: Augmentation | None,
        views: int | None = None,
    ) -> None:
        self.pictures, self.size_px, self.seed = pictures, size_px, seed
        last = 0 if how is None or views is None else how.mosaic_off_passes * len(pictures)
        self.mosaic_until = float("inf") if views is None else views - last
        self.phantom_share, self.how = phantom_share, how
        self._pass, self._order = -1, np.arange(0)
        self.phantom = PhantomViews(seed, size_px) if phantom_share > 0 else None

    def __call__(self, number: int) -> View:
        rng = np.random.default_rng((self.seed, number))
        if self.phantom is not None and rng.random() < self.phantom_share:
            return self.phantom(number)
        picture = self.pictures[self._place(number)]
        if self.how is None:
            return fitted(picture, self.size_px)
        if self.how.mosaic and number < self.mosaic_until and rng.random() < self.how.mosaic:
            others = [self.pictures[int(i)] for i in rng.integers(len(self.pictures), size=3)]
            return mosaic((picture, *others), self.size_px, self.how, rng)
        return augmented(picture, self.size_px, self.how, rng)

    def _place(self, number: int) -> int:
        number_of_pass, place = divmod(number, len(self.pictures))
        if number_of_pass != self._pass:
            rng = np.random.default_rng((self.seed, number_of_pass, 1))
            self._pass, self._order = number_of_pass, rng.permutation(len(self.pictures))
        return int(self._order[place])


def join_of(recipe: Recipe) -> Join:
    """How views become the batch that the recipe's network takes."""
    if recipe.system in MAP_SYSTEMS:
        mean, std = (
            recipe.card.get(k, v) for k, v in (("mean_rgb", (0,) * 3), ("std_rgb", (1,) * 3))
        )
        return partial(collate_maps, classes=recipe.classes, mean_rgb=mean, std_rgb=std)
    return partial(collate, classes=recipe.classes)


def _loss_of(recipe: Recipe) -> Loss:
    if recipe.system in MAP_SYSTEMS:
        return MapLoss(weigh_entropy=bool(recipe.data.get("weigh_entropy")))
    said = recipe.data.get("loss", {})
    known = [f.name for f in fields(InstanceLoss)]
    if not isinstance(said, dict) or set(said) - set(known):
        raise BadInput(f"The recipe's data.loss takes a table of {', '.join(known)}.")
    return InstanceLoss(**said)


def train_instruments(
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    run_folder: Path,
    *,
    network: torch.nn.Module | None = None,
    loss: Loss | None = None,
    device: str = "cpu",
    **hooks: Unpack[Hooks],
) -> TrainResult:
    """Train a recipe's network.

    Args:
        recipe: what and how. ``data.phantom_share`` (default 1 without pictures, else 0.5) mixes
            phantom views in; ``data.augment`` (default true, or a table of ``Augmentation``)
            changes the pictures; ``data.weigh_entropy`` (default false) is of ``MapLoss``,
            ``data.loss`` a table of ``InstanceLoss``.
        pictures: labelled pictures to learn from besides the phantom; may be empty.
        run_folder: where checkpoints go; a run found there goes on.
        network: where to start; None for fresh weights.
        loss: of a network that is none of ours; None for the recipe's own.
        device: torch's name of where to compute.
        hooks: see ``models.training.Hooks``.
    """
    config = TrainConfig(**recipe.train)
    torch.manual_seed(config.seed)
    network = network or create_model(recipe.system, **recipe.options)
    loss = _loss_of(recipe) if loss is None else loss
    data: dict[str, Any] = recipe.data
    seed = int(data.get("seed", config.seed))
    make: Make
    if pictures:
        share = float(data.get("phantom_share", 0.5))
        how = Augmentation.of(data.get("augment", True))
        views = config.steps * recipe.batch
        make = PictureViews(pictures, recipe.input_size_px, seed, share, how, views)
    else:
        make = PhantomViews(seed, recipe.input_size_px)
    trainer = Trainer(network.to(device), config, run_folder)
    trainer.resume()
    batches = batches_from(make, join_of(recipe), recipe.batch, int(data.get("workers", 1)))
    return trainer.run(
        at_scales(batches) if recipe.system in MAP_SYSTEMS else batches,
        loss,
        **hooks,
    )
