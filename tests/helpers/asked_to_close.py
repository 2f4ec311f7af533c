"""Answers the questions that a window asks when it closes."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMessageBox


def when_asked(act: Callable[[QMessageBox], object]) -> list[str]:
    """Close the window with this; ``act`` is done once the question stands. What was asked."""
    asked: list[str] = []

    def look() -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            asked.append(box.text())
            act(box)
        else:
            QTimer.singleShot(20, look)

    QTimer.singleShot(0, look)
    return asked


def press(word: str) -> Callable[[QMessageBox], object]:
    """Press the button whose words begin so."""
    return lambda box: next(b for b in box.buttons() if b.text().startswith(word)).click()
