"""JIGSAWS (Gao et al. 2014): gestures of suturing on a bench, intervals of frames at 30 a second.

``transcriptions/<Trial>.txt`` has lines ``start end Gk``, frames from 1, both included; they do not
cover the whole trial. ``meta_file_<Task>.txt`` says how skilled the surgeon of each trial is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from app.core.errors import BadInput
from app.core.labels import LabelledCase
from app.core.taxonomy import find_taxonomy
from app.exchange.labels.frames import PhasesNow
from app.exchange.labels.items import Item, kept_and_new, painted
from app.exchange.labels.lines import Line, Lines, whole

KEY, TITLE, PROCEDURE = "jigsaws", "JIGSAWS", "bench_suturing"
BESIDE: tuple[str, ...] = ()
TO_THE_END = False
BASE = Fraction(1, 30)
_TASKS = ("Suturing", "Knot_Tying", "Needle_Passing")
_ALL = frozenset(
    f"{task}_{user}00{n}" for task in _TASKS for user in "BCDEFGHI" for n in range(1, 6)
)
SPLITS: dict[str, dict[str, frozenset[str]]] = {
    f"leave {what} {part} out": {
        "train": frozenset(name for name in _ALL if name[place] != part),
        "test": frozenset(name for name in _ALL if name[place] == part),
    }
    for what, place, parts in (("user", -4, "BCDEFGHI"), ("super-trial", -1, "12345"))
    for part in parts
}
_NAME = re.compile(r"((?:Suturing|Knot_Tying|Needle_Passing)_[A-Z]\d{3})\.txt")
_META = re.compile(r"meta_file_(Suturing|Knot_Tying|Needle_Passing)\.txt")
_ROW = re.compile(r"\s*(\d{1,9})\s+(\d{1,9})\s+(G\d{1,2})\s*")
_KINEMATICS = 38  # columns at least, of one of the two sides
_SKILL = {"N": "novice", "I": "intermediate", "E": "expert"}


def named(name: str) -> bool:
    """Whether a file bears the name of one of its files, whatever it holds."""
    return bool(_NAME.fullmatch(name) or _META.fullmatch(name))


def belongs(lines: Lines) -> bool:
    """Whether this is one of its files."""
    return named(lines.name)


def read(lines: Lines, beside: Mapping[str, Lines]) -> tuple[LabelledCase, ...]:
    """The trial of a transcription, or the trials of a table of skill.

    Recorded movements bear the same names, in rows of 76 numbers: they hold no labels.
    """
    del beside
    found = _NAME.fullmatch(lines.name)
    if found is None:
        return _skills(lines)
    filled = lines.filled()
    if filled and len(filled[0][1].text.split()) >= _KINEMATICS:
        return ()
    items = [item for _, item in _items(lines)]
    length = max(round(i.end / BASE) for i in items)
    return (
        LabelledCase(
            layout=KEY,
            name=found[1],
            procedure=PROCEDURE,
            time_base=BASE,
            length=length,
            phases=painted(items, BASE, length),
            files=(lines.part(KEY),),
        ),
    )


def write(lines: Lines, now: PhasesNow, beside: Mapping[str, Lines]) -> Lines:
    """The file with the gestures of now.

    Raises:
        BadInput: a phase is no gesture.
    """
    del beside
    if _NAME.fullmatch(lines.name) is None:
        return lines
    placed = _items(lines)
    items = [item for _, item in placed]
    length = max(round(i.end / BASE) for i in items)
    said = kept_and_new(items, painted(items, BASE, length), BASE, now)
    if said == list(enumerate(items)):
        return lines
    out = []
    for place, item in said:
        old = lines.lines[placed[place][0]] if place is not None else None
        if old is not None and items[place or 0] == item:
            out.append(old)
            continue
        if find_taxonomy(PROCEDURE).phase(item.key) is None:
            raise BadInput(
                f"{lines.name} cannot be written: “{item.key}” is no gesture of JIGSAWS."
            )
        start, end = round(item.start / BASE) + 1, round(item.end / BASE)
        like = old or lines.lines[placed[0][0]]
        text = f"{start} {end} {item.key.upper()}" + (" " if like.text.endswith(" ") else "")
        out.append(Line(old.number if old else 0, text, like.end or "\n"))
    return replace(lines, lines=tuple(out))


def _items(lines: Lines) -> list[tuple[int, Item]]:
    out: list[tuple[int, Item]] = []
    gestures = [phase.key for phase in find_taxonomy(PROCEDURE).phases]
    for place, line in lines.filled():
        row = _ROW.fullmatch(line.text)
        if row is None:
            raise lines.bad(line, "expected two frames and a gesture such as G3")
        start, end, key = int(row[1]), int(row[2]), row[3].casefold()
        if key not in gestures:
            raise lines.bad(line, f"{row[3]} is no gesture of {TITLE} (G1 to G15)")
        if not 1 <= start <= end:
            raise lines.bad(line, f"it goes from frame {start} to {end}, and frames count from 1")
        out.append((place, Item((start - 1) * BASE, end * BASE, key)))
    for (_, one), (place, other) in pairwise(out):
        if other.start < one.end:
            raise lines.bad(lines.lines[place], "it begins before the gesture before it ends")
    if not out:
        raise BadInput(f"{lines.name} is empty.")
    return out


def _skills(lines: Lines) -> tuple[LabelledCase, ...]:
    out = []
    for place, line in lines.filled():
        words = line.text.split()
        scores = [whole(word) for word in words[2:]]
        if len(words) != 9 or words[1] not in _SKILL or None in scores:
            raise lines.bad(line, "expected a trial, N, I or E, a total and six scores")
        fact = f"{_SKILL[words[1]]}, rated {words[2]} of 30"
        out.append(_skill_case(lines, place, words, fact))
    return tuple(out)


def _skill_case(lines: Lines, place: int, words: Sequence[str], fact: str) -> LabelledCase:
    return LabelledCase(
        layout=KEY,
        name=words[0],
        procedure=PROCEDURE,
        time_base=BASE,
        length=0,
        facts=(fact,),
        files=(lines.part(KEY, [place]),),
    )
