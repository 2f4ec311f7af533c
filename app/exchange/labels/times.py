"""Predicted minutes until each phase, beside the phases of the same operations. Any thread."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.labels import LabelledCase
from app.exchange.labels.frames import folded
from app.exchange.labels.lines import Line, Lines, finite, read_lines
from app.exchange.labels.pairing import by_name, other_name, phases_at, read_side
from app.exchange.labels.reading import label_files, left_aside

_FIRST = "second"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePairs:
    """Phases and predicted times, once a second.

    Attributes:
        names: of the operations.
        classes: columns as the first table spells them, K.
        labels: per operation int64 (T,), index in ``classes``, -1 where there is no phase.
        minutes: per operation float64 (T, K), until each phase.
        notes: what was done to make them fit, in sentences.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    labels: tuple[NDArray[np.int64], ...]
    minutes: tuple[NDArray[np.float64], ...]
    notes: tuple[str, ...] = ()


def pair_times(truth: Path, predicted: Path, *, layout: str = "") -> TimePairs:
    """Pair operations by name, and columns of times with phases by name.

    Args:
        truth: a phase file, or a folder of them.
        predicted: a table, or a folder of them, each with the name of its operation in its own: a
            header of ``second`` and names of phases, then a row a second; commas, blanks or tabs
            between the columns.
        layout: of the truth, see ``labels_in``.

    Raises:
        BadInput: an operation is missing on either side, a phase has no column, tables have other
            columns than the first, a row is none, or lengths differ by more than one second.
    """
    read = read_side(truth, layout=layout, side="Truth")
    cases = {case.name: case for case in read.cases}
    tables, aside = _tables(predicted, cases)
    found = by_name(cases, tables)
    notes = [*read.notes, *left_aside(aside)]
    if len(cases) == 1:
        notes += other_name(next(iter(cases)), next(iter(tables)))
    classes: list[str] = []
    labels, minutes = [], []
    for name, case in cases.items():
        lines = found[name]
        columns, rows = _table(lines)
        classes = classes or columns
        keys = [folded(column) for column in columns]
        if set(keys) != {folded(column) for column in classes}:
            raise lines.bad(lines.filled()[0][1], "its columns are other phases than before it")
        order = [keys.index(folded(column)) for column in classes]
        side = _side(lines, case, classes)
        if abs(len(rows) - len(side)) > 1:
            raise BadInput(f"{lines.name} has {len(rows)} rows for {len(side)} seconds of labels.")
        if len(rows) != len(side):
            notes.append(f"{name}: the last second has no counterpart and was left out.")
        end = min(len(rows), len(side))
        labels.append(side[:end])
        minutes.append(rows[:end, order])
    return TimePairs(
        names=tuple(cases),
        classes=tuple(classes),
        labels=tuple(labels),
        minutes=tuple(minutes),
        notes=tuple(notes),
    )


def _tables(predicted: Path, names: Mapping[str, object]) -> tuple[dict[str, Lines], list[Path]]:
    """Tables by the operation that their names hold, else by their own; and files that are none."""
    out: dict[str, Lines] = {}
    aside = []
    for path in label_files([predicted], (".csv", ".txt")) if predicted.is_dir() else [predicted]:
        held = [name for name in names if _holds(path.stem, name)]
        lines = _table_in(path, needed=bool(held) or not predicted.is_dir())
        if lines is None:
            aside.append(path)
            continue
        if len(held) > 1 or (held and held[0] in out):
            raise BadInput(
                f"Which operation is {path.name} of? Name every table after one of the truth, such "
                f"as {held[0]}.csv."
            )
        out[held[0] if held else path.stem] = lines
    if not out:
        raise BadInput(f"There is no table of predicted times in {predicted.name}.")
    return out, aside


def _table_in(path: Path, *, needed: bool) -> Lines | None:
    """A table's lines; None for another file that nobody named."""
    try:
        lines = read_lines(path)
    except BadInput:
        if needed:
            raise
        return None
    head = _words(lines.lines[0].text) if lines.lines else []
    return lines if needed or (head and folded(head[0]) == _FIRST) else None


def _holds(stem: str, name: str) -> bool:
    """Whether a name stands in a file's, with no letter or digit around it."""
    pattern = rf"(?<![a-z0-9]){re.escape(name.casefold())}(?![a-z0-9])"
    return re.search(pattern, stem.casefold()) is not None


def _table(lines: Lines) -> tuple[list[str], NDArray[np.float64]]:
    """Names of phases K, and minutes (T, K)."""
    (_, head), *rows = lines.filled() or [(0, Line(1, "", ""))]
    columns = _words(head.text)[1:]
    keys = [folded(column) for column in columns]
    if not columns or len(set(keys)) != len(keys):
        raise lines.bad(head, f"expected “{_FIRST}” and names of phases, each once")
    out = []
    for second, (_, line) in enumerate(rows):
        values = [finite(word) for word in _words(line.text)]
        if len(values) != len(columns) + 1 or None in values or values[0] != second:
            raise lines.bad(line, f"expected second {second} and {len(columns)} times in minutes")
        out.append([v or 0.0 for v in values[1:]])
    return columns, np.array(out).reshape(-1, len(columns))


def _side(lines: Lines, case: LabelledCase, classes: list[str]) -> NDArray[np.int64]:
    """The phase of every second, by column."""
    keys = [folded(column) for column in classes]
    said = phases_at(case, Fraction(1))
    missing = sorted({key for key in said if key is not None and folded(key) not in keys})
    if missing:
        raise lines.bad(lines.filled()[0][1], f"there is no column for {missing[0]}")
    return np.array([-1 if key is None else keys.index(folded(key)) for key in said], np.int64)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()
