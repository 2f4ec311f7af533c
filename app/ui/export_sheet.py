"""The sheet that asks what of a case leaves, and in which format. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QWidget

from app.ui.leaving import ExportOrder
from app.ui.sheet import Sheet
from app.ui.widgets import Button, Label, column, row

NOTHING_CORRECTED = "No corrected outlines yet: draw or accept one first."
DICOM = (
    "The DICOM header is made anew, without patient, dates and device. What is written in the "
    "picture itself stays."
)


class ExportSheet(Sheet):
    """What leaves, as check boxes; the folder is asked afterwards.

    Signals:
        chosen: (ExportOrder)
    """

    chosen = Signal(object)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window, "Export the case", 600, 430)
        self.outlines = QCheckBox("Outlines as COCO, with the corrected frames as pictures")
        self.phases = QCheckBox("Phases as a table (CSV)")
        self.labels = QCheckBox("Label files as they were imported, with the phases of now")
        self.video = QCheckBox("Recording as DICOM video, for an archive")
        self.overlay = QCheckBox("with outlines and the research line in the picture")
        self.stretch = QCheckBox("the marked stretch alone")
        self.masks = QCheckBox("Masks as DICOM Segmentation of that video")
        self.why_no_masks = Label(NOTHING_CORRECTED, "small", "3")
        self.go = Button("Choose a folder…", "main", "folder-open")
        self._stretch_s: tuple[float, float] | None = None
        self.outlines.setChecked(True)
        self.phases.setChecked(True)
        self.labels.hide()
        for box in (self.outlines, self.phases, self.labels, self.video, self.masks):
            box.toggled.connect(self._show_possible)
        self.go.clicked.connect(self._choose)
        note = Label(DICOM, "small", "3")
        note.setWordWrap(True)
        self.set_body(
            column(
                self.outlines, self.phases, self.labels, 6, self.video, row(28, self.overlay, 0),
                row(28, self.stretch, 0), self.masks, row(28, self.why_no_masks, 0), 4, note, 10,
                row(self.go, 0), 0,
                spacing=8, margins=(28, 20, 28, 12),
            )
        )  # fmt: skip

    def offer(
        self,
        stretch_s: tuple[float, float] | None,
        stretch_words: str,
        *,
        has_masks: bool,
        has_recording: bool = True,
        imported: bool = False,
    ) -> None:
        """What this case has.

        Args:
            stretch_s: the marked stretch, None where none is marked.
            stretch_words: from when to when.
            has_masks: it has corrected outlines.
            has_recording: not labels alone.
            imported: it has label files.
        """
        if has_recording and not self.outlines.isEnabled():
            self.outlines.setChecked(True)
        for box in (self.outlines, self.video):
            box.setEnabled(has_recording)
            box.setChecked(box.isChecked() and has_recording)
        self.labels.setVisible(imported)
        self.labels.setChecked(imported)
        self._stretch_s = stretch_s
        self.stretch.setText(f"the marked stretch alone, {stretch_words}")
        self.stretch.setVisible(stretch_s is not None)
        self.masks.setEnabled(has_masks)
        self.masks.setChecked(self.masks.isChecked() and has_masks)
        self.why_no_masks.setVisible(not has_masks)
        self._show_possible()

    def _show_possible(self) -> None:
        for box in (self.overlay, self.stretch):
            box.setEnabled(self.video.isChecked())
        boxes = (self.outlines, self.phases, self.labels, self.video, self.masks)
        self.go.setEnabled(any(box.isChecked() for box in boxes))

    def _choose(self) -> None:
        video = self.video.isChecked()
        alone = video and self.stretch.isVisible() and self.stretch.isChecked()
        self.chosen.emit(
            ExportOrder(
                outlines=self.outlines.isChecked(),
                phases=self.phases.isChecked(),
                video=video,
                overlay=video and self.overlay.isChecked(),
                stretch_s=self._stretch_s if alone else None,
                masks=self.masks.isChecked(),
                labels=self.labels.isChecked(),
            )
        )
