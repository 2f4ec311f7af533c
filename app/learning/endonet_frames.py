"""Single frames of labelled recordings, to teach EndoNet's encoder, and what it says of them.

Runs in a training process and in its loaders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.inference.preprocess import resized
from app.learning.film_clips import COLOUR, cut_of
from app.learning.film_validation import phase_shares, tool_shares
from app.learning.filmed import Filmed
from app.learning.recipes import Recipe
from app.learning.views import photometric
from models.endonet.training import FrameTargets
from models.types import UNKNOWN

_AT_ONCE = 32
FRAMES_SCORE = "frames_jaccard"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameExample:
    """One picture: float32 (3, H, W), its phase, and int64 (M,) of its tools."""

    image: NDArray[np.float32]
    phase: int
    tools: NDArray[np.int64]


class FilmFrames:
    """Examples by number: a frame of which a phase or a tool is known, in one view.

    Args:
        recipe: its ``data`` may name ``seed``; every known frame is drawn alike.
        films: to learn from.
        tools: that the network tells; without names in the recipe nothing is known of them.
    """

    def __init__(self, recipe: Recipe, films: Sequence[Filmed], tools: int) -> None:
        self.size_px, self.seed = recipe.input_size_px, int(recipe.data.get("seed", 0))
        self.mean = np.array(recipe.card["mean_rgb"], np.float32)
        self.std = np.array(recipe.card["std_rgb"], np.float32)
        self.films, self.tools = films, tools
        known = [(f.labels != UNKNOWN) | (f.tools != UNKNOWN).any(1) for f in films]
        self._known = [np.flatnonzero(places) for places in known]
        self._ends = np.cumsum([len(places) for places in self._known])

    def __call__(self, number: int) -> FrameExample:
        """The picture of this number."""
        rng = np.random.default_rng((self.seed, number))
        at = int(rng.integers(self._ends[-1]))
        which = int(np.searchsorted(self._ends, at, side="right"))
        film = self.films[which]
        place = int(self._known[which][at - (int(self._ends[which - 1]) if which else 0)])
        rgb = film.frames[place]
        picture = photometric(rgb[cut_of(rgb.shape[:2], self.size_px, rng)], COLOUR, rng)
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
        image = (picture.astype(np.float32) / 255 - self.mean) / self.std
        told = film.tools[place] if film.tools.shape[1] else np.full(self.tools, UNKNOWN)
        return FrameExample(
            image=np.ascontiguousarray(image.transpose(2, 0, 1)),
            phase=int(film.labels[place]),
            tools=told.astype(np.int64),
        )


def joined_frames(examples: Sequence[FrameExample]) -> tuple[Tensor, FrameTargets]:
    """Pictures (B, 3, H, W) and what is known of them."""
    images = torch.from_numpy(np.stack([one.image for one in examples]))
    tools = torch.from_numpy(np.stack([one.tools for one in examples]))
    phases = torch.tensor([one.phase for one in examples])
    return images, FrameTargets(phases=phases, tools=tools)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """What the frames of one recording gave, each by itself.

    Attributes:
        features: float16 (T, 2048).
        phases: float32 (T, K), probabilities.
        tools: float32 (T, M), probabilities.
    """

    features: NDArray[np.float16]
    phases: NDArray[np.float32]
    tools: NDArray[np.float32]


@torch.inference_mode()
def looked(heads: nn.Module, film: Filmed, recipe: Recipe) -> Looked:
    """Every frame of a recording through ``FrameHeads`` in eval mode."""
    device = next(heads.parameters()).device
    mean, std = (
        torch.tensor(recipe.card[name], device=device).view(1, 3, 1, 1)
        for name in ("mean_rgb", "std_rgb")
    )
    found = []
    for images in _batches(film, recipe.input_size_px):
        some = heads((images.to(device).permute(0, 3, 1, 2).float() / 255 - mean) / std)
        found.append(
            (
                some.features.half().cpu().numpy(),
                some.phases.float().softmax(-1).cpu().numpy(),
                some.tools.float().sigmoid().cpu().numpy(),
            )
        )
    features, phases, tools = (np.concatenate(part) for part in zip(*found, strict=True))
    return Looked(features=features, phases=phases, tools=tools)


def _batches(film: Filmed, size_px: tuple[int, int]) -> Iterator[Tensor]:
    for first in range(0, len(film.frames), _AT_ONCE):
        places = range(first, min(first + _AT_ONCE, len(film.frames)))
        yield torch.from_numpy(np.stack([resized(film.frames[p], *size_px) for p in places]))


def frame_figures(heads: nn.Module, films: Sequence[Filmed], recipe: Recipe) -> dict[str, float]:
    """Figures of held-out frames by themselves: those of phases begin with ``frames_``."""
    said = [looked(heads, film, recipe) for film in films]
    phases = phase_shares(films, [one.phases for one in said], recipe)
    tools = tool_shares(films, [one.tools for one in said], recipe)
    return {f"frames_{name}": value for name, value in phases.items()} | tools
