"""The library's lock: one writing process, by an operating-system lock that dies with its holder.

Beside it lies who holds it, for the sentence that the second one gets.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path

from filelock import FileLock, Timeout

from app.core.errors import EnvironmentProblem, Refused
from app.store import audit, files


class WriterLock:
    """Held from ``acquire`` to ``release`` or to the end of the process.

    Args:
        folder: of the library; the lock is ``writer.lock``, the holder ``writer.json``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._holder = folder / "writer.json"
        self._lock = FileLock(folder / "writer.lock", blocking=False, thread_local=False)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            Refused: another process, or another part of this one, writes the library.
            EnvironmentProblem: the folder cannot be written.
        """
        try:
            self._lock.acquire()
            holder = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "user": audit.user_name(),
                "since_utc_ms": audit.utc_now_ms(),
            }
            self._holder.write_text(json.dumps(holder), encoding="utf-8")
        except Timeout as error:
            raise Refused(self._sentence()) from error
        except OSError as error:
            self._lock.release()
            raise EnvironmentProblem(
                f"The library in {self._folder} cannot be written ({error.strerror}); it can be "
                "opened for reading, or choose a folder you may write to with --library.",
                f"{type(error).__name__} {error.errno}",
            ) from error

    def release(self) -> None:
        """Give the lock back."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _sentence(self) -> str:
        known = files.read_json(self._holder) or {}
        since = known.get("since_utc_ms")
        clock = f", since {time.strftime('%H:%M', time.localtime(since / 1000))}" if since else ""
        who = (
            f"{known.get('user')} on {known.get('host')} (process {known.get('pid')}{clock})"
            if known
            else "another process"
        )
        return (
            f"The library in {self._folder} is being written by {who}; close it there or wait, "
            "and try again. Meanwhile it can only be read."
        )
