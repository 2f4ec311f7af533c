"""Marks and phases of the recording that runs, as the strip and the list show them. GUI thread."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QImage

from app.core.correction import Bookmark, Correction, HumanTimeline
from app.core.timeline import Timeline
from app.ui.live.stage import MarkRow
from app.ui.live.strip import Stretch
from app.ui.words import moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One mark: where it begins and ended when it was set (pts), and what was seen then."""

    bookmark: Bookmark
    end_pts: int
    image: QImage


class LiveNotes:
    """What a human has said about the recording so far."""

    def __init__(self, start_pts: int) -> None:
        self.start_pts = start_pts
        self.marks: list[Marked] = []
        self.timeline: Timeline | None = None

    def add_mark(self, bookmark: Bookmark, end_pts: int, image: QImage) -> None:
        """A mark was stored; no other one begins at its picture."""
        self.marks = [*self.marks, Marked(bookmark=bookmark, end_pts=end_pts, image=image)]

    def apply(self, correction: Correction) -> None:
        """What undo took back."""
        for change in correction.changes:
            state = change.after or change.before
            if isinstance(state, Bookmark):
                self.marks = [m for m in self.marks if m.bookmark.frame != state.frame]
            if isinstance(state, HumanTimeline):
                after = change.after
                self.timeline = after.timeline if isinstance(after, HumanTimeline) else None

    def ms(self, pts: int) -> float:
        """Milliseconds of the recording."""
        return (pts - self.start_pts) / 90

    def stretches(self, now_pts: int) -> tuple[Stretch, ...]:
        """The human's phases; the last one goes on to now while it is open."""
        line = self.timeline
        if line is None:
            return ()
        return tuple(
            Stretch(
                start_ms=self.ms(s.start_pts),
                end_ms=self.ms(max(s.end_pts, now_pts) if s.end_pts == line.end_pts else s.end_pts),
                phase=s.phase,
                human=True,
            )
            for s in line.segments
        )

    def spans(self) -> tuple[tuple[float, float], ...]:
        """Marked stretches in milliseconds."""
        return tuple((self.ms(m.bookmark.frame.pts), self.ms(m.end_pts)) for m in self.marks)

    def rows(self) -> tuple[MarkRow, ...]:
        """The list of marks, newest first."""
        made = []
        for number, mark in reversed(list(enumerate(self.marks, start=1))):
            end_ms = self.ms(mark.end_pts)
            seconds = round((end_ms - self.ms(mark.bookmark.frame.pts)) / 1000)
            made.append(
                MarkRow(
                    title=f"Mark {number}",
                    detail=f"{moment(end_ms)}, {seconds} s before",
                    image=mark.image,
                )
            )
        return tuple(made)
