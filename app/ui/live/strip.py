"""Looking back while the recording goes on: phases, marks and the live edge on one line.

GUI thread. Painted anew some four times a second; a handful of blocks costs well under a
millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.core.taxonomy import Taxonomy
from app.ui import theme
from app.ui.style import draw_ring, ring_shown
from app.ui.timeline import blocks, paint
from app.ui.words import moment

MARGIN = 24
STEP_MS, JUMP_MS = 5000.0, 30_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One phase block: from when to when, in milliseconds of the recording."""

    start_ms: float
    end_ms: float
    phase: str
    human: bool


@dataclass(slots=True, kw_only=True)
class StripData:
    """What the strip draws.

    Attributes:
        taxonomy: names and colours.
        end_ms: the live edge, 0 while nothing is recorded.
        at_ms: the picture on screen; None while it is the live one.
        blocks: phases, in order.
        marks: (start, end) of marked stretches.
        gaps: (start, end) without a signal.
        recording: the edge moves.
    """

    taxonomy: Taxonomy | None = None
    end_ms: float = 0.0
    at_ms: float | None = None
    blocks: tuple[Stretch, ...] = ()
    marks: tuple[tuple[float, float], ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()
    recording: bool = False
    looks: paint.PhaseLooks | None = field(default=None)


class LookBack(QWidget):
    """The strip.

    Signals:
        seek: (ms) where a press, a drag or an arrow wants to be.
        live_asked: back to the live picture.
    """

    seek = Signal(float)
    live_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Look back while the recording goes on")
        self.data = StripData()
        self._dragging = False

    def sizeHint(self) -> QSize:
        """As high as the buttons beside it."""
        return QSize(560, theme.px(108))

    def minimumSizeHint(self) -> QSize:
        """Narrow windows keep the buttons."""
        return QSize(180, theme.px(108))

    def show_data(self, data: StripData) -> None:
        """Draw something else."""
        self.data = data
        data.looks = paint.PhaseLooks(data.taxonomy) if data.taxonomy else None
        self.setEnabled(data.end_ms > 0)
        self.update()

    def time_at(self, x: float) -> float:
        """Milliseconds under a horizontal position."""
        room = max(1.0, self.width() - 2 * MARGIN)
        return min(1.0, max(0.0, (x - MARGIN) / room)) * self.data.end_ms

    def _x(self, ms: float) -> float:
        share = ms / self.data.end_ms if self.data.end_ms else 0.0
        return MARGIN + share * (self.width() - 2 * MARGIN)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Words, blocks, marks, ruler, edge, playhead."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        data = self.data
        self._paint_words(painter)
        if data.end_ms > 0:
            self._paint_blocks(painter)
            self._paint_ruler(painter)
            self._paint_marks(painter)
            self._paint_edge(painter)
        if ring_shown(self):
            draw_ring(painter, QRectF(self.rect()), 6)

    def _rows(self) -> tuple[float, float, float]:
        """Top of the blocks, middle of the marks, middle of the ruler's words."""
        return float(theme.px(32)), float(theme.px(66)), float(theme.px(98))

    def _paint_words(self, painter: QPainter) -> None:
        data = self.data
        line = QRectF(MARGIN, theme.px(6), self.width() - 2 * MARGIN, theme.px(20))
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.setFont(theme.font("body"))
        painter.setPen(theme.color("text_2"))
        words = "Look back while the recording goes on" if data.recording else "What was recorded"
        if not data.end_ms:
            words = "Nothing is recorded yet"
        edge = f"{'Live' if data.recording else 'Ended'} {moment(data.end_ms)}"
        taken = QFontMetricsF(theme.font("heading")).horizontalAdvance(edge) if data.end_ms else 0.0
        room = line.width() - taken - theme.px(12)
        fits = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, int(room))
        painter.drawText(line, left, fits)
        if not data.end_ms:
            return
        painter.setFont(theme.font("heading"))
        painter.setPen(theme.color("record" if data.recording else "text_2"))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(line, right, edge)

    def _paint_blocks(self, painter: QPainter) -> None:
        top, _, _ = self._rows()
        high = float(theme.px(20))
        room = QRectF(MARGIN, top, self.width() - 2 * MARGIN, high)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("control"))
        painter.drawRoundedRect(room, 3, 3)
        looks, said = self.data.looks, self.data.blocks
        if looks is not None:
            edges = np.array([(self._x(b.start_ms), self._x(b.end_ms)) for b in said], np.float64)
            kinds, known = blocks.kinds_of((b.phase, b.human) for b in said)
            named = [looks.look(phase, "you" if human else "model") for phase, human in known]
            blocks.draw_blocks(painter, edges.reshape(-1, 2), kinds, named, room)
        for start, end in self.data.gaps:
            x0, x1 = self._x(start), max(self._x(end), self._x(start) + 2)
            gap = QRectF(x0, top, x1 - x0, high)
            painter.fillRect(gap, theme.color("window"))
            painter.fillRect(gap, theme.stripes(theme.color("text_3")))

    def _paint_marks(self, painter: QPainter) -> None:
        top, y, _ = self._rows()
        for start, end in self.data.marks:
            x0, x1 = self._x(start), self._x(end)
            line = QRectF(x0, top + theme.px(23), max(3.0, x1 - x0), 3)
            painter.fillRect(line, theme.color("ok"))
            paint.draw_diamond(painter, x1, y, 6)

    def _paint_ruler(self, painter: QPainter) -> None:
        _, _, y = self._rows()
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(painter.font())
        per_ms = (self.width() - 2 * MARGIN) / self.data.end_ms
        wide = metrics.horizontalAdvance("0:00:00") * 2.2
        for ms in paint.ticks(0.0, self.data.end_ms, per_ms, wide):
            x = round(self._x(ms)) + 0.5
            painter.setPen(theme.color("control_edge"))
            painter.drawLine(QPointF(x, y - theme.px(18)), QPointF(x, y - theme.px(11)))
            text = moment(ms)
            half = metrics.horizontalAdvance(text) / 2
            left = min(max(x - half, MARGIN), self.width() - MARGIN - 2 * half)
            painter.setPen(theme.color("text_3"))
            painter.drawText(QPointF(left, y + metrics.capHeight() / 2), text)

    def _paint_edge(self, painter: QPainter) -> None:
        top, y, _ = self._rows()
        bottom = y + theme.px(8)
        if self.data.recording:
            x = self._x(self.data.end_ms)
            painter.fillRect(QRectF(x - 1, top - 5, 3, bottom - top + 5), theme.color("record"))
        at = self.data.end_ms if self.data.at_ms is None else self.data.at_ms
        paint.draw_playhead(painter, round(self._x(at)) + 0.5, top - 4, bottom, head=True)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Look back there."""
        if event.button() == Qt.MouseButton.LeftButton and self.data.end_ms > 0:
            self._dragging = True
            self.seek.emit(self.time_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Scrub."""
        if self._dragging:
            self.seek.emit(self.time_at(event.position().x()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End of a drag."""
        self._dragging = False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows look back and on again."""
        if event.key() == Qt.Key.Key_End:
            self.live_asked.emit()
            return
        step = {Qt.Key.Key_Left: -STEP_MS, Qt.Key.Key_Right: STEP_MS}.get(Qt.Key(event.key()))
        if step is None or self.data.end_ms <= 0:
            super().keyPressEvent(event)
            return
        at = self.data.end_ms if self.data.at_ms is None else self.data.at_ms
        self.seek.emit(max(0.0, at + step))
