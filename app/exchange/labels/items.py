"""Phases that a file writes as intervals: which of them a case still has, and which are new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from app.core.timeline import Segment, Timeline
from app.exchange.labels.frames import PhasesNow


@dataclass(frozen=True, slots=True)
class Item:
    """One interval of a file, in seconds."""

    start: Fraction
    end: Fraction
    key: str


def painted(items: Sequence[Item], time_base: Fraction, length: int) -> Timeline:
    """Intervals as a timeline: where two overlap, the one that starts later is what is shown."""
    line = Timeline(start_pts=0, end_pts=length)
    for item in sorted(items, key=lambda i: i.start):
        start, end = round(item.start / time_base), round(item.end / time_base)
        line = line.painted(start, max(end, start + 1), item.key)
    return line


def kept_and_new(
    items: Sequence[Item], was: Timeline, time_base: Fraction, now: PhasesNow
) -> list[tuple[int | None, Item]]:
    """What a file has to say now.

    Args:
        items: of the file.
        was: what ``painted`` made of them, in units of ``time_base``.
        now: the phases of now.

    Returns:
        By start: the place of an interval that stays as it is written, with itself; the place of
        one that was changed, with what it says now; None with an interval that is new. Those that
        are gone are left out. Ends beyond those of the recording are as the file has them.
    """
    end_s = (now.timeline.end_pts - now.timeline.start_pts) * now.time_base
    pieces = [Item(s.start_pts * time_base, s.end_pts * time_base, s.phase) for s in was.segments]
    placed = {_placed(p, now, end_s): p for p in pieces}
    present = {(s.start_pts, s.end_pts, s.phase): s for s in now.timeline.segments}
    out: list[tuple[int | None, Item]] = []
    open_places = []
    for place, item in enumerate(items):
        own = [p for p in pieces if p.key == item.key and _overlap(p, item) == p.end - p.start]
        if all(_placed(p, now, end_s) in present for p in own):
            out.append((place, item))
        else:
            open_places.append(place)
    left = [
        Item(start, end, s.phase)
        for start, end, s in now.segments()
        if (s.start_pts, s.end_pts, s.phase) not in placed
    ]
    # One of the same class first, and of several the one that it covers most of.
    near = [
        (items[place].key == said.key, _overlap(items[place], said), -place, place, said)
        for place in open_places
        for said in left
        if _overlap(items[place], said) > 0
    ]
    for _, _, _, place, said in sorted(near, key=lambda n: n[:3], reverse=True):
        if place in open_places and said in left:
            open_places.remove(place)
            left.remove(said)
            out.append((place, said))
    out += [(None, said) for said in left]
    return sorted(out, key=lambda o: (o[1].start, -1 if o[0] is None else o[0]))


def segments(items: Sequence[Item], time_base: Fraction) -> tuple[Segment, ...]:
    """Intervals as segments by start, which may overlap."""
    made = [
        Segment(start_pts=round(i.start / time_base), end_pts=round(i.end / time_base), phase=i.key)
        for i in items
    ]
    return tuple(sorted(made, key=lambda s: (s.start_pts, s.end_pts)))


def _placed(piece: Item, now: PhasesNow, end_s: Fraction) -> tuple[int, int, str] | None:
    """Where an import put a piece; None for one that lies wholly beyond the recording."""
    if piece.start >= end_s:
        return None
    return now.pts(piece.start), min(now.pts(piece.end), now.timeline.end_pts), piece.key


def _overlap(one: Item, other: Item) -> Fraction:
    return min(one.end, other.end) - max(one.start, other.start)
