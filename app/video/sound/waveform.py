"""The loudness of a recording over time, for a lane on the timeline. Runs on any thread.

A hundred pairs (lowest, highest) a second, as roots: a quiet word is seen beside a loud alarm.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.core.errors import BadInput
from app.video.sound.track import SoundTrack

PER_S = 100
MOST_S = 24 * 3600
"""Longer recordings show the loudness of their first day."""
_RATE_HZ = 48_000
_TOLD_EVERY_S = 600
_FINER = 4
_MAGIC = b"trocar-peaks-1\n"
_LOWEST_PRIORITY = 19

Pairs = NDArray[np.int8]

log = logging.getLogger(__name__)


class WaveformCancelled(Exception):
    """Nobody wants it any more."""


@dataclass(frozen=True, eq=False)
class Waveform:
    """Loudness over time.

    Attributes:
        pairs: int8 (N, 2), lowest and highest of a hundredth of a second, -127 to 127, the signed
            root of the sample; the first one begins with the recording's first frame.
        is_whole: the recording was read to its end.
    """

    pairs: Pairs
    is_whole: bool = True
    _levels: tuple[Pairs, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Here, so that whoever draws it never waits for it.
        object.__setattr__(self, "_levels", _pyramid(self.pairs))

    @classmethod
    def nothing(cls) -> Waveform:
        """Of which nothing is known yet."""
        return cls(np.zeros((0, 2), np.int8), is_whole=False)

    @property
    def known_ms(self) -> float:
        """How much of the recording is known, from its first frame."""
        return len(self.pairs) * 1000 / PER_S

    def columns(self, start_ms: float, end_ms: float, width: int) -> tuple[Pairs, NDArray[np.bool]]:
        """What a lane shows.

        Args:
            start_ms, end_ms: the visible stretch, from the recording's first frame.
            width: columns to fill.

        Returns:
            int8 (width, 2), lowest and highest per column, and whether it is known.
        """
        edges = np.linspace(start_ms, end_ms, width + 1) / 1000 * PER_S
        level, step = 0, (edges[-1] - edges[0]) / max(width, 1)
        while step >= _FINER and level < len(self._levels) - 1:
            level, step = level + 1, step / _FINER
        pairs, edges = self._levels[level], edges / _FINER**level
        first = np.floor(edges[:-1]).astype(int)
        last = np.maximum(np.ceil(edges[1:]).astype(int), first + 1)
        known = (first >= 0) & (first < len(pairs))
        # At this level a column reaches over a few pairs: all are looked at, none is left out.
        reach = int((last - first).max(initial=1))
        at = (first[:, None] + np.arange(reach)).clip(0, max(len(pairs) - 1, 0))
        at = np.minimum(at, (last - 1).clip(0)[:, None])
        if not len(pairs):
            return np.zeros((width, 2), np.int8), known
        seen = pairs[at]
        return np.stack([seen[..., 0].min(1), seen[..., 1].max(1)], axis=1), known

    def to_bytes(self) -> bytes:
        """For a file."""
        return _MAGIC + zlib.compress(self.pairs.tobytes(), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> Waveform:
        """Read what ``to_bytes`` wrote.

        Raises:
            BadInput: it is damaged or something else.
        """
        most = 2 * PER_S * MOST_S
        unpack = zlib.decompressobj()
        try:
            if not data.startswith(_MAGIC):
                raise ValueError("no waveform")
            raw = unpack.decompress(data[len(_MAGIC) :], most)
            if not unpack.eof or len(raw) % 2:
                raise ValueError("cut off")
        except (ValueError, zlib.error) as error:
            raise BadInput("A kept waveform is damaged.", repr(error)) from error
        return cls(np.frombuffer(raw, np.int8).reshape(-1, 2))


def _pyramid(pairs: Pairs) -> tuple[Pairs, ...]:
    """Each level a quarter as fine as the one before."""
    levels = [pairs]
    while len(levels[-1]) > _FINER:
        fine = np.pad(levels[-1], ((0, -len(levels[-1]) % _FINER), (0, 0)), mode="edge")
        groups = fine.reshape(-1, _FINER, 2)
        levels.append(np.stack([groups[..., 0].min(1), groups[..., 1].max(1)], axis=1))
    return tuple(levels)


def read_waveform(
    asset: Asset,
    choice: int = 0,
    *,
    progress: Callable[[Waveform], None] = lambda _so_far: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Waveform:
    """Read a recording's sound through, at the lowest priority of the calling thread.

    Args:
        asset: the recording.
        choice: which of its sound tracks.
        progress: gets what is known so far, every ten minutes of sound.
        cancelled: asked every second of sound.

    Raises:
        WaveformCancelled: ``cancelled()`` answered true.
    """
    count = min(int(asset.duration_ms / 1000 * PER_S) + 1, PER_S * MOST_S)
    pairs = np.zeros((count, 2), np.int8)
    with _at_low_priority():
        for done, some in _pieces(asset, choice, count, cancelled):
            pairs[done - len(some) : done] = some
            if done % (PER_S * _TOLD_EVERY_S) == 0:
                progress(Waveform(pairs[:done].copy(), is_whole=False))
    return Waveform(pairs)


def _pieces(
    asset: Asset, choice: int, count: int, cancelled: Callable[[], bool]
) -> Iterator[tuple[int, Pairs]]:
    """Second after second: how many pairs there are with it, and its pairs."""
    track = SoundTrack(asset, _RATE_HZ, choice)
    each = _RATE_HZ // PER_S
    try:
        track.seek(0)
        for done in range(0, count, PER_S):
            if cancelled():
                raise WaveformCancelled
            wanted = min(PER_S, count - done)
            samples = track.read(wanted * each).reshape(wanted, -1)
            ends = np.stack([samples.min(axis=1), samples.max(axis=1)], axis=1).clip(-1, 1)
            roots = np.sign(ends) * np.sqrt(np.abs(ends))
            yield done + wanted, (roots * 127).round().astype(np.int8)
    finally:
        track.close()


@contextlib.contextmanager
def _at_low_priority() -> Iterator[None]:
    """Let every other thread go first, where the system can do that for a single thread."""
    if not sys.platform.startswith("linux"):
        yield
        return
    thread = threading.get_native_id()
    before = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, _LOWEST_PRIORITY)
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):  # upwards only an administrator may go
            os.setpriority(os.PRIO_PROCESS, thread, before)


def kept_waveform(folder: Path, asset: Asset, choice: int = 0) -> Waveform | None:
    """The waveform that ``keep_waveform`` kept in a folder, None where there is none."""
    try:
        return Waveform.from_bytes(_place(folder, asset, choice).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, BadInput) as error:
        log.info("a kept waveform is made again: %s", type(error).__name__)
        return None


def keep_waveform(folder: Path, asset: Asset, waveform: Waveform, choice: int = 0) -> None:
    """Keep a waveform, 720 kB an hour at most; a full disk is no reason to fail.

    Whoever deletes recordings empties the folder: it tells when somebody spoke.
    """
    place = _place(folder, asset, choice)
    beside = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        folder.mkdir(exist_ok=True)
        beside.write_bytes(waveform.to_bytes())
        beside.replace(place)
    except OSError as error:
        log.info("a waveform is not kept: %s", error.strerror)
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _place(folder: Path, asset: Asset, choice: int) -> Path:
    return folder / f"{asset.quick_hash[:40]}-{choice}.peaks"
