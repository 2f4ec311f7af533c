"""A run as it is looked at: its log, how it stands and where its sample pictures are.

Reads a run folder while another process may be writing it. No torch; runs on ``trocar-io``.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from app.core.errors import BadInput, EnvironmentProblem
from app.learning import run_log
from app.learning.run_log import LESSON, LOG, PLAN, RUN, SECOND_TRAIN, SampleFile
from app.store.files import read_json

_CLOCKS_MS = 5000
_SILENT_S = 900
_NO_CURVES = ("step", "seconds", "pieces")
_END_S = 3
RUNNING, INTERRUPTED, CANCELLED = "running", "interrupted", "cancelled"
UNFINISHED = (INTERRUPTED, CANCELLED, "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a fine-tune was asked for: all that starting it again takes.

    Attributes:
        cases: whose corrections.
        base: name of the model that it starts from.
        steps: batches.
        held_out_every: see ``finetune``.
    """

    cases: tuple[str, ...]
    base: str
    steps: int
    held_out_every: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A training run at one moment.

    Attributes:
        folder: of the run.
        title: of the model that comes out.
        task: the card's.
        steps: batches planned.
        step: batches done, as far as the log says.
        seconds: of training so far.
        state: ``running``, ``interrupted`` (can be gone on with), or how it ended: ``done``, ``out
            of time``, ``no longer better``, ``stopped``, ``cancelled``, ``diverged``, ``failed``.
        device: in words, "" where it is not known.
        score: the figure by which the best weights are kept, "" where nothing is measured.
        columns: name to (step, value) pairs, by step: ``loss``, ``loss_…``, ``held_out_…``,
            ``learning_rate``.
        samples: pictures, the truth first, then by step.
        pieces: in how many pieces a batch is learnt.
        begun_utc_ms: when the last process began, 0 where it is not known.
        doing: what its process does before or after it trains, in words; "" while it trains.
        sentence: why it ended early, "" where nothing is known of that.
        asked: of a fine-tune; None of other trainings.
    """

    folder: Path
    title: str
    task: str
    steps: int
    step: int
    seconds: float
    state: str
    device: str
    score: str
    columns: dict[str, tuple[tuple[int, float], ...]]
    samples: tuple[SampleFile, ...]
    pieces: int
    begun_utc_ms: int
    doing: str = ""
    sentence: str = ""
    asked: Asked | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def runs(self) -> bool:
        """Whether a process trains there now."""
        return self.state == RUNNING

    @property
    def can_go_on(self) -> bool:
        """Whether it can be gone on with by what is known of it here."""
        return self.asked is not None and self.state in UNFINISHED

    @property
    def seconds_left(self) -> float | None:
        """By the pace so far; None before there is one, and where nobody trains."""
        if not self.runs or not self.step or self.doing:
            return None
        return self.seconds / self.step * (self.steps - self.step)

    @property
    def scores(self) -> tuple[tuple[int, float], ...]:
        """The figure by which the best is kept, else the first that is measured."""
        named = self.columns.get(run_log.HELD_OUT + self.score)
        if named is not None:
            return named
        held_out = (v for k, v in self.columns.items() if k.startswith(run_log.HELD_OUT))
        return next(held_out, ())

    @property
    def best(self) -> tuple[int, float] | None:
        """(step, value) of the best score so far."""
        return max(self.scores, key=lambda point: (point[1], -point[0]), default=None)


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a training run."""
    return any((folder / name).is_file() for name in (PLAN, LESSON))


def read_run(folder: Path) -> RunView:
    """A run as it stands.

    Raises:
        BadInput: the folder is no run, or what lies there cannot be read.
        EnvironmentProblem: the disk does not let it be read.
    """
    try:
        return _read(folder)
    except FileNotFoundError as error:
        raise BadInput(
            f"{folder.name} is not the folder of a training run; choose the folder that "
            "“trocar train” was given with --out.",
            str(error),
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"What the run in {folder.name} has written down cannot be read; train again in an "
            "empty folder.",
            repr(error),
        ) from error
    except OSError as error:
        raise EnvironmentProblem(
            f"{folder.name} cannot be read ({error.strerror}); check the disk it lies on.",
            str(error),
        ) from error


def list_runs(root: Path, read: Callable[[Path], RunView] = read_run) -> list[RunView]:
    """Runs in the folders right under ``root``, the latest first; what is damaged is left out.

    Args:
        root: need not exist.
        read: reads one; for those who keep what they have read.
    """
    found = []
    for folder in root.iterdir() if root.is_dir() else ():
        if is_run(folder):
            try:
                found.append(read(folder))
            except BadInput:
                continue
    return sorted(found, key=lambda run: (-run.begun_utc_ms, run.name))


def ask_to_finish(folder: Path) -> None:
    """Ask the run in a folder to end and keep its best; it does so before its next batch.

    Raises:
        EnvironmentProblem: the folder cannot be written.
    """
    _ask(folder, run_log.FINISH)


def ask_to_pause(folder: Path) -> None:
    """Ask the run in a folder to end where it can be gone on with.

    It does so before its next batch. While it only reads or measures, its process is ended: what it
    has read is kept, what it measures is measured again.

    Raises:
        EnvironmentProblem: the folder cannot be written.
    """
    _ask(folder, run_log.PAUSE)
    number = trained_now(folder)
    if number is not None and (read_json(folder / run_log.PROCESS) or {}).get("doing"):
        end_process(number)
        run_log.end(folder, CANCELLED)


def is_alive(number: int) -> bool:
    """Whether there is a process of this number."""
    try:
        return bool(psutil.Process(number).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end_process(number: int) -> None:
    """End a process of this user, by its number."""
    with suppress(psutil.Error):
        process = psutil.Process(number)
        process.terminate()
        process.wait(_END_S)


def _ask(folder: Path, wish: str) -> None:
    try:
        (folder / wish).touch()
    except OSError as error:
        raise EnvironmentProblem(
            f"The run in {folder.name} cannot be asked to stop ({error.strerror}); stop it where "
            "it was started.",
            str(error),
        ) from error


def trained_now(folder: Path) -> int | None:
    """Number of the process of this computer that trains in a folder; None without one."""
    note = read_json(folder / run_log.PROCESS) or {}
    if note.get("ended") or note.get("host") != socket.gethostname():
        return None
    try:
        process = psutil.Process(int(note["pid"]))
        # Another process may have got the number since.
        alive = process.create_time() * 1000 <= int(note["utc_ms"]) + _CLOCKS_MS
        return process.pid if alive and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError):
        return None


def _read(folder: Path) -> RunView:
    asked = _asked(folder)
    plan = {"train": {"steps": asked.steps}} if asked and not (folder / PLAN).exists() else None
    plan = plan or json.loads((folder / PLAN).read_text(encoding="utf-8"))
    note = read_json(folder / run_log.PROCESS) or {}
    ended = read_json(folder / RUN) or {}
    rows = run_log.read_rows(folder)
    last = rows[-1] if rows else {}
    second = plan.get("data", {}).get(SECOND_TRAIN, {})
    return RunView(
        folder=folder,
        title=str(plan.get("title") or plan.get("name") or folder.name),
        task=str(plan.get("task", "")),
        steps=int(plan["train"]["steps"]) + int(second.get("steps", 0)),
        step=int(ended.get("steps") or last.get("step") or 0),
        seconds=float(ended.get("seconds") or last.get("seconds") or 0),
        state=_state(folder, note, ended),
        device=str(note.get("device") or ended.get("device") or ""),
        score=str(note.get("score") or ""),
        columns={name: _points(rows, name) for name in last if name not in _NO_CURVES},
        samples=tuple(run_log.sample_files(folder)),
        pieces=int(last.get("pieces") or 1),
        begun_utc_ms=int(note.get("utc_ms") or 0),
        doing=str(note.get("doing") or ""),
        sentence=str(note.get("sentence") or ""),
        asked=asked,
    )


def _asked(folder: Path) -> Asked | None:
    if not (folder / LESSON).is_file():
        return None
    lesson = json.loads((folder / LESSON).read_text(encoding="utf-8"))
    return Asked(
        cases=tuple(str(case) for case in lesson["cases"]),
        base=str(lesson["base"]),
        steps=int(lesson["steps"]),
        held_out_every=int(lesson["held_out_every"]),
    )


def _state(folder: Path, note: dict[str, Any], ended: dict[str, Any]) -> str:
    if trained_now(folder) is not None:
        return RUNNING
    if note.get("doing"):  # it died over what follows the training
        return INTERRUPTED
    if ended:
        return str(ended["ended"])
    if note.get("ended"):
        return str(note["ended"])
    # Of another computer's process nothing is known but that it writes.
    elsewhere = note.get("host") not in (None, socket.gethostname())
    log = folder / LOG
    writes = elsewhere and log.exists() and time.time() - log.stat().st_mtime < _SILENT_S
    return RUNNING if writes else INTERRUPTED


def _points(rows: list[dict[str, str]], name: str) -> tuple[tuple[int, float], ...]:
    """What a column holds where it holds anything finite."""
    found = ((int(row["step"]), row.get(name, "")) for row in rows)
    values = ((step, float(text)) for step, text in found if text)
    return tuple((step, value) for step, value in values if value - value == 0)
