"""The lines that ask something in the message slot: which operation, a note, where to go."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLineEdit

from app.core.correction import Bookmark
from app.core.errors import BadInput
from app.core.taxonomy import UNKNOWN_PROCEDURE, Taxonomy, find_taxonomy, list_taxonomies
from app.ui.message_slot import MessageSlot
from app.ui.moments import HINT, Here, parse_moment
from app.ui.widgets import Button, Combo, Elided, IconButton, Label

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
    """Asks for a time, a frame, a share of the recording, or a step from here.

    Args:
        slot: where it stands.
        here: says where the playhead is when Enter is pressed.
        go: called with ``("frame", index)`` or ``("ms", milliseconds)``.
    """

    def __init__(
        self, slot: MessageSlot, here: Callable[[], Here], go: Callable[[str, float], object]
    ) -> None:
        super().__init__(slot)
        self.setProperty("kind", "card")
        self.setAccessibleName("Go to")
        self._slot, self._here, self._go = slot, here, go
        self.field = QLineEdit()
        self.field.setPlaceholderText(HINT)
        self.field.setAccessibleName("Time, frame, share or step")
        self.field.returnPressed.connect(self._enter)
        self.field.textEdited.connect(lambda: self._say(""))
        self.wrong = Elided("", "small", "error")
        button = Button("Go", "main")
        button.clicked.connect(self._enter)
        layout = QGridLayout(self)
        layout.setContentsMargins(14, 7, 8, 7)
        layout.setHorizontalSpacing(10)
        layout.setVerticalSpacing(4)
        layout.setColumnStretch(1, 1)
        layout.addWidget(Label("Go to"), 0, 0)
        layout.addWidget(self.field, 0, 1)
        layout.addWidget(button, 0, 2)
        layout.addWidget(self.wrong, 1, 1, 1, 2)
        self.wrong.hide()
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _say(self, sentence: str) -> None:
        self.wrong.setText(sentence)
        self.wrong.setVisible(bool(sentence))
        self.field.setAccessibleDescription(sentence)
        self._slot.place()

    def _enter(self) -> None:
        try:
            found = parse_moment(self.field.text(), self._here())
        except BadInput as error:
            self._say(error.user_message)
            self.field.selectAll()
            return
        self._slot.remove(self)
        self._go(*found)
