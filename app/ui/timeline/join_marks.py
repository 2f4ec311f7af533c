"""The joins of a split recording, drawn on a time line. GUI thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QPainter, QPen, QPolygonF

from app.ui import theme
from app.ui.joins import Join


def draw_joins(
    painter: QPainter,
    joins: Iterable[Join],
    place: Callable[[int], float],
    top: float,
    bottom: float,
) -> None:
    """Thin lines where parts meet, notched where time was lost or doubled; hatched where missing.

    Args:
        painter: of the time line.
        joins: what to draw.
        place: pts to a horizontal position.
        top, bottom: of the lines.
    """
    painter.save()
    for join in joins:
        x = round(place(join.pts))
        if join.is_gone:
            span = QRectF(x, top, max(2.0, place(join.end_pts) - x), bottom - top)
            # What was decided there is still there, and is seen through the hatch.
            veil = theme.color("window")
            veil.setAlphaF(0.5)
            painter.fillRect(span, veil)
            painter.fillRect(span, QBrush(theme.color("warn"), Qt.BrushStyle.BDiagPattern))
        tone = "warn" if join.gap_ms or join.is_gone else "text_3"
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
        painter.setPen(QPen(theme.color(tone), 1))
        painter.drawLine(QPointF(x, top), QPointF(x, bottom))
        if join.gap_ms:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("warn"))
            # Open towards the join where time is lost, closed on it where it is there twice.
            half = 3.5 if join.gap_ms > 0 else -3.5
            wide = QPointF(x - 3.5, top - half), QPointF(x + 3.5, top - half)
            painter.drawPolygon(QPolygonF([*wide, QPointF(x, top + half)]))
    painter.restore()
