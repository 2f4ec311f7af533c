"""The pieces of lanes, one after the other, for who goes through them by keyboard. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.core.differences import Difference
from app.core.taxonomy import Taxonomy
from app.core.uncertainty import Doubt
from app.ui.timeline.lanes import Lane, LaneKind
from app.ui.timeline.speech import difference_lines, doubt_lines, segment_lines


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
    lanes: Sequence[Lane], doubts: Sequence[Doubt], words: Taxonomy, time_ms: Callable[[int], float]
) -> tuple[Piece, ...]:
    """What some lanes tell, in order of time.

    Args:
        lanes: that share a row.
        doubts: the uncertain places, which are the pieces of the strip of uncertainty.
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
    if any(lane.kind is LaneKind.STRIP for lane in lanes):
        found += [
            Piece(start_pts=d.start_pts, end_pts=d.end_pts, lines=doubt_lines(d, time_ms))
            for d in doubts
        ]
    return tuple(sorted(found, key=lambda p: p.place))


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
