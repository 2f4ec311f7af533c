"""Small pictures of a recording's keyframes, kept in the library's cache. Qt-free but for QImage.

Built on the thread ``trocar-thumbs``, shown by the GUI thread; what lies here never changes.
"""

from __future__ import annotations

import io
import logging
import zipfile
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from app.store import files

MOST_PICTURES, HEIGHT_PX = 160, 72
KEPT_BYTES = 48 << 20
_PREFIX, _QUALITY = "strip1-", 80
_UNREADABLE = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Pictures by time.

    Attributes:
        ms: when each is on screen, ascending.
        pictures: of one height, ``HEIGHT_PX``.
        complete: no more will come.
    """

    ms: tuple[float, ...] = ()
    pictures: tuple[QImage, ...] = ()
    complete: bool = False

    def nearest(self, ms: float, within_ms: float = float("inf")) -> QImage | None:
        """The picture nearest to a moment, None where none is that near."""
        at = bisect_left(self.ms, ms)
        near = [i for i in (at - 1, at) if 0 <= i < len(self.ms)]
        best = min(near, key=lambda i: abs(self.ms[i] - ms), default=None)
        if best is None or abs(self.ms[best] - ms) > within_ms:
            return None
        return self.pictures[best]

    def with_more(self, made: list[tuple[float, QImage]], *, complete: bool) -> Strip:
        """The same and some more."""
        whole = sorted([*zip(self.ms, self.pictures, strict=True), *made], key=lambda m: m[0])
        return Strip(
            ms=tuple(ms for ms, _ in whole), pictures=tuple(p for _, p in whole), complete=complete
        )


def wanted_frames(keys: NDArray[np.int64], frames: int, most: int = MOST_PICTURES) -> list[int]:
    """Which keyframes are shown: spread over the recording, coarse ones first.

    So a strip that is only begun shows something everywhere.
    """
    if not len(keys):
        return [0]
    spread = sorted(int(k) for k in keys)
    if len(spread) > most:
        nearest = np.searchsorted(keys, np.linspace(0, frames - 1, most))
        spread = sorted({int(k) for k in keys[np.clip(nearest, 0, len(keys) - 1)]})
    order, step = [], 1 << max(0, len(spread) - 1).bit_length()
    while step >= 1:
        order += [i for i in range(0, len(spread), step) if i not in order]
        step //= 2
    return [spread[i] for i in order]


def read_strip(folder: Path, key: str) -> Strip | None:
    """The kept strip of a recording, None where it must be made."""
    try:
        with np.load(io.BytesIO(_path(folder, key).read_bytes()), allow_pickle=False) as f:
            times, ends, data = f["ms"], f["ends"], f["jpeg"].tobytes()
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        log.info("kept pictures are made again: %s", type(error).__name__)
        return None
    starts = [0, *ends[:-1].tolist()]
    pictures = [QImage.fromData(data[a:b], "JPG") for a, b in zip(starts, ends, strict=True)]
    if any(p.isNull() for p in pictures) or len(pictures) != len(times):
        return None
    return Strip(ms=tuple(times.tolist()), pictures=tuple(pictures), complete=True)


def write_strip(folder: Path, key: str, strip: Strip) -> None:
    """Keep a strip; older ones go where there are too many, and a full disk is no failure."""
    from PySide6.QtCore import QBuffer, QByteArray

    blocks = []
    for picture in strip.pictures:
        block = QByteArray()
        buffer = QBuffer(block)
        buffer.open(QBuffer.OpenModeFlag.WriteOnly)
        picture.save(buffer, "JPG", _QUALITY)
        blocks.append(bytes(block.data()))
    whole = io.BytesIO()
    np.savez(
        whole,
        ms=np.array(strip.ms),
        ends=np.cumsum([len(b) for b in blocks]),
        jpeg=np.frombuffer(b"".join(blocks), np.uint8),
    )
    try:
        folder.mkdir(exist_ok=True)
        files.write_file(_path(folder, key), whole.getvalue())
        _prune(folder)
    except OSError as error:
        log.info("pictures are not kept: %s", error.strerror)


def _prune(folder: Path) -> None:
    kept = sorted(folder.glob(f"{_PREFIX}*"), key=lambda p: p.stat().st_mtime_ns, reverse=True)
    room = KEPT_BYTES
    for path in kept:
        room -= path.stat().st_size
        if room < 0:
            path.unlink(missing_ok=True)


def _path(folder: Path, key: str) -> Path:
    return folder / f"{_PREFIX}{key}.npz"
