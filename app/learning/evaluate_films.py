"""What a phase model that reads pictures is worth on labelled recordings that it never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from app.inference.cards import load_network
from app.inference.device import choose_device
from app.inference.phases import course_of
from app.learning.evaluate_phases import phase_figures
from app.learning.film_validation import told_tools
from app.learning.filmed import Filmed
from app.learning.recorded import said_of
from models.types import UNKNOWN

if TYPE_CHECKING:
    from models import ModelCard


def film_metrics_of(
    card: ModelCard,
    films: Sequence[Filmed],
    on_done: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """Metrics over recordings, as ``metrics phases`` prints them; see ``phase_figures``.

    Args:
        card: of the model.
        films: at least one, each with a labelled phase or labelled tools.
        on_done: told how many are looked through.

    Returns:
        Of a model that tells tools also ``tools``: their average precision in percent, by tool.
    """
    network = load_network(card).to(choose_device().device).eval()
    said = []
    for film in films:
        said.append(said_of(network, film.frames, card.input_size_px, card.mean_rgb, card.std_rgb))
        on_done(len(said))
    named = [place for place, film in enumerate(films) if (film.labels != UNKNOWN).any()]
    result: dict[str, Any] = {"videos": len(films), "classes": list(card.class_keys)}
    if named:
        result = phase_figures(
            [films[place].labels for place in named],
            [said[place].probabilities.astype(np.float64) for place in named],
            card.class_keys,
            course_of(card),
            card.frames_per_second or 1.0,
        )
    got = told_tools(films, [one.tools for one in said], card.tool_keys)
    if got is not None:
        result["tools"] = {"mean_ap": _or_none(got.mean_ap)} | {
            "ap": {key: _or_none(value) for key, value in got.pooled.items()}
        }
    return result


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
