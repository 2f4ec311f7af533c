"""A sheet: a panel over the dimmed window, not a dialog of its own. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractSlider,
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.ui import theme
from app.ui.style import watch
from app.ui.widgets import IconButton, Label, line

_ACTION = QAbstractSlider.SliderAction
_SCROLLS: dict[int, QAbstractSlider.SliderAction] = {
    Qt.Key.Key_Up: _ACTION.SliderSingleStepSub,
    Qt.Key.Key_Down: _ACTION.SliderSingleStepAdd,
    Qt.Key.Key_PageUp: _ACTION.SliderPageStepSub,
    Qt.Key.Key_PageDown: _ACTION.SliderPageStepAdd,
    Qt.Key.Key_Home: _ACTION.SliderToMinimum,
    Qt.Key.Key_End: _ACTION.SliderToMaximum,
}


class Sheet(QWidget):
    """Dims the window and shows a panel with a title; Esc or a click beside it closes.

    Signals:
        closed: the sheet went away.
    """

    closed = Signal()

    def __init__(self, window: QWidget, title: str, width: int, height: int) -> None:
        super().__init__(window)
        self._size = (width, height)
        self._focus_before: QWidget | None = None
        self.setAccessibleName(title)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.panel = QFrame(self)
        self.panel.setProperty("kind", "sheet")
        column = QVBoxLayout(self.panel)
        column.setContentsMargins(1, 1, 1, 12)
        column.setSpacing(0)
        self.head = QHBoxLayout()
        self.head.setContentsMargins(28, 16, 20, 16)
        self.head.setSpacing(12)
        self.head.addWidget(Label(title, "title"))
        self.head.addStretch(1)
        close = IconButton("x", "Close", "Close  (Esc)", 18)
        close.clicked.connect(self.close_sheet)
        self.head.addWidget(close)
        column.addLayout(self.head)
        column.addWidget(line())
        self.scroll = QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column.addWidget(self.scroll, 1)
        window.installEventFilter(self)
        self.hide()

    def set_body(self, body: QWidget) -> None:
        """What the sheet shows."""
        self.scroll.setWidget(body)

    def set_foot(self, foot: QWidget) -> None:
        """What stays below whatever the body is scrolled to."""
        layout = self.panel.layout()
        assert layout is not None  # noqa: S101 - made above
        layout.addWidget(line())
        layout.addWidget(foot)

    def open_sheet(self) -> None:
        """Show it over the window."""
        self._focus_before = self.window().focusWidget()
        self._place()
        self.show()
        self.raise_()
        watch(self)
        self.setFocus(Qt.FocusReason.OtherFocusReason)

    def close_sheet(self) -> None:
        """Take it away and give the focus back."""
        if not self.isVisible():
            return
        self.hide()
        if self._focus_before is not None:
            self._focus_before.setFocus(Qt.FocusReason.OtherFocusReason)
        self.closed.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the window's size."""
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return False

    def _place(self) -> None:
        window = self.parentWidget()
        self.setGeometry(window.rect())
        width = min(theme.px(self._size[0]), window.width() - 32)
        height = min(theme.px(self._size[1]), window.height() - 32)
        self.panel.setGeometry(
            (window.width() - width) // 2, (window.height() - height) // 2, width, height
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        """Dim what lies below."""
        QPainter(self).fillRect(self.rect(), theme.color("dim"))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click beside the panel closes."""
        if not self.panel.geometry().contains(event.position().toPoint()):
            self.close_sheet()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys that no part of the sheet wanted move what is shown up and down."""
        action = _SCROLLS.get(event.key())
        if action is None:
            super().keyPressEvent(event)
        else:
            self.scroll.verticalScrollBar().triggerAction(action)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab goes round within the sheet."""
        stops = [
            w
            for w in self.panel.findChildren(QWidget)
            if w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.isVisible() and w.isEnabled()
        ]
        if not stops:
            return True
        focus = self.window().focusWidget()
        at = stops.index(focus) if focus in stops else (-1 if forward else 0)
        reason = Qt.FocusReason.TabFocusReason if forward else Qt.FocusReason.BacktabFocusReason
        stops[(at + (1 if forward else -1)) % len(stops)].setFocus(reason)
        return True
