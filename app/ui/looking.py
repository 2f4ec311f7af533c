"""What is worth a look: jumps to disagreements and doubts, the lanes, the two sheets. GUI thread.

The other cases of the library are read on the thread ``trocar-look-at``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, QPoint, Signal

from app.core.errors import TrocarError
from app.core.taxonomy import Taxonomy, find_taxonomy
from app.core.uncertainty import Doubt, doubts
from app.ui.background import Background
from app.ui.keys import KeyMap
from app.ui.look_sheets import LengthsSheet, NextSheet
from app.ui.messages import Message, from_error
from app.ui.playing import Playing
from app.ui.review import ReviewWorkspace
from app.ui.review_lanes_view import FOLDED_AT_FIRST
from app.ui.services import Services
from app.ui.sheet import Sheet
from app.ui.timeline.paint import clock, duration
from app.ui.timeline.speech import difference_lines, torn_words
from app.ui.window_sheets import WindowSheets

if TYPE_CHECKING:
    from app.analysis.doubt import CaseDoubt
    from app.analysis.lengths import Lengths

_LAYOUT = "review lanes"
T = TypeVar("T")


class Looking(QObject):
    """Goes to what a human should see, and keeps the lanes as they were left.

    Signals:
        said: (Message)
        case_asked: (case id) the user wants that case.
    """

    said = Signal(object)
    case_asked = Signal(str)

    def __init__(
        self,
        services: Services,
        review: ReviewWorkspace,
        playing: Playing,
        sheets: WindowSheets,
        keys: KeyMap,
    ) -> None:
        super().__init__(review)
        self._services, self._review, self._playing = services, review, playing
        self._sheets = sheets
        self._background = Background("trocar-look-at")
        self._given_up = Event()  # of what was asked last
        self._doubt: Doubt | None = None
        self.lengths = LengthsSheet(review.window())
        self.next = NextSheet(review.window())
        sheets.add(self.lengths, self.next)
        table: dict[str, Callable[[], object]] = {
            "difference_on": lambda: self.to_difference(1),
            "difference_back": lambda: self.to_difference(-1),
            "doubt_on": lambda: self.to_doubt(1),
            "doubt_back": lambda: self.to_doubt(-1),
            "look_next": self.show_next,
            "lengths": self.show_lengths,
            "lanes": self.toggle_lanes,
            "lanes_menu": self.open_lanes_menu,
            "lane_on": lambda: review.lanes.step(1),
            "lane_back": lambda: review.lanes.step(-1),
            "lane_down": lambda: review.lanes.change(1),
            "lane_up": lambda: review.lanes.change(-1),
            "lane_go": review.lanes.go,
        }
        for action_id, act in table.items():
            keys.bind(action_id, act)
        review.lanes.seek.connect(services.playback.go_to)
        review.lanes.folds_changed.connect(self._keep)
        review.ribbon.fold_button.clicked.connect(self.toggle_lanes)
        review.ribbon.fold_button.setToolTip(keys.tooltip("lanes"))
        self.next.place_chosen.connect(self._go_to_doubt)
        self.next.case_chosen.connect(self.case_asked)
        services.session.case_opened.connect(self._forget)
        self._restore()

    def stop(self) -> None:
        """End the thread."""
        self._given_up.set()
        self._background.close()

    # Disagreements and doubts

    def to_difference(self, direction: int) -> None:
        """Go to the next (1) or previous (-1) disagreement, and say what it is about."""
        session = self._services.session
        found = session.differences
        if not found:
            words = "No disagreement: nobody else named the phases, or all say the same."
            self._say(words)
            return
        target = self._playing.to_nearest([d.start_pts for d in found], direction)
        if target is None:
            self._say(f"No disagreement {'after' if direction > 0 else 'before'} this moment.")
            return
        assert session.asset is not None  # noqa: S101 - there are disagreements
        at = next(d for d in found if d.start_pts == target)
        lines = difference_lines(at, session.shown_taxonomy, session.asset.time_ms)
        self._say(f"{found.index(at) + 1} of {len(found)}: {lines[0]}, {lines[1]}")

    def doubts(self) -> tuple[Doubt, ...]:
        """The open case's uncertain places that no human decided, the heaviest first."""
        session = self._services.session
        torn = session.model.uncertainty if session.model else None
        return () if torn is None else doubts(torn, session.human_timeline)

    def to_doubt(self, direction: int) -> None:
        """Go to the next (1) or the one before (-1) in the order of uncertainty."""
        found, last = self.doubts(), self._doubt
        if not found:
            self._say(f"No uncertain place: {self._why_none()}.")
            return
        after = [d for d in found if last is None or _order(d) > _order(last)]
        before = [d for d in found if last is not None and _order(d) < _order(last)]
        some = after[:1] if direction > 0 else before[-1:]
        if some:
            self._go_to_doubt(some[0])
        else:
            self._say(f"No {'further' if direction > 0 else 'earlier'} uncertain place.")

    def _why_none(self) -> str:
        model = self._services.session.model
        if model is None or model.uncertainty is None or not model.uncertainty.pts.size:
            return "no model has said anything about the phases yet"
        return "the models are sure, or you named the phases"

    def _go_to_doubt(self, doubt: Doubt) -> None:
        session, found = self._services.session, self.doubts()
        if session.asset is None or doubt not in found:
            return
        self._doubt = doubt
        start, end = session.asset.time_ms(doubt.start_pts), session.asset.time_ms(doubt.end_pts)
        self._services.playback.go_to(start)
        self._say(
            f"Uncertain place {found.index(doubt) + 1} of {len(found)}, {duration(end - start)} "
            f"at {clock(start)}: {torn_words(doubt.bits).lower()}"
        )

    def _forget(self) -> None:
        """Another case is open: nothing that is said of the one before may stay."""
        self._doubt = None
        self._given_up.set()
        self.lengths.close_sheet()
        self.next.close_sheet()

    def _say(self, text: str) -> None:
        self.said.emit(Message(text=text, lasting_s=5, key="look-at"))

    # Sheets

    def show_lengths(self) -> None:
        """Open the sheet of phase lengths; the other cases are read meanwhile."""
        case = self._services.session.case
        if case is None:
            return
        self._sheets.toggle(self.lengths)
        if not self.lengths.isVisible():
            return
        self.lengths.show_waiting()
        library, words = self._services.library, self._services.session.shown_taxonomy

        def work(cancelled: Callable[[], bool]) -> Lengths:
            from app.analysis.lengths import phase_lengths

            return phase_lengths(library, case.case_id, words=words, cancelled=cancelled)

        self._read(self.lengths, work, self.lengths.show_lengths)

    def show_next(self) -> None:
        """Open the sheet of what to look at next."""
        session, library = self._services.session, self._services.library
        self._sheets.toggle(self.next)
        if not self.next.isVisible():
            return
        self.next.show_places(session.asset, self.doubts(), self._why_none())

        def work(
            cancelled: Callable[[], bool],
        ) -> tuple[tuple[CaseDoubt, ...], dict[str, Taxonomy]]:
            from app.analysis.doubt import uncertain_cases

            found = uncertain_cases(library, cancelled=cancelled)
            return found, {c.case.case_id: find_taxonomy(c.case.procedure) for c in found}

        self._read(self.next, work, lambda told: self.next.show_cases(*told))

    def _read(
        self, sheet: Sheet, work: Callable[[Callable[[], bool]], T], show: Callable[[T], None]
    ) -> None:
        """Read the other cases for a sheet; what was asked before is given up and never shown."""
        self._given_up.set()
        self._given_up = mine = Event()

        def done(told: T) -> None:
            if not mine.is_set():
                show(told)

        def failed(error: TrocarError) -> None:
            if not mine.is_set():
                sheet.close_sheet()
                self.said.emit(from_error(error, key="look-at"))

        self._background.run(lambda: work(mine.is_set), done, failed, newest="cases")

    # Lanes

    def toggle_lanes(self) -> None:
        """Show the lanes below the ribbon, or hide them."""
        self._review.show_lanes(shown=not self._review.lanes_open)
        self._keep()

    def open_lanes_menu(self) -> None:
        """Choose by keyboard which lanes are open; they are shown first."""
        if not self._review.lanes_open:
            self.toggle_lanes()
        lanes = self._review.lanes
        lanes.open_menu(lanes.mapToGlobal(QPoint(24, 0)))

    def reset_layout(self) -> None:
        """The lanes as at first."""
        self._review.show_lanes(shown=False)
        self._review.lanes.set_folded(FOLDED_AT_FIRST)

    def _keep(self) -> None:
        lanes, settings = self._review.lanes, self._services.settings
        state = {"open": self._review.lanes_open, "folded": sorted(lanes.folded)}
        settings.set(layout={**settings.values.layout, _LAYOUT: json.dumps(state)})

    def _restore(self) -> None:
        text = self._services.settings.values.layout.get(_LAYOUT, "")
        try:
            state = json.loads(text) if text else {}
            folded = [str(key) for key in state.get("folded", FOLDED_AT_FIRST)]
            shown = bool(state.get("open", False))
        except (ValueError, TypeError, AttributeError):
            return  # another hand's: as at first
        self._review.lanes.set_folded(folded)
        if shown:
            self._review.show_lanes(shown=True)


def _order(doubt: Doubt) -> tuple[float, int]:
    return -doubt.weight, doubt.start_pts
