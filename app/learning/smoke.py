"""Training a desmoking network on clear phantom pictures and the smoke drawn over them.

Runs in a training process. Batches are made in a loader process beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from app.learning.batches import batches_from
from app.learning.evaluation import SAMPLES, score_of
from app.learning.phantom import PhantomStills, effects
from app.learning.recipes import Recipe
from models import create_model
from models.metrics.pictures import psnr, ssim
from models.rga_net.training import DesmokeLoss
from models.training import Hooks, TrainConfig, Trainer, TrainResult

if TYPE_CHECKING:
    from torch import Tensor, nn

CLEAR_SHARE = 0.2
# Of the pictures to learn from, how many are a part seen closer: a tile of a large picture shows
# a quarter of the view and softer edges, the whole picture at a small size all of it.
CLOSE_SHARE = 0.4
CLOSEST = 0.25
# Held-out pictures come from numbers that no training run of any length reaches.
HELD_OUT_FROM = 900_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SmokePair:
    """One picture with and without smoke, uint8 (H, W, 3) each."""

    smoky: NDArray[np.uint8]
    clear: NDArray[np.uint8]


class SmokePairs:
    """An endless, seeded set of pairs.

    Smoke scatters the light of the scope back, x (1 - t) + t a, with t of low frequency: thin
    over all of the view and dense where it rises (specification, section 4).

    Args:
        seed: chooses the set.
        size_px: (width, height).
    """

    def __init__(self, seed: int, size_px: tuple[int, int]) -> None:
        self.seed, self.size = seed, (size_px[1], size_px[0])
        self.stills = PhantomStills(seed=seed, size_px=size_px, smoke_share=0.0)
        self._large_px = (2 * size_px[0], 2 * size_px[1])

    def pair(self, number: int, *, amount: float | None = None) -> SmokePair:
        """The pair of this number; about one in five has no smoke unless ``amount`` says so.

        Args:
            number: decides picture and smoke.
            amount: of smoke, 0 to 1; None draws it.
        """
        rng = np.random.default_rng((self.seed, number, 1))
        clear = self.stills.sample(number).rgb
        if amount is None:
            amount = 0.0 if rng.random() < CLEAR_SHARE else float(rng.uniform(0.05, 0.65))
        if amount == 0:
            return SmokePair(smoky=clear, clear=clear)
        density = effects.smoke_density(rng, self.size, amount)
        veil = float(rng.uniform(0, 0.5)) * amount
        density = np.clip(density + veil * (1 - density), 0, 0.92)
        density = density * _near_light(clear)
        frame = clear.astype(np.float32) / 255
        grey = float(rng.uniform(0.55, 0.9))
        tone = grey * rng.uniform(0.93, 1.07, 3)
        effects.smoke_on(frame, density.astype(np.float32), tuple(tone))
        return SmokePair(smoky=effects.to_bytes(frame), clear=clear)

    def lesson(self, number: int) -> SmokePair:
        """The pair of this number to learn from: some closer, mirrored and upside down by turns.

        A scope that is turned has no up.
        """
        rng = np.random.default_rng((self.seed, number, 2))
        if rng.random() < CLOSE_SHARE:
            pair = SmokePairs(self.seed, self._large_px).pair(number)
            pair = _closer(pair, rng, self.size)
        else:
            pair = self.pair(number)
        across, down = (-1 if number & 1 else 1), (-1 if number & 2 else 1)
        return SmokePair(smoky=pair.smoky[::down, ::across], clear=pair.clear[::down, ::across])


def _closer(pair: SmokePair, rng: np.random.Generator, size: tuple[int, int]) -> SmokePair:
    """A part of a pair at the size (height, width)."""
    share = float(np.exp(rng.uniform(np.log(CLOSEST), 0)))
    height, width = (round(share * side) for side in pair.clear.shape[:2])
    top = int(rng.integers(pair.clear.shape[0] - height + 1))
    left = int(rng.integers(pair.clear.shape[1] - width + 1))
    part = np.s_[top : top + height, left : left + width]
    how = cv2.INTER_AREA if height > size[0] else cv2.INTER_LINEAR
    smoky, clear = (
        np.asarray(cv2.resize(picture[part], size[::-1], interpolation=how), np.uint8)
        for picture in (pair.smoky, pair.clear)
    )
    return SmokePair(smoky=smoky, clear=clear)


def _near_light(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Smoke shows where the scope lights it: the dark corners of the view stay dark."""
    light = cv2.GaussianBlur(rgb.max(axis=2).astype(np.float32), (0, 0), rgb.shape[1] / 40)
    return np.asarray(np.clip(light / 60, 0, 1), np.float32)


def _joined(pairs: Sequence[SmokePair]) -> tuple[Tensor, Tensor]:
    return _tensor([p.smoky for p in pairs]), _tensor([p.clear for p in pairs])


def _tensor(pictures: list[NDArray[np.uint8]]) -> Tensor:
    stacked = np.stack(pictures).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(stacked)).float().div_(255)


def _bytes(answer: Tensor) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) of what the network answers, float (3, H, W)."""
    picture = (answer.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(picture)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _held_out_pair(pairs: SmokePairs, number: int) -> SmokePair:
    """Thin and dense smoke in turn."""
    place = HELD_OUT_FROM + number
    return pairs.pair(place, amount=0.15 + 0.5 * (place % 6) / 5)


@torch.no_grad()
def held_out(
    network: nn.Module, seed: int, size_px: tuple[int, int], count: int = 24
) -> dict[str, float]:
    """What the network is worth on phantom pairs of another seed.

    Returns:
        ``psnr`` and ``ssim`` of its answers, ``psnr_smoky`` and ``ssim_smoky`` of doing nothing,
        ``psnr_clear`` of what it makes of pictures without smoke; means over ``count`` pictures.
    """
    pairs = SmokePairs(seed + 1, size_px)
    figures: dict[str, list[float]] = {}
    for number in range(count):
        pair = _held_out_pair(pairs, number)
        answers = network(_tensor([pair.smoky, pair.clear]).to(_device(network)))
        cleaned, untouched = map(_bytes, answers)
        for name, value in (
            ("psnr", psnr(cleaned, pair.clear)),
            ("ssim", ssim(cleaned, pair.clear)),
            ("psnr_smoky", psnr(pair.smoky, pair.clear)),
            ("ssim_smoky", ssim(pair.smoky, pair.clear)),
            ("psnr_clear", min(psnr(untouched, pair.clear), 99.0)),
        ):
            figures.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in figures.items()}


class SmokeValidation:
    """Measures a network in eval mode on phantom pairs of another seed; call it with the network.

    Attributes:
        score: the recipe's ``data.score``, else ``psnr``.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.score = score_of(recipe, ("psnr", "ssim", "psnr_clear"))
        self.size_px = recipe.input_size_px
        self.seed = int(recipe.data.get("seed", TrainConfig(**recipe.train).seed))

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """See ``held_out``."""
        return held_out(network, self.seed, self.size_px)

    @torch.no_grad()
    def samples(self, network: nn.Module | None) -> Iterator[NDArray[np.uint8]]:
        """See ``Evaluation.samples``; pictures with their smoke taken away."""
        pairs = SmokePairs(self.seed + 1, self.size_px)
        for number in range(SAMPLES):
            pair = _held_out_pair(pairs, number)
            if network is None:
                yield pair.clear
            else:
                yield _bytes(network(_tensor([pair.smoky]).to(_device(network)))[0])


def train_desmoking(
    recipe: Recipe,
    run_folder: Path,
    *,
    network: nn.Module | None = None,
    device: str = "cpu",
    **hooks: Unpack[Hooks],
) -> TrainResult:
    """Train a recipe's network to take smoke away.

    Args:
        recipe: its ``data.seed`` chooses the pictures.
        run_folder, network, device: see ``app.learning.instruments.train_instruments``.
        hooks: see ``models.training.Hooks``.
    """
    config = TrainConfig(**recipe.train)
    torch.manual_seed(config.seed)
    network = network or create_model(recipe.system, **recipe.options)
    seed = int(recipe.data.get("seed", config.seed))
    trainer = Trainer(network.to(device), config, run_folder)
    trainer.resume()

    pairs = SmokePairs(seed, recipe.input_size_px)
    return trainer.run(
        batches_from(pairs.lesson, _joined, recipe.batch, 1),
        DesmokeLoss(),
        **hooks,
    )
