"""What measures a phase network that reads pictures: whole recordings of held-out cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.learning.evaluation import score_of
from app.learning.filmed import Filmed
from app.learning.recipes import Recipe
from app.learning.recorded import Said, said_of
from models.metrics.phases import PhaseMetrics, phase_metrics
from models.metrics.tools import ToolMetrics, tool_metrics
from models.types import UNKNOWN

if TYPE_CHECKING:
    from torch import nn

FIGURES = ("jaccard", "accuracy", "f1")
TOOLS_MAP = "tools_map"


class FilmValidation:
    """Measures a network in eval mode.

    Args:
        recipe: of the run.
        films: held out.

    Attributes:
        score: the recipe's ``data.score``, else ``jaccard``.

    Raises:
        BadInput: the recipe keeps the best by a figure that is not measured.
    """

    def __init__(self, recipe: Recipe, films: Sequence[Filmed]) -> None:
        known = (*FIGURES, TOOLS_MAP) if recipe.tools else FIGURES
        self.recipe, self.films, self.score = recipe, films, score_of(recipe, known)

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """``accuracy`` by video, ``f1`` and ``jaccard`` by video and then phase, as shares, of each
        frame by itself; of a network that tells tools also ``tools_map``."""
        said = self.said(network)
        return phase_shares(self.films, [s.probabilities for s in said], self.recipe) | tool_shares(
            self.films, [s.tools for s in said], self.recipe
        )

    def said(self, network: nn.Module) -> list[Said]:
        """Its answers to each recording, with the resets that the finished model has."""
        card = self.recipe.card
        reset = self.recipe.options.get("state_reset")
        learnt_with: Any = getattr(network, "state_reset", None)
        if reset is not None:
            network.state_reset = reset
        try:
            return [
                said_of(
                    network,
                    film.frames,
                    self.recipe.input_size_px,
                    card["mean_rgb"],
                    card["std_rgb"],
                )
                for film in self.films
            ]
        finally:
            if reset is not None:
                network.state_reset = learnt_with

    def samples(self, network: nn.Module | None) -> Iterator[NDArray[np.uint8]]:
        """None: a phase is not to be seen in a picture."""
        del network
        yield from ()


def phase_shares(
    films: Sequence[Filmed], probabilities: Sequence[NDArray[np.floating[Any]]], recipe: Recipe
) -> dict[str, float]:
    """The three figures, nothing where no phase is labelled; see ``FilmValidation``."""
    pairs = [
        (film.labels, answers.argmax(1))
        for film, answers in zip(films, probabilities, strict=True)
        if (film.labels != UNKNOWN).any()
    ]
    if not pairs:
        return {}
    truth, named = zip(*pairs, strict=True)
    found: PhaseMetrics = phase_metrics(truth, named, recipe.classes)
    return {name: found.video_then_phase[name].mean / 100 for name in FIGURES}


def tool_shares(
    films: Sequence[Filmed], scores: Sequence[NDArray[np.float32]], recipe: Recipe
) -> dict[str, float]:
    """``tools_map``, see ``told_tools``; nothing without such."""
    found = told_tools(films, scores, recipe.tools)
    return {} if found is None else {TOOLS_MAP: found.mean_ap / 100}


def told_tools(
    films: Sequence[Filmed], scores: Sequence[NDArray[np.float32]], tools: Sequence[str]
) -> ToolMetrics | None:
    """Average precision of the tools that are labelled in any recording, over the frames in which
    all of them are; None without such."""
    if not tools or not all(s.shape[1] for s in scores):
        return None
    labelled = [i for i, _ in enumerate(tools) if any((f.tools[:, i] >= 0).any() for f in films)]
    truth, kept = [], []
    for film, told in zip(films, scores, strict=True):
        known = (film.tools[:, labelled] != UNKNOWN).all(1)
        if labelled and known.any():
            truth.append(film.tools[known][:, labelled] == 1)
            kept.append(told[known][:, labelled].astype(np.float64))
    return tool_metrics(truth, kept, [tools[i] for i in labelled]) if truth else None
