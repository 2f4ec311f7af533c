"""The lines in the message slot that ask how a clip is saved and say how far it is. GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QProgressBar, QVBoxLayout

from app.ui.message_slot import MessageSlot
from app.ui.widgets import Button, Combo, IconButton, Label

_MANNERS = (("Exactly these frames", True), ("Copied without loss, a little longer", False))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipChoice:
    """How a clip is saved: with outlines, with sound, exactly or copied."""

    overlay: bool
    sound: bool
    exact: bool


class ClipLine(QFrame):
    """Asks how the marked stretch is saved.

    Args:
        slot: where it stands.
        words: which stretch, such as ``0:12.0 to 0:18.4, 160 frames``.
        can_draw: why no outlines can be burnt in, "" where they can.
        can_sound: why the sound cannot go along, "" where it can.
        save: called with the choice.
    """

    def __init__(
        self,
        slot: MessageSlot,
        words: str,
        can_draw: str,
        can_sound: str,
        save: Callable[[ClipChoice], object],
    ) -> None:
        super().__init__(slot)
        self.setProperty("kind", "card")
        self.setAccessibleName(f"Clip {words}")
        self._slot, self._save = slot, save
        self.overlay = _box("Outlines and research line", can_draw)
        self.sound = _box("Sound", can_sound)
        self.manner = Combo("How it is cut")
        for text, exact in _MANNERS:
            self.manner.addItem(text, exact)
        self.overlay.toggled.connect(self._drawn)
        self.save = Button("Save", "main")
        self.save.clicked.connect(self._go)
        close = IconButton("x", "Leave it", "Leave it  (Esc)", 16)
        close.clicked.connect(lambda: slot.remove(self))
        upper, lower = QHBoxLayout(), QHBoxLayout()
        upper.setSpacing(10)
        lower.setSpacing(18)
        upper.addWidget(Label(f"Clip {words}"), 1)
        upper.addWidget(self.save)
        upper.addWidget(close)
        lower.addWidget(self.overlay)
        lower.addWidget(self.sound)
        lower.addStretch(1)
        lower.addWidget(self.manner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 7, 8, 9)
        layout.setSpacing(6)
        layout.addLayout(upper)
        layout.addLayout(lower)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter saves."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._go()
        else:
            super().keyPressEvent(event)

    def _drawn(self, drawn: bool) -> None:
        """What is drawn on cannot be copied."""
        if drawn:
            self.manner.setCurrentIndex(0)
        self.manner.setEnabled(not drawn)
        self.manner.setToolTip("With outlines the pictures are encoded anew" if drawn else "")

    def _go(self) -> None:
        choice = ClipChoice(
            overlay=self.overlay.isChecked(),
            sound=self.sound.isChecked(),
            exact=bool(self.manner.currentData()),
        )
        self._slot.remove(self)
        self._save(choice)


def _box(text: str, why_not: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setEnabled(not why_not)
    box.setToolTip(why_not)
    return box


class ClipProgress(QFrame):
    """How far a clip is, with a button that stops it."""

    def __init__(self, slot: MessageSlot, name: str, stop: Callable[[], object]) -> None:
        super().__init__(slot)
        self.setProperty("kind", "card")
        self.setAccessibleName(f"Saving {name}")
        self._slot = slot
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Clip")
        self.stop = Button("Stop")
        self.stop.clicked.connect(stop)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 7, 8, 7)
        layout.setSpacing(12)
        layout.addWidget(Label(f"Saving {name}"))
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.stop)

    def show_progress(self, done: int, frames: int) -> None:
        """So many frames are written."""
        self.bar.setMaximum(frames)
        self.bar.setValue(done)
