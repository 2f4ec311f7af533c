"""Files of the library: atomic writes, the ballast, and whether a folder lies on a network."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import psutil

log = logging.getLogger(__name__)

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs3", "nfs4", "cifs", "smb", "smbfs", "smb2", "smb3", "ncpfs", "afs", "afpfs"}
    | {"webdav", "davfs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.davfs2"}
    | {"fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.gvfsd-fuse"}
)


def size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def stamp(path: Path) -> tuple[int, int]:
    """Bytes of a file and when it was written (ns), zeros where there is none or nothing in it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return (found.st_size, found.st_mtime_ns) if found.st_size else (0, 0)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` durable (a no-op on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(temporary: Path, target: Path) -> None:
    """Put a finished temporary file in the place of ``target``, durably and at once."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(target)
    sync_folder(target.parent)


def write_file(target: Path, content: bytes) -> None:
    """Write ``content`` so that ``target`` is the old file or the whole new one."""
    temporary = target.with_name(target.name + ".tmp")
    temporary.write_bytes(content)
    replace_file(temporary, target)


def write_json(target: Path, content: dict[str, Any]) -> None:
    """``write_file`` of a JSON object."""
    write_file(target, json.dumps(content, sort_keys=True).encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None where there is none that can be read."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def on_network(folder: Path) -> bool:
    """Whether a folder lies on a network drive, where SQLite's write-ahead log is not safe.

    Best effort: UNC paths, mapped drives on Windows, and the mount's file system type elsewhere.
    """
    path = str(folder)
    if path.startswith(("\\\\", "//")):
        return True
    best, remote = "", False
    for part in psutil.disk_partitions(all=True):
        point = part.mountpoint
        inside = path == point or path.startswith(point.rstrip("/\\") + os.sep)
        if inside and len(point) >= len(best):
            best = point
            kinds = {part.fstype.lower(), *part.opts.lower().split(",")}
            remote = bool(kinds & NETWORK_FILE_SYSTEMS) or (os.name == "nt" and "remote" in kinds)
    return remote


class Ballast:
    """Reserved space that is given up when the disk is full, so that what waits can be saved."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def reserve(self) -> None:
        """Take the space if there is plenty; a library works without."""
        if self._size <= 0 or (self._path.exists() and self._path.stat().st_size == self._size):
            return
        try:
            if shutil.disk_usage(self._path.parent).free < 2 * self._size:
                return
            with self._path.open("wb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, self._size)
                else:
                    file.write(bytes(self._size))
        except OSError as error:
            log.info("no space reserved for a full disk: %s", error.strerror)
            self.release()

    def release(self) -> bool:
        """Give the space up. Returns whether there was any."""
        held = self._path.exists()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        return held


def is_read_only(folder: Path) -> bool:
    """Whether nothing can be made in ``folder``: permissions, or a read-only mount."""
    probe = folder / f".probe-{os.getpid()}.tmp"
    try:
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError:
        return True
    return False
