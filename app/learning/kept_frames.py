"""Frames of recordings at a network's rate and size, kept as JPEGs, so that none is decoded twice.

One file a recording, decoded once in order; loaders map it into memory. A cache that may be deleted
at any time and made again. Runs on a command's thread, read in a training process and its loaders.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput, EnvironmentProblem
from app.inference.passes import phase_grid
from app.inference.preprocess import resized
from app.video import UndecodableFrame, VideoSource, open_recording

if TYPE_CHECKING:
    from app.core.case import Asset

SUFFIX = ".frames"
MOST_BYTES = 24 << 30
"""Of all kept frames in a folder; those used longest ago make room."""

_QUALITY = 95
_DECODED_BYTES = 64 << 20


class KeptFrames:
    """The kept frames of one recording; a sequence of uint8 (H, W, 3).

    Args:
        path: a file that ``keep_frames`` wrote.

    Attributes:
        pts: int64 (T,), of each frame.

    Raises:
        BadInput: it is missing or not whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._ends = np.load(file, allow_pickle=False)
                self.pts: NDArray[np.int64] = np.load(file, allow_pickle=False)
                first = file.tell()
            if (
                len(self.pts) + 1 != len(self._ends)
                or first + self._ends[-1] != os.stat(path).st_size
            ):
                raise ValueError("cut off")
            self._jpegs = np.memmap(path, np.uint8, "r", offset=first)
        except (OSError, ValueError, EOFError) as error:
            raise BadInput(
                "The kept frames of a recording are gone or damaged; the same command makes them "
                "again.",
                str(error),
            ) from error

    def __reduce__(self) -> tuple[type[KeptFrames], tuple[Path]]:
        return KeptFrames, (self.path,)  # a loader maps the file itself

    def __len__(self) -> int:
        return len(self.pts)

    def __getitem__(self, place: int) -> NDArray[np.uint8]:
        data = self._jpegs[self._ends[place] : self._ends[place + 1]]
        return np.asarray(cv2.imdecode(np.asarray(data), cv2.IMREAD_COLOR_RGB), np.uint8)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[place] for place in range(len(self)))


def keep_frames(
    asset: Asset,
    folder: Path,
    per_second: float,
    size_px: tuple[int, int],
    on_share: Callable[[float], object] = lambda _: None,
) -> KeptFrames:
    """The frames of a recording that a model of this rate looks at, decoded unless they are kept.

    Args:
        asset: the recording.
        folder: where they are kept, in one file with others beside it.
        per_second: rate; each frame on screen once, as in an analysis.
        size_px: width and height that they are squashed to.
        on_share: told, while they are decoded, which share of them is.

    Raises:
        BadInput: the recording cannot be opened.
        EnvironmentProblem: they cannot be written.
    """
    named = f"{asset.asset_id}-{asset.quick_hash}-{asset.stream}-{per_second:g}-{size_px}"
    path = folder / f"{hashlib.sha256(named.encode()).hexdigest()[:32]}{SUFFIX}"
    try:
        kept = KeptFrames(path)
        os.utime(path)
    except (BadInput, OSError):
        pass
    else:
        return kept
    with open_recording(asset, cache_bytes=_DECODED_BYTES) as source:
        grid = phase_grid(source, per_second)[0]
        pts = np.array([source.pts(i) for i in grid], np.int64)
        _write(path, pts, _jpegs_of(source, grid, size_px, on_share))
    return KeptFrames(path)


def make_room(folder: Path, needed: Callable[[Path], bool], most_bytes: int = MOST_BYTES) -> None:
    """Deletes frames kept for other runs, those used longest ago first, down to a number of bytes.

    Raises:
        EnvironmentProblem: those that are needed take more.
    """
    files = sorted(folder.glob(f"*{SUFFIX}"), key=lambda p: p.stat().st_mtime)
    total = sum(path.stat().st_size for path in files)
    for path in files:
        if total <= most_bytes:
            return
        if not needed(path):
            total -= path.stat().st_size
            path.unlink(missing_ok=True)
    if total > most_bytes:
        raise EnvironmentProblem(
            f"The frames of these recordings take more than {most_bytes / 1e9:.0f} GB; teach with "
            "fewer of them, or at a smaller input size."
        )


def _jpegs_of(
    source: VideoSource,
    grid: tuple[int, ...],
    size_px: tuple[int, int],
    on_share: Callable[[float], object],
) -> Iterator[bytes]:
    """A frame that does not decode is as the player shows it: the last good picture."""
    last = np.zeros((size_px[1], size_px[0], 3), np.uint8)
    for done, index in enumerate(grid):
        on_share(done / len(grid))
        with suppress(UndecodableFrame):
            last = resized(source.frame(index).rgb, *size_px)
        bgr = cv2.cvtColor(last, cv2.COLOR_RGB2BGR)
        yield cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))[1].tobytes()


def _write(path: Path, pts: NDArray[np.int64], jpegs: Iterator[bytes]) -> None:
    """Whole or not at all; the pictures first, since their lengths are known last."""
    beside, pictures = (path.with_suffix(f".{os.getpid()}.{n}") for n in ("part", "pictures"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ends = [0]
        with pictures.open("wb") as out:
            for data in jpegs:
                out.write(data)
                ends.append(ends[-1] + len(data))
        with beside.open("wb") as out, pictures.open("rb") as data_of:
            np.save(out, np.array(ends, np.int64))
            np.save(out, pts)
            while block := data_of.read(1 << 22):
                out.write(block)
        beside.replace(path)
    except OSError as error:
        raise EnvironmentProblem(
            f"The frames of a recording cannot be kept in {path.parent.name} ({error.strerror}); "
            "free some space, or name another folder with --features."
        ) from error
    finally:
        for left in (beside, pictures):
            left.unlink(missing_ok=True)
