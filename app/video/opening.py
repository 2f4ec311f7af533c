"""The door for files: a first look in a child process, then the exact source.

``open_video`` and ``probe`` run on whatever thread asks; the child holds the limits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.video.fingerprint import quick_hash
from app.video.first_look import first_look
from app.video.index import PacketIndex
from app.video.source import CACHE_BYTES, VideoInfo, VideoSource

_looked_at: set[str] = set()


def open_video(
    path: Path | str,
    *,
    trusted: bool = False,
    index: PacketIndex | None = None,
    cache_bytes: int = CACHE_BYTES,
    cancelled: Callable[[], bool] = lambda: False,
) -> VideoSource:
    """Open a video for exact frames; use it as a context manager from one thread at a time.

    A file that this process has not seen is first looked at in a child process.

    Args:
        path: the file.
        trusted: skip the first look: Trocar wrote the file itself.
        index: the kept packet index of this very file, which saves reading it through.
        cache_bytes: room for decoded frames.
        cancelled: asked while the index is built.

    Raises:
        BadInput: missing, empty, truncated, encrypted, not a video, not supported, too large.
        EnvironmentProblem: no permission, a failing disk.
        OpenCancelled: ``cancelled()`` answered true.
    """
    path = Path(path)
    if not trusted:
        fingerprint = quick_hash(path)
        if fingerprint not in _looked_at:
            first_look(path, cancelled)
            _looked_at.add(fingerprint)
    return VideoSource(path, index=index, cache_bytes=cache_bytes, cancelled=cancelled)


def probe(path: Path | str) -> VideoInfo:
    """What a file holds, after a first look in a child process.

    Raises:
        BadInput, EnvironmentProblem: as ``open_video``.
    """
    with open_video(path) as source:
        return source.info
