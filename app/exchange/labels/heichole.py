"""HeiChole (Wagner et al. 2023): phases, instruments, actions and skill, a row a native frame.

``Hei-CholeN_Annotation_Phase.csv`` and the like, in any case of letters, without a header. Seven
of the public videos have 50 frames a second, the others 25; times follow from the number of the
video. Phases are numbers in the order of Cholec80, which a phase file cannot name otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from app.core.errors import BadInput
from app.core.labels import LabelledCase, LabelRow
from app.core.taxonomy import find_taxonomy
from app.exchange.labels.frames import (
    Cell,
    PhasesNow,
    as_timeline,
    check_steps,
    rewritten,
    runs,
    table_cells,
)
from app.exchange.labels.lines import Line, Lines, whole

KEY, TITLE, PROCEDURE = "heichole", "HeiChole", "cholecystectomy"
BESIDE: tuple[str, ...] = ()
TO_THE_END = True
AT_50_FPS = (16, 17, 18, 19, 20, 23, 24)
ORDER = tuple(phase.key for phase in find_taxonomy(PROCEDURE).phases)
SPLITS: dict[str, dict[str, frozenset[str]]] = {
    "public": {"train": frozenset(f"Hei-Chole{n}" for n in range(1, 25))}
}
_RESERVED = ("",) * 13
COLUMNS: dict[str, tuple[str, ...]] = {
    "instrument": (
        "Grasper", "Clipper", "Coagulation", "Scissors", "Suction-irrigation", "Specimen bag",
        "Stapler", *_RESERVED, "Undefined shaft",
    ),
    "instrument_detailed": (
        "Curved atraumatic grasper", "Toothed grasper", "Fenestrated toothed grasper",
        "Atraumatic grasper", "Overholt", "LigaSure", "Electric hook", "Scissors",
        "Clip applier, metal", "Clip applier, Hem-o-lok", "Swab grasper", "Argon beamer",
        "Suction-irrigation", "Specimen bag", "Tiger mouth forceps", "Claw forceps",
        "Atraumatic grasper, short", "Crocodile forceps", "Flat grasper", "Pointed forceps",
        "Stapler", *_RESERVED[:9], "Undefined shaft",
    ),
    "action": ("Grasp", "Hold", "Cut", "Clip"),
    "action_detailed": tuple(
        f"{action}, {hand}"
        for hand in ("left", "right", "assistant")
        for action in ("Grasp", "Hold", "Cut", "Clip")
    ),
}  # fmt: skip
SKILLS = ("depth perception", "bimanual dexterity", "efficiency", "tissue handling", "difficulty")
_NAME = re.compile(
    r"hei-?chole(\d{1,2})_annotation_((?:phase|instrument|action|skill)[a-z_]*)\.csv", re.IGNORECASE
)
_ROW = re.compile(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*")


def named(name: str) -> bool:
    """Whether a file bears the name of one of its files, whatever it holds."""
    return _NAME.fullmatch(name) is not None


def belongs(lines: Lines) -> bool:
    """Whether this is one of its files."""
    return _NAME.fullmatch(lines.name) is not None


def read(lines: Lines, beside: Mapping[str, Lines]) -> tuple[LabelledCase, ...]:
    """The case of a file of phases, instruments, actions or skill."""
    del beside
    number, kind = _kind(lines)
    if not lines.filled():
        raise BadInput(f"{lines.name} is empty.")
    phases, length = None, 0
    rows: tuple[LabelRow, ...] = ()
    facts: tuple[str, ...] = ()
    if kind == "phase":
        phases = as_timeline(_cells(lines), 1)
        length = phases.end_pts
    elif kind.startswith("skill"):
        facts = (_skill(lines, kind),)
    else:
        rows, length = _presence(lines, kind)
    return (
        LabelledCase(
            layout=KEY,
            name=f"Hei-Chole{number}",
            procedure=PROCEDURE,
            time_base=_time_base(number),
            length=length,
            phases=phases,
            rows=rows,
            facts=facts,
            files=(lines.part(KEY),),
        ),
    )


def write(lines: Lines, now: PhasesNow, beside: Mapping[str, Lines]) -> Lines:
    """The file with the phases of now; files of other labels are as they came.

    Raises:
        BadInput: a frame has no phase, or one that the data set does not have.
    """
    del beside
    number, kind = _kind(lines)
    if kind != "phase":
        return lines
    base = _time_base(number)

    def spell(cell: Cell, key: str | None) -> str:
        if key not in ORDER:
            raise BadInput(
                f"{lines.name} cannot be written: it has no number for what is there at "
                f"{float(cell.time * base):.2f} s ({key or 'no phase'})."
            )
        return str(ORDER.index(key))

    return rewritten(lines, _cells(lines), lambda c: now.instead_of(c.key, c.time * base), spell)


def _kind(lines: Lines) -> tuple[int, str]:
    found = _NAME.fullmatch(lines.name)
    assert found is not None  # noqa: S101 - asked before
    return int(found[1]), found[2].casefold()


def _time_base(number: int) -> Fraction:
    return Fraction(1, 50 if number in AT_50_FPS else 25)


def _cells(lines: Lines) -> list[Cell]:
    filled = lines.filled()
    cells, _ = table_cells(
        lines, filled, _ROW, first=_first(filled[0][1].text), key=lambda at, w: _phase(lines, at, w)
    )
    return cells


def _first(text: str) -> int:
    """Frames count from 0, in some copies from 1."""
    return 1 if text.split(",")[0].strip() == "1" else 0


def _phase(lines: Lines, line: Line, word: str) -> str:
    number = whole(word)
    if number is None or not 0 <= number < len(ORDER):
        raise lines.bad(line, f"{word[:20]} is no phase of {TITLE} (0 to {len(ORDER) - 1})")
    return ORDER[number]


def _presence(lines: Lines, kind: str) -> tuple[tuple[LabelRow, ...], int]:
    names = COLUMNS.get(kind)
    if names is None:
        raise BadInput(f"{lines.name}: “{kind}” is no kind of label of {TITLE}.")
    table, filled = [], lines.filled()
    first = _first(filled[0][1].text)
    for _, line in filled:
        cells = [cell.strip() for cell in line.text.split(",")]
        frame = whole(cells[0])
        if frame is None or len(cells) != len(names) + 1 or set(cells[1:]) - {"0", "1"}:
            raise lines.bad(line, f"expected a frame and {len(names)} times 0 or 1")
        table.append((line, frame, cells[1:]))
    step = check_steps(lines, [(line, frame) for line, frame, _ in table], first=first)
    out = []
    for column, name in enumerate(names):
        cells_of = [
            Cell(0, 0, 0, frame - first, name if said[column] == "1" else None)
            for _, frame, said in table
        ]
        if name and (segments := runs(cells_of, step)):
            out.append(LabelRow(name=name, segments=segments))
    return tuple(out), table[-1][1] - first + step


def _skill(lines: Lines, kind: str) -> str:
    _, line = lines.filled()[-1]
    values = [whole(cell.strip()) for cell in line.text.split(",")]
    if len(values) != len(SKILLS) or not all(v is not None and 1 <= v <= 5 for v in values):
        raise lines.bad(line, f"expected {len(SKILLS)} values from 1 to 5")
    said = ", ".join(f"{name} {value}" for name, value in zip(SKILLS, values, strict=True))
    return f"{kind.replace('_', ' ')}: {said}"
