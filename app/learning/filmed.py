"""Labelled cases of a library as networks that read pictures learn from them.

A case takes part where its recording is there and a human named its phases, or label files that
were imported name its tools. Runs on a command's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.taxonomy import UNKNOWN_PROCEDURE, find_taxonomy
from app.learning.kept_frames import KeptFrames, keep_frames, make_room
from app.learning.library_features import labels_at
from models.types import UNKNOWN

if TYPE_CHECKING:
    from app.core.case import Asset, Case
    from app.core.labels import LabelRow
    from app.core.timeline import Timeline
    from app.learning.recipes import Recipe
    from app.store import Library

LIBRARY = "library"
"""What a recipe's ``data.source`` says of networks that learn from labelled cases."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filmed:
    """One recording, frame by frame at the network's rate.

    Attributes:
        name: of the recording.
        group: of the case; nothing of one may be learnt from and measured on.
        frames: pictures, somewhat larger than the network's input.
        labels: int64 (T,), index of the phase that runs, or ``UNKNOWN``.
        tools: int64 (T, M), 1 present, 0 absent, or ``UNKNOWN``; M is 0 where none are asked for.
    """

    name: str
    group: str
    frames: KeptFrames
    labels: NDArray[np.int64]
    tools: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRows:
    """What label files say of the tools of a recording, in its own time.

    Attributes:
        rows: one a tool, named in words.
        known: segments where something is labelled; elsewhere nobody looked.
    """

    rows: Sequence[LabelRow]
    known: Timeline


RowsOf = Callable[["Case", "Asset"], ToolRows | None]


@dataclass(slots=True, kw_only=True)
class Films:
    """What a library has for a recipe.

    Attributes:
        found: recordings that something is known of.
        strange: phases that the recipe does not name, with their samples.
        problems: a sentence about each labelled recording that is left out.
    """

    found: list[Filmed] = field(default_factory=list)
    strange: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def filmed_cases(
    library: Library,
    cases: Sequence[Case],
    recipe: Recipe,
    folder: Path,
    *,
    rows_of: RowsOf = lambda _case, _asset: None,
    on_done: Callable[[float], object] = lambda _: None,
) -> Films:
    """Every labelled recording of some cases, its frames kept at the recipe's rate and size.

    Args:
        library: that holds them.
        cases: of it.
        recipe: its classes and tools are what counts; other phases are not known.
        folder: where frames are kept.
        rows_of: the tools that label files name, for a recipe with tools.
        on_done: told how many cases are looked through, with the share of the one under way.

    Raises:
        EnvironmentProblem: the frames cannot be kept.
    """
    films = Films()
    for number, case in enumerate(cases, 1):
        for place, asset in enumerate(case.assets):
            before, of = number - 1 + place / len(case.assets), len(case.assets)
            look = partial(_tell, on_done, before, of)
            _add(films, library, case, asset, recipe, folder, rows_of, look)
        needed = {one.frames.path for one in films.found}
        make_room(folder, needed.__contains__)
        on_done(number)
    return films


def _add(
    films: Films,
    library: Library,
    case: Case,
    asset: Asset,
    recipe: Recipe,
    folder: Path,
    rows_of: RowsOf,
    on_share: Callable[[float], object],
) -> None:
    human = library.human_timeline(asset.asset_id)
    said = rows_of(case, asset) if recipe.tools else None
    if human is None and said is None:
        return
    if not asset.has_recording:
        films.problems.append(f"Case {case.case_id} has labels and no recording.")
        return
    try:
        frames = keep_frames(asset, folder, rate_of(recipe), kept_size_px(recipe), on_share)
    except BadInput as error:
        films.problems.append(f"Case {case.case_id}: {error.user_message}")
        return
    labels = np.full(len(frames), UNKNOWN, np.int64)
    if human is not None:
        labels = labels_at(human.timeline, frames.pts, recipe.classes)
    tools = np.full((len(frames), len(recipe.tools)), UNKNOWN, np.int64)
    if said is not None:
        tools = tools_at(said, frames.pts, recipe)
    if (labels != UNKNOWN).any() or (tools != UNKNOWN).any():
        if human is not None:
            keys = Counter(human.timeline.phase_at(at) for at in frames.pts.tolist())
            named = {*recipe.classes, None}
            films.strange.update({str(key): n for key, n in keys.items() if key not in named})
        films.found.append(
            Filmed(
                name=f"case-{case.case_id}-{asset.asset_id}",
                group=f"case-{case.case_id}",
                frames=frames,
                labels=labels,
                tools=tools,
            )
        )
    else:
        operation = find_taxonomy(case.procedure).name.lower()
        known = (*recipe.procedures, UNKNOWN_PROCEDURE)
        other = f" is another operation ({operation}) and" if case.procedure not in known else ""
        why = f"Case {case.case_id}{other} has no phase that {recipe.title} names."
        films.problems.append(why)


def _tell(on_done: Callable[[float], object], before: float, of: int, share: float) -> None:
    """One of ``of`` recordings of a case is looked through to a share, after so many cases."""
    on_done(before + share / of)


def rate_of(recipe: Recipe) -> float:
    """Frames a second that its network looks at."""
    return float(recipe.card.get("frames_per_second", 1.0)) or 1.0


def kept_size_px(recipe: Recipe) -> tuple[int, int]:
    """What frames are squashed to before a part is cut out: 250 for 224, as published."""
    width, height = recipe.input_size_px
    return round(width * 250 / 224), round(height * 250 / 224)


def tools_at(said: ToolRows, pts: NDArray[np.int64], recipe: Recipe) -> NDArray[np.int64]:
    """Presence (T, M) at each time, matched by name; ``UNKNOWN`` where nobody looked, and of a tool
    that the files do not have."""
    taxonomy = find_taxonomy(recipe.procedures[0] if recipe.procedures else "unknown")
    looked = np.array([said.known.index_at(at) is not None for at in pts.tolist()])
    found = np.full((len(pts), len(recipe.tools)), UNKNOWN, np.int64)
    for column, key in enumerate(recipe.tools):
        names = {_folded(key), _folded(taxonomy.instrument_name(key))}
        rows = [row for row in said.rows if _folded(row.name) in names]
        if not rows:
            continue
        present = np.zeros(len(pts), bool)
        for segment in (s for row in rows for s in row.segments):
            present |= (pts >= segment.start_pts) & (pts < segment.end_pts)
        found[looked, column] = present[looked]
    return found


def _folded(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
