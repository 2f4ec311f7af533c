"""The sheet that teaches a model from corrections: from which, with which cases, how far. GUI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLineEdit, QProgressBar, QSpinBox, QWidget

from app.core.prediction import ANTICIPATION, PHASES, SEGMENTATION
from app.learning.run_view import Asked
from app.ui.case_cards import Card
from app.ui.sheet import Sheet
from app.ui.teaching import Teaching, free_name
from app.ui.widgets import Button, Combo, Label, column, row
from app.ui.words import date, length

if TYPE_CHECKING:
    from models import ModelCard

STEPS = 300
HELD_OUT_EVERY = 4
LEARNT_FROM = (
    "the frames it learnt from, as there were too few to hold any out: on others it may do worse"
)
NOTHING_YET = "No corrections yet. Correct an outline in Annotate first."
NO_PHASES_YET = "No case with phases of yours yet. Name them in Annotate, or import labels, first."
TAUGHT = (SEGMENTATION, PHASES, ANTICIPATION)
"""Tasks of the models that can be taught here."""


class TeachSheet(Sheet):
    """Teach a model.

    Signals:
        use_asked: (task, model name) use the taught model.
        curves_asked: (model name) show how it learns; "" for trainings in general.
    """

    use_asked = Signal(str, str)
    curves_asked = Signal(str)

    def __init__(self, window: QWidget, teaching: Teaching) -> None:
        super().__init__(window, "Teach a model", 640, 620)
        self._teaching = teaching
        self._boxes: dict[str, QCheckBox] = {}
        self.base = Combo("Start from")
        self.name = QLineEdit()
        self.steps = QSpinBox()
        self.go = Button("Teach", "main", "graduation-cap")
        self.pause = Button(
            "Pause", tooltip="End the process; started again under this name, it goes on there"
        )
        self.curves = Button("Curves", tooltip="How trainings go on and went  (Ctrl+Shift+T)")
        self.bar = QProgressBar()
        self.words = Label("", tone="2")
        self.use = Button("Use it", "main")
        self._taught, self._task = "", SEGMENTATION
        self._known: Sequence[Card] = ()
        self._open_case = ""
        self.go.clicked.connect(self._start)
        self.pause.clicked.connect(teaching.pause)
        self.curves.clicked.connect(
            lambda: self.curves_asked.emit(self.name.text().strip() if teaching.running else "")
        )
        self.use.clicked.connect(lambda: self.use_asked.emit(self._task, self._taught))
        self.base.currentIndexChanged.connect(self._base_changed)
        teaching.progressed.connect(self._progressed)
        teaching.taught.connect(self._done)
        teaching.failed.connect(self._failed)
        teaching.stopped.connect(lambda: self._ended("Paused; start it again to go on.", "2"))
        self._cards: Sequence[ModelCard] = ()
        self._lay_out()

    def _lay_out(self) -> None:
        about = Label(
            "A new model learns from the outlines you drew, corrected and accepted; one that names "
            "phases, from the phases you named or imported. It learns in a process of its own, so "
            "you can go on working. Some frames, or cases, are held out, to measure whether it "
            "became better.",
            tone="2",
        )
        about.setWordWrap(True)
        for part, name in ((self.name, "Name of the new model"), (self.steps, "Training steps")):
            part.setAccessibleName(name)
        self.steps.setRange(1, 100_000)
        self.steps.setValue(STEPS)
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Teaching progress")
        self.words.setWordWrap(True)
        fields = QWidget()
        grid = QGridLayout(fields)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(20)
        grid.setVerticalSpacing(10)
        grid.setColumnStretch(1, 1)
        for i, (word, part) in enumerate(
            (("Start from", self.base), ("Name", self.name), ("Training steps", self.steps))
        ):
            grid.addWidget(Label(word, tone="2"), i, 0)
            grid.addWidget(part, i, 1)
        self._heading = Label("Cases with corrections", "heading")
        self._cases = column(spacing=2)
        buttons = row(self.go, self.pause, self.use, 0, self.curves)
        self.set_body(
            column(
                about, 4, fields, 8, self._heading, self._cases, 8,
                buttons, self.bar, self.words, 0,
                spacing=8, margins=(28, 20, 28, 12),
            )
        )  # fmt: skip
        self._show_running()

    def offer(self, cards: Sequence[ModelCard], cases: Sequence[Card], open_case: str) -> None:
        """Offer models to start from and cases to learn from."""
        able = [c for c in cards if c.task in TAUGHT and c.weights_path is not None]
        self._cards = sorted(able, key=lambda c: TAUGHT.index(c.task))
        self._known, self._open_case = cases, open_case
        before = self.base.currentData()
        with QSignalBlocker(self.base):
            self.base.clear()
            for card in self._cards:
                self.base.addItem(card.title, card.name)
            self.base.setCurrentIndex(max(0, self.base.findData(before)))
        self._base_changed()

    @property
    def _of_phases(self) -> bool:
        """Whether the model to start from learns phases."""
        base = self.base.currentData()
        return any(c.name == base and c.task != SEGMENTATION for c in self._cards)

    def _base_changed(self) -> None:
        """Offer the cases that this model can learn from."""
        layout = self._cases.layout()
        assert layout is not None  # noqa: S101 - column made it
        for box in self._boxes.values():
            layout.removeWidget(box)
            box.deleteLater()
        phases = self._of_phases
        self._heading.setText("Cases with phases of yours" if phases else "Cases with corrections")
        fitting = [c for c in self._known if (has_phases(c) if phases else c.case.corrections)]
        self._boxes = {}
        for card in fitting:
            case = card.case
            words = phases_words(card) if phases else corrections_words(case.corrections)
            box = QCheckBox(f"{case.case_id}  {date(case.created_utc_ms)}, {words}")
            box.setChecked(phases or case.case_id == self._open_case or len(fitting) == 1)
            box.toggled.connect(self._show_running)
            layout.addWidget(box)
            self._boxes[case.case_id] = box
        self._suggest()
        self._show_running()

    def _chosen(self) -> list[str]:
        return [case for case, box in self._boxes.items() if box.isChecked()]

    def _suggest(self) -> None:
        base = self.base.currentData()
        if base and not self._teaching.running:
            self.name.setText(free_name(base, {c.name for c in self._cards}))

    def _start(self) -> None:
        self.use.hide()
        asked = Asked(
            cases=tuple(self._chosen()),
            base=self.base.currentData(),
            steps=self.steps.value(),
            held_out_every=HELD_OUT_EVERY,
        )
        self._teaching.start(self.name.text().strip(), asked)
        self._show_running()

    def _progressed(self, words: str, share: float) -> None:
        self.words.set_tone("2")
        self.words.setText(words)
        self.bar.setValue(round(1000 * share))

    def _done(self, result: dict[str, Any]) -> None:
        self._taught, self._task = str(result["model"]), str(result.get("task", SEGMENTATION))
        self._ended(f"{self._taught} is ready. {result_words(result)}", "ok")
        self.use.show()

    def _failed(self, sentence: str) -> None:
        self._ended(sentence, "error")

    def _ended(self, words: str, tone: str) -> None:
        self.words.setText(words)
        self.words.set_tone(tone)
        self._show_running()

    def _show_running(self) -> None:
        running = self._teaching.running
        ready = bool(self._chosen()) and self.base.count() > 0
        self.go.setVisible(not running)
        self.go.setEnabled(ready)
        nothing = NO_PHASES_YET if self._of_phases else NOTHING_YET
        self.go.setToolTip("" if ready else nothing)
        self.pause.setVisible(running)
        self.bar.setVisible(running)
        for part in (self.base, self.name, self.steps, *self._boxes.values()):
            part.setEnabled(not running)
        if not self._taught:
            self.use.hide()
        if not running and not self._boxes:
            self.words.setText(nothing)
        elif self.words.text() in (NOTHING_YET, NO_PHASES_YET):
            self.words.setText("")


def corrections_words(count: int) -> str:
    """``1 correction``, ``12 corrections``."""
    return f"{count} correction" + ("" if count == 1 else "s")


def has_phases(card: Card) -> bool:
    """Whether a human named phases in the case, whose recording is there."""
    return card.human is not None and bool(card.human.segments) and not card.missing


def phases_words(card: Card) -> str:
    """How many phases a human named, and of how much of the case: ``7 phases, 38 min``."""
    assert card.human is not None  # noqa: S101 - such cards are left out
    named = {s.phase for s in card.human.segments}
    units = sum(s.end_pts - s.start_pts for s in card.human.segments)
    count = f"{len(named)} phase" + ("" if len(named) == 1 else "s")
    return f"{count}, {length(float(units * card.case.assets[0].time_base))}"


def result_words(result: dict[str, Any]) -> str:
    """Before and after, in per cent: ``Mask mAP50 71 % before, 78 % after``."""
    best, base = result.get("best", {}), result.get("base", {})
    parts = [
        f"{name} {base[name]:.0f} % before, {value:.0f} % after"
        for name, value in best.items()
        if name in base
    ]
    held_out = result.get("held_out", 0)
    frames = "1 held-out frame" if held_out == 1 else f"{held_out} held-out frames"
    where = f", measured on {frames if held_out else LEARNT_FROM}"
    return ("; ".join(parts[:2]) + where + ".") if parts else ""
