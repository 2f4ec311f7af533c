"""Labels that stand one to a row, at moments a constant step apart: to segments and back again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from app.core.errors import BadInput
from app.core.timeline import Segment, Timeline
from app.exchange.labels.lines import Line, Lines, whole


@dataclass(frozen=True, slots=True)
class Cell:
    """Where one moment's label is written.

    Attributes:
        place: of its line among the file's lines.
        start, end: of the label in that line's text.
        time: of the moment, in the layout's unit.
        key: what it says, None for no phase.
    """

    place: int
    start: int
    end: int
    time: int
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasesNow:
    """The phases that a case has now, asked by seconds from its start."""

    timeline: Timeline
    time_base: Fraction

    def pts(self, seconds: Fraction) -> int:
        """The moment in the timeline's own unit; an import places labels by the same rule."""
        return self.timeline.start_pts + round(seconds / self.time_base)

    def at(self, seconds: Fraction) -> str | None:
        """The phase that runs there."""
        return self.timeline.phase_at(self.pts(seconds))

    def instead_of(self, was: str | None, seconds: Fraction) -> str | None:
        """The phase that runs there; beyond the timeline's end nobody changed what was."""
        return self.at(seconds) if self.pts(seconds) < self.timeline.end_pts else was

    def segments(self) -> list[tuple[Fraction, Fraction, Segment]]:
        """Start and end in seconds, and the segment."""
        first = self.timeline.start_pts
        return [
            ((s.start_pts - first) * self.time_base, (s.end_pts - first) * self.time_base, s)
            for s in self.timeline.segments
        ]


class Names:
    """Classes by name; case, blanks, hyphens and underscores do not count."""

    def __init__(self, spelt: Mapping[str, Sequence[str]]) -> None:
        """Take key to its spellings, the layout's own first."""
        self._spelt = {key: names[0] for key, names in spelt.items()}
        self._keys = {folded(n): key for key, names in spelt.items() for n in (*names, key)}
        self._seen: dict[str, str | None] = {}

    def key(self, name: str) -> str | None:
        """The class of that name, None where there is none."""
        if name not in self._seen:  # a file says the same few words a hundred thousand times
            self._seen[name] = self._keys.get(folded(name))
        return self._seen[name]

    def spelling(self, key: str) -> str | None:
        """How the layout writes a class, None for a class that it does not have."""
        return self._spelt.get(key)

    def __str__(self) -> str:
        return ", ".join(self._spelt.values())


def folded(name: str) -> str:
    """A name by which spellings that differ in case and separators are one."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def table_cells(
    lines: Lines,
    rows: Sequence[tuple[int, Line]],
    pattern: re.Pattern[str],
    *,
    first: int,
    key: Callable[[Line, str], str | None],
    steps: tuple[int, ...] = (1,),
) -> tuple[list[Cell], int]:
    """Rows of a frame and a label, and the step between them; times count from ``first``.

    Args:
        lines: of the file.
        rows: of it, with their places.
        pattern: of a row, the frame its first group and the label its second.
        first: number of the first frame.
        key: the class of a label, None for none.
        steps: see ``check_steps``.

    Raises:
        BadInput: a row is none, or frames are missing, twice there or out of order.
    """
    cells = []
    for place, line in rows:
        row = pattern.fullmatch(line.text)
        frame = whole(row[1]) if row else None
        if row is None or frame is None:
            raise lines.bad(line, "expected the number of a frame and a label")
        cells.append(Cell(place, row.start(2), row.end(2), frame - first, key(line, row[2])))
    if not cells:
        raise BadInput(f"{lines.name} has a header and no row.")
    frames = [(lines.lines[c.place], c.time + first) for c in cells]
    return cells, check_steps(lines, frames, first=first, steps=steps)


def check_steps(
    lines: Lines, rows: list[tuple[Line, int]], *, first: int, steps: tuple[int, ...] = (1,)
) -> int:
    """The step from each row to the next, which is one and the same; of a single row the first.

    Args:
        lines: of the file.
        rows: of it, with the number of their frames.
        first: number of the first frame.
        steps: that the layout was published with.

    Raises:
        BadInput: frames are missing, come twice or are out of order; the line is named.
    """
    step = rows[1][1] - rows[0][1] if len(rows) > 1 else steps[0]
    if step not in steps and rows[0][1] == first:
        line, frame = rows[1]
        due = " or ".join(str(first + s) for s in steps)
        raise lines.bad(line, f"frame {frame} stands where {due} is due")
    due_frame = first
    for line, frame in rows:
        if frame != due_frame:
            what = "is missing" if frame > due_frame else "comes twice or is out of order"
            missed = due_frame if frame > due_frame else frame
            raise lines.bad(line, f"frame {frame} stands where {due_frame} is due; {missed} {what}")
        due_frame += step
    return step


def as_timeline(cells: Sequence[Cell], step: int) -> Timeline:
    """The phases of rows, each of which stands for ``step`` units; from 0 to the last one's end."""
    return Timeline(start_pts=0, end_pts=cells[-1].time + step, segments=runs(cells, step))


def runs(cells: Sequence[Cell], step: int) -> tuple[Segment, ...]:
    """Maximal runs of one label; rows without one are left out."""
    out = []
    for key, group in groupby(cells, key=lambda c: c.key):
        run = list(group)
        if key is not None:
            end = run[-1].time + step
            out.append(Segment(start_pts=run[0].time, end_pts=end, phase=key))
    return tuple(out)


def rewritten(
    lines: Lines,
    cells: Sequence[Cell],
    said_now: Callable[[Cell], str | None],
    spell: Callable[[Cell, str | None], str],
) -> Lines:
    """The file with the labels of now; a row that still says the same keeps its text.

    A class is written as the file itself writes it elsewhere, else by ``spell``.
    """
    spelt: dict[str | None, str] = {}
    for cell in cells:
        spelt.setdefault(cell.key, lines.lines[cell.place].text[cell.start : cell.end])
    changed = {}
    for cell in cells:
        now = said_now(cell)
        if now != cell.key:
            text = lines.lines[cell.place].text
            word = spelt[now] if now in spelt else spell(cell, now)
            changed[cell.place] = text[: cell.start] + word + text[cell.end :]
    return lines.changed(changed)
