"""What is asked before a recording would end with the workspace or the window. GUI thread."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox, QWidget

GO_ON = "Go on recording"


def may_end_recording(window: QWidget, *, closing: bool) -> bool:
    """Ask whether the recording that runs may end; nothing of it is lost either way."""
    box = QMessageBox(window)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle("A recording is running")
    box.setText("A recording is running. End it?")
    after = "is completed when Trocar is opened next" if closing else "becomes a case"
    box.setInformativeText(f"What was recorded is kept and {after}.")
    word = "End it and close" if closing else "End the recording"
    end = box.addButton(word, QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton(GO_ON, QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    box.exec()
    chosen = box.clickedButton()
    box.deleteLater()
    return chosen is end
