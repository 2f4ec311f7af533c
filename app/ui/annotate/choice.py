"""A question on the picture: which frames to delete an outline on. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from app.ui import osd, style
from app.ui.keys import KeyMap
from app.ui.widgets import Button, KeyCap, Label, mark


class DeleteChoice(QFrame):
    """This frame, from here on, or the whole track; Esc leaves it."""

    def __init__(
        self,
        parent: QWidget,
        keys: KeyMap,
        here: Callable[[], object],
        onward: Callable[[], object],
        track: Callable[[], object],
    ) -> None:
        super().__init__(parent)
        mark(self, "osd")
        self.setAccessibleName("Delete where?")
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 10, 8)
        row.setSpacing(8)
        self._question = Label("", "body")
        row.addWidget(self._question)
        self.buttons: dict[str, Button] = {}
        for action, words, act in (
            ("outline_delete", "This frame", here),
            ("outline_delete_on", "From here on", onward),
            ("outline_delete_track", "Whole track", track),
        ):
            button = Button(words, "main" if action == "outline_delete" else "")
            button.clicked.connect(lambda _=False, act=act: self._answer(act))
            self.buttons[action] = button
            row.addWidget(button)
            row.addWidget(KeyCap(keys.hint(action)))
        style.watch(self)
        self._room = parent
        self.hide()

    def ask(self, name: str) -> None:
        """Show the question about an outline."""
        self._question.setText(f"Delete {name}")
        self.place()
        self.show()
        self.raise_()

    def place(self) -> None:
        """At the bottom of the picture, in the middle."""
        self.adjustSize()
        room = self._room.rect()
        self.move((room.width() - self.width()) // 2, room.height() - self.height() - 24)

    def _answer(self, act: Callable[[], object]) -> None:
        self.hide()
        act()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The backdrop."""
        painter = QPainter(self)
        osd.plate(painter, QRectF(self.rect()))
        painter.end()
