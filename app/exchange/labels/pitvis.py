"""PitVis-2023 (Das et al. 2024): steps and instruments of pituitary surgery, a row a second.

``annotations_NN.csv`` has video, time, step and two slots for instruments; predictions have time
and step, or time and instruments. Step -1 (not begun, ended, out of the patient) is no phase;
instrument 0 is none in view, -1 out of the patient, -2 no second one, and all of them stay as they
are written. Numbers mean what the published tables say; a ``map_steps.csv`` beside the file goes
before them, by its names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from app.core.errors import BadInput
from app.core.labels import LabelledCase, LabelRow
from app.core.taxonomy import find_taxonomy
from app.exchange.labels.frames import Cell, Names, PhasesNow, as_timeline, check_steps, runs
from app.exchange.labels.lines import Line, Lines, whole

KEY, TITLE, PROCEDURE = "pitvis", "PitVis", "pituitary"
BESIDE: tuple[str, ...] = ("map_steps.csv", "map_instruments.csv")
TO_THE_END = True
_TAXONOMY = find_taxonomy(PROCEDURE)
STEPS = Names({phase.key: (phase.key.replace("_", " "),) for phase in _TAXONOMY.phases})
INSTRUMENTS = tuple(i.key for i in _TAXONOMY.instruments[1:])  # after the one of no class
TIME, STEP, FIRST, SECOND = "int_time", "int_step", "int_instrument1", "int_instrument2"
_VAL = frozenset(("02", "06", "12", "13", "24"))
SPLITS: dict[str, dict[str, frozenset[str]]] = {
    "usual": {"val": _VAL, "train": frozenset(f"{n:02d}" for n in range(1, 26)) - _VAL}
}
_NAME = re.compile(r"annotations_\d{1,3}\.csv", re.IGNORECASE)
Row = tuple[int, dict[str, int]]


def named(name: str) -> bool:
    """Whether a file bears the name of one of its files, whatever it holds."""
    return _NAME.fullmatch(name) is not None


def belongs(lines: Lines) -> bool:
    """Whether this is one of its files."""
    head = _head(lines)
    return TIME in head and (STEP in head or FIRST in head)


def read(lines: Lines, beside: Mapping[str, Lines]) -> tuple[LabelledCase, ...]:
    """The case of an annotation or prediction file."""
    head, rows = _head(lines), _rows(lines, beside)
    found = re.findall(r"\d+", lines.name)
    length = rows[-1][1][TIME] + 1
    return (
        LabelledCase(
            layout=KEY,
            name=f"{int(found[-1]):02d}" if found else lines.name.rsplit(".", 1)[0],
            procedure=PROCEDURE,
            time_base=Fraction(1),
            length=length,
            phases=as_timeline(_cells(rows, beside), 1) if STEP in head else None,
            rows=_instruments(rows) if FIRST in head else (),
            files=(lines.part(KEY), *(table.part(KEY) for table in beside.values())),
        ),
    )


def write(lines: Lines, now: PhasesNow, beside: Mapping[str, Lines]) -> Lines:
    """The file with the steps of now; where a second leaves or enters the patient, so do its slots.

    Raises:
        BadInput: a step is none of the data set's.
    """
    head = _head(lines)
    if STEP not in head:
        return lines
    rows = dict(_rows(lines, beside))
    numbers = {key: number for number, key in step_numbers(beside).items()}
    texts = {}
    for cell in _cells(list(rows.items()), beside):
        key = now.instead_of(cell.key, Fraction(cell.time))
        if key == cell.key:
            continue
        if key is not None and key not in numbers:
            raise BadInput(f"{lines.name} cannot be written: {TITLE} has no step “{key}”.")
        row = {**rows[cell.place], STEP: -1 if key is None else numbers[key]}
        if FIRST in row and (key is None) != (cell.key is None):
            row[FIRST] = -1 if key is None else 0
            if SECOND in row:
                row[SECOND] = -2
        texts[cell.place] = ",".join(str(row[name]) for name in head)
    return lines.changed(texts)


def step_numbers(beside: Mapping[str, Lines]) -> dict[int, str]:
    """Step keys by their numbers: the table's beside the file, else the published ones.

    Raises:
        BadInput: the table names what is no step.
    """
    table = beside.get(BESIDE[0])
    if table is None:
        return {i: phase.key for i, phase in enumerate(_TAXONOMY.phases, 1)}
    out = {}
    for _, line in table.filled():
        cells = [cell.strip().strip('"') for cell in line.text.split(",")]
        number = next((n for n in map(whole, cells) if n is not None), None)
        if number is None or number < 1:
            continue  # the header, and the background
        keys = [key for key in map(STEPS.key, cells) if key]
        if not keys:
            raise table.bad(line, f"it names no step of {TITLE} ({STEPS})")
        out[number] = keys[0]
    return out


def rows_of(lines: Lines) -> list[dict[str, int]]:
    """The rows as numbers by column, as they are written."""
    return [row for _, row in _rows(lines, {})]


def _head(lines: Lines) -> list[str]:
    return lines.lines[0].text.strip().split(",") if lines.lines else []


def _rows(lines: Lines, beside: Mapping[str, Lines]) -> list[Row]:
    head, out, steps = _head(lines), [], step_numbers(beside)
    for place, line in lines.filled()[1:]:
        cells = [whole(cell.strip()) for cell in line.text.split(",")]
        if len(cells) != len(head) or None in cells:
            raise lines.bad(line, f"expected {len(head)} whole numbers")
        row = {name: int(cell or 0) for name, cell in zip(head, cells, strict=True)}
        _check(lines, line, row, steps)
        out.append((place, row))
    if not out:
        raise BadInput(f"{lines.name} has a header and no row.")
    check_steps(lines, [(lines.lines[p], row[TIME]) for p, row in out], first=0)
    return out


def _check(lines: Lines, line: Line, row: dict[str, int], steps: Mapping[int, str]) -> None:
    said = row.get(STEP, -1)
    if said != -1 and said not in steps:
        raise lines.bad(line, f"{STEP} is {said}, and {TITLE} has {sorted(steps)} and -1")
    for name, least in ((FIRST, -1), (SECOND, -2)):
        if not least <= row.get(name, 0) <= len(INSTRUMENTS):
            raise lines.bad(line, f"{name} is {row[name]}, and {TITLE} has {least} to 18")
    if STEP in row and FIRST in row and (said == -1) != (row[FIRST] == -1):
        raise lines.bad(
            line,
            f"{STEP} is {said} and {FIRST} is {row[FIRST]}; out of the patient both are -1, else "
            "neither",
        )
    first, second = row.get(FIRST, 0), row.get(SECOND, -2)
    if (second == -1 and first != -1) or (first == -1 and second >= 0):
        raise lines.bad(
            line,
            f"{FIRST} is {first} and {SECOND} is {second}; -1 is out of the patient and "
            "-2 no second instrument",
        )


def _cells(rows: list[Row], beside: Mapping[str, Lines]) -> list[Cell]:
    steps = step_numbers(beside)
    return [Cell(place, 0, 0, row[TIME], steps.get(row[STEP])) for place, row in rows]


def _instruments(rows: list[Row]) -> tuple[LabelRow, ...]:
    out = []
    for number, key in enumerate(INSTRUMENTS, 1):
        cells = [
            Cell(0, 0, 0, row[TIME], key if number in (row.get(FIRST), row.get(SECOND)) else None)
            for _, row in rows
        ]
        if segments := runs(cells, 1):
            out.append(LabelRow(name=_TAXONOMY.instrument_name(key), segments=segments))
    return tuple(out)
