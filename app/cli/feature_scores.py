"""What networks of frame features are worth, for ``trocar evaluate``; see ``phase_scores``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.common import open_library, progress
from app.cli.feature_lesson import DRAWN_SIZE_PX
from app.cli.library_cases import cases_of
from app.core.errors import BadInput

if TYPE_CHECKING:
    from app.learning.recorded import Recorded
    from models import ModelCard


def library_scores(
    card: ModelCard, encoder: ModelCard, library: Path | None, protocol: str, part: str
) -> dict[str, Any]:
    """Figures on a library's cases.

    Raises:
        BadInput: there is nothing to measure on.
    """
    from app.learning.evaluate_features import feature_metrics_of

    return feature_metrics_of(card, encoder, *_of_library(card, encoder, library, protocol, part))


def drawn_scores(
    card: ModelCard, encoder: ModelCard, seeds: range, folder: Path | None, *, quiet: bool
) -> dict[str, Any]:
    """Figures on phantom operations, drawn or kept in the folder."""
    from app.learning.evaluate_features import feature_metrics_of, training_courses
    from app.learning.recorded import phantom_recordings

    with ExitStack() as opened:
        where = folder or Path(opened.enter_context(tempfile.TemporaryDirectory()))
        bar = opened.enter_context(progress("Looking at phantom operations", quiet=quiet))
        bar.update(bar.task_ids[0], total=len(seeds))
        recordings = phantom_recordings(
            encoder,
            seeds,
            where,
            DRAWN_SIZE_PX,
            on_done=lambda done: bar.update(bar.task_ids[0], completed=done),
        )
    return feature_metrics_of(card, encoder, recordings, training_courses(card))


def _of_library(
    card: ModelCard, encoder: ModelCard, library: Path | None, protocol: str, split: str
) -> tuple[Sequence[Recorded], Sequence[Any]]:
    """Recordings to measure on, and the courses of those that the baseline learns from."""
    from app.learning.library_features import library_recordings

    with open_library(library, mode="read") as opened:
        chosen = cases_of(opened, protocol, split)
        taught = cases_of(opened, protocol, "train") if protocol else []
        found = library_recordings(opened, chosen, encoder, card.class_keys)
        courses = [r.labels for r in library_recordings(opened, taught, encoder, card.class_keys)]
    if not found:
        raise BadInput(
            f"No case can be measured on: it takes phases by a human and frame features of "
            f"{encoder.name} (analyse the cases with it)"
            + (f" in the {split} part of {protocol}." if protocol else ".")
        )
    return found, courses
