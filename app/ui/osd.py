"""What is written on the picture: phase now, clock, instrument key, progress. GUI thread.

Plain functions over a painter; plates appear only where the picture behind the text is bright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen

from app.ui import theme
from app.ui.widgets import draw_centred

MARGIN = 24
BRIGHT = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One line: text, role of the type scale, colour token, space above in pixels."""

    text: str
    role: str = "body"
    token: str = "osd_text"  # noqa: S105 - a colour token
    gap: float = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One instrument on screen: its name and how its outline is drawn."""

    name: str
    colour: QColor
    dashed: bool = False


def plate(painter: QPainter, rect: QRectF, radius: float = 10) -> None:
    """The dark backdrop of anything that lies on the picture."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(theme.color("osd_line"), 1))
    painter.setBrush(theme.color("osd_bg"))
    painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), radius, radius)
    painter.restore()


def draw_chips(painter: QPainter, chips: Sequence[str], centre_x: float, top: float) -> None:
    """Short words side by side on plates of their own."""
    metrics = QFontMetricsF(theme.font("small"))
    widths = [metrics.horizontalAdvance(chip) + 24 for chip in chips]
    high, gap = theme.px(26), 8.0
    x = centre_x - (sum(widths) + gap * (len(chips) - 1)) / 2
    for chip, wide in zip(chips, widths, strict=True):
        rect = QRectF(round(x), top, wide, high)
        plate(painter, rect, high / 2)
        baseline = rect.center().y() + metrics.capHeight() / 2
        draw_text(painter, QPointF(x + 12, baseline), chip, "small", theme.color("osd_text"))
        x += wide + gap


def height(lines: Sequence[Text]) -> float:
    """Height of a block of lines."""
    return sum(theme.px(theme.ROLES[t.role][1]) + t.gap for t in lines) - lines[0].gap


def width(lines: Sequence[Text]) -> float:
    """Width of the widest line."""
    return max(QFontMetricsF(theme.font(t.role)).horizontalAdvance(t.text) for t in lines)


def draw_lines(painter: QPainter, lines: Sequence[Text], at: QPointF, *, right: bool) -> None:
    """Draw lines downward from ``at``, the top left corner (top right with ``right``)."""
    y = at.y()
    for i, line in enumerate(lines):
        font = theme.font(line.role)
        metrics = QFontMetricsF(font)
        high = theme.px(theme.ROLES[line.role][1])
        y += line.gap if i else 0
        x = at.x() - metrics.horizontalAdvance(line.text) if right else at.x()
        baseline = y + (high + metrics.capHeight()) / 2
        draw_text(painter, QPointF(x, baseline), line.text, line.role, theme.color(line.token))
        y += high


def draw_text(painter: QPainter, at: QPointF, text: str, role: str, colour: QColor) -> None:
    """Text on the picture with a soft dark edge."""
    painter.setFont(theme.font(role))
    painter.setPen(theme.color("osd_halo"))
    painter.drawText(at + QPointF(0, 1), text)
    painter.setPen(colour)
    painter.drawText(at, text)


def draw_clock(painter: QPainter, at: QPointF, whole: str, fraction: str, *, exact: bool) -> None:
    """``0:07:09.53``, right-aligned at ``at``; grey while the exact frame is not on screen."""
    big, small = theme.font("clock"), theme.font("title")
    small = type(small)(small)
    small.setPixelSize(theme.px(22))
    small.setWeight(small.Weight.Normal)
    w2 = QFontMetricsF(small).horizontalAdvance(fraction)
    metrics = QFontMetricsF(big)
    y = at.y() + (theme.px(30) + metrics.capHeight()) / 2
    painter.setFont(small)
    painter.setPen(theme.color("osd_text_3"))
    painter.drawText(QPointF(at.x() - w2, y), fraction)
    x = at.x() - w2 - metrics.horizontalAdvance(whole)
    colour = theme.color("osd_text" if exact else "osd_text_3")
    draw_text(painter, QPointF(x, y), whole, "clock", colour)


def draw_phase(
    painter: QPainter, at: QPointF, code: str, name: str, colour: str | None, *, human: bool
) -> None:
    """The phase now: a letter square of its colour and the name."""
    side = theme.px(22)
    rect = QRectF(at.x(), at.y(), side, side)
    paint = _square(colour, human=human)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(paint.fill)
    painter.drawRoundedRect(rect, 4, 4)
    painter.setFont(theme.font("letter"))
    painter.setPen(paint.text)
    draw_centred(painter, rect, code)
    painter.restore()
    metrics = QFontMetricsF(theme.font("title"))
    baseline = rect.center().y() + metrics.capHeight() / 2
    draw_text(painter, QPointF(rect.right() + 9, baseline), name, "title", theme.color("osd_text"))


def _square(colour: str | None, *, human: bool) -> theme.Paint:
    if colour is None:
        return theme.Paint(fill=theme.color("control_edge"), text=theme.color("osd_text"))
    return theme.human_paint(colour) if human else theme.model_paint(colour)


def key_size(rows: Sequence[KeyRow], hint: str) -> tuple[float, float]:
    """Width and height of the key of the outlines."""
    metrics, small = QFontMetricsF(theme.font("body")), QFontMetricsF(theme.font("small"))
    wide = max((metrics.horizontalAdvance(r.name) + 28 for r in rows), default=0.0)
    return max(wide, small.horizontalAdvance(hint)), theme.px(24) * (len(rows) + 1) + 4


def draw_key(painter: QPainter, rect: QRectF, rows: Sequence[KeyRow], hint: str) -> None:
    """The key of the outlines: colour and name of each instrument on screen, and the H hint."""
    step = theme.px(24)
    metrics, small = QFontMetricsF(theme.font("body")), QFontMetricsF(theme.font("small"))
    x, y = rect.x(), rect.y() + 8
    for row in rows:
        centre = y + step / 2
        pen = QPen(row.colour, 2)
        if row.dashed:
            pen.setDashPattern([2, 2])
        painter.setPen(pen)
        painter.drawLine(QPointF(x, centre + 3), QPointF(x + 7, centre - 3))
        painter.drawLine(QPointF(x + 7, centre - 3), QPointF(x + 16, centre - 3))
        baseline = QPointF(x + 28, centre + metrics.capHeight() / 2)
        draw_text(painter, baseline, row.name, "body", theme.color("osd_text"))
        y += step
    baseline = QPointF(x, y + 4 + step / 2 + small.capHeight() / 2)
    draw_text(painter, baseline, hint, "small", theme.color("osd_text_2"))
