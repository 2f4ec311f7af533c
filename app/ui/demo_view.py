"""The demo case as the empty library shows it: a picture, its length, its phases. GUI thread."""

from __future__ import annotations

import json
from pathlib import Path

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy

from app.core.taxonomy import find_taxonomy
from app.ui import osd, theme
from app.ui.style import draw_ring, ring_shown
from app.ui.words import moment

PROCEDURE = "cholecystectomy"
_RADIUS = 10


class DemoView(QAbstractButton):
    """A still of the demo case with its phases; a click opens the case.

    Args:
        recording: of the demo case; ``.jpg`` and ``truth.json`` lie beside it.
    """

    def __init__(self, recording: Path) -> None:
        super().__init__()
        self.image = QImage(str(recording.with_suffix(".jpg")))
        self.phases, self._length_ms = _phases(recording.with_name("truth.json"))
        self.setAccessibleName(f"Demo case, {moment(self._length_ms)}")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the button beside it has the same way in
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Maximum)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        """A picture of 16 to 9 over a bar."""
        return QSize(theme.px(560), theme.px(560) * 9 // 16 + theme.px(36))

    def minimumSizeHint(self) -> QSize:
        """None: the window may be smaller, and the picture then goes."""
        return QSize(0, 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Picture, words, play, phases."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        rect = QRectF(self.rect())
        edge = QPainterPath()
        edge.addRoundedRect(rect, _RADIUS, _RADIUS)
        painter.setClipPath(edge)
        painter.fillRect(rect, theme.color("panel"))
        picture = rect.adjusted(0, 0, 0, -theme.px(36))
        painter.fillRect(picture, theme.color("stage"))
        size = self.image.size().scaled(picture.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRectF(0, 0, size.width(), size.height())
        place.moveCenter(picture.center())
        painter.drawImage(place, self.image)
        self._paint_words(painter)
        self._paint_play(painter, picture.center())
        self._paint_phases(painter, rect.adjusted(14, picture.height(), -14, 0))
        if ring_shown(self):
            draw_ring(painter, rect, _RADIUS)

    def _paint_words(self, painter: QPainter) -> None:
        text = self.accessibleName()
        painter.setFont(theme.font("small"))
        wide = painter.fontMetrics().horizontalAdvance(text) + 24
        place = QRectF(12, 12, wide, theme.px(28))
        osd.plate(painter, place, 6)
        painter.setPen(theme.color("osd_text"))
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_play(self, painter: QPainter, middle: QPointF) -> None:
        radius = theme.px(26)
        painter.setPen(QPen(theme.color("osd_text"), 1.5))
        painter.setBrush(theme.color("osd_bg"))
        painter.drawEllipse(middle, radius, radius)
        unit = radius / 26
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("osd_text"))
        corners = ((-6, -9), (10, 0), (-6, 9))
        painter.drawPolygon([middle + QPointF(x * unit, y * unit) for x, y in corners])

    def _paint_phases(self, painter: QPainter, room: QRectF) -> None:
        bar = QRectF(room.x(), room.center().y() - theme.px(4), room.width(), theme.px(8))
        painter.setPen(Qt.PenStyle.NoPen)
        for colour, start, end in self.phases:
            painter.setBrush(theme.human_paint(colour).fill)
            x = bar.x() + start * bar.width()
            block = QRectF(x, bar.y(), (end - start) * bar.width() - 1.5, bar.height())
            painter.drawRoundedRect(block, 2, 2)


def _phases(truth: Path) -> tuple[tuple[tuple[str, float, float], ...], float]:
    """(colour, start, end as shares of the case) of each phase, and the length in ms."""
    said = json.loads(truth.read_text(encoding="utf-8"))
    taxonomy, frames = find_taxonomy(PROCEDURE), said["frames"]
    blocks = []
    for part in said["phases"]:
        phase = taxonomy.phase(part["phase"])
        if phase is not None:
            start, end = part["first_frame"] / frames, (part["last_frame"] + 1) / frames
            blocks.append((phase.colour, start, end))
    return tuple(blocks), 1000 * frames / said["fps"]
