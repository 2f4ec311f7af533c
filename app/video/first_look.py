"""The first look at an untrusted file: a child process under limits of time, memory and streams.

The child is ``app.video.probe_child`` (``trocar probe --child -`` in a frozen bundle); it reads
the file's name and answers with one JSON object.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from app.core.errors import BadInput, EnvironmentProblem
from app.video.container import check_readable
from app.video.index import OpenCancelled

TIME_LIMIT_S = 10.0
_POLL_S = 0.1
_MOST_TIMES, _IDLE_S = 3, 1.0
# Windows has no such signal, and no negative exit codes.
_OUT_OF_TIME = -getattr(signal, "SIGXCPU", 1)

log = logging.getLogger(__name__)


def first_look(
    path: Path,
    cancelled: Callable[[], bool] = lambda: False,
    time_limit_s: float = TIME_LIMIT_S,
) -> None:
    """Let a child process open the file and decode its first picture.

    Raises:
        BadInput: what the child found, or that it died or did not finish.
        EnvironmentProblem: the file cannot be read, or no child can be started.
        OpenCancelled: ``cancelled()`` answered true.
    """
    check_readable(path)
    code, stdout, stderr = ask_child(os.fsencode(path.absolute()), cancelled, time_limit_s)
    if code is None:
        raise BadInput(
            f"{path.name} took longer than {time_limit_s:.0f} seconds to open; it is damaged, or "
            "its drive or this machine is too slow just now: copy it to this machine, or try again."
        )
    _raise_finding(path, code, stdout, stderr)


def ask_child(
    request: bytes, cancelled: Callable[[], bool], time_limit_s: float
) -> tuple[int | None, bytes, bytes]:
    """Let a child process answer a request.

    Args:
        request: a file's name, or what ``app.video.dicom.survey`` asks.
        cancelled: asked all the time.
        time_limit_s: the child is ended then. On a busy machine one that goes on working has
            that much processor time, for three times as long at most.

    Returns:
        The exit code, None where time was up; and what the child wrote until then.

    Raises:
        EnvironmentProblem: no child can be started.
        OpenCancelled: ``cancelled()`` answered true.
    """
    given: bytes | None = request
    with SPARE.take() as child:
        patience = _Patience(child.pid, time_limit_s)
        try:
            while patience.lasts():
                try:
                    written = child.communicate(given, timeout=_POLL_S)
                except subprocess.TimeoutExpired:
                    given = None
                    if cancelled():
                        raise OpenCancelled from None
                else:
                    code = child.returncode
                    return None if code == _OUT_OF_TIME else code, *written
            child.kill()
            return None, *child.communicate()
        finally:
            child.kill()


class _Patience:
    """How long a child is waited for: by the clock, or by its own time while it gets too little."""

    def __init__(self, pid: int, limit_s: float) -> None:
        self._pid, self._limit_s = pid, limit_s
        self._begun_s = self._worked_s = time.monotonic()
        self._before_s = self._spent_s = self._processor_s()

    def lasts(self) -> bool:
        """Whether to go on waiting; asked again and again."""
        now_s = time.monotonic()
        if now_s - self._begun_s < self._limit_s:
            return True
        if now_s - self._begun_s >= _MOST_TIMES * self._limit_s:
            return False
        spent_s = self._processor_s()
        if spent_s > self._spent_s:
            self._spent_s, self._worked_s = spent_s, now_s
        # One that waits for its drive does not work.
        is_starved = now_s - self._worked_s < _IDLE_S
        return is_starved and spent_s - self._before_s < self._limit_s

    def _processor_s(self) -> float:
        """Processor time of the child so far."""
        try:
            times = psutil.Process(self._pid).cpu_times()
        except psutil.Error:
            return self._limit_s
        return float(times.user + times.system)


def _raise_finding(path: Path, code: int, stdout: bytes, stderr: bytes) -> None:
    try:
        answer = json.loads(stdout.decode().splitlines()[-1])
        sentence, kind = answer["problem"], answer["kind"]
    except (ValueError, IndexError, KeyError, TypeError) as error:
        tail = stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise BadInput(
            f"{path.name} cannot be opened safely: looking at it failed; it is damaged.",
            f"exit {code}: {' '.join(tail)}",
        ) from error
    if sentence is None:
        return
    kinds = {"EnvironmentProblem": EnvironmentProblem}
    raise kinds.get(kind, BadInput)(sentence, answer.get("detail", ""))


class SpareChild:
    """A child started ahead of its file, since starting one takes longer than looking at a file.

    It waits for a name and does nothing; it ends by itself when this process does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Start one where none waits; where that fails, the file itself will tell."""
        with self._lock:
            if self._child is None:
                try:
                    self._child = _started()
                except EnvironmentProblem as error:
                    log.info("no child waits for a file: %s", error.detail)

    def take(self) -> subprocess.Popen[bytes]:
        """The one that waits, or a new one.

        Raises:
            EnvironmentProblem: none can be started.
        """
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            if child.poll() is None:
                return child
            with child:
                log.info("the child that waited ended by itself")
        return _started()

    def end(self) -> None:
        """End the one that waits."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            with child:
                child.kill()


SPARE = SpareChild()


def _started() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [*_child_command(), "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).resolve().parents[2],
            # Without it, Windows opens a console window.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise EnvironmentProblem(
            "The program that looks at new files could not be started; restart Trocar.", str(error)
        ) from error


def _child_command() -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable, "probe", "--child"]
    return [sys.executable, "-m", "app.video.probe_child"]
