"""What is asked before a case is deleted: the one modal question of the library. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from PySide6.QtWidgets import QCheckBox, QMessageBox, QWidget

from app.core.case import Case


class Deletion(StrEnum):
    """What goes."""

    NOTHING = "nothing"
    CASE = "case"
    CASE_AND_RECORDING = "case and recording"


def ask_to_delete(window: QWidget, case: Case, recorded: Sequence[str]) -> Deletion:
    """Ask whether a case goes for good, and with it the file that Trocar recorded.

    Args:
        window: which asks.
        case: which.
        recorded: where its live recordings lie; none for a case of an original.
    """
    box = QMessageBox(window)
    box.setWindowTitle("Delete the case")
    box.setText(f"Delete case {case.case_id}?")
    gone = "Its corrections, predictions, thumbnail and backups go for good. "
    too = QCheckBox("Delete this recording too")
    if recorded:
        where = "\n".join(recorded)
        box.setInformativeText(f"{gone}The recording that Trocar made stays where it is:\n{where}")
        box.setCheckBox(too)
    else:
        box.setInformativeText(f"{gone}The video file stays where it is.")
    delete = box.addButton("Delete", QMessageBox.ButtonRole.DestructiveRole)
    keep = box.addButton("Keep", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.exec()
    chosen, with_recording = box.clickedButton(), too.isChecked()
    too.deleteLater()
    box.deleteLater()
    if chosen is not delete:
        return Deletion.NOTHING
    return Deletion.CASE_AND_RECORDING if with_recording else Deletion.CASE
