"""The sheet that teaches a model from corrections: from which, with which cases, how far. GUI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QBoxLayout, QGridLayout, QLineEdit, QProgressBar, QSpinBox, QWidget

from app.core.errors import TrocarError
from app.core.prediction import ANTICIPATION, PHASES, SEGMENTATION
from app.learning.run_view import Asked, RunView
from app.learning.teachable import Teachable
from app.ui import theme
from app.ui.sheet import Sheet
from app.ui.teach_cases import CaseChoice
from app.ui.teach_words import how_it_learns, result_words, what_it_learns
from app.ui.teaching import Teaching, free_name
from app.ui.widgets import Button, Combo, Label, column, row
from app.ui.words import count

if TYPE_CHECKING:
    from app.store import Library
    from models import ModelCard

STEPS = 300
HELD_OUT_EVERY = 4
NOTHING_YET = "No case can teach it yet. Correct an outline in Annotate first."
NO_PHASES_YET = "No case can teach it yet. Name phases in Annotate, or import labels, first."
TAUGHT = (SEGMENTATION, PHASES, ANTICIPATION)
"""Tasks of the models that can be taught here."""
ABOUT = (
    "A new model learns from the outlines you drew, corrected and accepted; one that names phases, "
    "from the phases you named or imported. It learns in a process of its own, so you can go on "
    "working, or close the window."
)


class TeachSheet(Sheet):
    """Teach a model.

    Signals:
        use_asked: (task, model name) use the taught model.
        curves_asked: (model name) show how it learns; "" for trainings in general.
    """

    use_asked = Signal(str, str)
    curves_asked = Signal(str)

    def __init__(self, window: QWidget, teaching: Teaching, library: Library) -> None:
        super().__init__(window, "Teach a model", 680, 780)
        self._teaching, self._library = teaching, library
        self.base = Combo("Start from")
        self.name = QLineEdit()
        self.steps = QSpinBox()
        self.cases = CaseChoice()
        self.how = Label("", tone="2")
        self.go = Button("Teach", "main", "graduation-cap")
        self.pause = Button("Pause", tooltip="End the process; “Go on” starts it where it was")
        self.go_on = Button("Go on")
        self.curves = Button("Curves", tooltip="How trainings go on and went  (Ctrl+Shift+T)")
        self.bar = QProgressBar()
        self.words = Label("", tone="2")
        self.use = Button("Use it", "main")
        self._taught, self._task = "", SEGMENTATION
        self._cards: Sequence[ModelCard] = ()
        self._open_case = self._listed = ""
        self.go.clicked.connect(self._start)
        self.pause.clicked.connect(self._pause)
        self.go_on.clicked.connect(self._go_on)
        self.curves.clicked.connect(
            lambda: self.curves_asked.emit(teaching.name if teaching.running else "")
        )
        self.use.clicked.connect(lambda: self.use_asked.emit(self._task, self._taught))
        self.base.currentIndexChanged.connect(self._base_changed)
        self.steps.valueChanged.connect(self._show_how)
        self.cases.changed.connect(self._show_running)
        teaching.progressed.connect(self._progressed)
        teaching.taught.connect(self._done)
        teaching.failed.connect(lambda sentence: self._ended(sentence, "error"))
        teaching.stopped.connect(lambda: self._ended(f"{teaching.name} is paused.", "2"))
        teaching.looked.connect(self._looked)
        self._lay_out()

    def _lay_out(self) -> None:
        about = Label(ABOUT, tone="2")
        for label in (about, self.how, self.words):
            label.setWordWrap(True)
        for part, name in ((self.name, "Name of the new model"), (self.steps, "Training steps")):
            part.setAccessibleName(name)
        self.steps.setRange(1, 100_000)
        self.steps.setValue(STEPS)
        self.steps.lineEdit().setTextMargins(theme.px(6), 0, theme.px(6), 0)
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Teaching progress")
        self.fields = QWidget()
        grid = QGridLayout(self.fields)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(20)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        for i, (word, part) in enumerate(
            (("Start from", self.base), ("Name", self.name), ("Training steps", self.steps))
        ):
            grid.addWidget(Label(word, tone="2"), i, 0)
            grid.addWidget(part, i, 1)
        body = column(about, 4, self.fields, 8, self.cases, 0, spacing=8, margins=(28, 16, 28, 12))
        layout = body.layout()
        assert isinstance(layout, QBoxLayout)  # noqa: S101 - column made it
        layout.setStretchFactor(self.cases, 100)
        self.set_body(body)
        buttons = row(self.go, self.pause, self.use, self.go_on, 0, self.curves)
        self.set_foot(
            column(self.how, self.bar, self.words, buttons, spacing=8, margins=(28, 12, 28, 0))
        )
        self._say("")
        self._show_running()

    def wait(self) -> None:
        """Models and cases are being read."""
        if not self.base.count():
            self.cases.wait()

    def offer(self, cards: Sequence[ModelCard], open_case: str) -> None:
        """Offer models to start from, and the cases that can teach the chosen one."""
        able = [c for c in cards if c.task in TAUGHT and c.weights_path is not None]
        self._cards = sorted(able, key=lambda c: TAUGHT.index(c.task))
        self._open_case = open_case
        before = self.base.currentData()
        with QSignalBlocker(self.base):
            self.base.clear()
            for card in self._cards:
                self.base.addItem(card.title, card.name)
            self.base.setCurrentIndex(max(0, self.base.findData(before)))
        self._teaching.look()
        self._base_changed()

    @property
    def _base(self) -> ModelCard | None:
        name = self.base.currentData()
        return next((c for c in self._cards if c.name == name), None)

    def _base_changed(self) -> None:
        """Read which cases can teach this model."""
        base = self._base
        if base is None:
            return
        if base.name != self._listed:
            if self._listed:
                self._say("")
            self._listed = base.name
            self.cases.wait()
        self._suggest()
        self._show_running()

        def show(found: Teachable) -> None:
            if self._base is base:
                self._list(found, base)

        def failed(error: TrocarError) -> None:
            if self._base is base:
                self._list(Teachable(able=()), base)
                self._say(error.user_message, "error")

        self._teaching.read_cases(self._library, base, show, failed)

    def _list(self, found: Teachable, base: ModelCard) -> None:
        numbers = [m.case.case_id for m in found.able]
        outlines = base.task == SEGMENTATION
        ticked = numbers
        if outlines and len(numbers) > 1:
            ticked = [self._open_case]
        heading = "Cases with outlines of yours" if outlines else "Cases with phases of yours"
        nothing = NOTHING_YET if outlines else NO_PHASES_YET
        self.cases.show_cases(found, heading if numbers else nothing, ticked)

    def _suggest(self) -> None:
        base = self.base.currentData()
        if base and not self._teaching.running:
            self.name.setText(free_name(base, self._taken))

    @property
    def _taken(self) -> set[str]:
        return {c.name for c in self._cards} | self._teaching.taken

    @property
    def _waiting(self) -> RunView | None:
        """The training to go on with: the one that was followed last, or the latest."""
        runs = self._teaching.unfinished
        return next((r for r in runs if r.name == self._teaching.name), runs[0] if runs else None)

    def _looked(self) -> None:
        if self.name.text() in self._taken:
            self._suggest()
        self._show_running()

    def _start(self) -> None:
        name = self.name.text().strip()
        if name in self._taken:
            self._suggest()
            waits = any(run.name == name for run in self._teaching.unfinished)
            says = "is a training that can go on with its own cases" if waits else "is there"
            words = f"{name} {says}. Teach makes a new model, {self.name.text()}, of these cases."
            self._say(words, "warn")
            return
        self.use.hide()
        self._taught = ""
        asked = Asked(
            cases=tuple(m.case.case_id for m in self.cases.chosen),
            base=self.base.currentData(),
            steps=self.steps.value(),
            held_out_every=HELD_OUT_EVERY,
        )
        self._teaching.start(name, asked)
        self._show_running()

    def _pause(self) -> None:
        self._teaching.pause()
        self.pause.setEnabled(False)
        self._say("Pausing")

    def _go_on(self) -> None:
        if (run := self._waiting) is not None:
            self._teaching.go_on(run)
            self._show_running()

    def _progressed(self, words: str, share: float) -> None:
        self._say(f"{self._teaching.name}: {words[0].lower()}{words[1:]}")
        self.bar.setValue(round(1000 * share))
        if not self.pause.isVisible():
            self._show_running()

    def _done(self, result: dict[str, Any]) -> None:
        self._taught, self._task = str(result["model"]), str(result.get("task", SEGMENTATION))
        self._ended(f"{self._taught} is ready. {result_words(result)}", "ok")
        self.use.show()

    def _ended(self, words: str, tone: str) -> None:
        self._say(words, tone)
        self._show_running()

    def _say(self, words: str, tone: str = "2") -> None:
        self.words.set_tone(tone)
        self.words.setText(words)
        self.words.setVisible(bool(words))

    def _show_running(self) -> None:
        running, waits = self._teaching.running, self._waiting
        self.go.setVisible(not running)
        self.go.setEnabled(bool(self.cases.chosen))
        self.go.setToolTip("" if self.cases.chosen else "Tick a case to learn from")
        self.pause.setVisible(running)
        self.pause.setEnabled(running)
        self.bar.setVisible(running)
        self.go_on.setVisible(not running and waits is not None)
        if waits is not None and waits.asked is not None:
            self.go_on.setText(f"Go on with {waits.name}")
            cases = ", ".join(waits.asked.cases)
            self.go_on.setToolTip(f"{count(waits.step)} of {count(waits.steps)}, from {cases}")
        for part in (self.base, self.name, self.steps, self.cases):
            part.setEnabled(not running)
        for part in (self.fields, self.cases):
            part.setVisible(bool(self._cards) or not running)
        if not self._taught:
            self.use.hide()
        self._show_how()

    def _show_how(self) -> None:
        base, chosen = self._base, self.cases.chosen
        words = how_it_learns(base, chosen, self.steps.value(), HELD_OUT_EVERY) if base else ""
        if self._teaching.running and self._teaching.asked is not None:
            words = what_it_learns(self._teaching.name, self._teaching.asked)
        self.how.setText(words)
        self.how.setVisible(bool(words))
