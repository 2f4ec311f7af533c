"""Labelled cases of the library made into a lesson for networks that read pictures."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.common import open_library, progress
from app.cli.lesson import Lesson
from app.cli.library_cases import LIBRARY, cases_of, held_apart, learns_from_cases, tool_rows
from app.core.errors import BadInput

if TYPE_CHECKING:
    from app.learning.filmed import Filmed, Films
    from app.learning.recipes import Recipe

_NAMED = 3


def check_options(
    recipe: Recipe, data: Path | None, pictures: Path | None, protocol: str, hold_out: float
) -> None:
    """See that nothing is asked for that a phase network cannot learn from.

    Raises:
        BadInput: it is.
    """
    if pictures is not None or (data is not None and str(data) != LIBRARY):
        raise BadInput(
            f"{recipe.title} learns from labelled recordings, not from a folder: import their "
            "labels into the library, and give --data library."
        )
    if data is None and recipe.data.get("source") == LIBRARY:
        raise BadInput(f"{recipe.title} learns from labelled cases; give --data library.")
    if data is None and (protocol or hold_out):
        raise BadInput("A protocol is of the library's cases; give --data library with it.")


def film_lesson(
    recipe: Recipe,
    library: Path | None,
    protocol: str,
    hold_out: float,
    folder: Path | None,
    *,
    quiet: bool,
) -> Lesson:
    """Labelled cases with recordings; from here on the recipe learns from them alone.

    What is left out of them is said on stderr.

    Args:
        recipe: its classes and tools are what counts.
        library: folder of it.
        protocol: an official split as ``layout:split``, such as ``cholec80:32/8/40``; "" takes
            every case and holds out a share.
        hold_out: share of the cases to hold out where the protocol names none.
        folder: where decoded frames are kept; None for the library's cache.
        quiet: no progress bar.

    Raises:
        BadInput: no case can be learnt from, or there is no such protocol.
    """
    from app.learning.filmed import filmed_cases

    with open_library(library, mode="read", recordings=True) as opened:
        learn = cases_of(opened, protocol, "train")
        measure = cases_of(opened, protocol, "val") if protocol else []
        with progress("Looking at the recordings", quiet=quiet) as bar:
            bar.update(bar.task_ids[0], total=len(learn) + len(measure))
            films = filmed_cases(
                opened,
                [*learn, *measure],
                recipe,
                folder or opened.cache_folder,
                rows_of=partial(tool_rows, opened),
                on_done=lambda done: bar.update(bar.task_ids[0], completed=done),
            )
    held_groups = {f"case-{case.case_id}" for case in measure}
    learnt = [one for one in films.found if one.group not in held_groups]
    held = [one for one in films.found if one.group in held_groups]
    tell_of(films, recipe)
    if not learnt:
        raise BadInput(nothing_there(f"teach {recipe.title}", films, protocol, "training"))
    if not held and hold_out:
        learnt, held = held_apart(learnt, hold_out, int(recipe.data.get("seed", 0)))
    learns_from_cases(recipe, len(learnt), protocol)
    _count_the_course(recipe, learnt)
    frames = [sum(len(one.labels) for one in some) for some in (learnt, held)]
    sys.stderr.write(
        f"Learning from {_recordings(len(learnt))}, measuring on {len(held)}: "
        f"{frames[0]} and {frames[1]} frames.\n"
    )
    return Lesson(learn=learnt, measure=held)


def nothing_there(what: str, films: Films, protocol: str, part: str) -> str:
    """The sentence for a library without a case for it."""
    why = f" {films.problems[0]}" if films.problems else ""
    return (
        f"No case can {what}: it takes cases with a recording and phases by a human"
        + (f" in the {part} part of {protocol}." if protocol else ".")
        + why
    )


def tell_of(films: Films, recipe: Recipe) -> None:
    """Say on stderr what of the labelled cases takes no part."""
    if films.strange:
        listed = ", ".join(f"{key} ({n})" for key, n in films.strange.most_common())
        sys.stderr.write(
            f"Note: Phases that {recipe.title} does not name count as not known: {listed}.\n"
        )
    if films.problems and films.found:
        more = len(films.problems) - _NAMED
        words = f" and {more} more" if more > 0 else ""
        sys.stderr.write(f"Note: Left out: {' '.join(films.problems[:_NAMED])}{words}\n")
    seen = Counter(int(label) for one in films.found for label in set(one.labels.tolist()))
    missing = [key for i, key in enumerate(recipe.classes) if not seen[i]]
    if films.found and missing:
        sys.stderr.write(
            f"Note: No case shows {', '.join(missing)}, so there is nothing to learn or measure "
            "of it.\n"
        )


def _recordings(count: int) -> str:
    return "1 recording" if count == 1 else f"{count} recordings"


def _count_the_course(recipe: Recipe, learnt: Sequence[Filmed]) -> None:
    """How these operations go on, for a recipe that gives that a weight."""
    from app.learning.course import labelled_course
    from app.learning.film_clips import shares_of

    if "course_weight" in recipe.card and any((one.labels >= 0).any() for one in learnt):
        power = float(recipe.data.get("phase_power", 1.0))
        shares = shares_of(learnt, len(recipe.classes), power)
        course = labelled_course(
            recipe, [one.labels for one in learnt if (one.labels >= 0).any()], shares
        )
        recipe.card["course"] = course.as_values()
