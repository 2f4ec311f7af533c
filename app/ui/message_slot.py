"""The message slot under the top bar: it lies over the workspace and pushes nothing. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QGuiApplication, QPixmap
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui import theme
from app.ui.messages import Message, Tone
from app.ui.widgets import Button, IconButton, Label

ICONS = {
    Tone.OK: "check",
    Tone.INFO: "circle-alert",
    Tone.WARN: "triangle-alert",
    Tone.ERROR: "circle-alert",
}
WIDTH = 620
MOST = 3


class MessageLine(QFrame):
    """One message: icon, sentence, button, details, close."""

    def __init__(self, message: Message, slot: MessageSlot) -> None:
        super().__init__(slot)
        self.message = message
        self._slot = slot
        self.setProperty("kind", "card")
        self.setAccessibleName(message.text)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 7, 8, 7)
        layout.addLayout(self._top())
        self._detail = Label(message.detail, "small", "3")
        self._detail.setWordWrap(True)
        self._detail.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._detail.hide()
        layout.addWidget(self._detail)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.close_line)
        if message.lasting_s:
            self._timer.start(round(message.lasting_s * 1000))

    def stop(self) -> None:
        """The window closes: the line need not go by itself any more."""
        self._timer.stop()

    def _top(self) -> QHBoxLayout:
        message = self.message
        top = QHBoxLayout()
        top.setSpacing(10)
        icon = QLabel()
        icon.setPixmap(self._icon())
        top.addWidget(icon, 0, Qt.AlignmentFlag.AlignVCenter)
        text = Label(message.text)
        text.setWordWrap(True)
        text.setMinimumHeight(theme.px(28))
        top.addWidget(text, 1)
        if message.detail:
            details = Button("Details", "plain")
            details.clicked.connect(self._toggle_detail)
            top.addWidget(details)
        if message.button:
            button = Button(message.button)
            button.clicked.connect(self._act)
            top.addWidget(button)
        close = IconButton("x", "Close the message", "Close  (Esc)", 16)
        close.clicked.connect(self.close_line)
        top.addWidget(close)
        return top

    def _icon(self) -> QPixmap:
        return theme.pixmap(
            ICONS[self.message.tone], 16, str(self.message.tone), self.devicePixelRatioF()
        )

    def _toggle_detail(self) -> None:
        self._detail.setVisible(not self._detail.isVisible())
        QGuiApplication.clipboard().setText(self.message.detail)
        self._slot.place()

    def _act(self) -> None:
        action = self.message.action
        self.close_line()
        if action is not None:
            action()

    def close_line(self) -> None:
        """Take the message away."""
        self._timer.stop()
        self._slot.remove(self)


class MessageSlot(QWidget):
    """At most three messages, the newest at the bottom.

    Signals:
        left: a line that had the focus goes; without a new place Qt would give it to the top bar,
            where Space would leave the case.
        placed: it reaches further down, or less far.
    """

    left = Signal()
    placed = Signal()

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._top = 0
        self._over: tuple[int, int] | None = None
        self._lines: list[QFrame] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(8)
        self.setAccessibleName("Messages")
        self.hide()

    @property
    def lines(self) -> tuple[QFrame, ...]:
        """What is shown."""
        return tuple(self._lines)

    def set_top(self, y: int, over: tuple[int, int] | None = None) -> None:
        """Where the slot begins, in window coordinates.

        Args:
            y: its top.
            over: left edge and width of what it is centred on, None for the window.
        """
        self._top, self._over = y, over
        self.place()

    def say(self, message: Message) -> None:
        """Show a message; one of the same key is replaced."""
        for line in list(self._lines):
            if isinstance(line, MessageLine) and (
                (message.key and line.message.key == message.key)
                or line.message.text == message.text
            ):
                line.close_line()
        self.add(MessageLine(message, self))
        event = QAccessibleAnnouncementEvent(self, message.text)
        QAccessible.updateAccessibility(event)

    def add(self, line: QFrame) -> None:
        """Show a line of another kind, such as the procedure chooser."""
        self._lines.append(line)
        self._layout.addWidget(line)
        messages = [x for x in self._lines if isinstance(x, MessageLine)]
        if len(messages) > MOST:
            messages[0].close_line()
        line.show()
        self.place()

    def remove(self, line: QFrame) -> None:
        """Take a line away."""
        if line in self._lines:
            self._lines.remove(line)
            focus = QApplication.focusWidget()
            if focus is not None and line.isAncestorOf(focus):
                self.left.emit()
            self._layout.removeWidget(line)
            line.hide()
            line.deleteLater()
            self.place()

    def clear(self, key: str) -> None:
        """Take away the message of a key."""
        for line in list(self._lines):
            if isinstance(line, MessageLine) and line.message.key == key:
                line.close_line()

    def stop(self) -> None:
        """No timer may outlive the window."""
        for line in self._lines:
            if isinstance(line, MessageLine):
                line.stop()

    def close_newest(self) -> bool:
        """Take the newest message away. False when there is none."""
        if not self._lines:
            return False
        line = self._lines[-1]
        if isinstance(line, MessageLine):
            line.close_line()
        else:
            self.remove(line)
        return True

    def place(self) -> None:
        """Centre the slot on the workspace, or on a part of it."""
        self.setVisible(bool(self._lines))
        if not self._lines:
            self.placed.emit()
            return
        parent = self.parentWidget()
        left, room = self._over or (0, parent.width())
        width = min(theme.px(WIDTH), room - 32)
        self.setFixedWidth(width)
        self._layout.activate()
        height = self._layout.totalHeightForWidth(width)
        if height < 0:
            height = self._layout.totalSizeHint().height()
        place = QRectF(left + (room - width) / 2, self._top + 10, width, height)
        self.setGeometry(place.toRect())
        self.raise_()
        self.placed.emit()
