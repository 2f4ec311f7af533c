"""Fine-tuning from the window: a process of its own, followed by what its run writes down. GUI.

The process outlives the window; a window that is opened later finds it. The disk is read on
``trocar-teaching``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTemporaryDir, QTimer, Signal

from app.core.errors import EnvironmentProblem, TrocarError
from app.core.resources import resources_dir
from app.learning.run_log import PROCESS, TAUGHT
from app.learning.run_view import (
    CANCELLED,
    Asked,
    RunView,
    ask_to_pause,
    end_process,
    is_alive,
    is_run,
    list_runs,
    read_run,
    trained_now,
)
from app.learning.teachable import Teachable, what_teaches
from app.store.files import read_json
from app.ui.background import Background
from app.ui.words import count, length

if TYPE_CHECKING:
    from app.store import Library
    from models import ModelCard

EACH_MS = 500
_DETACHED = 0
if sys.platform == "win32":
    _DETACHED = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
STARTING = "Starting"
BROKE_OFF = "Teaching broke off; let it go on, or start anew."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What is known of the run that is followed; read on the thread."""

    view: RunView | None
    alive: bool
    result: dict[str, Any] | None = None
    said: str = ""


class Teaching(QObject):
    """One training at a time: it is started, followed and asked to pause.

    Args:
        library_folder: of the open library.
        runs_folder: where its runs are; may not exist.

    Attributes:
        name: of the model that is taught, or was last.
        asked: what it was asked for.
        unfinished: fine-tunes that can be gone on with, the latest first.
        taken: names of runs.

    Signals:
        progressed: (words, share 0 to 1)
        taught: (dict as ``trocar finetune --json`` prints it)
        failed: (sentence)
        stopped: the user paused it; the run goes on where it was when started again.
        ended: nothing is taught any more, after one of these three.
        found: (name) a training that another window started goes on.
        looked: ``unfinished`` and ``taken`` are as they are now.
    """

    progressed = Signal(str, float)
    taught = Signal(object)
    failed = Signal(str)
    stopped = Signal()
    ended = Signal()
    looked = Signal()
    found = Signal(str)

    def __init__(self, library_folder: Path, runs_folder: Path) -> None:
        super().__init__()
        self._library, self._runs = library_folder, runs_folder
        self._work = Background("trocar-teaching")
        self._number: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._pausing = False
        self._said = QTemporaryDir()
        self.name = ""
        self.asked: Asked | None = None
        self.unfinished: tuple[RunView, ...] = ()
        self.taken: frozenset[str] = frozenset()
        self._each = QTimer(self)
        self._each.setInterval(EACH_MS)
        self._each.timeout.connect(self._follow)

    @property
    def runs_folder(self) -> Path:
        """Where the runs are that can be gone on with."""
        return self._runs

    @property
    def running(self) -> bool:
        """Whether a model is being taught."""
        return self._number is not None

    def look(self) -> None:
        """Read which runs there are; one that goes on is followed from now on."""
        runs = self._runs
        self._work.run(lambda: _runs_of(runs), self._found, newest="look")

    def read_cases(
        self,
        library: Library,
        base: ModelCard,
        done: Callable[[Teachable], object],
        failed: Callable[[TrocarError], object],
    ) -> None:
        """Look which cases can teach a model."""
        self._work.run(
            lambda: what_teaches(library, library.cases(), base), done, failed, newest="cases"
        )

    def start(self, name: str, asked: Asked) -> None:
        """Teach a new model, or go on with the run of this name that was asked for the same."""
        if self.running:
            return
        try:
            self._child = _started(self._library, name, asked, self._errors)
        except OSError as error:
            words = f"The training process could not be started ({error.strerror}); try again."
            self.failed.emit(words)
            return
        self._begin(name, asked, self._child.pid)

    def go_on(self, run: RunView) -> None:
        """Go on with an unfinished run, with what it was asked for."""
        if run.asked is not None:
            self.start(run.name, run.asked)

    def pause(self) -> None:
        """Ask the training to end where it can be gone on with."""
        number = self._number
        if number is None:
            return
        self._pausing = True
        folder = self._runs / self.name
        self._work.run(lambda: _pause(folder, number), lambda _: self._follow(), self._failed)

    def close(self) -> None:
        """Follow it no longer; it goes on without the window, unless it is to pause."""
        self._each.stop()
        self._work.close()
        if self._pausing and self._number is not None:
            # What the thread had not begun was dropped.
            with suppress(EnvironmentProblem):
                _pause(self._runs / self.name, self._number)
        if self._child is not None:
            self._child.returncode = 0  # nobody waits for it any more

    @property
    def _errors(self) -> Path:
        return Path(self._said.path()) / "errors.txt"

    def _begin(self, name: str, asked: Asked | None, number: int) -> None:
        self.name, self.asked, self._number, self._pausing = name, asked, number, False
        self.progressed.emit(STARTING, 0.0)
        self._each.start()

    def _found(self, found: tuple[tuple[RunView, ...], frozenset[str], int | None]) -> None:
        views, self.taken, number = found
        if not self.running and number is not None:
            going = next(v for v in views if v.runs and v.asked)
            self._begin(going.name, going.asked, number)
            self.found.emit(self.name)
        self.unfinished = tuple(v for v in views if v.can_go_on)
        self.looked.emit()

    def _follow(self) -> None:
        number = self._number
        if number is None:
            return
        folder, child, errors = self._runs / self.name, self._child, self._errors

        def work() -> _Standing:
            alive = is_alive(number) if child is None else child.poll() is None
            return _standing(folder, number, errors if child is not None else None, alive=alive)

        self._work.run(work, self._show, newest="follow")

    def _show(self, now: _Standing) -> None:
        if not self.running:
            return
        if now.alive:
            if not self._pausing:
                self.progressed.emit(*progress_of(now.view))
            return
        self._number = self._child = None
        self._each.stop()
        state = now.view.state if now.view else ""
        if now.result is not None:
            self.taught.emit(now.result)
        elif self._pausing or state == CANCELLED:
            self.stopped.emit()
        else:
            told = now.view.sentence if now.view and state == "failed" else now.said
            self.failed.emit(told or BROKE_OFF)
        self.ended.emit()
        self.look()

    def _failed(self, error: TrocarError) -> None:
        self._pausing = False
        self.failed.emit(error.user_message)


def _started(library: Path, name: str, asked: Asked, errors: Path) -> subprocess.Popen[bytes]:
    """A process that no end of this one, and of its terminal, reaches."""
    code = str(resources_dir().parent)
    older = os.environ.get("PYTHONPATH")
    frozen = bool(getattr(sys, "frozen", False))
    command = [
        sys.executable, *([] if frozen else ["-m", "app"]),
        "finetune", *(part for case in asked.cases for part in ("--from", case)),
        "--base", asked.base, "--name", name, "--steps", str(asked.steps),
        "--held-out-every", str(asked.held_out_every), "--library", str(library), "--lines",
    ]  # fmt: skip
    with errors.open("wb") as said:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, "PYTHONPATH": f"{code}{os.pathsep}{older}" if older else code},
            start_new_session=True,
            creationflags=_DETACHED,
        )


def _pause(folder: Path, number: int) -> None:
    """Ask the process of a run to end where it can be gone on with; twice is as good as once."""
    if trained_now(folder) == number:
        ask_to_pause(folder)
    else:  # it has not begun yet
        end_process(number)


def _runs_of(folder: Path) -> tuple[tuple[RunView, ...], frozenset[str], int | None]:
    views = tuple(list_runs(folder))
    going = next((v.folder for v in views if v.runs and v.asked), None)
    taken = frozenset(v.name for v in views)
    return views, taken, trained_now(going) if going is not None else None


def _standing(folder: Path, number: int, errors: Path | None, *, alive: bool) -> _Standing:
    # What an earlier process wrote of the run says nothing of one that ended before it began.
    own = (read_json(folder / PROCESS) or {}).get("pid") == number
    view = read_run(folder) if own and is_run(folder) else None
    if alive:
        return _Standing(view=view, alive=True)
    text = errors.read_text(encoding="utf-8", errors="replace").strip() if errors else ""
    said = text.splitlines()[-1] if text else ""
    return _Standing(
        view=view, alive=False, result=read_json(folder / TAUGHT) if own else None, said=said
    )


def progress_of(view: RunView | None) -> tuple[str, float]:
    """(words, share) of a run that goes on."""
    if view is None or not view.runs:
        return STARTING, 0.0
    if view.doing:
        return view.doing, view.step / max(1, view.steps)
    words = f"Learning, {count(view.step)} of {count(view.steps)}"
    if view.seconds_left:
        words += f", about {length(view.seconds_left)} left"
    elif not view.step:
        words += "; how long it takes is said soon"
    return words, view.step / max(1, view.steps)


def free_name(base: str, taken: Collection[str]) -> str:
    """A name for what is taught from ``base``: ``tools-2``, ``tools-3``."""
    stem = re.sub(r"-\d+$", "", base)
    number = 2
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"
