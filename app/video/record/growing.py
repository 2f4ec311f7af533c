"""Recordings that this process is writing, which can be opened while they grow. Any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from app.video.index import PacketIndex

Snapshot = Callable[[], PacketIndex | None]


class GrowingFiles:
    """Files by path, with what asks their recorder for the pictures written so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[Path, Snapshot | None] = {}

    def begin(self, path: Path, snapshot: Snapshot) -> None:
        """A recorder begins to write ``path``."""
        with self._lock:
            self._files[path.absolute()] = snapshot

    def end(self, path: Path) -> None:
        """It is written; whoever has it open may go on reading."""
        with self._lock:
            self._files[path.absolute()] = None

    def __contains__(self, path: Path) -> bool:
        """Whether this process wrote it: nothing but its end ever changed."""
        with self._lock:
            return path.absolute() in self._files

    def is_growing(self, path: Path) -> bool:
        """Whether it is being written now."""
        with self._lock:
            return self._files.get(path.absolute()) is not None

    def index(self, path: Path) -> PacketIndex | None:
        """The pictures that are in it now; None where it is not being written or has none yet."""
        with self._lock:
            snapshot = self._files.get(path.absolute())
        return None if snapshot is None else snapshot()


GROWING = GrowingFiles()
