"""Scores of tools and triplets in files, beside their truth, classes by name. Any thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.labels import LabelledCase
from app.exchange.labels import cholec80, cholect50, multibypass140, pitvis
from app.exchange.labels.frames import folded
from app.exchange.labels.lines import Lines, finite, lines_again, read_lines, whole
from app.exchange.labels.pairing import by_name, matched, other_name, read_side
from app.exchange.labels.reading import label_files, read_labels

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


_NO_TOOLS = ("Triplets", "Steps", "Operations", *multibypass140.OVERLAID.values())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Table:
    """Scores (T, columns) at whole seconds, folded names of columns; "" for no layout's labels."""

    columns: tuple[str, ...]
    values: Floats
    layout: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Truth and scores of some videos.

    Attributes:
        names: of the videos.
        classes: by column; of triplets ``instrument,verb,target``.
        truth, scores: per video (T, classes).
        notes: what a reader should know, in sentences.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    truth: tuple[Bools, ...]
    scores: tuple[Floats, ...]
    notes: tuple[str, ...] = ()


def pair_tools(truth: Path, predicted: Path, *, layout: str = "") -> Scored:
    """Tools once a second: truth of any layout with rows of tools, scores by column or 0 and 1.

    Raises:
        BadInput: a file is bad, a video or tool of the truth has no scores, or lengths differ.
    """
    read = read_side(truth, layout=layout, side="Truth")
    true = {case.name: case for case in read.cases}
    names = sorted(true)
    rows = (row.name for name in names for row in true[name].rows)
    classes = tuple(dict.fromkeys(name for name in rows if name not in _NO_TOOLS))
    if not classes:
        raise BadInput(f"{true[names[0]].files[0].name} names no tools.")
    found = _tool_scores(predicted, layout)
    said = by_name(true, found)
    notes = [*read.notes, *(other_name(names[0], next(iter(found))) if len(names) == 1 else ())]
    truths, scores = [], []
    for name in names:
        present, labelled = _presence(true[name], classes)
        columns, table = _columns(said[name], classes, name, true[name].layout)
        if abs(len(table) - len(present)) > 1:
            raise BadInput(
                f"The prediction of {name} covers {len(table)} s and its truth {len(present)} s."
            )
        end = min(len(table), len(present))
        kept = labelled[:end]
        truths.append(present[:end][kept])
        scores.append(table[:end, columns][kept])
    return Scored(
        names=tuple(names),
        classes=classes,
        truth=tuple(truths),
        scores=tuple(scores),
        notes=tuple(notes),
    )


def pair_triplets(truth: Path, predicted: Path) -> Scored:
    """Triplets of CholecT50 files, and scores: such files with scores, or vectors by frame.

    A vector (``{"frame": [100 numbers]}``, or that under ``recognition``) has no names: it must be
    as long as the truth's list of triplets and is read in the order of that file's numbers.

    Raises:
        BadInput: a file is bad, there is none, or a video or a labelled frame has no scores.
    """
    notes: list[str] = []
    files, predictions = (
        {path.stem: path for path in label_files([side], (".json",))} for side in (truth, predicted)
    )
    for side, listed in ((truth, files), (predicted, predictions)):
        if not listed:
            raise BadInput(f"There is no .json file of triplets in {side.name}; name another.")
    said = by_name(files, predictions)
    for name, path in said.items():
        notes += other_name(name, path.stem)
    classes: tuple[str, ...] = ()
    truths, scores = [], []
    for name, path in files.items():
        lines = read_lines(path)
        data, rows = cholect50.triplet_rows(lines)
        numbers = cholect50.categories(lines, data)["triplet"]
        classes = classes or tuple(numbers[n] for n in sorted(numbers))
        if set(numbers.values()) != set(classes):
            raise BadInput(f"{path.name} has other triplets than the file before it.")
        true = np.zeros((len(rows), len(classes)), bool)
        for place, found in enumerate(rows.values()):
            for row in found:
                if row[0] != -1:
                    true[place, classes.index(_named(lines, numbers, row[0]))] = True
        truths.append(true)
        scores.append(_triplet_scores(read_lines(said[name]), list(rows), classes, notes))
    return Scored(
        names=tuple(files),
        classes=classes,
        truth=tuple(truths),
        scores=tuple(scores),
        notes=tuple(dict.fromkeys(notes)),
    )


def pitvis_pairs(
    truth: Sequence[LabelledCase], predicted: Sequence[LabelledCase]
) -> list[tuple[list[dict[str, int]], list[dict[str, int]]]]:
    """Rows of PitVis files as they are, video by video, as long as the shorter one."""
    out = []
    for true, said in matched(truth, predicted):
        sides = [pitvis.rows_of(lines_again(case.files[0])) for case in (true, said)]
        if abs(len(sides[0]) - len(sides[1])) > 1:
            raise BadInput(f"{said.files[0].name} has {len(sides[1])} rows for {len(sides[0])}.")
        end = min(map(len, sides))
        out.append((sides[0][:end], sides[1][:end]))
    return out


def _columns(
    said: _Table, classes: Sequence[str], name: str, layout: str
) -> tuple[list[int], Floats]:
    """Columns of the classes; labels of the same layout may have none for a tool never seen."""
    table, columns = said.values, list(said.columns)
    missing = [c for c in classes if folded(c) not in columns]
    if missing and said.layout != layout:
        raise BadInput(f"The prediction of {name} has no column for {missing[0]}.")
    table = np.hstack([table, np.zeros((len(table), len(missing)))])
    columns += [folded(c) for c in missing]
    return [columns.index(folded(c)) for c in classes], table


def _presence(case: LabelledCase, classes: Sequence[str]) -> tuple[Bools, Bools]:
    """Tools (T, classes) at whole seconds, and (T,) whether the second has labels at all."""
    seconds = range(ceil(case.length * case.time_base))
    out = np.zeros((len(seconds), len(classes)), bool)
    for row in case.rows:
        if row.name in classes:
            for s in row.segments:
                start, end = (ceil(p * case.time_base) for p in (s.start_pts, s.end_pts))
                out[start:end, classes.index(row.name)] = True
    line = case.phases
    step = 1 / case.time_base
    known = [line is None or line.phase_at(int(k * step)) is not None for k in seconds]
    return out, np.array(known, bool)


def _tool_scores(path: Path, layout: str) -> dict[str, _Table]:
    """Scores of tools by video."""
    out = {}
    for file in label_files([path], (".txt", ".csv", ".json")):
        lines = read_lines(file)
        name = cholec80.case_name(lines.name)
        if name is not None and len(lines.lines) > 1 and len(lines.lines[0].text.split()) > 2:
            out[name] = _score_table(lines)
            continue
        for case in read_labels([file], layout=layout):
            names = [row.name for row in case.rows if row.name not in _NO_TOOLS]
            if names or (case.length and case.phases is None):  # one that saw no tool at all
                present, _ = _presence(case, names)
                out[case.name] = _Table(
                    columns=tuple(map(folded, names)),
                    values=present.astype(np.float64),
                    layout=case.layout,
                )
    return out


def _score_table(lines: Lines) -> _Table:
    """``Frame`` and a column a tool, rows at every 25th frame, any finite numbers."""
    (_, head), *filled = lines.filled()
    columns, values = tuple(folded(w) for w in head.text.split()[1:]), []
    for second, (_, line) in enumerate(filled):
        words = line.text.split()
        if len(words) != len(columns) + 1 or whole(words[0]) != second * cholec80.FPS:
            due = second * cholec80.FPS
            raise lines.bad(line, f"expected frame {due} and {len(columns)} scores")
        values.append([_score(lines, second, w) for w in words[1:]])
    return _Table(columns=columns, values=np.array(values).reshape(-1, len(columns)))


def _score(lines: Lines, second: int, value: Any) -> float:
    number = finite(value)
    if number is None:
        raise BadInput(f"{lines.name}, frame {second}: “{str(value)[:20]}” is no score.")
    return number


def _named(lines: Lines, numbers: Mapping[int, str], number: float) -> str:
    if number not in numbers:
        raise BadInput(f"{lines.name}: {number} is none of the triplets that the file names.")
    return numbers[int(number)]


def _triplet_scores(
    lines: Lines, frames: Sequence[int], classes: Sequence[str], notes: list[str]
) -> Floats:
    out = np.zeros((len(frames), len(classes)))
    data = lines.json()
    if isinstance(data, dict) and "annotations" in data:
        data, rows = cholect50.triplet_rows(lines)
        numbers = cholect50.categories(lines, data)["triplet"]
        for place, frame in enumerate(frames):
            for row in rows.get(frame, ()):
                if row[0] != -1:
                    name = _named(lines, numbers, row[0])
                    if name not in classes:
                        raise BadInput(f"{lines.name}: “{name}” is no triplet of the truth.")
                    column = classes.index(name)
                    out[place, column] = max(out[place, column], _score(lines, frame, row[2]))
        return out
    found = data.get("recognition", data) if isinstance(data, dict) else None
    if not isinstance(found, dict):
        raise BadInput(f"{lines.name} has no scores by frame.")
    notes.append("Vectors of scores were read in the order of the truth's own numbers.")
    for place, frame in enumerate(frames):
        vector = found.get(str(frame))
        if not isinstance(vector, list) or len(vector) != len(classes):
            raise BadInput(
                f"{lines.name}, frame {frame}: expected {len(classes)} scores, one a triplet."
            )
        out[place] = [_score(lines, frame, v) for v in vector]
    return out
