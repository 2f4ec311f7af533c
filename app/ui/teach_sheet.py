"""The teaching sheet: corrections to a new model, with its progress and what came of it. GUI."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPointF, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QCheckBox, QLineEdit, QProgressBar, QSizePolicy, QWidget

from app.ui import theme
from app.ui.sheet import Sheet
from app.ui.teaching import Lesson, Teaching
from app.ui.widgets import Button, Combo, Label, column, row
from app.ui.words import count

if TYPE_CHECKING:
    from app.core.case import Case
    from models import ModelCard

LENGTHS = (("Short, about 100 steps", 100), ("Usual, 300 steps", 300), ("Long, 1000 steps", 1000))
FIGURES = {
    "map50": "Outlines found (mAP50)",
    "map50_95": "Outlines exact (mAP50-95)",
    "iou": "Overlap (IoU)",
    "dice": "Overlap (Dice)",
}


class Curve(QWidget):
    """The loss of a run so far, as a line."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("How the loss falls")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(theme.px(64))
        self._values: Sequence[float] = ()

    def show_values(self, values: Sequence[float]) -> None:
        """Draw these."""
        self._values = list(values)
        self.setAccessibleDescription(f"Now {values[-1]:.2f}" if values else "")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A line from the first value to the last, the largest at the top."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("control"))
        if len(self._values) < 2:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("accent"), 1.6))
        low, high = min(self._values), max(self._values)
        span = (high - low) or 1.0
        width, height = self.width() - 8, self.height() - 8
        points = QPolygonF()
        for i, value in enumerate(self._values):
            x = 4 + width * i / (len(self._values) - 1)
            points.append(QPointF(x, 4 + height * (high - value) / span))
        painter.drawPolyline(points)


class TeachSheet(Sheet):
    """Which cases, which base, which name; then the run.

    Signals:
        use_asked: (model name) choose the new model.
    """

    use_asked = Signal(str)

    def __init__(self, window: QWidget, teaching: Teaching) -> None:
        super().__init__(window, "Teach a model your corrections", 620, 640)
        self._teaching = teaching
        self._boxes: list[tuple[str, QCheckBox]] = []
        self._start: Button | None = None
        teaching.changed.connect(self._show_run)

    def offer(self, cases: Sequence[Case], cards: Sequence[ModelCard], base: str) -> None:
        """Fill the sheet.

        Args:
            cases: all of the library; those with corrections are offered.
            cards: models that could be taught.
            base: name of the one in use.
        """
        worked_on = [c for c in cases if c.corrections]
        self._boxes = []
        parts: list[QWidget | int] = [Label("Learn from", "heading")]
        for case in worked_on:
            words = f"{case.case_id}  {case.title}, {count(case.corrections, 'correction')}"
            box = QCheckBox(words)
            box.setChecked(True)
            box.toggled.connect(self._check)
            self._boxes.append((case.case_id, box))
            parts.append(box)
        if not worked_on:
            parts.append(Label("Nothing is corrected yet. Correct some outlines first.", tone="3"))
        self._base = Combo("Start from")
        for card in cards:
            self._base.addItem(card.title, card.name)
        self._base.setCurrentIndex(max(0, self._base.findData(base)))
        self._name = QLineEdit(f"mine-{date.today().isoformat()}")  # noqa: DTZ011 - a name, not a time
        self._name.setAccessibleName("Name of the new model")
        self._name.textChanged.connect(self._check)
        self._length = Combo("How long")
        for words, steps in LENGTHS:
            self._length.addItem(words, steps)
        self._length.setCurrentIndex(1)
        self._bar = QProgressBar()
        self._bar.setAccessibleName("Progress")
        self._bar.setTextVisible(False)
        self._curve = Curve()
        self._words = Label("", "small", "2")
        self._words.setWordWrap(True)
        self._start = Button("Start", "primary")
        self._start.clicked.connect(self._toggle)
        self._use = Button("Use it")
        self._use.clicked.connect(self._use_it)
        parts += [
            12,
            Label("Start from", tone="2"),
            self._base,
            Label("Name", tone="2"),
            self._name,
            Label("Length", tone="2"),
            self._length,
            12,
            self._bar,
            self._curve,
            self._words,
            row(self._start, self._use, 0),
        ]
        self.set_body(column(*parts, 0, spacing=6, margins=(28, 20, 28, 12)))
        self._show_run()

    def _check(self) -> None:
        if self._start is None:
            return
        ready = bool(self._chosen() and self._name.text().strip() and self._base.count())
        self._start.setEnabled(self._teaching.running or ready)

    def _chosen(self) -> tuple[str, ...]:
        return tuple(case for case, box in self._boxes if box.isChecked())

    def _toggle(self) -> None:
        if self._teaching.running:
            self._teaching.stop()
            return
        self._teaching.start(
            Lesson(
                cases=self._chosen(),
                base=str(self._base.currentData()),
                name=self._name.text().strip(),
                steps=int(self._length.currentData()),
            )
        )

    def _use_it(self) -> None:
        result = self._teaching.result
        if result is not None:
            self.use_asked.emit(str(result["model"]))
            self.close_sheet()

    def _show_run(self) -> None:
        if self._start is None:
            return
        run = self._teaching
        self._start.setText("Stop" if run.running else "Start")
        self._use.setVisible(run.result is not None and not run.running)
        self._bar.setVisible(run.running)
        self._curve.setVisible(run.running or run.result is not None)
        self._bar.setRange(0, max(run.steps, 1))
        self._bar.setValue(run.step)
        self._curve.show_values(run.losses)
        self._words.setText(_words(run))
        for _, box in self._boxes:
            box.setEnabled(not run.running)
        for field in (self._base, self._name, self._length):
            field.setEnabled(not run.running)
        self._check()


def _words(run: Teaching) -> str:
    if run.running:
        if not run.step:
            return "Collecting the corrected frames"
        return f"Step {run.step} of {run.steps}. The window stays usable."
    if run.result is not None:
        return _outcome(run.result)
    return (
        "Each fourth corrected frame is kept aside and used to compare the new model with its "
        "base. Nothing leaves this PC."
    )


def _outcome(result: dict[str, Any]) -> str:
    rows = [
        f"{words}: {result['base'][key]:.0f} % before, {result['best'][key]:.0f} % after"
        for key, words in FIGURES.items()
        if key in result["base"] and key in result["best"]
    ]
    measured = f"on {count(int(result['held_out']), 'frame')} it had not seen"
    if not result["held_out"]:
        measured = "on the frames it learnt from: correct more frames for a fair comparison"
    return "\n".join([f"Measured {measured}.", *rows])
