"""Crash reports and the log: files on this PC, without patients' names and without paths.

A report holds the time, the versions, the exception's type and the functions it went through. The
message of an exception may quote a file name, so it stays out, and so do local variables.
"""

from __future__ import annotations

import faulthandler
import logging
import platform
import re
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import IO

import platformdirs

LOG_BYTES, LOG_FILES = 1 << 20, 5
KEPT_REPORTS = 20
_PATHS = re.compile(r"(?:[A-Za-z]:\\|\\\\|~?/)[^\s'\":,;()]+")
log = logging.getLogger(__name__)


def log_folder() -> Path:
    """Where logs and crash reports lie."""
    import os

    named = os.environ.get("TROCAR_CONFIG")
    if named:
        return Path(named) / "logs"
    return Path(platformdirs.user_log_dir("Trocar", appauthor=False))


def without_paths(text: str) -> str:
    """A text with every path replaced by ``<path>``."""
    return _PATHS.sub("<path>", text)


class PlainFormatter(logging.Formatter):
    """Log lines without paths; of exceptions only what a crash report may hold."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the trace where there is one."""
        return without_paths(super().format(record))

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | object
    ) -> str:
        """The functions an exception went through."""
        kind, _, trace = ei  # type: ignore[misc]
        return trace_of(kind, trace)


def trace_of(kind: type[BaseException], trace: TracebackType | None) -> str:
    """An exception's type and the functions it went through, by module and line."""
    lines = [
        f"  {Path(frame.filename).stem}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)
    ]
    return "\n".join([*lines, f"  {kind.__module__}.{kind.__qualname__}"])


class CrashReports:
    """Writes reports and passes them on; ``install`` once per process, ``remove`` at its end.

    Args:
        folder: where reports and logs lie.
        told: called with the report's path, on any thread.
    """

    def __init__(self, folder: Path, told: Callable[[Path], None] = lambda _path: None) -> None:
        self.folder = folder
        self.told = told
        self._faults: IO[str] | None = None
        self._handler: logging.Handler | None = None
        self._before = (sys.excepthook, threading.excepthook)

    def install(self) -> None:
        """Catch what nobody caught, in every thread, and native crashes."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._faults = (self.folder / "native-crash.txt").open("a", encoding="utf-8")
            self._handler = RotatingFileHandler(
                self.folder / "trocar.log",
                maxBytes=LOG_BYTES,
                backupCount=LOG_FILES,
                encoding="utf-8",
                delay=True,
            )
        except OSError as error:
            log.info("no log can be kept: %s", error.strerror)
        if self._handler is not None:
            self._handler.setFormatter(
                PlainFormatter("%(asctime)s %(levelname)s %(threadName)s %(name)s %(message)s")
            )
            logging.getLogger("app").addHandler(self._handler)
            logging.getLogger("app").setLevel(logging.INFO)
        if self._faults is not None:
            faulthandler.enable(self._faults)
        sys.excepthook = self._on_exception
        threading.excepthook = self._on_thread_exception

    def remove(self) -> None:
        """Put everything back."""
        sys.excepthook, threading.excepthook = self._before
        if self._faults is not None:
            faulthandler.disable()
            self._faults.close()
            self._faults = None
        if self._handler is not None:
            logging.getLogger("app").removeHandler(self._handler)
            self._handler.close()
            self._handler = None

    def write(
        self, kind: type[BaseException], trace: TracebackType | None, thread: str
    ) -> Path | None:
        """Write a report; None where the disk does not take it."""
        now = datetime.now(UTC)
        text = "\n".join(
            [
                f"Trocar crash report {now:%Y-%m-%d %H:%M:%S} UTC",
                f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
                f"Thread {thread}",
                trace_of(kind, trace),
                "",
            ]
        )
        path = self.folder / f"crash-{now:%Y%m%d-%H%M%S-%f}.txt"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            for old in sorted(self.folder.glob("crash-*.txt"))[:-KEPT_REPORTS]:
                old.unlink()
        except OSError as error:
            log.info("no crash report can be kept: %s", error.strerror)
            return None
        return path

    def _on_exception(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            self._report(kind, trace, threading.current_thread().name)
        self._before[0](kind, error, trace)

    def _on_thread_exception(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            name = args.thread.name if args.thread else "?"
            self._report(args.exc_type, args.exc_traceback, name)
        self._before[1](args)

    def _report(self, kind: type[BaseException], trace: TracebackType | None, thread: str) -> None:
        path = self.write(kind, trace, thread)
        if path is not None:
            self.told(path)
