"""The pieces of lanes, one after the other, for who goes through them by keyboard. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.core.differences import Difference
from app.core.taxonomy import Taxonomy
from app.ui.timeline.lanes import Lane, LaneKind
from app.ui.timeline.speech import difference_lines, segment_lines, torn_lines

_TALL = 0.5
_JOIN_SAMPLES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch that a lane tells of.

    Attributes:
        start_pts, end_pts: [start, end).
        lines: what it is, and from when to when and by whom.
    """

    start_pts: int
    end_pts: int
    lines: tuple[str, str]

    @property
    def place(self) -> tuple[int, int, tuple[str, str]]:
        """By what pieces are ordered."""
        return self.start_pts, self.end_pts, self.lines


def pieces_of(
    lanes: Sequence[Lane], words: Taxonomy, time_ms: Callable[[int], float]
) -> tuple[Piece, ...]:
    """What some lanes tell, in order of time.

    Args:
        lanes: that share a row; the pieces of a strip are where it is tall.
        words: names phases.
        time_ms: pts to milliseconds.
    """
    found = [
        Piece(
            start_pts=s.start_pts,
            end_pts=s.end_pts,
            lines=segment_lines(lane, s, s.start_pts, words, time_ms),
        )
        for lane in lanes
        for line in lane.lines
        for s in line
    ]
    found += [
        Piece(start_pts=start, end_pts=end, lines=torn_lines(bits, start, end, time_ms))
        for lane in lanes
        for start, end, bits in _tall(lane)
    ]
    return tuple(sorted(found, key=lambda p: p.place))


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
        Piece(start_pts=d.start_pts, end_pts=d.end_pts, lines=difference_lines(d, words, time_ms))
        for d in found
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
    if direction > 0:
        return next((p for p in pieces if p.place > current.place), pieces[-1])
    return next((p for p in reversed(pieces) if p.place < current.place), pieces[0])
