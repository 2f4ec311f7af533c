"""Cholec80 (Twinanda et al. 2017): phases and tools of 80 cholecystectomies as text.

Phases: ``videoNN-phase.txt``, a header and one row a frame at 25 fps from 0, or as ASFormer and
its successors have it, one class a line at 1 fps without a header. Tools: ``videoNN-tool.txt``,
one row at every 25th frame, a column a tool. Classes count by name alone: their order differs from
one release to the next. Numbers in the place of names need the ``mapping.txt`` of their folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise

from app.core.errors import BadInput
from app.core.labels import LabelledCase, LabelRow
from app.exchange.labels.frames import (
    Cell,
    Names,
    PhasesNow,
    as_timeline,
    check_steps,
    rewritten,
    runs,
    table_cells,
)
from app.exchange.labels.lines import Line, Lines, whole

KEY, TITLE, PROCEDURE = "cholec80", "Cholec80", "cholecystectomy"
BESIDE: tuple[str, ...] = ("mapping.txt",)
TO_THE_END = True
FPS = 25
STEPS = (1, 5, FPS)  # every frame as published, or some of them as they were taken out
PHASES = Names(
    {
        "preparation": ("Preparation",),
        "calot_triangle_dissection": ("CalotTriangleDissection", "carlot-triangle-dissection"),
        "clipping_cutting": ("ClippingCutting", "clipping-and-cutting"),
        "gallbladder_dissection": ("GallbladderDissection", "galbladder dissection"),
        "gallbladder_packaging": ("GallbladderPackaging", "packaging"),
        "cleaning_coagulation": ("CleaningCoagulation", "cleaning-and-coagulation"),
        "gallbladder_retraction": ("GallbladderRetraction", "gallbladder-extraction", "retraction"),
    }
)
TOOLS = Names(
    {
        "grasper": ("Grasper",),
        "bipolar": ("Bipolar",),
        "hook": ("Hook",),
        "scissors": ("Scissors",),
        "clipper": ("Clipper",),
        "irrigator": ("Irrigator",),
        "specimen_bag": ("SpecimenBag",),
    }
)
_NAME = re.compile(
    r"(video)[-_ ]?(\d{1,3})[-_](phase|tool)s?\.txt|video-(\d\d)\.txt", re.IGNORECASE
)
_ROW = re.compile(r"\s*(\S+)[ \t]+(\S+)\s*")


def case_name(file_name: str) -> str | None:
    """The video that a file of that name speaks of, None for a file of another layout."""
    found = _NAME.fullmatch(file_name)
    return f"video{int(found[2] or found[4]):02d}" if found else None


def named(name: str) -> bool:
    """Whether a file bears the name of one of its files, whatever it holds."""
    return case_name(name) is not None


def belongs(lines: Lines) -> bool:
    """Whether this is one of its files."""
    return case_name(lines.name) is not None


def read(lines: Lines, beside: Mapping[str, Lines]) -> tuple[LabelledCase, ...]:
    """The case of a phase or tool file, whose folder's ``mapping.txt`` may name numbers."""
    name = case_name(lines.name)
    assert name is not None  # noqa: S101 - asked before
    filled = lines.filled()
    if not filled:
        raise BadInput(f"{lines.name} is empty.")
    head = filled[0][1].text.split()
    if head[0].casefold() == "frame" and len(head) > 2:
        return (_tools(lines, name),)
    cells, step, base = _cells(lines, _numbers(beside))
    line = as_timeline(cells, step)
    return (
        LabelledCase(
            layout=KEY,
            name=name,
            procedure=PROCEDURE,
            time_base=base,
            length=line.end_pts,
            phases=line,
            files=(lines.part(KEY), *(table.part(KEY) for table in beside.values())),
        ),
    )


def write(lines: Lines, now: PhasesNow, beside: Mapping[str, Lines]) -> Lines:
    """The file with the phases of now.

    Raises:
        BadInput: there is a moment without a phase, or with one that the data set does not have.
    """
    if "tool" in lines.name.casefold():
        return lines
    cells, _, base = _cells(lines, _numbers(beside))

    def spell(cell: Cell, key: str | None) -> str:
        spelling = None if key is None else PHASES.spelling(key)
        if spelling is None:
            second = float(cell.time * base)
            said = f"the phase “{key}”" if key else "no phase"
            raise BadInput(
                f"{lines.name} cannot be written: there is {said} at {second:.0f} s, and "
                f"{TITLE} has one of {PHASES} everywhere."
            )
        return spelling

    return rewritten(lines, cells, lambda c: now.instead_of(c.key, c.time * base), spell)


def _cells(lines: Lines, numbers: Mapping[str, str]) -> tuple[list[Cell], int, Fraction]:
    """Rows, units from one to the next, and seconds per unit."""
    filled = lines.filled()
    first = filled[0][1].text.split()
    if len(first) == 1:
        cells = []
        for time, (place, line) in enumerate(filled):
            start = len(line.text) - len(line.text.lstrip())
            end = len(line.text.rstrip())
            key = _phase(lines, line, line.text[start:end], numbers)
            cells.append(Cell(place, start, end, time, key))
        _no_hole(lines, [place for place, _ in filled])
        return cells, 1, Fraction(1)
    rows = filled[1:] if first[0].casefold() == "frame" else filled
    cells, step = table_cells(
        lines,
        rows,
        _ROW,
        first=0,
        key=lambda line, word: _phase(lines, line, word, numbers),
        steps=STEPS,
    )
    return cells, step, Fraction(1, FPS)


def _numbers(beside: Mapping[str, Lines]) -> dict[str, str]:
    table = beside.get(BESIDE[0])
    pairs = [line.text.split() for _, line in table.filled()] if table else []
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _no_hole(lines: Lines, places: list[int]) -> None:
    for before, here in pairwise(places):
        if here != before + 1:
            raise lines.bad(lines.lines[before + 1], "it is empty, and every second has a phase")


def _phase(lines: Lines, line: Line, word: str, numbers: Mapping[str, str]) -> str:
    key = PHASES.key(numbers.get(word, word))
    if key is not None:
        return key
    if whole(word) is not None:
        raise lines.bad(
            line,
            f"the number {word} names no phase by itself; put a mapping.txt with lines such as "
            f"“0 Preparation” beside the file",
        )
    raise lines.bad(line, f"“{word[:40]}” is no phase of {TITLE} ({PHASES})")


def _tools(lines: Lines, name: str) -> LabelledCase:
    rows = tool_rows(lines, TOOLS)
    length = max((s.end_pts for r in rows for s in r.segments), default=0)
    last = int(lines.filled()[-1][1].text.split()[0])
    return LabelledCase(
        layout=KEY,
        name=name,
        procedure=PROCEDURE,
        time_base=Fraction(1, FPS),
        length=max(length, last + FPS),
        rows=rows,
        files=(lines.part(KEY),),
    )


def tool_rows(lines: Lines, tools: Names) -> tuple[LabelRow, ...]:
    """Stretches of every tool of a header, whose columns may stand in any order.

    Raises:
        BadInput: an unknown or doubled column, a row of another width, anything but 0 and 1.
    """
    (_, head), *filled = lines.filled()
    columns = []
    for word in head.text.split()[1:]:
        key = tools.key(word)
        if key is None or key in columns:
            what = "stands twice" if key else f"is no tool ({tools})"
            raise lines.bad(head, f"the column “{word[:40]}” {what}")
        columns.append(key)
    if not filled:
        raise BadInput(f"{lines.name} has a header and no row.")
    table = []
    for _, line in filled:
        words = line.text.split()
        frame = whole(words[0])
        if len(words) != len(columns) + 1 or frame is None:
            raise lines.bad(line, f"expected a frame and {len(columns)} columns")
        if set(words[1:]) - {"0", "1"}:
            raise lines.bad(line, "expected 0 or 1 for every tool")
        table.append((line, frame, words[1:]))
    frames = [(line, frame) for line, frame, _ in table]
    step = check_steps(lines, frames, first=0, steps=(FPS,))
    out = []
    for column, key in enumerate(columns):
        cells = [Cell(0, 0, 0, t, key if said[column] == "1" else None) for _, t, said in table]
        out.append(LabelRow(name=tools.spelling(key) or key, segments=runs(cells, step)))
    return tuple(out)


_TEST_40 = frozenset(f"video{n:02d}" for n in range(41, 81))
SPLITS: dict[str, dict[str, frozenset[str]]] = {
    "40/40": {"train": frozenset(f"video{n:02d}" for n in range(1, 41)), "test": _TEST_40},
    "32/8/40": {
        "train": frozenset(f"video{n:02d}" for n in range(1, 33)),
        "val": frozenset(f"video{n:02d}" for n in range(33, 41)),
        "test": _TEST_40,
    },
    "40/8/32": {
        "train": frozenset(f"video{n:02d}" for n in range(1, 41)),
        "val": frozenset(f"video{n:02d}" for n in range(41, 49)),
        "test": frozenset(f"video{n:02d}" for n in range(49, 81)),
    },
}
