"""Fine-tuning from the window: a process of its own that reports one JSON line at a time. GUI."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal

from app.core.resources import resources_dir
from app.ui.words import length

STOP_MS = 3000
log = logging.getLogger(__name__)


class Teaching(QObject):
    """One training process at a time.

    Signals:
        progressed: (words, share 0 to 1)
        taught: (dict as ``trocar finetune --json`` prints it)
        failed: (sentence)
        stopped: the user paused it; the run goes on where it was when started again.
    """

    progressed = Signal(str, float)
    taught = Signal(object)
    failed = Signal(str)
    stopped = Signal()

    def __init__(self, library_folder: Path) -> None:
        super().__init__()
        self._folder = library_folder
        self._process: QProcess | None = None
        self._stopping = False
        self._result: dict[str, Any] | None = None
        self._rest = b""

    @property
    def running(self) -> bool:
        """Whether a model is being taught."""
        return self._process is not None

    def start(self, cases: Sequence[str], base: str, name: str, steps: int) -> None:
        """Teach a new model ``name`` from ``base`` with the corrections of cases."""
        if self.running:
            return
        process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        code = str(resources_dir().parent)
        older = environment.value("PYTHONPATH", "")
        environment.insert("PYTHONPATH", f"{code}{_separator()}{older}" if older else code)
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._finished)
        process.errorOccurred.connect(self._broken)
        self._process, self._stopping, self._result, self._rest = process, False, None, b""
        chosen = [part for case in cases for part in ("--from", case)]
        frozen = bool(getattr(sys, "frozen", False))
        arguments = [
            *([] if frozen else ["-m", "app"]),
            "finetune", *chosen, "--base", base, "--name", name, "--steps", str(steps),
            "--library", str(self._folder), "--lines",
        ]  # fmt: skip
        process.start(sys.executable, arguments)
        self.progressed.emit("Reading your corrections", 0.0)

    def stop(self) -> None:
        """Stop the process; what it learnt so far is kept in its run folder."""
        if self._process is not None:
            self._stopping = True
            self._process.terminate()
            if not self._process.waitForFinished(STOP_MS):
                self._process.kill()
                self._process.waitForFinished(STOP_MS)

    def _read(self) -> None:
        assert self._process is not None  # noqa: S101 - it has just written
        self._rest += bytes(self._process.readAllStandardOutput().data())
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            try:
                data = json.loads(line)
            except ValueError:
                log.info("a line of the training process is not JSON")
                continue
            if "model" in data:
                self._result = data
            elif "step" in data:
                self._tell(data)

    def _tell(self, data: dict[str, Any]) -> None:
        step, steps = int(data["step"]), max(1, int(data["steps"]))
        words = f"Learning, {step} of {steps}"
        if 0 < step < steps:
            words += f", about {length(float(data['seconds']) / step * (steps - step))} left"
        self.progressed.emit(words, step / steps)

    def _finished(self, status: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        text = bytes(process.readAllStandardError().data()).decode(errors="replace").strip()
        process.deleteLater()
        if self._stopping:
            self.stopped.emit()
        elif status == 0 and self._result is not None:
            self.taught.emit(self._result)
        else:
            log.info("teaching ended with %d", status)
            sentence = text.splitlines()[-1] if text else "Teaching broke; start it again."
            self.failed.emit(sentence)

    def _broken(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._process = None
            self.failed.emit("The training process could not be started; start Trocar again.")


def _separator() -> str:
    return ";" if sys.platform == "win32" else ":"


def free_name(base: str, taken: Collection[str]) -> str:
    """A name for what is taught from ``base``: ``tools-2``, ``tools-3``."""
    stem = re.sub(r"-\d+$", "", base)
    number = 2
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"
