"""Training an instance segmentation network on the phantom or on labelled pictures.

Runs in a training process. Batches are made in loader processes beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from app.core.picture import LabelledPicture
from app.learning.collate import collate
from app.learning.phantom import PhantomStills
from app.learning.recipes import Recipe
from app.learning.views import Augmentation, View, augmented
from models import create_model
from models.losses.instance import InstanceLoss
from models.training import Progress, TrainConfig, Trainer, TrainResult

if TYPE_CHECKING:
    from torch import Tensor

    from models.types import InstanceTargets

Make = Callable[[int], View]


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
    """Random views of given pictures, mixed with the phantom so that nothing is forgotten.

    Args:
        pictures: the labelled pictures.
        size_px: the network's input (width, height).
        seed: decides the views.
        phantom_share: share of phantom views, 0 to 1.
    """

    def __init__(
        self,
        pictures: Sequence[LabelledPicture],
        size_px: tuple[int, int],
        seed: int,
        phantom_share: float,
    ) -> None:
        self.pictures, self.size_px, self.seed = pictures, size_px, seed
        self.phantom_share = phantom_share
        self.phantom = PhantomViews(seed, size_px) if phantom_share > 0 else None

    def __call__(self, number: int) -> View:
        rng = np.random.default_rng((self.seed, number))
        if self.phantom is not None and rng.random() < self.phantom_share:
            return self.phantom(number)
        picture = self.pictures[int(rng.integers(len(self.pictures)))]
        return augmented(picture, self.size_px, Augmentation(), rng)


class _Batches(IterableDataset):  # type: ignore[misc]
    """Whole batches from ``first`` on, dealt to the loader processes in turn."""

    def __init__(self, make: Make, classes: Sequence[str], batch: int, first: int) -> None:
        self.make, self.classes, self.batch, self.first = make, classes, batch, first

    def __iter__(self) -> Iterator[tuple[Tensor, InstanceTargets]]:
        worker = torch.utils.data.get_worker_info()
        start, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        step = self.first + start
        while True:
            numbers = range(step * self.batch, (step + 1) * self.batch)
            yield collate([self.make(n) for n in numbers], self.classes)
            step += stride


def batches_from(
    make: Make, classes: Sequence[str], batch: int, workers: int
) -> Callable[[int], Iterator[tuple[Tensor, InstanceTargets]]]:
    """What the training loop asks for: the batches from a step on."""

    def start(first: int) -> Iterator[tuple[Tensor, InstanceTargets]]:
        dataset = _Batches(make, classes, batch, first)
        loader = DataLoader(
            dataset,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=6 if workers else None,
            worker_init_fn=_single_thread,
            # A fork would copy torch's and OpenCV's locks as they happen to stand.
            multiprocessing_context="spawn" if workers else None,
        )
        return iter(loader)

    return start


def _single_thread(_worker: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def train_instruments(
    recipe: Recipe,
    pictures: Sequence[LabelledPicture],
    run_folder: Path,
    *,
    network: torch.nn.Module | None = None,
    device: str = "cpu",
    evaluate: Callable[[torch.nn.Module], dict[str, float]] | None = None,
    score: str = "",
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> TrainResult:
    """Train a recipe's network.

    Args:
        recipe: what and how. ``data.phantom_share`` (default 1 without pictures, else 0.5) mixes
            phantom views in.
        pictures: labelled pictures to learn from besides the phantom; may be empty.
        run_folder: where checkpoints go; a run found there goes on.
        network: where to start; None for fresh weights.
        device: torch's name of where to compute.
        evaluate, score: see ``models.training.Trainer.run``.
        on_progress, should_stop: likewise.
    """
    config = TrainConfig(**recipe.train)
    torch.manual_seed(config.seed)
    network = network or create_model(recipe.system, **recipe.options)
    data: dict[str, Any] = recipe.data
    seed = int(data.get("seed", config.seed))
    make: Make
    if pictures:
        share = float(data.get("phantom_share", 0.5))
        make = PictureViews(pictures, recipe.input_size_px, seed, share)
    else:
        make = PhantomViews(seed, recipe.input_size_px)
    trainer = Trainer(network.to(device), config, run_folder)
    trainer.resume()
    return trainer.run(
        batches_from(make, recipe.classes, recipe.batch, int(data.get("workers", 1))),
        InstanceLoss(),
        evaluate=evaluate,
        score=score,
        on_progress=on_progress,
        should_stop=should_stop,
    )
