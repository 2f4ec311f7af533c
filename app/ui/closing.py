"""What is asked when the window closes while something is not saved yet. GUI thread.

The wait is an event loop, so the window answers, and ends by itself when all is saved.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QMessageBox, QWidget

if TYPE_CHECKING:
    from app.ui.services import Services
    from app.ui.teaching import Teaching

GRACE_MS = 1000
LOOK_EVERY_MS = 50
STAY = "Go on working"
LET_IT_GO_ON, PAUSE_IT = "Close, it goes on", "Pause it and close"
AFTER_CLOSING = (
    "It goes on without the window, and Trocar shows it when it is opened next. Paused, it waits "
    "for “Go on” in Teach a model or in Trainings."
)
BY_ITSELF = "Trocar closes by itself as soon as all is saved."


class Closing(StrEnum):
    """How it went on."""

    SAVED = "saved"
    LOSE = "lose"
    STAY = "stay"


def ask_to_close(window: QWidget, services: Services) -> Closing:
    """Ask what happens to a training; wait until all is saved, or ask whether to close without."""

    def waiting() -> int:
        if not services.library.is_writable:
            return 0
        return max(services.session.unsaved, services.library.writer.pending())

    if services.teaching.running and not _training_is_settled(window, services.teaching):
        return Closing.STAY
    if waiting():
        _wait(waiting)
    if not waiting():
        return Closing.SAVED
    box = QMessageBox(window)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle("Not saved yet")
    lose = box.addButton("", QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton(STAY, QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    problem = services.session.problem
    box.setInformativeText(f"{problem.user_message} {BY_ITSELF}" if problem else BY_ITSELF)

    def look() -> None:
        if not waiting():
            box.done(0)
            return
        words = _words(services.session.unsaved)
        box.setText(f"{words} not saved yet.")
        lose.setText(f"Close and lose {'it' if words.endswith(' is') else 'them'}")

    look()
    tick = QTimer(box)
    tick.timeout.connect(look)
    tick.start(LOOK_EVERY_MS)
    box.exec()
    tick.stop()
    chosen = box.clickedButton()
    box.deleteLater()
    if not waiting():
        return Closing.SAVED
    return Closing.LOSE if chosen is lose else Closing.STAY


def _training_is_settled(window: QWidget, teaching: Teaching) -> bool:
    """Ask whether the training goes on or is paused; False where the user stays."""
    box = QMessageBox(window)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("A model is being taught")
    box.setText(f"{teaching.name} is being taught.")
    box.setInformativeText(AFTER_CLOSING)
    goes_on = box.addButton(LET_IT_GO_ON, QMessageBox.ButtonRole.AcceptRole)
    pause = box.addButton(PAUSE_IT, QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton(STAY, QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(goes_on)
    box.setEscapeButton(stay)
    teaching.ended.connect(box.accept)
    box.exec()
    chosen = box.clickedButton()
    box.deleteLater()
    if chosen is pause:
        teaching.pause()
    return chosen is not stay


def _words(corrections: int) -> str:
    if not corrections:
        return "A change of the library is"
    return "1 correction is" if corrections == 1 else f"{corrections} corrections are"


def _wait(waiting: Callable[[], int]) -> None:
    """What was changed just now is saved in a moment."""
    loop, tick, end = QEventLoop(), QTimer(), QTimer()
    tick.timeout.connect(lambda: None if waiting() else loop.quit())
    end.timeout.connect(loop.quit)
    tick.start(LOOK_EVERY_MS // 5)
    end.start(GRACE_MS)
    loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
    tick.stop()
    end.stop()
