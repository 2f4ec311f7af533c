"""The marked stretch: what is looped and what a clip is made of. GUI thread.

A and B are frames, both included. The player goes round exactly; this says where, and shows it.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.ui.messages import Message
from app.ui.player_bridge import PlayerBridge
from app.ui.ribbon import merged_blocks
from app.ui.session import Session
from app.ui.words import fine_moment

REACH_MS, STEP_MS = 3000.0, 1000.0
SHORTEST_MS, LONGEST_REACH_MS = 500.0, 60_000.0


class Loop(QObject):
    """A stretch of the open recording between two frames.

    Attributes:
        first, last: the marked frames, None while not marked.
        on: play goes round between them.

    Signals:
        changed: another mark, on or off.
        said: (Message)
    """

    changed = Signal()
    said = Signal(object)

    def __init__(self, session: Session, player: PlayerBridge) -> None:
        super().__init__()
        self._session, self._player = session, player
        self.first: int | None = None
        self.last: int | None = None
        self.on = False
        self._around_ms: float | None = None
        self._reach_ms = REACH_MS
        self._asset_id = ""
        session.case_opened.connect(self._case_opened)
        player.changed.connect(self._follow)

    @property
    def stretch(self) -> tuple[int, int] | None:
        """First and last frame where both are marked."""
        if self.first is None or self.last is None:
            return None
        return self.first, self.last

    def span_ms(self) -> tuple[float | None, float | None]:
        """When the first frame begins and the last one ends, in the asset's milliseconds."""
        asset = self._session.asset
        if asset is None:
            return None, None
        player = self._player.player
        start = None if self.first is None else player.time_ms(self.first)
        end = None
        if self.last is not None:
            end = (
                player.time_ms(self.last + 1) if self.last + 1 < asset.frames else asset.duration_ms
            )
        return start, end

    def words(self) -> str:
        """What is marked, such as ``Loop 1:02.3 to 1:08.4``; "" for nothing."""
        start, end = self.span_ms()
        if start is None and end is None:
            return ""
        if start is None or end is None:
            return (
                f"From {fine_moment(start)}" if start is not None else f"To {fine_moment(end or 0)}"
            )
        return f"{'Loop' if self.on else 'Marked'} {fine_moment(start)} to {fine_moment(end)}"

    def mark_first(self) -> None:
        """The stretch begins with the frame on screen."""
        self._mark(first=True)

    def mark_last(self) -> None:
        """The stretch ends with the frame on screen."""
        self._mark(first=False)

    def _mark(self, *, first: bool) -> None:
        frame = self._session.frame
        if frame is None:
            return
        self._around_ms = None
        if first:
            self.first = frame.index
            self.last = None if self.last is not None and self.last < frame.index else self.last
        else:
            self.last = frame.index
            self.first = None if self.first is not None and self.first > frame.index else self.first
        self._apply(on=self.on and self.stretch is not None)

    def toggle(self) -> None:
        """Loop what is marked, or leave the loop; with nothing marked, round a phase change."""
        frame = self._session.frame
        if frame is None:
            return
        if self.on:
            self._apply(on=False)
            return
        if self.first is not None and self.last is None and frame.index > self.first:
            self.last = frame.index
        if self.stretch is None:
            self.round_change()
            return
        self._apply(on=True)
        self._enter()

    def round_change(self) -> None:
        """Loop some seconds on both sides of the phase change nearest to the playhead."""
        asset, frame, model = self._session.asset, self._session.frame, self._session.model
        if asset is None or frame is None:
            return
        blocks = merged_blocks(self._session.human_timeline, model.timeline if model else None)
        edges = {p for b in blocks for p in (b.segment.start_pts, b.segment.end_pts)}
        changes = edges - {asset.start_pts, asset.end_pts}
        if not changes:
            words = "No phase change here yet. Mark a stretch with I and O, then loop it."
            self.said.emit(Message(text=words, lasting_s=4, key="loop"))
            return
        nearest = min(changes, key=lambda p: abs(p - frame.pts))
        self._around_ms = asset.time_ms(nearest)
        self._spread()
        self._enter()

    def widen(self, steps: int) -> None:
        """Move both ends one second out (1) or in (-1)."""
        start, end = self.span_ms()
        if self._around_ms is not None:
            reach = self._reach_ms + steps * STEP_MS
            self._reach_ms = min(LONGEST_REACH_MS, max(STEP_MS, reach))
            self._spread()
        elif start is not None and end is not None:
            by = steps * STEP_MS
            if end - start + 2 * by < SHORTEST_MS:
                words = "This stretch is as short as it gets. Mark other ends with I and O."
                self.said.emit(Message(text=words, lasting_s=3, key="loop"))
                return
            player = self._player.player
            self.first = player.index_at_ms(start - by)
            self.last = player.index_at_ms(end + by - 1)
            self._apply(on=self.on)

    def _case_opened(self) -> None:
        """Of another recording nothing is marked; a case's new name takes nothing away."""
        asset_id = self._session.asset.asset_id if self._session.asset else ""
        if asset_id != self._asset_id:
            self._asset_id = asset_id
            self.clear()

    def _follow(self) -> None:
        """A recording that is opened anew is not looped."""
        if self.on and self._player.state.loop is None:
            self.on = False
            self.changed.emit()

    def clear(self) -> None:
        """Nothing is marked any more."""
        if self.first is None and self.last is None and not self.on:
            return
        self.first = self.last = self._around_ms = None
        self._apply(on=False)

    def _spread(self) -> None:
        assert self._around_ms is not None  # noqa: S101 - asked by the callers
        player = self._player.player
        self.first = player.index_at_ms(self._around_ms - self._reach_ms)
        self.last = player.index_at_ms(self._around_ms + self._reach_ms - 1)
        self._apply(on=True)

    def _enter(self) -> None:
        frame, stretch = self._session.frame, self.stretch
        if stretch is None or frame is None:
            return
        if not stretch[0] <= frame.index <= stretch[1]:
            self._player.player.seek_index(stretch[0])
        self._player.player.play()

    def _apply(self, *, on: bool) -> None:
        self.on = on and self.stretch is not None
        if self._session.asset is not None:
            stretch = self.stretch
            if self.on and stretch is not None:
                self._player.player.set_loop(*stretch)
            else:
                self._player.player.set_loop(0, None)
        self.changed.emit()
