"""The sheet that finds recordings which were moved, renamed or remuxed. GUI thread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFileDialog, QWidget

from app.ui.sheet import Sheet
from app.ui.widgets import Button, Elided, Label, column, row

if TYPE_CHECKING:
    from app.inference.relink import MissingFile, Relinked

MOST_ROWS = 12
ABOUT = (
    "Show Trocar a folder that holds them, or a file. A recording is known again by its content, "
    "whatever its name is now, and also when it was copied into another container. "
    "Labels stay on their frames."
)
LOOKING = "Looking…"
VIDEO_FILTER = "Recordings (*)"


class RelinkSheet(Sheet):
    """Missing files, and where to look for them.

    Signals:
        look_asked: (list of Path) folders or files to look in.
    """

    look_asked = Signal(object)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window, "Find recordings", 640, 380)
        about = Label(ABOUT, tone="2")
        about.setWordWrap(True)
        self.folder = Button("Look in a folder…", "main", "folder-open")
        self.file = Button("Show a file…", "", "film")
        self.words = Label("")
        self.words.setWordWrap(True)
        self._rows = column(spacing=6)
        self._last = ""
        self.folder.clicked.connect(self._ask_folder)
        self.file.clicked.connect(self._ask_file)
        self.set_body(
            column(
                about, 4, self._rows, 8, row(self.folder, self.file, 0), self.words, 0,
                spacing=8, margins=(28, 20, 28, 12),
            )
        )  # fmt: skip

    def offer(self, missing: tuple[MissingFile, ...]) -> None:
        """Show what is missing."""
        self._show(missing)
        self.words.setText("" if missing else "Every recording is where it was.")
        self.words.set_tone("2")
        self._set_busy(busy=False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter does what the main button says."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.folder.click()
        else:
            super().keyPressEvent(event)

    def show_result(self, done: Relinked) -> None:
        """Say what was found; the sheet closes when nothing is missing any more."""
        self._show(done.missing)
        self._set_busy(busy=False)
        if not done.missing:
            self.close_sheet()
            return
        found = len(done.found)
        said = "None of them is there." if not found else f"{found} found."
        self.words.setText(" ".join([said, *done.notes]))
        self.words.set_tone("warn" if not found or done.notes else "ok")

    def show_failure(self, sentence: str) -> None:
        """Looking failed."""
        self.words.setText(sentence)
        self.words.set_tone("error")
        self._set_busy(busy=False)

    def _show(self, missing: tuple[MissingFile, ...]) -> None:
        layout = self._rows.layout()
        assert layout is not None  # noqa: S101 - column made it
        while (item := layout.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for one in missing[:MOST_ROWS]:
            was = Path(one.file.path)
            line = Elided(f"Case {one.case_id}: {was.name}, was in {was.parent}")
            layout.addWidget(line)
        if len(missing) > MOST_ROWS:
            layout.addWidget(Label(f"and {len(missing) - MOST_ROWS} more", tone="2"))

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Look in a folder", self._last)
        if name:
            self._look(Path(name))

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Show a recording", self._last, VIDEO_FILTER)
        if name:
            self._look(Path(name))

    def _look(self, place: Path) -> None:
        self._last = str(place if place.is_dir() else place.parent)
        self._set_busy(busy=True)
        self.words.setText(LOOKING)
        self.words.set_tone("2")
        self.look_asked.emit([place])

    def _set_busy(self, *, busy: bool) -> None:
        self.folder.setEnabled(not busy)
        self.file.setEnabled(not busy)
