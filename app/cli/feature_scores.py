"""What networks of frame features are worth, for ``trocar evaluate``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.common import library_folder, open_library, progress
from app.cli.feature_lesson import DRAWN_SIZE_PX
from app.cli.library_cases import LIBRARY, cases_of
from app.core.errors import BadInput

if TYPE_CHECKING:
    from app.learning.recorded import Recorded
    from models import ModelCard

HELD_OUT_SEED = 900_000


def feature_scores(
    card: ModelCard,
    data: str,
    operations: int,
    features: Path | None,
    library: Path | None,
    *,
    protocol: str,
    split: str | None,
    quiet: bool,
) -> dict[str, Any]:
    """Figures of a network that reads frame features.

    Args:
        card: of the network.
        data: ``phantom`` or ``library``.
        operations: held-out phantom operations.
        features: folder in which drawn operations are kept, None for nowhere.
        library: folder of the library.
        protocol, split: which part of which official split, see ``library_lesson``; of phantom
            operations there is none.
        quiet: no progress bar.

    Raises:
        BadInput: there is nothing to measure on.
    """
    from app.inference.cards import find_model
    from app.learning.evaluate_features import feature_metrics_of, training_courses

    encoder = find_model(card.features_of, library_folder(library))
    if data == LIBRARY:
        recordings, courses = _of_library(card, encoder, library, protocol, split or "test")
        return {"split": split or "test"} | feature_metrics_of(card, encoder, recordings, courses)
    if data != "phantom":
        raise BadInput(
            f"{card.name} reads frame features of {encoder.name}: give --data phantom, or "
            "--data library for analysed cases with phases by a human."
        )
    if protocol:
        raise BadInput("A protocol is of the library's cases; give --data library with it.")
    with ExitStack() as kept:
        folder = features or Path(kept.enter_context(tempfile.TemporaryDirectory()))
        recordings = _drawn(encoder, operations, folder, quiet=quiet)
    return feature_metrics_of(card, encoder, recordings, training_courses(card))


def _drawn(encoder: ModelCard, operations: int, folder: Path, *, quiet: bool) -> list[Recorded]:
    from app.learning.recorded import phantom_recordings

    with progress("Looking at phantom operations", quiet=quiet) as bar:
        bar.update(bar.task_ids[0], total=operations)
        return phantom_recordings(
            encoder,
            range(HELD_OUT_SEED, HELD_OUT_SEED + operations),
            folder,
            DRAWN_SIZE_PX,
            on_done=lambda done: bar.update(bar.task_ids[0], completed=done),
        )


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
