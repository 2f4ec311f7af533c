"""Which cases of the library teach a network, and which measure it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from app.core.errors import BadInput

if TYPE_CHECKING:
    from app.core.case import Asset, Case
    from app.learning.filmed import Filmed, ToolRows
    from app.learning.recipes import Recipe
    from app.learning.recorded import Recorded
    from app.store import Library

    One = TypeVar("One", Recorded, Filmed)

LIBRARY = "library"
_PARTS = {"validation": "val"}


def cases_of(library: Library, protocol: str, part: str) -> list[Case]:
    """Cases of a part of an official split, in the library's order; all of them without one.

    Args:
        library: open for reading.
        protocol: ``layout:split``, such as ``cholec80:32/8/40``; "" for all cases.
        part: ``train``, ``val``, ``test``, or ``validation`` for ``val``; ``all`` for all three.

    Raises:
        BadInput: there is no such layout or split.
    """
    from app.exchange.labels.reading import layout_of

    cases = list(library.cases())
    if not protocol:
        return cases
    key, _, split = protocol.partition(":")
    known = layout_of(key).SPLITS
    if split not in known:
        raise BadInput(
            f"There is no split {split or 'of that name'} of {layout_of(key).TITLE}; there are "
            f"{', '.join(known) or 'none'}: give it as {key}:SPLIT."
        )
    wanted = _PARTS.get(part, part)
    parts = [_part_of(library, case, key, split) for case in cases]
    return [c for c, p in zip(cases, parts, strict=True) if p == wanted or (p and part == "all")]


def _part_of(library: Library, case: Case, layout: str, split: str) -> str:
    """Which part of an official split a case is in, "" for none of it."""
    from app.exchange.labels.reading import read_again, splits_of

    files = [f for f in library.label_files(case.case_id) if f.layout == layout]
    return splits_of(layout, read_again(files).name).get(split, "") if files else ""


def held_apart(recordings: Sequence[One], share: float, seed: int) -> tuple[list[One], list[One]]:
    """Recordings to learn from, and those of other cases to be measured on.

    Args:
        recordings: all.
        share: of the cases to hold out, at least one.
        seed: decides which.

    Raises:
        BadInput: nothing is left to learn from.
    """
    groups = list(dict.fromkeys(one.group or one.name for one in recordings))
    order = np.random.default_rng(seed).permutation(len(groups))
    held = {groups[i] for i in order[: max(1, round(share * len(groups)))]}
    if len(held) == len(groups):
        raise BadInput("Nothing is left to learn from; hold out less.")
    apart = [(one.group or one.name) in held for one in recordings]
    return (
        [one for one, out in zip(recordings, apart, strict=True) if not out],
        [one for one, out in zip(recordings, apart, strict=True) if out],
    )


def learns_from_cases(recipe: Recipe, recordings: int, protocol: str) -> None:
    """From here on the recipe learns from labelled cases, and its card says so."""
    if recipe.data.get("source") != LIBRARY:
        recipe.card["demo"] = False
        recipe.card["licence"] = "as the recordings that it learnt from"
        recipe.card["limits"] = (
            "Knows the operation that it was taught, as it is done where the recordings come from."
        )
    part = f", the training part of {protocol}" if protocol else ""
    count = "1 labelled recording" if recordings == 1 else f"{recordings} labelled recordings"
    recipe.card["trained_on"] = f"{count} of a library{part}."
    recipe.data["source"] = LIBRARY


def tool_rows(library: Library, case: Case, asset: Asset) -> ToolRows | None:
    """What the label files of a recording say of its tools; None where they name none.

    They are known where the files name a phase, else up to where they end.
    """
    from app.core.timeline import Segment, Timeline
    from app.exchange.labels.library import placed, rows_for
    from app.exchange.labels.reading import read_again
    from app.learning.filmed import ToolRows

    files = library.labels_of(case.case_id, asset.asset_id)
    if not files or not (rows := rows_for(files, asset)):
        return None
    one = read_again(files)
    if one.phases is not None:
        return ToolRows(rows=rows, known=placed(one, asset))
    end = min(asset.start_pts + round(one.length * one.time_base / asset.time_base), asset.end_pts)
    labelled = Segment(start_pts=asset.start_pts, end_pts=max(end, asset.start_pts + 1), phase="-")
    line = Timeline(start_pts=asset.start_pts, end_pts=asset.end_pts, segments=(labelled,))
    return ToolRows(rows=rows, known=line)
