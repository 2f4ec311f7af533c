"""The file that a recording is written to: hashed, counted, on the disk every two seconds."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

SYNC_EVERY_S = 2.0


class RecordingFile:
    """What the muxer writes to; every byte given is handed to the system at once.

    Args:
        path: a file that does not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.bytes = 0
        self.synced_bytes = 0
        self._digest = hashlib.sha256()
        self._synced_s = time.monotonic()
        # Exclusive: a recording never overwrites anything.
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, 0o644)

    def write(self, data: bytes) -> int:
        """Write all of ``data``.

        Raises:
            OSError: the disk is full or gone; what was taken until then is counted.
        """
        view = memoryview(data)
        while view:
            written = os.write(self._file, view)
            self._digest.update(view[:written])
            self.bytes += written
            view = view[written:]
        return len(data)

    @property
    def is_due(self) -> bool:
        """Whether two seconds have passed since the last ``sync``."""
        return time.monotonic() - self._synced_s >= SYNC_EVERY_S

    def sync(self) -> None:
        """Return when everything written is on the disk."""
        os.fsync(self._file)
        self._synced_s = time.monotonic()
        self.synced_bytes = self.bytes

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()

    def close_file(self) -> None:
        """Give the file back. The muxer's own closing does not call this."""
        os.close(self._file)


_BINARY = getattr(os, "O_BINARY", 0)
