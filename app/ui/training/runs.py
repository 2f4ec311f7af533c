"""Which training runs there are and how each stands. GUI; the disk is read on ``trocar-runs``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage

from app.core.errors import BadInput, TrocarError
from app.learning.run_log import LESSON, LOG, PLAN, PROCESS, RUN, SAMPLES
from app.learning.run_view import RunView, ask_to_finish, ask_to_pause, is_run, list_runs, read_run
from app.ui.background import Background

EACH_MS = 1000
_FILES = (LESSON, PLAN, LOG, PROCESS, RUN, SAMPLES)
_KEPT_PICTURES = 64


@dataclass(slots=True)
class _Reader:
    """What was read before, on ``trocar-runs`` alone: a run that has not changed stays as it is."""

    known: dict[Path, tuple[object, RunView]] = field(default_factory=dict)
    pictures: dict[tuple[Path, int], QImage] = field(default_factory=dict)

    def read(self, root: Path, others: tuple[Path, ...]) -> tuple[RunView, ...]:
        """Runs of the library and of folders that were opened, the latest first."""
        found = {run.folder: run for run in list_runs(root, self._run)}
        for folder in others:
            if folder not in found and is_run(folder):
                with suppress(BadInput):
                    found[folder] = self._run(folder)
        return tuple(sorted(found.values(), key=lambda run: (-run.begun_utc_ms, run.name)))

    def images(self, paths: tuple[Path, ...]) -> dict[Path, QImage]:
        """Pictures of files; one that cannot be read is left out."""
        shown = {}
        for path in paths:
            try:
                key = (path, path.stat().st_mtime_ns)
            except OSError:
                continue
            if key not in self.pictures:
                self.pictures[key] = QImage(str(path))
            if not self.pictures[key].isNull():
                shown[path] = self.pictures[key]
        while len(self.pictures) > _KEPT_PICTURES:
            del self.pictures[next(iter(self.pictures))]
        return shown

    def _run(self, folder: Path) -> RunView:
        now = tuple(_changed(folder / name) for name in _FILES)
        before = self.known.get(folder)
        # Whether a process still lives is not written in any file.
        if before is None or before[0] != now or before[1].runs:
            self.known[folder] = (now, read_run(folder))
        return self.known[folder][1]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class TrainingRuns(QObject):
    """The runs of the library and of folders that the user opened, read again each second.

    Args:
        root: the library's folder of runs; may not exist.

    Signals:
        listed: (tuple of RunView) the latest first.
        pictured: (dict of Path to QImage) what was asked for last.
        opened: (Path) a folder that the user named is a run, and among those listed.
        failed: (sentence)
    """

    listed = Signal(object)
    pictured = Signal(object)
    opened = Signal(object)
    failed = Signal(str)

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        self._work = Background("trocar-runs")
        self._reader = _Reader()
        self._others: tuple[Path, ...] = ()
        self._each = QTimer(self)
        self._each.setInterval(EACH_MS)
        self._each.timeout.connect(self.refresh)

    def follow(self, *, on: bool) -> None:
        """Read again and again, or no longer."""
        if on:
            self.refresh()
            self._each.start()
        else:
            self._each.stop()

    def refresh(self) -> None:
        """Read what there is now."""
        root, others = self._root, self._others
        self._work.run(
            lambda: self._reader.read(root, others), self.listed.emit, self._failed, newest="list"
        )

    def show_pictures(self, paths: tuple[Path, ...]) -> None:
        """Read sample pictures."""
        self._work.run(
            lambda: self._reader.images(paths), self.pictured.emit, self._failed, newest="pictures"
        )

    def open(self, folder: Path) -> None:
        """Follow the run in a folder as well."""

        def done(run: RunView) -> None:
            if run.folder not in self._others:
                self._others = (*self._others, run.folder)
            self.refresh()
            self.opened.emit(run.folder)

        self._work.run(lambda: read_run(folder), done, self._failed)

    def stop_run(self, folder: Path) -> None:
        """Ask a run to end and keep its best."""
        self._work.run(lambda: ask_to_finish(folder), None, self._failed)

    def pause_run(self, folder: Path) -> None:
        """Ask a run to end where it can be gone on with."""
        self._work.run(lambda: ask_to_pause(folder), None, self._failed)

    def close(self) -> None:
        """No thread and no timer outlives the window."""
        self._each.stop()
        self._work.close()

    def _failed(self, error: TrocarError) -> None:
        self.failed.emit(error.user_message)
