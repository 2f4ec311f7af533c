"""MultiBypass140 (Lavanchy et al. 2024): phases and steps of gastric bypasses as JSON, in ms.

Time out of the body and severe events lie over the phases: they are rows of their own. Classes
count by their names; the numbers beside them are written as the published table has them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

from app.core.errors import BadInput
from app.core.labels import LabelledCase, LabelRow
from app.core.taxonomy import find_taxonomy
from app.exchange.labels.frames import PhasesNow
from app.exchange.labels.items import Item, kept_and_new, painted, segments
from app.exchange.labels.lines import Lines, lines_of

KEY, TITLE, PROCEDURE = "multibypass140", "MultiBypass140", "gastric_bypass"
BESIDE: tuple[str, ...] = ("phase.csv", "step.csv")
TO_THE_END = False
SPLITS: dict[str, dict[str, frozenset[str]]] = {}
_NAME = re.compile(r"[BS]BP\d{1,3}(\.mp4)?\.json", re.IGNORECASE)
_STEP = re.compile(r"s(\d{1,2})_.*")
MS = Fraction(1, 1000)
OVERLAID = {"out_of_body": "Out of body", "severe_index": "Severe events"}
NUMBERS = {
    "preparation": 0,
    "gastric_pouch_creation": 1,
    "omentum_division": 2,
    "gastrojejunal_anastomosis": 3,
    "anastomosis_test": 4,
    "jejunal_separation": 5,
    "closure_petersen_space": 6,
    "jejunojejunal_anastomosis": 7,
    "closure_mesenteric_defect": 8,
    "cleaning_coagulation": 9,
    "disassembling": 10,
    "other_intervention": 11,
}


def named(name: str) -> bool:
    """Whether a file bears the name of one of its files, whatever it holds."""
    return _NAME.fullmatch(name) is not None


def belongs(lines: Lines) -> bool:
    """Whether this is one of its files."""
    return lines.name.casefold().endswith(".json") and '"label_name"' in lines.text[:2000]


def read(lines: Lines, beside: Mapping[str, Lines]) -> tuple[LabelledCase, ...]:
    """The case of a label file."""
    data = _content(lines)
    base, rows = _base(lines, data), []
    for key, name in OVERLAID.items():
        found = [_item(lines, "phases", i, r) for i, r in enumerate(data["phases"])
                 if r["label_name"] == key]  # fmt: skip
        rows.append(LabelRow(name=name, segments=segments(found, MS)))
    steps = [_item(lines, "steps", i, r) for i, r in enumerate(data["steps"])]
    rows.append(LabelRow(name="Steps", segments=segments(steps, MS)))
    ends = [i.end for i in base] + [i.end for i in steps]
    ends += [s.end_pts * MS for row in rows for s in row.segments]
    length = round(max(ends) / MS)
    return (
        LabelledCase(
            layout=KEY,
            name=re.sub(r"(\.mp4)?\.json$", "", lines.name, flags=re.I),
            procedure=PROCEDURE,
            time_base=MS,
            length=length,
            phases=painted(base, MS, length),
            rows=tuple(rows),
            files=(lines.part(KEY), *(table.part(KEY) for table in beside.values())),
        ),
    )


def write(lines: Lines, now: PhasesNow, beside: Mapping[str, Lines]) -> Lines:
    """The file with the phases of now; numbers of phases that it did not have are the table's."""
    del beside
    data = _content(lines)
    base = _base(lines, data)
    length = max(round(i.end / MS) for i in base)
    places = [i for i, r in enumerate(data["phases"]) if r["label_name"] not in OVERLAID]
    kept = kept_and_new(base, painted(base, MS, length), MS, now)
    said = []
    for place, item in kept:
        old = data["phases"][places[place]] if place is not None else None
        if old is not None and base[place or 0] == item:
            said.append(old)
            continue
        if item.key not in NUMBERS:
            raise BadInput(f"{lines.name} cannot be written: {TITLE} has no phase “{item.key}”.")
        start, end = (round(t / MS) for t in (item.start, item.end))
        label = {"label_name": item.key, "label_id": NUMBERS[item.key]}
        said.append({"start": start, "end": end, **label})
    if said == [data["phases"][i] for i in places]:
        return lines
    said += [r for r in data["phases"] if r["label_name"] in OVERLAID]
    data["phases"] = sorted(said, key=lambda r: r["start"])
    return lines_of(lines.name, json.dumps(data).encode(), sha256=lines.sha256)


def _content(lines: Lines) -> dict[str, list[dict[str, Any]]]:
    data = lines.json()
    if not isinstance(data, dict) or not data.get("phases"):
        raise BadInput(f"{lines.name} has no “phases”.")
    data.setdefault("steps", [])
    for kind in ("phases", "steps"):
        if not isinstance(data[kind], list):
            raise BadInput(f"{lines.name}: “{kind}” is no list.")
        for i, row in enumerate(data[kind]):
            _item(lines, kind, i, row)
    return data


def _base(lines: Lines, data: dict[str, list[dict[str, Any]]]) -> list[Item]:
    known = [phase.key for phase in find_taxonomy(PROCEDURE).phases]
    out = []
    for i, row in enumerate(data["phases"]):
        item = _item(lines, "phases", i, row)
        if item.key in OVERLAID:
            continue
        if item.key not in known:
            names = ", ".join([*known, *OVERLAID])
            raise _bad(lines, "phases", i, f"“{item.key[:40]}” is no phase of {TITLE} ({names})")
        out.append(item)
    if not out:
        raise BadInput(f"{lines.name} names no phase but those that lie over others.")
    for one, other in pairwise(sorted(out, key=lambda i: i.start)):
        if other.start < one.end:
            raise BadInput(
                f"{lines.name}: {one.key} until {round(one.end / MS)} ms overlaps {other.key} from "
                f"{round(other.start / MS)} ms."
            )
    return out


def _item(lines: Lines, kind: str, place: int, row: object) -> Item:
    if not isinstance(row, dict):
        raise _bad(lines, kind, place, "expected start, end and label_name")
    start, end, key = row.get("start"), row.get("end"), row.get("label_name")
    numbers = all(isinstance(t, int) and not isinstance(t, bool) for t in (start, end))
    if not numbers or not isinstance(key, str) or not key:
        raise _bad(lines, kind, place, "expected whole milliseconds and a label_name")
    assert isinstance(start, int) and isinstance(end, int)  # noqa: S101, PT018 - just looked at
    if not 0 <= start < end < 10**9:
        raise _bad(lines, kind, place, f"it goes from {start} to {end} ms")
    due, said = _number(kind, key), row.get("label_id")
    if said is not None and due is not None and said != due:
        raise _bad(lines, kind, place, f"label_id is {said!r:.20}, and {key} has {due}")
    return Item(start * MS, end * MS, key)


def _number(kind: str, key: str) -> int | None:
    """The published number of a label, None for one that is not known; a step's stands in it."""
    if kind == "phases":
        return {**NUMBERS, "out_of_body": 12, "severe_index": 13}.get(key)
    found = _STEP.fullmatch(key)
    return int(found[1]) if found else None


def _bad(lines: Lines, kind: str, place: int, what: str) -> BadInput:
    return BadInput(f"{lines.name}, entry {place + 1} of “{kind}”: {what}.")
