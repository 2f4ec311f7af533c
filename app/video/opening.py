"""The door for files: a first look in a child process, then the exact source.

``open_video`` and ``probe`` run on whatever thread asks; the child holds the limits.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from app.core.case import Asset
from app.core.errors import BadInput
from app.video.file_source import FileSource
from app.video.fingerprint import quick_hash
from app.video.first_look import first_look
from app.video.index import PacketIndex
from app.video.info import VideoInfo
from app.video.kept import KEPT
from app.video.source import CACHE_BYTES, VideoSource

_KEPT_INDICES = 16
WORTH_KEEPING_S = 0.25
"""What opening must take for its index to be kept in a file."""


class _KnownFiles:
    """Files that this process has looked at, with the packet index of the newest of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[tuple[str, int], PacketIndex | None] = OrderedDict()

    def __contains__(self, key: tuple[str, int]) -> bool:
        with self._lock:
            return key in self._files

    def index(self, key: tuple[str, int]) -> PacketIndex | None:
        """The kept packet index, or None."""
        with self._lock:
            return self._files.get(key)

    def keep(self, key: tuple[str, int], index: PacketIndex | None) -> None:
        """A file was looked at, or indexed."""
        with self._lock:
            self._files[key] = index
            self._files.move_to_end(key)
            for old in list(self._files)[:-_KEPT_INDICES]:
                self._files[old] = None


_known = _KnownFiles()


def open_video(
    path: Path | str,
    *,
    trusted: bool = False,
    cache_bytes: int = CACHE_BYTES,
    cancelled: Callable[[], bool] = lambda: False,
) -> VideoSource:
    """Open a video for exact frames; use it as a context manager from one thread at a time.

    A file that this process has not seen is first looked at in a child process; one that it has
    seen, or whose index is kept (``keep_indices_in``), is not read through again.

    Args:
        path: the file.
        trusted: skip the first look: Trocar wrote the file itself.
        cache_bytes: room for decoded frames.
        cancelled: asked while the file is looked at and indexed.

    Raises:
        BadInput: missing, empty, truncated, encrypted, not a video, not supported, too large.
        EnvironmentProblem: no permission, a failing disk.
        OpenCancelled: ``cancelled()`` answered true.
    """
    path = Path(path)
    if trusted:
        return FileSource(path, cache_bytes=cache_bytes, cancelled=cancelled)
    key = (quick_hash(path), path.stat().st_mtime_ns)
    if key not in _known:
        first_look(path, cancelled)
        _known.keep(key, None)
    index = _known.index(key) or KEPT.read(key)
    start = time.monotonic()
    source = FileSource(path, index=index, cache_bytes=cache_bytes, cancelled=cancelled)
    _known.keep(key, source.index)
    if index is None and time.monotonic() - start >= WORTH_KEEPING_S:
        KEPT.write(key, source.index)
    return source


def open_recording(asset: Asset) -> VideoSource:
    """A case's own recording, as ``open_video`` opens a file.

    Raises:
        BadInput: it is not where it was, or another file lies in its place; as ``open_video``.
        EnvironmentProblem: as ``open_video``.
    """
    path = Path(asset.path)
    if not path.exists():
        raise BadInput(
            f"The recording {path.name} is not where it was; put it back, or open the case in the "
            "window and show where it is."
        )
    if quick_hash(path) != asset.quick_hash:
        raise BadInput(
            f"{path.name} is not the recording that this case was made from: another file has "
            "taken its place; put the original back."
        )
    return open_video(path)


def probe(path: Path | str) -> VideoInfo:
    """What a file holds, after a first look in a child process.

    Raises:
        BadInput, EnvironmentProblem: as ``open_video``.
    """
    with open_video(path) as source:
        return source.info
