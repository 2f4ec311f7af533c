"""A widget's picture of what changes seldom, kept at device pixels. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import QWidget


class Still:
    """Painted once, then laid down at each paint event until something else is to be seen.

    Args:
        widget: whose picture it is; it has the widget's size.
        paint: paints it, in logical pixels.
    """

    def __init__(self, widget: QWidget, paint: Callable[[QPainter], object]) -> None:
        self._widget, self._paint = widget, paint
        self._picture: QPixmap | None = None

    def forget(self) -> None:
        """Something else is to be seen: it is painted anew at the next paint event."""
        self._picture = None
        self._widget.update()

    def draw(self, painter: QPainter) -> None:
        """Lay it over the whole widget."""
        if self._picture is None:
            ratio = self._widget.devicePixelRatioF()
            self._picture = QPixmap(self._widget.size() * ratio)
            self._picture.setDevicePixelRatio(ratio)
            layer = QPainter(self._picture)
            self._paint(layer)
            layer.end()
        painter.drawPixmap(0, 0, self._picture)
