"""Training networks that read frame features: whole courses at once, or clips of them.

MS-TCN and SPRMamba name phases, SuPRA foresees them as well, SurgFUTR foresees the next event from
clips. What they read was stored by an encoder that stays as it is. Runs in a training process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from app.core.errors import BadInput
from app.learning.batches import generator_of, loaded, share_of
from app.learning.courses import Donors, Example, Labels, begun_late, phantom_courses
from app.learning.feature_validation import FeatureValidation
from app.learning.recipes import Recipe
from app.learning.recorded import Recorded
from models import create_model
from models.endomamba.training import PhaseLoss
from models.ms_tcn.training import StagesLoss
from models.supra import Supra
from models.supra.training import ForecastLoss, ForecastTargets
from models.surgfutr.clips import ClipLoss, ClipTargets, clips_of
from models.training import Hooks, TrainConfig, Trainer, TrainResult

SHORTEST = 120
"""Samples that a course which is begun late still has."""

SUPRA, SURGFUTR = "supra", "surgfutr"


class _Examples(IterableDataset):  # type: ignore[misc]
    """Batches without end: one course each, or clips of one."""

    def __init__(
        self,
        recipe: Recipe,
        recordings: Sequence[Recorded],
        first: int,
        batch_of: Callable[[Example, np.random.Generator], tuple[Tensor, Any]],
    ) -> None:
        self.recipe, self.first, self.batch_of = recipe, first, batch_of
        self.donors = Donors(recordings)
        self.courses = courses_of(recipe, recordings)

    def __iter__(self) -> Iterator[tuple[Tensor, Any]]:
        data = self.recipe.data
        rng = generator_of(int(data["seed"]), self.first)
        noise = float(data.get("noise", 0.0))
        while True:
            if rng.random() < float(data.get("as_recorded", 0.1)):
                one = self.donors.whole(rng)
            else:
                one = self.donors.dressed(self.courses[int(rng.integers(len(self.courses)))], rng)
            if rng.random() < float(data.get("begun_late", 0.0)):
                one = begun_late(one, rng, SHORTEST)
            yield self.batch_of(unlike(one, noise, rng), rng)


def unlike(one: Example, noise: float, rng: np.random.Generator) -> Example:
    """The course as another operation might look, which recordings are too few to show.

    Every channel is moved by one offset for the whole course, and every sample by itself; both are
    normal, of a strength drawn up to ``noise``, in spreads of the channel over the course.
    """
    if not noise:
        return one
    spread = one.features.std(0) * np.float32(rng.uniform(0, noise))
    offset = rng.standard_normal(len(spread), np.float32)
    moved = offset + rng.standard_normal(one.features.shape, np.float32)
    return Example(features=one.features + spread * moved, labels=one.labels)


def courses_of(recipe: Recipe, recordings: Sequence[Recorded]) -> list[Labels]:
    """Labels of the courses that a recipe learns from: the phantom's scripts, or its recordings'
    own where ``data.source`` is another."""
    if recipe.data.get("source") == "phantom":
        return phantom_courses(recipe)
    return [one.labels for one in recordings]


def train_on_features(
    recipe: Recipe,
    recordings: Sequence[Recorded],
    run_folder: Path,
    *,
    network: nn.Module | None = None,
    device: str = "cpu",
    **hooks: Unpack[Hooks],
) -> TrainResult:
    """Train a recipe's network on stored frame features.

    Args:
        recipe: ``card.features_of`` names the encoder; its ``data`` names ``seed`` and, for the
            phantom, ``courses``; if wanted ``as_recorded`` (share of examples that are recordings
            as they are), ``begun_late`` (share that start anywhere), ``noise`` (see ``unlike``),
            ``smoothness`` and ``class_weights`` (see ``PhaseLoss``), for SuPRA ``weights`` (see
            ``ForecastLoss``), for SurgFUTR ``future`` (samples that the teacher sees beyond a
            clip).
        recordings: to learn from.
        run_folder, network, device: see ``app.learning.instruments.train_instruments``.
        hooks: see ``models.training.Hooks``.

    Raises:
        BadInput: nothing to learn from, or features of another size than the network reads.
    """
    if not recordings:
        raise BadInput(f"{recipe.title} learns from frame features, and there are none.")
    config = TrainConfig(**recipe.train)
    torch.manual_seed(config.seed)
    network = network or create_model(recipe.system, **recipe.options)
    channels = recordings[0].features.shape[1]
    if channels != network.in_features:
        raise BadInput(
            f"The recipe {recipe.name} reads {network.in_features} features a sample, the encoder "
            f"stores {channels}; change options.in_features or card.features_of."
        )
    trainer = Trainer(network.to(device), config, run_folder)
    trainer.resume()
    batch_of, loss = _lesson(recipe, network)
    result = trainer.run(
        lambda first: loaded(_Examples(recipe, recordings, first, batch_of), workers=0),
        loss,
        **hooks,
    )
    measure = hooks.get("evaluate")
    if isinstance(measure, FeatureValidation) and isinstance(result.network, Supra):
        measure.calibrate(result.network)
    return result


def _lesson(recipe: Recipe, network: nn.Module) -> tuple[Callable[..., Any], Any]:
    """How an example becomes a batch, and what measures the answer."""
    data, rate = recipe.data, 60.0 * float(recipe.card["frames_per_second"])
    stages = StagesLoss(
        of_stage=PhaseLoss(
            label_smoothing=0.0,
            smoothness=float(data.get("smoothness", 0.15)),
            class_weights=data.get("class_weights"),
        )
    )

    def whole(one: Example, _: np.random.Generator) -> tuple[Tensor, Any]:
        return _inputs(one), torch.from_numpy(one.labels)[None]

    def forecast(one: Example, _: np.random.Generator) -> tuple[Tensor, Any]:
        targets = ForecastTargets.of(
            one.labels,
            len(recipe.classes),
            horizon_min=network.horizon_min,
            frames_per_minute=rate,
        )
        return _inputs(one), targets

    def clips(one: Example, rng: np.random.Generator) -> tuple[Tensor, ClipTargets]:
        return clips_of(
            one.features,
            one.labels,
            len(recipe.classes),
            clip=network.clip,
            horizon_min=network.horizon_min,
            future=int(data["future"]),
            frames_per_minute=rate,
            count=share_of(recipe.batch),
            rng=rng,
        )

    if recipe.system == SURGFUTR:
        return clips, ClipLoss(network=network)
    if recipe.system == SUPRA:
        how = {"weights": data["weights"]} if "weights" in data else {}
        return forecast, ForecastLoss(phases=stages, **how)
    return whole, stages


def _inputs(one: Example) -> Tensor:
    """(1, C, T)."""
    return torch.from_numpy(np.ascontiguousarray(one.features.T))[None]
