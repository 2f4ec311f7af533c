"""AutoLaparo (Wang et al. 2022): phases of 21 hysterectomies, ``label_NN.txt``, a row a second.

Frames count from 1 and phases are numbers from 1 in the published order; names stand as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from app.core.errors import BadInput
from app.core.labels import LabelledCase
from app.core.taxonomy import find_taxonomy
from app.exchange.labels.frames import Cell, Names, PhasesNow, as_timeline, rewritten, table_cells
from app.exchange.labels.lines import Line, Lines, whole

KEY, TITLE, PROCEDURE = "autolaparo", "AutoLaparo", "hysterectomy"
BESIDE: tuple[str, ...] = ()
TO_THE_END = True
_NAMES = (
    "Preparation",
    "Dividing Ligament and Peritoneum",
    "Dividing Uterine Vessels and Ligament",
    "Transecting the Vagina",
    "Specimen Removal",
    "Suturing",
    "Washing",
)
ORDER = tuple(phase.key for phase in find_taxonomy(PROCEDURE).phases)
PHASES = Names({key: (name,) for key, name in zip(ORDER, _NAMES, strict=True)})
SPLITS: dict[str, dict[str, frozenset[str]]] = {
    "10/4/7": {
        part: frozenset(f"{n:02d}" for n in numbers)
        for part, numbers in (
            ("train", range(1, 11)),
            ("val", range(11, 15)),
            ("test", range(15, 22)),
        )
    }
}
_NAME = re.compile(r"label[_-](\d{1,2})\.txt", re.IGNORECASE)
_ROW = re.compile(r"\s*(\S+)[ \t]+(\S.*?)\s*")


def named(name: str) -> bool:
    """Whether a file bears the name of one of its files, whatever it holds."""
    return _NAME.fullmatch(name) is not None


def belongs(lines: Lines) -> bool:
    """Whether this is one of its files."""
    return _NAME.fullmatch(lines.name) is not None


def read(lines: Lines, beside: Mapping[str, Lines]) -> tuple[LabelledCase, ...]:
    """The case of a label file."""
    del beside
    found = _NAME.fullmatch(lines.name)
    assert found is not None  # noqa: S101 - asked before
    line = as_timeline(_cells(lines), 1)
    return (
        LabelledCase(
            layout=KEY,
            name=f"{int(found[1]):02d}",
            procedure=PROCEDURE,
            time_base=Fraction(1),
            length=line.end_pts,
            phases=line,
            files=(lines.part(KEY),),
        ),
    )


def write(lines: Lines, now: PhasesNow, beside: Mapping[str, Lines]) -> Lines:
    """The file with the phases of now.

    Raises:
        BadInput: a second has no phase, or one that the data set does not have.
    """
    del beside

    def spell(cell: Cell, key: str | None) -> str:
        if key not in ORDER:
            said = f"the phase “{key}”" if key else "no phase"
            raise BadInput(
                f"{lines.name} cannot be written: there is {said} at {cell.time} s, and {TITLE} "
                f"has one of {PHASES} everywhere."
            )
        return str(ORDER.index(key) + 1)

    return rewritten(lines, _cells(lines), lambda c: now.instead_of(c.key, Fraction(c.time)), spell)


def _cells(lines: Lines) -> list[Cell]:
    filled = lines.filled()
    if filled and filled[0][1].text.split()[0].casefold() == "frame":
        filled = filled[1:]
    cells, _ = table_cells(
        lines, filled, _ROW, first=1, key=lambda line, word: _phase(lines, line, word)
    )
    return cells


def _phase(lines: Lines, line: Line, word: str) -> str:
    number = whole(word)
    if number is None:
        key = PHASES.key(word)
    else:
        key = ORDER[number - 1] if 1 <= number <= len(ORDER) else None
    if key is None:
        raise lines.bad(line, f"“{word[:40]}” is no phase of {TITLE} (1 to {len(ORDER)}: {PHASES})")
    return key
