"""OphNet-2024 (Hu et al. 2024): intervals of 743 eye operations in one table, in seconds.

``*_loca_*.csv`` has a row an interval: video, start, end, split and the numbers of surgery, phase
and, but in the phase table, operation. ``*_surgery.csv`` names the surgeries of a video. What the
numbers mean is published elsewhere; a ``phase_names.csv`` (``id,name``) beside the table names
them. Intervals may leave gaps and, in 217 places, overlap: the timeline shows the one that starts
later, the row “Operations” all of them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from app.core.errors import BadInput
from app.core.labels import LabelledCase, LabelRow
from app.exchange.labels.frames import PhasesNow
from app.exchange.labels.items import Item, kept_and_new, painted, segments
from app.exchange.labels.lines import Line, Lines, number, whole

KEY, TITLE, PROCEDURE = "ophnet", "OphNet", "eye_surgery"
BESIDE: tuple[str, ...] = ("phase_names.csv",)
TO_THE_END = False
SPLITS: dict[str, dict[str, frozenset[str]]] = {}  # a column of the tables
MS = Fraction(1, 1000)
HEAD = ("video_id", "start", "end", "split", "surgery_id", "phase_id")
OPERATION = "operation_id"
SURGERY = ("video_id", "surgery")
_NAME = re.compile(r"OphNet2024_(loca\w*|surgery)\.csv", re.IGNORECASE)
Row = tuple[int, list[str], Item]


def named(name: str) -> bool:
    """Whether a file bears the name of one of its files, whatever it holds."""
    return _NAME.fullmatch(name) is not None


def belongs(lines: Lines) -> bool:
    """Whether this is one of its files."""
    head = tuple(lines.lines[0].text.strip().split(",")) if lines.lines else ()
    return head[:6] == HEAD or head == SURGERY


def read(lines: Lines, beside: Mapping[str, Lines]) -> tuple[LabelledCase, ...]:
    """Every video of a table."""
    if _head(lines) == list(SURGERY):
        return _surgeries(lines)
    by_video: dict[str, list[Row]] = {}
    for place, cells in _rows(lines):
        by_video.setdefault(cells[0], []).append((place, cells, _item(lines, place, cells, beside)))
    return tuple(_case(lines, name, rows, beside) for name, rows in by_video.items())


def write(lines: Lines, now: PhasesNow, beside: Mapping[str, Lines]) -> Lines:
    """One video's rows with the phases of now; an interval that is new has no operation."""
    if _head(lines) == list(SURGERY):
        return lines
    rows = [(place, cells, _item(lines, place, cells, beside)) for place, cells in _rows(lines)]
    items = [item for _, _, item in rows]
    length = max(round(i.end / MS) for i in items)
    numbers = {key: n for n, key in _names(beside).items()}
    said = kept_and_new(items, painted(items, MS, length), MS, now)
    if sorted(said, key=lambda s: -1 if s[0] is None else s[0]) == list(enumerate(items)):
        return lines
    head, out = _head(lines), [lines.lines[0]]
    for place, item in said:
        if place is not None and items[place] == item:
            out.append(lines.lines[rows[place][0]])
            continue
        model = rows[place if place is not None else _nearest(items, item)]
        cells = dict(zip(head, model[1], strict=True))
        was = items[place] if place is not None else None
        cells["start"] = _kept(cells["start"], was.start if was else None, item.start)
        cells["end"] = _kept(cells["end"], was.end if was else None, item.end)
        if was is None or was.key != item.key:
            cells["phase_id"] = numbers.get(item.key, item.key.removeprefix("phase_"))
            if OPERATION in cells:
                cells[OPERATION] = ""
        if whole(cells["phase_id"]) is None:
            raise BadInput(f"{lines.name} cannot be written: it has no number for “{item.key}”.")
        line = lines.lines[model[0]]
        kept_number = line.number if place is not None else 0
        out.append(Line(kept_number, ",".join(cells[h] for h in head), line.end))
    return replace(lines, lines=tuple(out))


def _case(
    lines: Lines, name: str, rows: Sequence[Row], beside: Mapping[str, Lines]
) -> LabelledCase:
    items = [item for _, _, item in rows]
    length = max(round(item.end / MS) for item in items)
    splits = {cells[3] for _, cells, _ in rows}
    if len(splits) > 1:
        raise lines.bad(lines.lines[rows[-1][0]], f"{name} is in two splits")
    head = _head(lines)
    label = head.index(OPERATION) if OPERATION in head else None
    shown = [
        replace(item, key=f"operation {cells[label]}") if label is not None else item
        for _, cells, item in rows
    ]
    return LabelledCase(
        layout=KEY,
        name=name,
        procedure=PROCEDURE,
        time_base=MS,
        length=length,
        phases=painted(items, MS, length),
        rows=(LabelRow(name="Operations", segments=segments(shown, MS)),)
        if label is not None
        else (),
        facts=(f"split {splits.pop()}",),
        files=(
            lines.part(KEY, [0, *(place for place, _, _ in rows)]),
            *(table.part(KEY) for table in beside.values()),
        ),
    )


def _surgeries(lines: Lines) -> tuple[LabelledCase, ...]:
    out: list[LabelledCase] = []
    known: dict[str, list[tuple[int, list[str]]]] = {}
    for place, line in lines.filled()[1:]:
        try:
            (cells,) = csv.reader([line.text], strict=True)
        except (csv.Error, ValueError) as error:
            raise lines.bad(line, "it is no row of a table") from error
        numbers = cells[1].split(",") if len(cells) == 2 else []
        if not cells[0].strip() or not numbers or any(whole(n.strip()) is None for n in numbers):
            raise lines.bad(line, "expected a video and the numbers of its surgeries")
        known.setdefault(cells[0], []).append((place, numbers))
    for name, found in known.items():
        said = dict.fromkeys(n.strip() for _, numbers in found for n in numbers)
        out.append(
            LabelledCase(
                layout=KEY,
                name=name,
                procedure=PROCEDURE,
                time_base=MS,
                length=0,
                facts=(f"surgery {', '.join(said)}",),
                files=(lines.part(KEY, [0, *(place for place, _ in found)]),),
            )
        )
    return tuple(out)


def _head(lines: Lines) -> list[str]:
    return lines.lines[0].text.strip().split(",")


def _rows(lines: Lines) -> list[tuple[int, list[str]]]:
    head, out = _head(lines), []
    for place, line in lines.filled()[1:]:
        cells = line.text.strip().split(",")
        if len(cells) != len(head):
            raise lines.bad(line, f"expected {len(head)} columns, not {len(cells)}")
        if not cells[0]:
            raise lines.bad(line, "it names no video")
        out.append((place, cells))
    if not out:
        raise BadInput(f"{lines.name} has a header and no row.")
    return out


def _item(lines: Lines, place: int, cells: list[str], beside: Mapping[str, Lines]) -> Item:
    start, end, phase = number(cells[1]), number(cells[2]), whole(cells[5])
    line = lines.lines[place]
    if start is None or end is None or not 0 <= start < end < 10**6:
        raise lines.bad(line, f"it goes from {cells[1][:20]} to {cells[2][:20]} s")
    if phase is None or phase < 0:
        raise lines.bad(line, f"“{cells[5][:20]}” is no number of a phase")
    return Item(start, end, _names(beside).get(cells[5], f"phase_{phase}"))


def _names(beside: Mapping[str, Lines]) -> dict[str, str]:
    table = beside.get(BESIDE[0])
    rows = [line.text.strip().split(",", 1) for _, line in table.filled()] if table else []
    return {r[0].strip(): r[1].strip().strip('"') for r in rows if len(r) == 2}


def _nearest(items: Sequence[Item], new: Item) -> int:
    return min(range(len(items)), key=lambda i: abs(items[i].start - new.start))


def _kept(text: str, was: Fraction | None, now: Fraction) -> str:
    """A time as it was written where it is the same, else in milliseconds at most."""
    return text if was == now else f"{float(now):.3f}".rstrip("0").rstrip(".")
