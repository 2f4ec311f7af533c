"""Packet indices kept in files, so that a long recording is not read through by every process.

A cache: what is missing, damaged or of another version is built again. Any thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from app.core.errors import BadInput
from app.video.index import PacketIndex

log = logging.getLogger(__name__)


class KeptIndices:
    """One file per recording in a folder; none is written where that is not allowed."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._writable = False

    def lie_in(self, folder: Path | None, *, writable: bool) -> None:
        """From now on look in ``folder`` (None: nowhere), and write there if it is ``writable``."""
        self._folder, self._writable = folder, writable

    def read(self, key: tuple[str, int]) -> PacketIndex | None:
        """The kept index of the file with this fingerprint and time of change, or None."""
        if self._folder is None:
            return None
        try:
            return PacketIndex.from_bytes(self._path(self._folder, key).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, BadInput) as error:
            log.info("a kept index is built again: %s", type(error).__name__)
            return None

    def write(self, key: tuple[str, int], index: PacketIndex) -> None:
        """Keep an index; a full disk is no reason to fail."""
        if self._folder is None or not self._writable:
            return
        path = self._path(self._folder, key)
        beside = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(exist_ok=True)
            beside.write_bytes(index.to_bytes())
            beside.replace(path)
        except OSError as error:
            log.info("an index is not kept: %s", error.strerror)
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    @staticmethod
    def _path(folder: Path, key: tuple[str, int]) -> Path:
        return folder / f"{key[0][:40]}-{key[1]}.index"


KEPT = KeptIndices()


def keep_indices_in(folder: Path, *, writable: bool) -> None:
    """Look for indices of recordings in ``folder``, in the whole process; the newest call counts.

    Args:
        folder: made when the first index is kept; whoever deletes recordings empties it.
        writable: new ones may be kept there.
    """
    KEPT.lie_in(folder, writable=writable)
