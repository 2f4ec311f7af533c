"""What phase models that read pictures are worth, for ``trocar evaluate``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.common import open_library, progress
from app.cli.feature_scores import HELD_OUT_SEED
from app.cli.film_lesson import nothing_there, tell_of
from app.cli.library_cases import LIBRARY, cases_of, tool_rows
from app.core.errors import BadInput

if TYPE_CHECKING:
    from app.learning.filmed import Filmed
    from app.learning.recipes import Recipe
    from models import ModelCard


def phase_scores(
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
    """Figures of a phase model that reads pictures.

    Args:
        card: of the model.
        data: ``phantom`` or ``library``.
        operations: held-out phantom operations.
        features: folder in which frames of recordings are kept, None for the library's cache.
        library: folder of the library.
        protocol, split: which part of which official split, see ``cases_of``; test where no part
            is named.
        quiet: no progress bar.

    Raises:
        BadInput: there is nothing to measure on.
    """
    if data == LIBRARY:
        part = split or "test"
        films = _films(card, library, features, protocol, part, quiet=quiet)
        from app.learning.evaluate_films import film_metrics_of

        with progress(f"Measuring {card.name}", quiet=quiet) as bar:
            bar.update(bar.task_ids[0], total=len(films))
            found = film_metrics_of(
                card, films, lambda done: bar.update(bar.task_ids[0], completed=done)
            )
        return {"split": part if protocol else "all"} | found
    if data != "phantom":
        raise BadInput(
            f"{card.name} names phases: give --data phantom, or --data library for cases with "
            "phases by a human."
        )
    if protocol:
        raise BadInput("A protocol is of the library's cases; give --data library with it.")
    from app.learning.evaluate_phases import phase_metrics_of

    return phase_metrics_of(card, [HELD_OUT_SEED + n for n in range(operations)])


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

    plan = _as_recipe(card)
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


def _as_recipe(card: ModelCard) -> Recipe:
    """What of a card says which frames and labels it takes."""
    from app.learning.recipes import Recipe

    return Recipe(
        name=card.name,
        title=card.title,
        system=card.system,
        options=dict(card.options),
        task=card.task,
        classes=card.class_keys,
        tools=card.tool_keys,
        procedures=card.procedures,
        input_size_px=card.input_size_px,
        batch=1,
        train={},
        card={"frames_per_second": card.frames_per_second or 1.0},
    )
