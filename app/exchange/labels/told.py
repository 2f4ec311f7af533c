"""What models of a library told of tools: beside the imported labels, and as a file. Any thread.

Scores are what a model said at the frames that it looked at; threshold and debounce are for
display.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset, Case
from app.core.errors import BadInput
from app.core.labels import LabelledCase, LabelRow
from app.core.prediction import Run
from app.core.tools import ToolsTold, telling_tools
from app.exchange.case_export import Exported, writing
from app.exchange.labels import cholec80
from app.exchange.labels.frames import folded
from app.exchange.labels.reading import read_again
from app.exchange.labels.scores import Scored
from app.store import files as store_files

if TYPE_CHECKING:
    from app.store import Library

_EXACT_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Side:
    """A case with tool labels, and the run that tells of its tools."""

    case: Case
    asset: Asset
    labels: LabelledCase
    run: Run

    @property
    def model(self) -> tuple[str, str]:
        return self.run.model, self.run.weights_sha256


def stored_tools(library: Library, case_ids: Sequence[str] = (), model: str = "") -> Scored:
    """Stored probabilities of tools beside the imported labels of the same recordings.

    A second without labels does not count; nor does a tool that the labels' layout does not have.

    Args:
        library: the open library.
        case_ids: which cases; all when empty.
        model: whose runs; when empty, of the model that told of most cases, the first of equals.

    Raises:
        BadInput: there is no such case, or none with both.
    """
    cases = [library.case(i) for i in case_ids] or sorted(library.cases(), key=lambda c: c.case_id)
    sides = [side for case in cases for side in _sides(library, case, model)]
    if not sides:
        whose = f" by {model}" if model else ""
        raise BadInput(
            f"No case has both imported labels of tools and tools told{whose}; import labels with "
            "“trocar import FILES --to CASE”, and analyse with a model that tells of tools."
        )
    named = Counter(side.model for side in sides)
    chosen = named.most_common(1)[0][0]
    kept = [side for side in sides if side.model == chosen]
    keys = _keys(kept)
    notes = [
        f"Case {s.case.case_id} is left out: {s.run.model} told of it, with other weights or as "
        "another model."
        for s in sides
        if s.model != chosen
    ]
    if left := [key for key in kept[0].run.tools if key not in keys]:
        notes.append(f"The labels have no {', '.join(left)}: not scored.")
    truths, scores = [], []
    for side in kept:
        told = library.predictions(side.case.case_id).tools(side.run.run_id)
        present, known = _truth(side, told, keys)
        truths.append(present[known])
        columns = [told.keys.index(key) for key in keys]
        scores.append(told.probabilities[known][:, columns].astype(np.float64))
    return Scored(
        names=tuple(side.case.case_id for side in kept),
        classes=keys,
        truth=tuple(truths),
        scores=tuple(scores),
        notes=(f"As {chosen[0]} told, at every frame that it looked at.", *notes),
    )


def export_told(library: Library, case_id: str, out: Path, model: str = "") -> Exported:
    """Write what a model told of a case's tools like Cholec80's tool files, scores for 0 and 1.

    A file of scores cannot be taken for labels: an import refuses it, ``trocar metrics tools``
    reads it as a prediction. The video's name is that of the labels where the case has any.

    Raises:
        BadInput: there is no such case, no model told of its tools, or not of every second.
        EnvironmentProblem: the folder cannot be written.
    """
    case = library.case(case_id)
    asset = case.assets[0] if case.assets else None
    run = None if asset is None else _telling(library, case, asset, model)
    if asset is None or run is None:
        raise BadInput(
            f"No model told which tools are in the pictures of case {case_id}; analyse it with one "
            "that does, such as an EndoNet."
        )
    told = library.predictions(case_id).tools(run.run_id)
    at = _second_by_second(case, asset, told)
    names = [cholec80.TOOLS.spelling(key) or key for key in run.tools]
    lines = ["\t".join(("Frame", *names))]
    for second, row in enumerate(told.probabilities[at].tolist()):
        lines.append("\t".join((str(second * cholec80.FPS), *(f"{v:.6g}" for v in row))))
    path = out / f"{_video_name(library, case)}-tool.txt"
    with writing(out):
        store_files.write_file(path, ("\n".join(lines) + "\n").encode())
    return Exported(
        path=path,
        words=f"{len(at)} seconds of {len(names)} tools, as {run.model} told them",
        counts={"seconds": len(at), "tools": len(names)},
    )


def _sides(library: Library, case: Case, model: str) -> list[_Side]:
    files = library.label_files(case.case_id)
    if not files or not case.assets or not any(library.predictions_stamp(case.case_id)):
        return []
    asset = case.assets[0]
    run = _telling(library, case, asset, model)
    if run is None or not run.finished:
        return []
    side = _Side(case=case, asset=asset, labels=read_again(files), run=run)
    return [side] if _rows(side) else []


def _telling(library: Library, case: Case, asset: Asset, model: str) -> Run | None:
    runs = library.predictions(case.case_id).runs(asset.asset_id)
    return telling_tools(run for run in runs if model in ("", run.model))


def _rows(side: _Side) -> dict[str, LabelRow]:
    """The labels' rows that speak of the run's tools, by the run's keys."""
    keys = {folded(key): key for key in side.run.tools}
    return {keys[folded(r.name)]: r for r in side.labels.rows if folded(r.name) in keys}


def _keys(sides: Sequence[_Side]) -> tuple[str, ...]:
    """Tools that the labels of every layout name; some layouts have no row for one not seen."""
    by_layout: dict[str, set[str]] = {}
    for side in sides:
        by_layout.setdefault(side.labels.layout, set()).update(_rows(side))
    named = set.intersection(*by_layout.values())
    if not named:
        raise BadInput(
            "The labels of the cases have no tool in common; name cases of one data set."
        )
    return tuple(key for key in sides[0].run.tools if key in named)


def _truth(
    side: _Side, told: ToolsTold, keys: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Labels (T, tools) at each frame that was looked at, and (T,) whether there are any."""
    asset, labels = side.asset, side.labels
    # A frame was looked at because it was on screen at a tick, which is not before it began.
    rate = float(side.run.settings.get("frames_per_second", 1.0))
    began_s = (told.pts - asset.start_pts) * float(asset.time_base)
    times_s = np.ceil(began_s * rate - _EXACT_S) / rate + _EXACT_S
    rows = _rows(side)
    unit_s = float(labels.time_base)
    present = np.zeros((told.pts.size, len(keys)), np.bool_)
    for column, key in enumerate(keys):
        for s in rows[key].segments if key in rows else ():
            present[:, column] |= (times_s >= s.start_pts * unit_s) & (times_s < s.end_pts * unit_s)
    known = times_s < labels.length * unit_s
    if labels.phases is not None:
        named = np.zeros_like(known)
        for s in labels.phases.segments:
            named |= (times_s >= s.start_pts * unit_s) & (times_s < s.end_pts * unit_s)
        known &= named
    return present, known


def _second_by_second(case: Case, asset: Asset, told: ToolsTold) -> NDArray[np.int64]:
    """Places of the frames that speak of each whole second."""
    unit_s = float(asset.time_base)
    from_s, to_s = (told.pts - asset.start_pts) * unit_s, (told.ends - asset.start_pts) * unit_s
    end_s = min(float(to_s[-1]), asset.duration_ms / 1000) if told.pts.size else 0.0
    seconds = np.arange(max(1, int(np.ceil(end_s - _EXACT_S))))
    at = np.searchsorted(from_s, seconds + _EXACT_S, side="right") - 1
    untold = (at < 0) | (seconds > to_s[at] - _EXACT_S) if told.pts.size else seconds == 0
    if untold.any():
        raise BadInput(
            f"No model told of the tools at {int(untold.argmax())} s of case {case.case_id}; "
            "analyse the recording with it."
        )
    return at


def _video_name(library: Library, case: Case) -> str:
    for file in library.label_files(case.case_id):
        if (name := cholec80.case_name(file.name)) is not None:
            return name
    return f"video{int(case.case_id) if case.case_id.isdecimal() else 1:02d}"
