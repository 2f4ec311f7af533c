"""A list of cards side by side that fill its width. GUI thread."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QAbstractItemModel, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QListView

from app.ui import theme
from app.ui.case_cards import GAP


class CardPainter(Protocol):
    """What the list needs of the delegate that paints its cards."""

    card_width: int

    def height(self) -> int:
        """Of a card as wide as ``card_width``."""


class CardGrid(QListView):
    """Cards in rows, each row as wide as the list.

    Args:
        name: for screen readers.
        model: of the cards.
        card_px: the narrowest card, at 100 % text size.
    """

    def __init__(self, name: str, model: QAbstractItemModel, card_px: int) -> None:
        super().__init__()
        self._card_px = card_px
        self._painter: CardPainter | None = None
        self.setAccessibleName(name)
        self.setModel(model)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def paint_by(self, painter: CardPainter) -> None:
        """Paint the cards by a delegate, which is told how wide they are."""
        self._painter = painter
        self.setItemDelegate(painter)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The cards fill the list's new width."""
        if self._painter is not None:
            # As if the scroll bar were always there: it comes with the cards, after this.
            bar = self.verticalScrollBar().sizeHint().width()
            room = self.width() - 2 * self.frameWidth() - bar - 4
            number = max(1, room // (theme.px(self._card_px) + GAP))
            self._painter.card_width = room // number - GAP
            high = self._painter.height()
            self.setGridSize(QSize(self._painter.card_width + GAP, high + GAP))
        super().resizeEvent(event)
