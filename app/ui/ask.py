"""The two lines that ask something in the message slot: which operation, and where to go."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit

from app.core.taxonomy import list_taxonomies
from app.ui.message_slot import MessageSlot
from app.ui.widgets import Button, Combo, IconButton, Label
from app.ui.words import parse_moment


class ProcedureLine(QFrame):
    """Asks which operation a new case is; non-modal, and may be left alone."""

    def __init__(self, slot: MessageSlot, chosen: str, done: Callable[[str], object]) -> None:
        super().__init__(slot)
        self.setProperty("kind", "card")
        self.setAccessibleName("Which operation is this?")
        self._slot = slot
        self.combo = Combo("Operation")
        for taxonomy in list_taxonomies():
            self.combo.addItem(taxonomy.name, taxonomy.procedure)
        self.combo.setCurrentIndex(max(0, self.combo.findData(chosen)))
        use = Button("Use", "main")
        use.clicked.connect(lambda: self._use(done))
        close = IconButton("x", "Leave it", "Leave it  (Esc)", 16)
        close.clicked.connect(lambda: slot.remove(self))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 7, 8, 7)
        layout.setSpacing(10)
        layout.addWidget(Label("Which operation is this?"), 1)
        layout.addWidget(self.combo)
        layout.addWidget(use)
        layout.addWidget(close)

    def _use(self, done: Callable[[str], object]) -> None:
        chosen = self.combo.currentData()
        self._slot.remove(self)
        done(chosen)


class GoToLine(QFrame):
    """Asks for a time or a frame number."""

    def __init__(self, slot: MessageSlot, frames: int, go: Callable[[str, float], object]) -> None:
        super().__init__(slot)
        self.setProperty("kind", "card")
        self.setAccessibleName("Go to")
        self._slot, self._frames, self._go = slot, frames, go
        self.field = QLineEdit()
        self.field.setPlaceholderText("7:09.5, or frame 12886")
        self.field.setAccessibleName("Time or frame")
        self.field.returnPressed.connect(self._enter)
        self._wrong = Label("", "small", "error")
        button = Button("Go", "main")
        button.clicked.connect(self._enter)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 7, 8, 7)
        layout.setSpacing(10)
        layout.addWidget(Label("Go to"))
        layout.addWidget(self.field, 1)
        layout.addWidget(self._wrong)
        layout.addWidget(button)
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _enter(self) -> None:
        found = parse_moment(self.field.text(), self._frames)
        if found is None:
            self._wrong.setText(f"A time such as 7:09, or a frame below {self._frames:,}.")
            return
        self._slot.remove(self)
        self._go(*found)
