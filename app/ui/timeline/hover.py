"""The card beside the pointer over a block. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QLabel, QWidget

from app.ui import theme


class HoverCard(QLabel):
    """Name, times and author of the block under the pointer; never over the playhead."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._room = parent
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setProperty("kind", "card")
        self.setFont(theme.font("small"))
        self.setContentsMargins(10, 6, 10, 6)
        self.hide()

    def show_for(self, lines: tuple[str, str], point: QPointF, playhead_x: float) -> None:
        """Show two lines beside the pointer."""
        self.setText("\n".join(lines))
        self.adjustSize()
        room = self._room.rect()
        x, y = point.x() + 14, point.y() + 18
        if x <= playhead_x <= x + self.width():
            x = playhead_x + 10 if point.x() > playhead_x - 8 else playhead_x - 10 - self.width()
        x = min(max(x, 4), room.width() - self.width() - 4)
        if y + self.height() > room.height() - 4:
            y = max(4, point.y() - 14 - self.height())
        self.move(round(x), round(y))
        self.show()
        self.raise_()
