"""Exports of the open case from the window. GUI thread; written on ``trocar-export``."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices

from app.core.errors import TrocarError
from app.ui.background import Background
from app.ui.messages import Message, Tone, from_error

if TYPE_CHECKING:
    from app.store import Library

KEY = "export"
_PROGRESS_STEP = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOrder:
    """What is to be written.

    Attributes:
        outlines: corrected frames as COCO.
        phases: as a table.
        video: the recording as DICOM.
        overlay: with outlines in its picture.
        stretch_s: from and to, None for all of it.
        masks: as DICOM SEG.
        labels: the label files that it was imported from, with the phases of now.
    """

    outlines: bool = True
    phases: bool = True
    video: bool = False
    overlay: bool = False
    stretch_s: tuple[float, float] | None = None
    masks: bool = False
    labels: bool = False


class Leaving(QObject):
    """Writes exports on a thread of its own.

    Signals:
        said: (Message) what is being written, what was, or why not.
    """

    said = Signal(object)

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self._work = Background("trocar-export")
        self._stop = threading.Event()
        self._said_share = 0.0

    def close(self) -> None:
        """Stop what is being written and end the thread."""
        self._stop.set()
        self._work.close()

    def write(self, case_id: str, folder: Path, order: ExportOrder) -> None:
        """Write what is ordered into ``folder``."""
        self._stop.clear()
        self._say_writing("Writing the export")
        self._work.run(
            lambda: self._written(case_id, folder, order),
            lambda words: self._done(folder, words),
            self._failed,
        )

    def _written(self, case_id: str, folder: Path, order: ExportOrder) -> list[str] | None:
        """On the thread: what was written, in words; None when it was stopped."""
        from app.analysis.case_clip import overlay_drawer
        from app.exchange.case_export import export_coco, export_phases
        from app.exchange.dicom_seg import export_dicom_seg
        from app.exchange.dicom_video import export_dicom_video
        from app.video.clip.export import ClipCancelled

        words = []
        if order.outlines:
            export_coco(self._library, case_id, folder)
            words.append("outlines")
        if order.phases:
            export_phases(self._library, case_id, folder)
            words.append("phases")
        if order.labels:
            from app.exchange.labels.library import export_labels

            export_labels(self._library, [case_id], folder)
            words.append("label files")
        if order.masks:
            export_dicom_seg(self._library, case_id, folder)
            words.append("DICOM masks")
        if order.video:
            self._said_share = 0.0
            try:
                export_dicom_video(
                    self._library,
                    case_id,
                    folder,
                    stretch_s=order.stretch_s,
                    drawer=partial(overlay_drawer, self._library) if order.overlay else None,
                    progress=self._progressed,
                    cancelled=self._stop.is_set,
                )
            except ClipCancelled:
                return None
            words.append("DICOM video")
        return words

    def _progressed(self, done: int, frames: int) -> None:
        share = done / max(1, frames)
        if abs(share - self._said_share) >= _PROGRESS_STEP:
            self._said_share = share
            self._say_writing(f"Writing the DICOM video, {share:.0%}")

    def _say_writing(self, words: str) -> None:
        self.said.emit(Message(text=words, button="Stop", action=self._stop.set, key=KEY))

    def _done(self, folder: Path, words: list[str] | None) -> None:
        if words is None:
            self.said.emit(Message(text="The export was stopped.", lasting_s=4, key=KEY))
            return
        listed = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
        self.said.emit(
            Message(
                text=f"{listed[0].upper()}{listed[1:]} written to {folder.name}.",
                tone=Tone.OK,
                button="Open it",
                action=lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))),
                key=KEY,
                lasting_s=12,
            )
        )

    def _failed(self, error: TrocarError) -> None:
        self.said.emit(from_error(error, KEY))
