"""Clips of labelled recordings: a fixed number of frames some seconds apart, as batches to learn.

As the released phase model was trained (specs: EndoMamba, downstream heads). A clip has one mirror,
one cut and one look. Examples have numbers, so that a run goes on with those it would have seen.
Runs in a training process and in its loaders.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.learning.filmed import Filmed, rate_of
from app.learning.recipes import Recipe
from app.learning.views import Augmentation, photometric
from models.types import UNKNOWN

COLOUR = Augmentation(hue=4, saturation=0.2, brightness=0.2, blur_px=0.0, jpeg=50)


class FilmClips:
    """Examples by number: float32 (3, T, H, W), normalised, and int64 (T,).

    Args:
        recipe: its ``data`` names ``window`` (frames of a clip), ``most_gap_s`` and, if wanted,
            ``seed`` and ``phase_power`` (a phase is drawn by its length to this power: 1, the
            default, as long as they last; 0.5 shows short ones more often).
        films: to learn from, each with a labelled frame.
    """

    def __init__(self, recipe: Recipe, films: Sequence[Filmed]) -> None:
        data = recipe.data
        self.size_px, self.length = recipe.input_size_px, int(data["window"])
        self.most_gap = max(1.0, float(data["most_gap_s"]) * rate_of(recipe))
        self.seed = int(data.get("seed", 0))
        self.mean = np.array(recipe.card["mean_rgb"], np.float32)
        self.std = np.array(recipe.card["std_rgb"], np.float32)
        self.films = films
        self._labelled = [np.flatnonzero(film.labels != UNKNOWN) for film in films]
        self._shares = shares_of(films, len(recipe.classes), float(data.get("phase_power", 1.0)))

    def __call__(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The clip of this number."""
        rng = np.random.default_rng((self.seed, number))
        film, places = self.places(rng)
        pictures = [film.frames[p] for p in places]
        return self._seen(pictures, rng), film.labels[places]

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
        cut = cut_of(pictures[0].shape[:2], self.size_px, rng)
        out = []
        for rgb in pictures:
            picture = photometric(rgb[cut], COLOUR, np.random.default_rng(look))
            out.append(picture[:, ::-1] if mirror else picture)
        values = (np.stack(out).astype(np.float32) / 255 - self.mean) / self.std
        return np.ascontiguousarray(values.transpose(3, 0, 1, 2))


def joined_clips(
    examples: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]],
) -> tuple[Tensor, Tensor]:
    """Clips (B, 3, T, H, W) and labels (B, T)."""
    clips, labels = zip(*examples, strict=True)
    return torch.from_numpy(np.stack(clips)), torch.from_numpy(np.stack(labels))


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
