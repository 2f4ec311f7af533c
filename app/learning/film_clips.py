"""Clips of labelled recordings: a fixed number of frames some seconds apart, as batches to learn.

As the released phase model was trained (specs: EndoMamba, downstream heads). A clip has one mirror,
one cut and one look. Examples have numbers, so that a run goes on with those it would have seen.
Runs in a training process and in its loaders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.learning.filmed import Filmed, rate_of
from app.learning.rand_augment import erased, rand_augment
from app.learning.recipes import Recipe
from app.learning.views import Augmentation, photometric
from models.endomamba.training import MixedLabels
from models.types import UNKNOWN

COLOUR = Augmentation(hue=4, saturation=0.2, brightness=0.2, blur_px=0.0, jpeg=50)


class Clip(NamedTuple):
    """One example.

    Attributes:
        values: float32 (3, T, H, W), normalised.
        labels: int64 (T,).
        number: of the example.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    number: int


class FilmClips:
    """Examples by number.

    Args:
        recipe: its ``data`` names ``window`` (frames of a clip), ``most_gap_s`` and, if wanted,
            ``seed`` and ``phase_power`` (a phase is drawn by its length to this power: 1, the
            default, as long as they last; 0.5 shows short ones more often), ``rand_augment`` (count
            and magnitude, in place of a change of colours) and ``erasing`` (how often a part is).
        films: to learn from, each with a labelled frame.
    """

    def __init__(self, recipe: Recipe, films: Sequence[Filmed]) -> None:
        data = recipe.data
        self.size_px, self.length = recipe.input_size_px, int(data["window"])
        self.most_gap = max(1.0, float(data["most_gap_s"]) * rate_of(recipe))
        self.seed = int(data.get("seed", 0))
        self.mean = np.array(recipe.card["mean_rgb"], np.float32)
        self.std = np.array(recipe.card["std_rgb"], np.float32)
        self.augment = data.get("rand_augment", ())
        self.erasing = float(data.get("erasing", 0.0))
        self.films = films
        self._labelled = [np.flatnonzero(film.labels != UNKNOWN) for film in films]
        self._shares = shares_of(films, len(recipe.classes), float(data.get("phase_power", 1.0)))

    def __call__(self, number: int) -> Clip:
        """The clip of this number."""
        rng = np.random.default_rng((self.seed, number))
        film, places = self.places(rng)
        pictures = [film.frames[p] for p in places]
        return Clip(self._seen(pictures, rng), film.labels[places], number)

    def places(self, rng: np.random.Generator) -> tuple[Filmed, NDArray[np.int64]]:
        """A recording and the frames of a clip of it, around a labelled one that is drawn.

        In a recording too short for the clip frames are nearer to one another, or there twice.
        """
        at = int(rng.choice(len(self._shares), p=self._shares))
        ends = np.cumsum([len(labelled) for labelled in self._labelled])
        which = int(np.searchsorted(ends, at, side="right"))
        film = self.films[which]
        place = int(self._labelled[which][at - (ends[which - 1] if which else 0)])
        count = len(film.frames)
        gap = min(float(rng.uniform(1.0, self.most_gap)), count / self.length)
        first = min(max(place - rng.random() * gap * self.length, 0.0), count - gap * self.length)
        steps = (first + gap * np.arange(self.length)).astype(np.int64)
        return film, np.clip(steps, 0, count - 1)

    def _seen(
        self, pictures: Sequence[NDArray[np.uint8]], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        look, mirror = int(rng.integers(2**31)), bool(rng.random() < 0.5)
        change = self._changing(look)
        cut = cut_of(pictures[0].shape[:2], self.size_px, rng)
        out = []
        for rgb in pictures:
            picture = change(rgb[cut])
            out.append(picture[:, ::-1] if mirror else picture)
        values = (np.stack(out).astype(np.float32) / 255 - self.mean) / self.std
        return erased(np.ascontiguousarray(values.transpose(3, 0, 1, 2)), self.erasing, rng)

    def _changing(self, look: int) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
        """What is done to every frame of a clip."""
        if self.augment:
            count, magnitude = self.augment
            return rand_augment(int(count), float(magnitude), np.random.default_rng(look))
        return lambda rgb: photometric(rgb, COLOUR, np.random.default_rng(look))


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Examples to a batch: clips (B, 3, T, H, W) and labels (B, T).

    Attributes:
        mixup, cutmix: of the beta distributions that say how much of another clip of the batch is
            laid over one, or put in a rectangle of it; with both every other time. 0 for never.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __call__(self, examples: Sequence[Clip]) -> tuple[Tensor, Tensor | MixedLabels]:
        """The batch; labels are mixed where clips are."""
        clips = torch.from_numpy(np.stack([one.values for one in examples]))
        labels = torch.from_numpy(np.stack([one.labels for one in examples]))
        if not (self.mixup or self.cutmix):
            return clips, labels
        rng = np.random.default_rng((examples[0].number, 2))
        others = clips.flip(0)
        if self.cutmix and (not self.mixup or rng.random() < 0.5):
            share = rng.beta(self.cutmix, self.cutmix)
            rows, columns = _rectangle(clips.shape[3:], 1 - share, rng)
            clips = clips.clone()
            clips[..., rows, columns] = others[..., rows, columns]
            taken = (rows.stop - rows.start) * (columns.stop - columns.start)
            share = 1 - taken / (clips.shape[3] * clips.shape[4])
        else:
            share = rng.beta(self.mixup, self.mixup)
            clips = share * clips + (1 - share) * others
        shares = torch.full((len(clips),), float(share))
        return clips, MixedLabels(labels=labels, others=labels.flip(0), share=shares)


def _rectangle(size: Sequence[int], share: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """A rectangle of a share of a picture around a random place; its part within the picture."""
    found = []
    for length in size:
        half, middle = int(length * np.sqrt(share)) // 2, int(rng.integers(length))
        found.append(slice(max(middle - half, 0), min(middle + half, length)))
    return found[0], found[1]


def shares_of(films: Sequence[Filmed], classes: int, power: float) -> NDArray[np.float64]:
    """How often each labelled frame is drawn, those of all recordings after one another."""
    labels = np.concatenate([film.labels[film.labels != UNKNOWN] for film in films])
    counts = np.bincount(labels, minlength=classes).astype(float)
    weights = counts.clip(min=1) ** (power - 1.0)
    shares: NDArray[np.float64] = weights[labels] / weights[labels].sum()
    return shares


def cut_of(
    of_px: tuple[int, ...], size_px: tuple[int, int], rng: np.random.Generator
) -> tuple[slice, slice]:
    """A part of the input's size at a random place of a somewhat larger picture."""
    top = int(rng.integers(of_px[0] - size_px[1] + 1))
    left = int(rng.integers(of_px[1] - size_px[0] + 1))
    return slice(top, top + size_px[1]), slice(left, left + size_px[0])
