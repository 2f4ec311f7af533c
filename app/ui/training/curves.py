"""A chart of one figure against batches: the run that is looked at, others beside it. GUI thread.

Static lines are kept in a pixmap; only the cross under the pointer is drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QFontMetricsF,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.ui import theme
from app.ui.words import count

Points = tuple[tuple[int, float], ...]
_DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
_FEW_TICKS = 4
_FEW_POINTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One run's figure.

    Attributes:
        name: of the run.
        points: (batches, value) by batches.
        best: the point that was kept, None where none is told.
    """

    name: str
    points: Points
    best: tuple[int, float] | None = None


def ticks(low: float, high: float, few: int = _FEW_TICKS) -> list[float]:
    """Round values around ``low`` and ``high``, about ``few`` steps."""
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** floor(log10(span / few))
    step *= next(m for m in (1, 2, 5, 10) if span / (m * step) <= few + 1e-9)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [n * step for n in range(first, max(last, first + 1) + 1)]


def value_words(value: float) -> str:
    """A figure as charts write it: three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


class Curves(QWidget):
    """The chart.

    Args:
        name: what it shows, for those who do not see it.
        empty: said where there is nothing to draw.
    """

    def __init__(self, name: str, *, empty: str) -> None:
        super().__init__()
        self._name, self._empty = name, empty
        self._lines: tuple[Line, ...] = ()
        self._steps = 0
        self._kept: QPixmap | None = None
        self._pointer: float | None = None
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(260, theme.px(160))
        self._name_it()

    def sizeHint(self) -> QSize:
        """Room for a curve and its figures."""
        return QSize(420, theme.px(220))

    def show_lines(self, lines: Sequence[Line], steps: int) -> None:
        """Draw these.

        Args:
            lines: the first is the run that is looked at.
            steps: batches that are planned; the axis ends there.
        """
        if (tuple(lines), steps) != (self._lines, self._steps):
            self._lines, self._steps, self._kept = tuple(lines), steps, None
            self._name_it()
            self.update()

    def set_name(self, name: str, empty: str) -> None:
        """What it shows now, and what it says where there is nothing."""
        if (name, empty) != (self._name, self._empty):
            self._name, self._empty, self._kept = name, empty, None
            self._name_it()
            self.update()

    def _name_it(self) -> None:
        main = next((x for x in self._lines if x.points), None)
        if main is None:
            self.setAccessibleName(f"{self._name}. {self._empty}")
            return
        step, value = main.points[-1]
        words = f"{self._name}, {value_words(value)} after {count(step)} batches"
        if main.best is not None:
            words += f", best {value_words(main.best[1])} after {count(main.best[0])}"
        self.setAccessibleName(words)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The kept picture, then the cross."""
        ratio = self.devicePixelRatioF()
        if self._kept is None or self._kept.devicePixelRatioF() != ratio:
            self._kept = QPixmap(self.size() * ratio)
            self._kept.setDevicePixelRatio(ratio)
            self._kept.fill(theme.color("panel"))
            painter = QPainter(self._kept)
            self._paint(painter)
            painter.end()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._kept)
        self._paint_cross(painter)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw anew at the new size."""
        self._kept = None

    def changeEvent(self, event: QEvent) -> None:
        """Draw anew in the new theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._kept = None
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """The cross follows."""
        self._pointer = event.position().x()
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """No cross."""
        self._pointer = None
        self.update()

    def _plot(self) -> QRectF:
        left = 12 + max((self._width(value_words(t)) for t in self._y_ticks()), default=0)
        top, bottom = theme.px(26), theme.px(26)
        return QRectF(left, top, self.width() - left - 14, self.height() - top - bottom)

    def _width(self, text: str) -> float:
        return QFontMetricsF(theme.font("caption")).horizontalAdvance(text)

    def _y_ticks(self) -> list[float]:
        values = [value for line in self._lines for _, value in line.points]
        return ticks(min(values), max(values)) if values else []

    def _x_end(self) -> int:
        last = [line.points[-1][0] for line in self._lines if line.points]
        return max([self._steps, *last, 1])

    def _place(self, plot: QRectF, step: int, value: float) -> QPointF:
        low, high = self._y_ticks()[0], self._y_ticks()[-1]
        x = plot.left() + plot.width() * step / self._x_end()
        return QPointF(x, plot.bottom() - plot.height() * (value - low) / (high - low))

    def _paint(self, painter: QPainter) -> None:
        painter.setFont(theme.font("caption"))
        if not any(line.points for line in self._lines):
            painter.setFont(theme.font("body"))
            painter.setPen(theme.color("text_3"))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()).adjusted(24, 0, -24, 0), flags, self._empty)
            return
        plot = self._plot()
        self._paint_axes(painter, plot)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for number, line in reversed(list(enumerate(self._lines))):
            if line.points:
                self._paint_line(painter, plot, line, number)

    def _paint_axes(self, painter: QPainter, plot: QRectF) -> None:
        metrics = QFontMetricsF(painter.font())
        for value in self._y_ticks():
            y = round(self._place(plot, 0, value).y())
            painter.setPen(QPen(theme.color("line"), 0))
            painter.drawLine(QPointF(plot.left(), y + 0.5), QPointF(plot.right(), y + 0.5))
            painter.setPen(theme.color("text_3"))
            text = value_words(value)
            x = plot.left() - 8 - metrics.horizontalAdvance(text)
            painter.drawText(QPointF(x, y + metrics.capHeight() / 2), text)
        end, right = self._x_end(), -1.0
        baseline = plot.bottom() + 8 + metrics.ascent()
        for value in ticks(0, end, 5):
            if value > end:
                continue
            text, x = count(round(value)), plot.left() + plot.width() * value / end
            width = metrics.horizontalAdvance(text)
            x = min(max(x - width / 2, plot.left()), plot.right() - width)
            if x > right:
                painter.setPen(theme.color("text_3"))
                painter.drawText(QPointF(x, baseline), text)
                right = x + width + 12

    def _paint_line(self, painter: QPainter, plot: QRectF, line: Line, number: int) -> None:
        pen = _pen(number)
        colour = pen.color()
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        places = [self._place(plot, *point) for point in thinned(line.points, plot.width())]
        if len(places) > 1:
            painter.drawPolyline(QPolygonF(places))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        if len(places) <= _FEW_POINTS:
            for place in places:
                painter.drawEllipse(place, 2.4, 2.4)
        if line.best is not None and not number:
            self._paint_best(painter, plot, line.best)

    def _paint_best(self, painter: QPainter, plot: QRectF, best: tuple[int, float]) -> None:
        place = self._place(plot, *best)
        painter.setBrush(theme.color("panel"))
        painter.setPen(QPen(theme.color("text"), 1.6))
        painter.drawEllipse(place, 4, 4)
        painter.setPen(theme.color("text"))
        text = f"Best {value_words(best[1])}"
        metrics = QFontMetricsF(painter.font())
        x = min(max(place.x() - metrics.horizontalAdvance(text) / 2, plot.left()),
                plot.right() - metrics.horizontalAdvance(text))  # fmt: skip
        painter.drawText(QPointF(x, place.y() - 9), text)

    def _paint_cross(self, painter: QPainter) -> None:
        line = self._lines[0] if self._lines else None
        if self._pointer is None or line is None or not line.points:
            return
        plot = self._plot()
        wanted = (self._pointer - plot.left()) / max(plot.width(), 1) * self._x_end()
        step, value = min(line.points, key=lambda point: abs(point[0] - wanted))
        place = self._place(plot, step, value)
        painter.setPen(QPen(theme.color("line_strong"), 0))
        x = round(place.x()) + 0.5
        painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("accent"))
        painter.drawEllipse(place, 3, 3)
        painter.setFont(theme.font("caption"))
        text = f"{value_words(value)} after {count(step)}"
        metrics = QFontMetricsF(painter.font())
        width, height = metrics.horizontalAdvance(text) + 12, metrics.height() + 6
        left = min(max(place.x() - width / 2, plot.left()), plot.right() - width)
        box = QRectF(left, 0, width, height)
        painter.setBrush(theme.color("raised"))
        painter.setPen(QPen(theme.color("line_strong"), 1))
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(theme.color("text"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


class Legend(QWidget):
    """Which line is which run."""

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_names(self, names: Sequence[str]) -> None:
        """The first is the run that is looked at."""
        self._names = tuple(names)
        self.setAccessibleName("Curves of " + ", ".join(names))
        self.setVisible(len(names) > 1)
        self.update()

    def sizeHint(self) -> QSize:
        """One line."""
        return QSize(200, theme.px(18))

    def paintEvent(self, event: QPaintEvent) -> None:
        """A piece of each line, then the name."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font("caption"))
        metrics, x, middle = QFontMetricsF(painter.font()), 0.0, self.height() / 2
        for number, name in enumerate(self._names):
            painter.setPen(_pen(number))
            painter.drawLine(QPointF(x, middle), QPointF(x + 26, middle))
            painter.setPen(theme.color("text_2"))
            painter.drawText(QPointF(x + 32, middle + metrics.capHeight() / 2), name)
            x += 32 + metrics.horizontalAdvance(name) + 20


def _pen(number: int) -> QPen:
    """Of the run that is looked at, number 0, and of those beside it."""
    if number == 0:
        return QPen(theme.color("accent"), 1.8)
    return QPen(theme.color("text_2"), 1.2, _DASHES[min(number - 1, len(_DASHES) - 1)])


def thinned(points: Points, width_px: float) -> Points:
    """At most about two points for each pixel: means of neighbours."""
    many = -(-len(points) // max(1, int(2 * width_px)))
    if many <= 1:
        return points
    groups = [points[i : i + many] for i in range(0, len(points), many)]
    return tuple(
        (group[len(group) // 2][0], sum(v for _, v in group) / len(group)) for group in groups
    )
