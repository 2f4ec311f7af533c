"""From dropped folders and files to cases, and from missing files to found ones. GUI thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from app.ui.cases import READING
from app.ui.join_sheet import JoinSheet
from app.ui.messages import Message
from app.ui.relink_sheet import RelinkSheet
from app.ui.services import Services
from app.ui.sheet import Sheet

if TYPE_CHECKING:
    from app.inference.relink import MissingFile, Relinked
    from app.video.split.joining import Found


# As in app.video.dicom.folder, which is loaded with the first recording, not with the window.
_DICOMDIR = "DICOMDIR"
_LABELS = (".txt", ".csv", ".json")
_MANY_FILES = 10
_LONG_MS = 1000


class Recordings(QObject):
    """The sheets that join and find recordings, and what leads to them.

    Attributes:
        may_open: asked before anything is opened; False leaves all as it is.
        may_add: asked before files are asked for; False where the library takes no new case.

    Signals:
        sheet_asked: (Sheet) open it in the place of any other.
        looking: (Message) files are looked at or read.
        looked: (key) that message is over.
    """

    sheet_asked = Signal(object)
    looking = Signal(object)
    looked = Signal(str)

    def __init__(self, window: QWidget, services: Services) -> None:
        super().__init__(window)
        self._window = window
        self._cases = services.cases
        self.may_open: Callable[[], bool] = lambda: True
        self.may_add: Callable[[], bool] = lambda: True
        self.join = JoinSheet(window)
        self.relink = RelinkSheet(window)
        self._tenths = 0
        self._slow = QTimer(self)
        self._slow.setSingleShot(True)
        self._slow.setInterval(_LONG_MS)
        self._slow.timeout.connect(lambda: self._say_reading("Reading the recording…"))
        self._cases.found.connect(self._found)
        self._cases.looking.connect(self._looking_at)
        self._cases.not_found.connect(lambda: self.looked.emit("looking"))
        self._cases.find_asked.connect(self.find_missing)
        self._cases.relinked.connect(self._relinked)
        self._cases.not_relinked.connect(self.relink.show_failure)
        self._cases.opened.connect(self._is_read)
        self._cases.not_opened.connect(self._is_read)
        self.join.chosen.connect(self._open)
        self.relink.look_asked.connect(self._cases.relink)

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """Both sheets."""
        return self.join, self.relink

    def open(self, paths: Sequence[Path]) -> None:
        """Make a case of a file; of folders and several files, ask first what they are.

        Label files of public data sets become cases without a recording.
        """
        if not self.may_open():
            return
        if all(path.suffix.casefold() in _LABELS and not path.is_dir() for path in paths):
            self._cases.import_labels(paths)
            return
        if len(paths) == 1 and not paths[0].is_dir() and paths[0].name.upper() != _DICOMDIR:
            self._read([paths])
            return
        self._tenths = 0
        self._say_looking("Looking at the files…")
        self._cases.look_through(paths)

    def ask_for_folder(self) -> None:
        """The system's own dialog for a folder."""
        if not self.may_add():
            return
        name = QFileDialog.getExistingDirectory(self._window, "Open a recorder's folder")
        if name:
            self.open([Path(name)])

    def find_missing(self) -> None:
        """Show which files of the library are missing, and ask where they are."""
        self._cases.read_missing(self._offer_missing)

    def _looking_at(self, done: int, files: int) -> None:
        tenths = 10 * done // files
        if files >= _MANY_FILES and tenths > self._tenths:
            self._tenths = tenths
            self._say_looking(f"Looking at the files… {done} of {files}")

    def _say_looking(self, words: str) -> None:
        stop = self._cases.stop_looking
        self.looking.emit(Message(text=words, button="Stop", action=stop, key="looking"))

    def _open(self, recordings: list[list[Path]]) -> None:
        """Make the cases; long files are read through once."""
        self._read(recordings)
        if any(len(parts) > 1 for parts in recordings):
            self._say_reading("Reading the parts…")

    def _read(self, recordings: Sequence[Sequence[Path]]) -> None:
        """Make cases; where that takes a while, it can be stopped."""
        self._slow.start()
        self._cases.open_recordings(recordings)

    def _say_reading(self, words: str) -> None:
        self._slow.stop()
        stop = self._cases.stop_reading
        self.looking.emit(Message(text=words, button="Stop", action=stop, key=READING))

    def _is_read(self) -> None:
        self._slow.stop()
        self.looked.emit(READING)

    def stop(self) -> None:
        """No timer may outlive the window."""
        self._slow.stop()

    def _found(self, found: Found) -> None:
        self.looked.emit("looking")
        # What was left out is named in the sheet.
        lone = len(found.recordings) == 1 and len(found.recordings[0].files) == 1
        if lone and not found.left_out:
            self._read([[found.recordings[0].files[0].path]])
            return
        self.join.offer(found)
        if not self.join.isVisible():
            self.sheet_asked.emit(self.join)

    def _offer_missing(self, missing: tuple[MissingFile, ...]) -> None:
        self.relink.offer(missing)
        if not self.relink.isVisible():
            self.sheet_asked.emit(self.relink)

    def _relinked(self, done: Relinked) -> None:
        self.relink.show_result(done)
