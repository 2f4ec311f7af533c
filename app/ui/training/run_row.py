"""One run in the list of runs: its name, how it stands and a small curve. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QWidget

from app.learning.run_view import RunView
from app.ui import theme
from app.ui.training.curves import thinned, value_words
from app.ui.widgets import IconButton, paint_ring
from app.ui.words import count, date, length

STATES = {
    "running": ("Running", "accent"),
    "interrupted": ("Interrupted, it can go on", "warn"),
    "cancelled": ("Paused, it can go on", "warn"),
    "failed": ("Ended with an error, it can go on", "error"),
    "diverged": ("Diverged, the last good checkpoint is kept", "error"),
    "done": ("Done", "ok"),
    "out of time": ("Done, its time was up", "ok"),
    "no longer better": ("Done, it got no better", "ok"),
    "stopped": ("Stopped, the best is kept", "ok"),
}
_CURVE_PX = (64, 26)


def state_words(run: RunView) -> tuple[str, str]:
    """(words, colour token) of how a run stands."""
    return STATES.get(run.state, (run.state.capitalize(), "text_2"))


def left_words(run: RunView) -> str:
    """How long a run that goes on will take, "" where that is not known."""
    left = run.seconds_left
    return "" if left is None else f"about {length(left)} left"


class RunRow(QWidget):
    """A row to choose, with an eye that shows its curves beside the chosen run's.

    Signals:
        chosen: it was clicked, or pressed by the keyboard.
        compared: (bool) its eye was switched.
    """

    chosen = Signal()
    compared = Signal(bool)

    def __init__(self, run: RunView) -> None:
        super().__init__()
        self.face = _Face(run)
        self.face.clicked.connect(self.chosen)
        self.eye = IconButton("eye-off", "Compare", size=16)
        self.eye.setCheckable(True)
        self.eye.toggled.connect(self._switched)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.face, 1)
        layout.addWidget(self.eye)
        self.show_run(run)

    def show_run(self, run: RunView) -> None:
        """Say how the run stands now."""
        self.face.show_run(run)
        words = f"Show the curves of {run.name} beside the others"
        self.eye.setAccessibleName(words)
        self.eye.setToolTip(words)

    def _switched(self, on: bool) -> None:
        self.eye.set_icon("eye" if on else "eye-off")
        self.compared.emit(on)


class _Face(QAbstractButton):
    def __init__(self, run: RunView) -> None:
        super().__init__()
        self._run = run
        self.setCheckable(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def show_run(self, run: RunView) -> None:
        """Another state of the run."""
        if run == self._run and self.accessibleName():
            return
        self._run = run
        self.setAccessibleName(f"{run.name}, {state_words(run)[0]}, {self._figure()}")
        self.setToolTip(f"{run.title}, {date(run.begun_utc_ms)}" if run.begun_utc_ms else run.title)
        self.update()

    def sizeHint(self) -> QSize:
        """Two lines."""
        return QSize(theme.px(200), theme.px(48))

    def changeEvent(self, event: QEvent) -> None:
        """Follow the text scale."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.updateGeometry()

    def _figure(self) -> str:
        run = self._run
        if run.best is not None:
            return f"best {value_words(run.best[1])}"
        return f"{count(run.step)} of {count(run.steps)}"

    def paintEvent(self, event: QPaintEvent) -> None:
        """Name and state on the left, the curve on the right."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        hovered = self.underMouse() and not self.isChecked()
        if self.isChecked() or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("hover" if hovered else "control"))
            painter.drawRoundedRect(QRectF(self.rect()), 6, 6)
        curve = QRectF(
            self.width() - _CURVE_PX[0] - 10, (self.height() - _CURVE_PX[1]) / 2, *_CURVE_PX
        )
        room = curve.left() - 10 - 12
        words, token = state_words(self._run)
        line = self.height() / 2
        painter.setFont(theme.font("control"))
        painter.setPen(theme.color("text"))
        metrics = QFontMetricsF(painter.font())
        text = metrics.elidedText(self._run.name, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QPointF(10, line - 4), text)
        painter.setBrush(theme.color(token))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        base = line + 4 + metrics.ascent()
        painter.drawEllipse(QPointF(14, base - metrics.capHeight() / 2), 3.5, 3.5)
        painter.setPen(theme.color("text_2"))
        state = words.split(",")[0]
        text = f"{state}, {self._figure()}"
        if metrics.horizontalAdvance(text) > room - 12:
            text = metrics.elidedText(state, Qt.TextElideMode.ElideRight, room - 12)
        painter.drawText(QPointF(23, base), text)
        self._paint_curve(painter, curve)
        painter.end()
        paint_ring(self)

    def _paint_curve(self, painter: QPainter, rect: QRectF) -> None:
        points = self._run.scores or self._run.columns.get("loss", ())
        if len(points) < 2:
            return
        values = [value for _, value in points]
        low, high = min(values), max(values)
        first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
        places = [
            QPointF(
                rect.left() + rect.width() * (step - first) / (last - first),
                rect.bottom() - rect.height() * (value - low) / ((high - low) or 1),
            )
            for step, value in thinned(points, rect.width())
        ]
        painter.setPen(QPen(theme.color("accent" if self.isChecked() else "text_2"), 1.4))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(places))
