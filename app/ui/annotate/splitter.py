"""A splitter whose handle is a hairline with a grip, wide enough to be caught. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSplitter, QSplitterHandle

from app.ui import theme

_WIDTH_PX = 8
_GRIP_PX = (44, 5)


class _Handle(QSplitterHandle):
    """A line, and a grip on the one that moves up and down."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """Panel, hairline, grip."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("panel"))
        rect = QRectF(self.rect())
        upright = self.orientation() == Qt.Orientation.Horizontal
        if upright:
            painter.fillRect(QRectF(rect.center().x(), 0, 1, rect.height()), theme.color("line"))
            return
        painter.fillRect(QRectF(0, 0, rect.width(), 1), theme.color("line"))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("line_strong"))
        wide, high = _GRIP_PX
        grip = QRectF(rect.center().x() - wide / 2, rect.center().y() - high / 2 + 0.5, wide, high)
        painter.drawRoundedRect(grip, 2.5, 2.5)


class Splitter(QSplitter):
    """Parts side by side or one above the other."""

    def __init__(self, way: Qt.Orientation) -> None:
        super().__init__(way)
        self.setHandleWidth(_WIDTH_PX)
        self.setChildrenCollapsible(False)

    def createHandle(self) -> QSplitterHandle:
        """Our own handle."""
        return _Handle(self.orientation(), self)
