"""CholecT50 (Nwoye et al. 2022): one JSON a case, a label a second, 15 numbers an action triplet.

Classes count by the names that the file itself gives its numbers. Seconds without a label, as in
the sparse validation set, are gaps. -1 means none, in any field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from app.core.errors import BadInput
from app.core.labels import LabelledCase, LabelRow
from app.exchange.labels.cholec80 import PHASES, TOOLS
from app.exchange.labels.frames import Cell, Names, PhasesNow, as_timeline, runs
from app.exchange.labels.lines import Lines, lines_of

KEY, TITLE, PROCEDURE = "cholect50", "CholecT50", "cholecystectomy"
BESIDE: tuple[str, ...] = ("label_mapping.txt",)
TO_THE_END = False
ROW_NUMBERS = 15
_NAME = re.compile(r"VID\d{1,3}\.json", re.IGNORECASE)
INSTRUMENT, VERB, TARGET, PHASE = 1, 7, 8, 14


def named(name: str) -> bool:
    """Whether a file bears the name of one of its files, whatever it holds."""
    return _NAME.fullmatch(name) is not None


def belongs(lines: Lines) -> bool:
    """Whether this is one of its files."""
    if not lines.name.casefold().endswith(".json"):
        return False
    head = lines.text[:20_000]
    return '"annotations"' in lines.text and ('"triplet"' in head or '"num_frames"' in head)


def read(lines: Lines, beside: Mapping[str, Lines]) -> tuple[LabelledCase, ...]:
    """The case of a label file."""
    data, rows, base = _content(lines)
    names = categories(lines, data)
    phases = _keys(lines, names["phase"], PHASES, "phase")
    tools = _keys(lines, names["instrument"], TOOLS, "instrument")
    phase_cells: list[Cell] = []
    tool_cells: dict[str, list[Cell]] = {key: [] for key in tools.values()}
    triplets: dict[str, list[Cell]] = {}
    for second, found in rows.items():
        said = {_class(lines, second, row, PHASE, phases) for row in found} - {None}
        if len(said) > 1:
            raise BadInput(f"{lines.name}, frame {second}: it names two phases.")
        phase_cells.append(Cell(0, 0, 0, second, next(iter(said), None)))
        seen = {_class(lines, second, row, INSTRUMENT, tools) for row in found}
        for key, cells in tool_cells.items():
            cells.append(Cell(0, 0, 0, second, key if key in seen else None))
        for triplet in {_class(lines, second, row, 0, names["triplet"]) for row in found}:
            if triplet is not None:
                triplets.setdefault(triplet, []).append(Cell(0, 0, 0, second, triplet))
    line = as_timeline(_with_gaps(phase_cells), 1)
    shown = [LabelRow(name=TOOLS.spelling(k) or k, segments=runs(_with_gaps(cells), 1))
             for k, cells in tool_cells.items()]  # fmt: skip
    found_triplets = [s for cells in triplets.values() for s in runs(_with_gaps(cells), 1)]
    found_triplets.sort(key=lambda s: (s.start_pts, s.end_pts, s.phase))
    shown.append(LabelRow(name="Triplets", segments=tuple(found_triplets)))
    return (
        LabelledCase(
            layout=KEY,
            name=_name(lines, data),
            procedure=PROCEDURE,
            time_base=base,
            length=line.end_pts,
            phases=line,
            rows=tuple(shown),
            files=(lines.part(KEY), *(table.part(KEY) for table in beside.values())),
        ),
    )


def write(lines: Lines, now: PhasesNow, beside: Mapping[str, Lines]) -> Lines:
    """The file with the phases of now, of the seconds that it has labels for.

    The rest of the file keeps its bytes where it is written as Python writes JSON, as published.
    """
    del beside
    data, rows, base = _content(lines)
    phases = _keys(lines, categories(lines, data)["phase"], PHASES, "phase")
    numbers = {key: number for number, key in phases.items()}
    changed = False
    for second, found in rows.items():
        was = next((phases[int(r[PHASE])] for r in found if r[PHASE] >= 0), None)
        key = now.instead_of(was, second * base)
        if key == was:
            continue
        if key is not None and key not in numbers:
            raise BadInput(f"{lines.name} cannot be written: it has no number for “{key}”.")
        changed = True
        number = -1 if key is None else numbers[key]
        for row in found:
            row[PHASE] = number
        if not found:
            found.append([-1.0] * PHASE + [number])
    if not changed:
        return lines
    return lines_of(lines.name, json.dumps(data).encode(), sha256=lines.sha256)


def categories(lines: Lines, data: dict[str, Any]) -> dict[str, dict[int, str]]:
    """Names of the file's numbers, by kind; a triplet's as ``grasper,retract,liver``."""
    try:
        return {
            kind: {int(number): str(name) for number, name in data["categories"][kind].items()}
            for kind in ("triplet", "instrument", "verb", "target", "phase")
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{lines.name} does not name its classes (“categories”), and numbers alone do not say "
            "what they mean.",
            str(error),
        ) from error


def triplet_rows(lines: Lines) -> tuple[dict[str, Any], dict[int, list[list[float]]]]:
    """The file's content, and its rows of 15 numbers by second, in order."""
    data, rows, _ = _content(lines)
    return data, rows


def _content(lines: Lines) -> tuple[dict[str, Any], dict[int, list[list[float]]], Fraction]:
    data = lines.json()
    try:
        fps = int(data.get("fps", 1))
        rows = {int(key): value for key, value in data["annotations"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{lines.name} has no “annotations” by frame.", str(error)) from error
    if not rows or min(rows) < 0 or max(rows) > 10**7 or not 0 < fps <= 1000:
        raise BadInput(f"{lines.name} has no frame with labels, or one of an impossible number.")
    for second, found in rows.items():
        good = isinstance(found, list) and all(_is_row(row) for row in found)
        if not good:
            raise BadInput(f"{lines.name}, frame {second}: expected rows of {ROW_NUMBERS} numbers.")
    count = data.get("num_frames", len(rows))
    # The sparse validation set counts its labels alone.
    if count != len(rows) and not (isinstance(count, int) and count > max(rows)):
        raise BadInput(f"{lines.name}, frame {max(rows)}: the file has {count} frames, from 0.")
    return data, dict(sorted(rows.items())), Fraction(1, fps)


def _is_row(row: object) -> bool:
    return (
        isinstance(row, list)
        and len(row) == ROW_NUMBERS
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in row)
    )


def _class(
    lines: Lines, second: int, row: list[float], place: int, names: Mapping[int, str]
) -> str | None:
    number = row[place]
    if number == -1:
        return None
    if number not in names:
        raise BadInput(
            f"{lines.name}, frame {second}: {number} is none of the classes that the file names."
        )
    return names[int(number)]


def _keys(lines: Lines, names: Mapping[int, str], known: Names, what: str) -> dict[int, str]:
    out = {}
    for number, name in names.items():
        key = known.key(name)
        if key is None:
            raise BadInput(f"{lines.name}: “{name[:40]}” is no {what} of {TITLE} ({known}).")
        out[number] = key
    return out


def _with_gaps(cells: list[Cell]) -> list[Cell]:
    """Cells and, where seconds are left out between two of them, one that says nothing."""
    out: list[Cell] = []
    for cell in cells:
        if out and cell.time > out[-1].time + 1:
            out.append(Cell(0, 0, 0, out[-1].time + 1, None))
        out.append(cell)
    return out


def _name(lines: Lines, data: dict[str, Any]) -> str:
    number = data.get("video")
    if isinstance(number, int):
        return f"VID{number:02d}"
    found = re.search(r"\d+", lines.name)
    return f"VID{int(found[0]):02d}" if found else lines.name.rsplit(".", 1)[0]


def _set(*numbers: int) -> frozenset[str]:
    return frozenset(f"VID{n:02d}" for n in numbers)


_FOLDS = (
    _set(79, 2, 51, 6, 25, 14, 66, 23, 50, 111),
    _set(80, 32, 5, 15, 40, 47, 26, 48, 70, 96),
    _set(31, 57, 36, 18, 52, 68, 10, 8, 73, 103),
    _set(42, 29, 60, 27, 65, 75, 22, 49, 12, 110),
    _set(78, 43, 62, 35, 74, 1, 56, 4, 13, 92),
)
_ALL = frozenset[str]().union(*_FOLDS)
_VAL, _TEST = _set(8, 12, 29, 50, 78), _set(6, 51, 10, 73, 14, 74, 32, 80, 42, 111)
_CHALLENGE_VAL, _CHALLENGE_TEST = _set(5, 18, 36, 65, 74), _set(92, 96, 103, 110, 111)
SPLITS: dict[str, dict[str, frozenset[str]]] = {
    "35/5/10": {"train": _ALL - _VAL - _TEST, "val": _VAL, "test": _TEST},
    "challenge": {
        "train": _ALL - _CHALLENGE_VAL - _CHALLENGE_TEST,
        "val": _CHALLENGE_VAL,
        "test": _CHALLENGE_TEST,
    },
    **{
        f"fold {number}": {"train": _ALL - fold, "test": fold}
        for number, fold in enumerate(_FOLDS, 1)
    },
}
