"""Exports of the open case from the window. GUI thread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices

from app.ui.background import Background
from app.ui.messages import Message, Tone, from_error

if TYPE_CHECKING:
    from app.store import Library


class Leaving(QObject):
    """Writes exports on a thread of its own.

    Signals:
        said: (Message) what was written, or why not.
    """

    said = Signal(object)

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self._work = Background("trocar-export")

    def close(self) -> None:
        """Wait for what is being written."""
        self._work.close()

    def outlines(self, case_id: str, folder: Path) -> None:
        """Write the corrected frames of a case as COCO, and its phases as CSV."""

        def work() -> Path:
            from app.exchange.case_export import export_coco, export_phases

            export_coco(self._library, case_id, folder)
            return export_phases(self._library, case_id, folder).path.parent

        self.said.emit(Message(text="Writing the export", key="export"))
        self._work.run(work, self._done, lambda error: self.said.emit(from_error(error, "export")))

    def _done(self, folder: Path) -> None:
        self.said.emit(
            Message(
                text=f"Outlines and phases are in {folder.name}.",
                tone=Tone.OK,
                button="Open it",
                action=lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))),
                key="export",
                lasting_s=12,
            )
        )
