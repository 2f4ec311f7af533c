"""What models that know the time are worth, for ``trocar evaluate``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.common import library_folder, open_library, progress
from app.cli.feature_scores import drawn_scores, library_scores
from app.cli.film_lesson import nothing_there, tell_of
from app.cli.library_cases import LIBRARY, cases_of, tool_rows
from app.core.errors import BadInput

if TYPE_CHECKING:
    from app.learning.filmed import Filmed
    from models import ModelCard

HELD_OUT_SEED = 900_000


def phase_scores(
    card: ModelCard,
    data: str,
    operations: int,
    folder: Path | None,
    library: Path | None,
    *,
    protocol: str,
    split: str | None,
    quiet: bool,
) -> dict[str, Any]:
    """Figures of a model that reads pictures in their order, or frame features.

    Args:
        card: of the model.
        data: ``phantom`` or ``library``.
        operations: held-out phantom operations.
        folder: what is looked at is kept there: frames of recordings (None: in the library's
            cache), drawn operations (None: nowhere).
        library: folder of the library.
        protocol, split: which part of which official split, see ``cases_of``; test where no part
            is named.
        quiet: no progress bar.

    Raises:
        BadInput: there is nothing to measure on.
    """
    from app.inference.cards import find_model

    encoder = find_model(card.features_of, library_folder(library)) if card.features_of else None
    if data == LIBRARY:
        part = split or "test"
        if encoder is None:
            found = _film_scores(card, library, folder, protocol, part, quiet=quiet)
        else:
            found = library_scores(card, encoder, library, protocol, part)
        return {"split": part if protocol else "all"} | found
    if data != "phantom":
        reads = f"reads frame features of {encoder.name}" if encoder else "names phases"
        cases = "analysed cases" if encoder else "cases"
        raise BadInput(
            f"{card.name} {reads}: give --data phantom, or --data library for {cases} with phases "
            "by a human."
        )
    if protocol:
        raise BadInput("A protocol is of the library's cases; give --data library with it.")
    seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + operations)
    if encoder is not None:
        return drawn_scores(card, encoder, seeds, folder, quiet=quiet)
    from app.learning.evaluate_phases import phase_metrics_of

    return phase_metrics_of(card, seeds)


def _film_scores(
    card: ModelCard,
    library: Path | None,
    folder: Path | None,
    protocol: str,
    part: str,
    *,
    quiet: bool,
) -> dict[str, Any]:
    films = _films(card, library, folder, protocol, part, quiet=quiet)
    from app.learning.evaluate_films import film_metrics_of

    with progress(f"Measuring {card.name}", quiet=quiet) as bar:
        bar.update(bar.task_ids[0], total=len(films))
        return film_metrics_of(
            card, films, lambda done: bar.update(bar.task_ids[0], completed=done)
        )


def _films(
    card: ModelCard,
    library: Path | None,
    folder: Path | None,
    protocol: str,
    part: str,
    *,
    quiet: bool,
) -> list[Filmed]:
    from app.learning.filmed import filmed_cases
    from app.learning.recipes import recipe_of

    plan = recipe_of(card, said={"frames_per_second": card.frames_per_second or 1.0})
    with open_library(library, mode="read", recordings=True) as opened:
        cases = cases_of(opened, protocol, part)
        with progress("Looking at the recordings", quiet=quiet) as bar:
            bar.update(bar.task_ids[0], total=len(cases))
            films = filmed_cases(
                opened,
                cases,
                plan,
                folder or opened.cache_folder,
                rows_of=partial(tool_rows, opened),
                on_done=lambda done: bar.update(bar.task_ids[0], completed=done),
            )
    tell_of(films, plan)
    if not films.found:
        raise BadInput(nothing_there(f"measure {card.name}", films, protocol, part))
    return films.found
