"""The lines that ask something in the message slot: which operation, a note, where to go."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLineEdit

from app.core.correction import Bookmark
from app.core.taxonomy import UNKNOWN_PROCEDURE, Taxonomy, find_taxonomy, list_taxonomies
from app.ui.message_slot import MessageSlot
from app.ui.widgets import Button, Combo, Elided, IconButton, Label
from app.ui.words import parse_moment

LONGEST_NOTE = 200


class ProcedureLine(QFrame):
    """Asks which operation a new case is; non-modal, and may be left alone.

    Args:
        slot: where it stands.
        chosen: the procedure that is selected at first.
        fit: says which model in use does not fit a procedure, "" where all do.
        done: called with the procedure that the user named.
    """

    def __init__(
        self,
        slot: MessageSlot,
        chosen: str,
        fit: Callable[[Taxonomy], str],
        done: Callable[[str], object],
    ) -> None:
        super().__init__(slot)
        self.setProperty("kind", "card")
        self.setAccessibleName("Which operation is this?")
        self._slot, self._fit = slot, fit
        self._suggested = UNKNOWN_PROCEDURE
        self._left_alone = chosen == UNKNOWN_PROCEDURE
        self.combo = Combo("Operation")
        for taxonomy in list_taxonomies():
            self.combo.addItem(taxonomy.name, taxonomy.procedure)
        self.combo.setCurrentIndex(max(0, self.combo.findData(chosen)))
        self.combo.activated.connect(self._touched)
        self.combo.currentIndexChanged.connect(self.say_fit)
        self.hint = Elided("", "small", "3")
        use = Button("Use", "main")
        use.clicked.connect(lambda: self._use(done))
        close = IconButton("x", "Leave it", "Leave it  (Esc)", 16)
        close.clicked.connect(lambda: slot.remove(self))
        layout = QGridLayout(self)
        layout.setContentsMargins(14, 7, 8, 7)
        layout.setHorizontalSpacing(10)
        layout.setVerticalSpacing(4)
        layout.setColumnStretch(0, 1)
        for column, widget in enumerate(
            (Label("Which operation is this?"), self.combo, use, close)
        ):
            layout.addWidget(widget, 0, column)
        layout.addWidget(self.hint, 1, 0, 1, 4)
        self.say_fit()

    def suggest(self, procedure: str) -> None:
        """Select a procedure, unless the user named one before or touched the choice."""
        self._suggested = procedure
        place = self.combo.findData(procedure)
        if self._left_alone and place >= 0:
            self.combo.setCurrentIndex(place)
        self.say_fit()

    def say_fit(self) -> None:
        """Say whether the models in use were made for what is selected."""
        procedure = self.combo.currentData()
        unfit = self._fit(find_taxonomy(procedure))
        suits = procedure == self._suggested != UNKNOWN_PROCEDURE
        self.hint.set_tone("warn" if unfit else "3")
        self.hint.setText(unfit or ("The models were made for it" if suits else ""))
        self.hint.setVisible(bool(self.hint.text()))
        self._slot.place()

    def _touched(self) -> None:
        self._left_alone = False

    def _use(self, done: Callable[[str], object]) -> None:
        chosen = self.combo.currentData()
        self._slot.remove(self)
        done(chosen)


class NoteLine(QFrame):
    """A bookmark's note; Enter keeps it, and the bookmark stands without one too."""

    def __init__(
        self,
        slot: MessageSlot,
        bookmark: Bookmark,
        keep: Callable[[str], object],
        remove: Callable[[], object],
    ) -> None:
        super().__init__(slot)
        self.setProperty("kind", "card")
        self.setAccessibleName("Bookmark")
        self._slot, self._keep, self._remove = slot, keep, remove
        self.field = QLineEdit(bookmark.note)
        self.field.setMaxLength(LONGEST_NOTE)
        self.field.setPlaceholderText("A note, never the patient's name")
        self.field.setAccessibleName("Note")
        self.field.returnPressed.connect(self._enter)
        done = Button("Keep", "main")
        done.clicked.connect(self._enter)
        gone = Button("Remove", "plain", "trash-2")
        gone.clicked.connect(self._take_away)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 7, 8, 7)
        layout.setSpacing(10)
        for part in (Label("Bookmark"), self.field, done, gone):
            layout.addWidget(part, 1 if part is self.field else 0)

    def _enter(self) -> None:
        text = self.field.text().strip()
        self._slot.remove(self)
        self._keep(text)

    def _take_away(self) -> None:
        self._slot.remove(self)
        self._remove()


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
