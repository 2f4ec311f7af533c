"""The sheet of moments that look like the frame on screen. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QItemSelectionModel, QObject, QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from app.core.case import Asset, Case
from app.core.errors import TrocarError
from app.ui import theme
from app.ui.card_grid import CardGrid
from app.ui.find import Answer, Finder, Question
from app.ui.find_cards import (
    CARD_WIDTH,
    MOMENT_ROLE,
    MomentDelegate,
    MomentModel,
    case_words,
    phase_name,
)
from app.ui.find_filters import FindFilters
from app.ui.sheet import Sheet
from app.ui.widgets import Button, Elided, Label, column, line
from app.ui.words import count, fine_moment, length

if TYPE_CHECKING:
    from app.analysis.moments import Moment

SIDE_PX, PICTURE_PX = 248, 140
NOT_SEEN = "No model has looked at this recording yet."
QUEUED = "The analysis is on its way; what is like this shows once it has come here."
NOT_SEEN_HERE = "The analysis has not come to this moment yet."
TITLE = "Find a moment"
CHOOSE_WORDS = "Choose under “Looking for” what shall be found."
NO_WORDS = (
    "No model that reads words has looked at this library yet, so nothing is found by words "
    "(the guide says how to add one)."
)
OPEN_FOR_FRAME = (
    "To find what is like a picture, open a case, go to that picture and press Ctrl+F there."
)
NOTHING = "No other moment is known."
NOTHING_SO = "No moment passes these filters."
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The frame that others shall be like; without a case words alone are looked for."""

    case: Case | None = None
    asset: Asset | None = None
    time_ms: float = 0.0
    phase: str = ""


class FindSheet(Sheet):
    """Moments like one, of the whole library.

    Args:
        window: it lies over.
        finder: looks for them.

    Signals:
        opened: (Moment) the user wants to see it.
        analyse_asked: (list of case ids) these shall be searched too.
    """

    opened = Signal(object)
    analyse_asked = Signal(object)

    def __init__(self, window: QWidget, finder: Finder) -> None:
        super().__init__(window, TITLE, 1280, 820)
        self._finder = finder
        self._source: Source | None = None
        self._in_use: frozenset[str] = frozenset()
        self._queued = False
        self._answer: Answer | None = None
        self.model = MomentModel(self)
        self.picture = QLabel()
        self.named, self.facts = Elided("", "heading"), Elided("", "small", "2")
        self.filters = FindFilters()
        self.said = Label("", tone="2")
        self.lacking = Label("", "small", "2")
        self.analyse = Button("Analyse them")
        self.view = self._make_view()
        self._lay_out()
        self.filters.changed.connect(self.ask)
        self.analyse.clicked.connect(self._ask_analysis)
        finder.found.connect(self._show)
        finder.pictured.connect(self.model.set_image)
        finder.failed.connect(self._failed)
        self.closed.connect(self._leave)

    def _make_view(self) -> CardGrid:
        view = CardGrid("Moments, most alike first", self.model, CARD_WIDTH)
        view.paint_by(MomentDelegate(view))
        view.clicked.connect(lambda index: self.opened.emit(index.data(MOMENT_ROLE)))
        view.installEventFilter(self)
        return view

    def _lay_out(self) -> None:
        self.said.setWordWrap(True)
        self.lacking.setWordWrap(True)
        self.picture.setAccessibleName("The frame that is looked for")
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.left = column(
            self.picture, self.named, self.facts, 8, self.filters, 8,
            self.lacking, self.analyse, 0,
            spacing=6,
        )  # fmt: skip
        right = column(self.said, self.view, spacing=10)
        right.layout().setStretchFactor(self.view, 1)
        body = QWidget()
        across = QHBoxLayout(body)
        across.setContentsMargins(20, 16, 12, 4)
        across.setSpacing(20)
        across.addWidget(self.left)
        across.addWidget(line(vertical=True))
        across.addWidget(right, 1)
        self.set_body(body)

    def look_from(self, source: Source, in_use: frozenset[str]) -> None:
        """Show what is like a frame, with no filter; the sheet is opened by the caller.

        Args:
            source: the frame.
            in_use: names of the models that an analysis would run.
        """
        self._source, self._answer, self._in_use = source, None, in_use
        self._queued = False
        self.model.clear()
        self.left.setFixedWidth(theme.px(SIDE_PX))
        self.picture.setFixedHeight(theme.px(PICTURE_PX))
        self.picture.clear()
        case = source.case
        for part in (self.picture, self.named, self.facts, self.filters):
            part.setVisible(case is not None)
        if case is not None:
            self.named.setText(f"{case.case_id}  {case_words(case)}")
            phase = f", {phase_name(source.phase, case.procedure)}" if source.phase else ""
            self.facts.setText(f"{fine_moment(source.time_ms)}{phase}")
        self.filters.begin(case)
        self.lacking.hide()
        self.analyse.hide()
        self.said.setText("")
        self.ask()

    def set_picture(self, image: QImage) -> None:
        """The frame, made small."""
        size = QSize(theme.px(SIDE_PX), theme.px(PICTURE_PX)) * self.devicePixelRatioF()
        shown = QPixmap.fromImage(image).scaled(
            size, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
        shown.setDevicePixelRatio(self.devicePixelRatioF())
        self.picture.setPixmap(shown)

    def ask(self) -> None:
        """Look again: with other filters, or since the library changed."""
        source = self._source
        if source is None:
            return
        self._finder.ask(
            Question(
                case_id=source.case.case_id if source.case else "",
                asset_id=source.asset.asset_id if source.asset else "",
                time_ms=source.time_ms,
                wanted=self.filters.wanted(),
                prompt=self.filters.prompt,
                encoder=self.filters.encoder,
            )
        )

    def ask_if_unknown(self) -> None:
        """An analysis went on: look again where it had not come to the frame."""
        if self._answer is not None and not self._answer.knows_frame:
            self.ask()

    def open_chosen(self) -> None:
        """See the selected moment."""
        index = self.view.currentIndex()
        if index.isValid():
            self.opened.emit(index.data(MOMENT_ROLE))

    def _show(self, answer: Answer) -> None:
        if not self.isVisible():
            return
        before, self._answer = self._answer, answer
        self.filters.offer(answer)
        by_words_alone = self._source is not None and self._source.case is None
        self.filters.setVisible(bool(answer.prompts) or not by_words_alone)
        if before is None or before.moments != answer.moments:
            self._show_moments(answer.moments)
        if before is None and answer.moments:
            self.view.setFocus(Qt.FocusReason.OtherFocusReason)
        self.said.set_tone("error" if answer.problem else "2")
        self.said.setText(" ".join(filter(None, (self._words(answer), answer.problem))))
        self._show_lacking(answer)

    def _show_moments(self, moments: Sequence[Moment]) -> None:
        """In their new order; the one that is selected stays so while it is among them."""
        chosen = self.view.currentIndex().data(MOMENT_ROLE)
        key = (chosen.asset.asset_id, chosen.pts) if chosen is not None else None
        self.model.show_rows(moments)
        if moments:
            keys = [(m.asset.asset_id, m.pts) for m in moments]
            at = self.model.index(keys.index(key) if key in keys else 0)
            select = QItemSelectionModel.SelectionFlag.ClearAndSelect
            self.view.selectionModel().setCurrentIndex(at, select)
        self._finder.picture(moments)

    def _words(self, answer: Answer) -> str:
        if self._source is not None and self._source.case is None and not answer.question.prompt:
            if not answer.is_whole:
                return _reading(answer)
            return f"{CHOOSE_WORDS if answer.prompts else NO_WORDS} {OPEN_FOR_FRAME}"
        if not answer.knows_frame and self._queued:
            return QUEUED
        if answer.encoder is None:
            return NOT_SEEN if answer.is_whole else _reading(answer)
        if not answer.knows_frame:
            return NOT_SEEN_HERE
        if not answer.is_whole:
            return _reading(answer)
        if not answer.moments:
            filtered = answer.question.wanted != type(answer.question.wanted)()
            return NOTHING_SO if filtered else NOTHING
        found = len(answer.moments)
        many = "1 moment" if found == 1 else f"{found} moments"
        return (
            f"{many}, most alike first, from {length(answer.seconds)} of video in "
            f"{_cases(answer.searched)}. "
            f"Alike is what “{answer.title_of(answer.encoder)}” takes for alike."
        )

    def _show_lacking(self, answer: Answer) -> None:
        source = self._source
        case = source.case if source is not None else None
        if case is None and not answer.question.prompt:
            self.lacking.hide()
            self.analyse.hide()
            return
        unseen = answer.encoder is None
        missing = [c.case_id for c in answer.lacking] if answer.is_whole else []
        if unseen:
            missing = [case.case_id] if case is not None else []
        encoder = answer.encoder.model if answer.encoder else ""
        title = answer.title_of(answer.encoder) if answer.encoder else ""
        self.lacking.setVisible(bool(missing) and not unseen)
        offered = bool(missing) and (unseen or encoder in self._in_use)
        self.analyse.setVisible(offered and not self._queued)
        self.analyse.setText("Analyse it" if len(missing) == 1 else "Analyse them")
        self.analyse.setAccessibleName(self.analyse.text())
        words = f"{_cases(len(missing))} not searched: “{title}” has not looked there."
        if encoder not in self._in_use:
            words += " Choose it in Models, and an analysis adds them."
        self.lacking.setText(words)

    def _ask_analysis(self) -> None:
        answer, source = self._answer, self._source
        if answer is None or source is None:
            return
        self._queued = True
        self._show(answer)
        cases = [c.case_id for c in answer.lacking]
        self.analyse_asked.emit(cases or [source.case.case_id] if source.case else cases)

    def _failed(self, error: TrocarError) -> None:
        self.said.set_tone("error")
        self.said.setText(error.user_message)

    def _leave(self) -> None:
        self._finder.stop()
        self._source = self._answer = None
        self.model.clear()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Enter on a card opens it."""
        pressed = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress
        if watched is self.view and pressed and event.key() in _ENTER:
            self.open_chosen()
            return True
        return super().eventFilter(watched, event)


def _reading(answer: Answer) -> str:
    return f"Looking through case {answer.read} of {count(len(answer.cases))}"


def _cases(number: int) -> str:
    return "1 case" if number == 1 else f"{count(number)} cases"
