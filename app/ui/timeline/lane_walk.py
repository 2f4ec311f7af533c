"""The pieces of lanes, one after the other, for who goes through them by keyboard. No Qt."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import numpy as np

from app.core.differences import Difference
from app.core.taxonomy import Taxonomy
from app.ui.timeline.lanes import Lane, LaneKind
from app.ui.timeline.speech import difference_lines, segment_lines, torn_lines

_TALL = 0.5
_JOIN_SAMPLES = 2


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Piece:
    """A stretch that a lane tells of; in the order in which one goes through them.

    Attributes:
        start_pts, end_pts: [start, end).
        number: tells pieces of the same stretch apart, in the order of their lanes.
        say: its words; a lane of an hour has thousands of pieces, and one is read at a time.
    """

    start_pts: int
    end_pts: int
    number: int
    say: Callable[[], tuple[str, str]] = field(compare=False)

    @property
    def lines(self) -> tuple[str, str]:
        """What it is, and from when to when and by whom."""
        return self.say()


def pieces_of(
    lanes: Sequence[Lane], words: Taxonomy, time_ms: Callable[[int], float]
) -> tuple[Piece, ...]:
    """What some lanes tell, in order of time.

    Args:
        lanes: that share a row; the pieces of a strip are where it is tall.
        words: names phases.
        time_ms: pts to milliseconds.
    """
    numbers = count()
    found = [
        Piece(
            start_pts=s.start_pts,
            end_pts=s.end_pts,
            number=next(numbers),
            say=partial(segment_lines, lane, s, s.start_pts, words, time_ms),
        )
        for lane in lanes
        for line in lane.lines
        for s in line
    ]
    found += [
        Piece(
            start_pts=start,
            end_pts=end,
            number=next(numbers),
            say=partial(torn_lines, bits, start, end, time_ms),
        )
        for lane in lanes
        for start, end, bits in _tall(lane)
    ]
    return tuple(sorted(found))


def _tall(lane: Lane) -> Iterator[tuple[int, int, float]]:
    """Where a strip is at least half as high as can be, with the mean of its bits there."""
    if lane.kind is not LaneKind.STRIP or lane.strip is None or lane.bits is None:
        return
    pts = lane.strip[:, 0]
    step = float(np.median(np.diff(pts))) if pts.size > 1 else 1.0
    places = np.flatnonzero(lane.strip[:, 1] >= _TALL)
    apart = np.flatnonzero(np.diff(pts[places]) > (_JOIN_SAMPLES + 1) * step) + 1
    for part in np.split(places, apart) if places.size else ():
        yield int(pts[part[0]]), round(pts[part[-1]] + step), float(lane.bits[part].mean())


def differing(
    found: Iterable[Difference], words: Taxonomy, time_ms: Callable[[int], float]
) -> tuple[Piece, ...]:
    """Disagreements as pieces."""
    return tuple(
        Piece(
            start_pts=d.start_pts,
            end_pts=d.end_pts,
            number=number,
            say=partial(difference_lines, d, words, time_ms),
        )
        for number, d in enumerate(found)
    )


def stepped(
    pieces: Sequence[Piece], current: Piece | None, direction: int, pts: float
) -> Piece | None:
    """The piece after a step; the last one in its direction stays.

    Args:
        pieces: of the lane, in order.
        current: where one stood; of the same lane.
        direction: 1 on, -1 back, 0 into a lane: the piece at ``pts``, else the next, else the last.
        pts: where a step begins that starts from no piece.
    """
    if not pieces:
        return None
    if current is None or direction == 0:
        after = [p for p in pieces if p.end_pts > pts]
        before = [p for p in pieces if p.start_pts <= pts]
        if direction < 0:
            return (before or pieces[:1])[-1]
        return after[0] if after else pieces[-1]
    place = bisect_right(pieces, current) if direction > 0 else bisect_left(pieces, current) - 1
    return pieces[min(max(place, 0), len(pieces) - 1)]
