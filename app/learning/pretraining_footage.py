"""An archive without labels as clips: which recordings and pictures there are, frames of them.

Recordings are opened by ``app.video`` alone, after its first look in a child process. A clip of a
recording is some frames a few apart; pictures that are numbered on as a film's frames make clips
too, any other picture stands still for a whole one. Runs in a training process and in its loaders.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput, EnvironmentProblem, TrocarError
from app.core.picture import PictureEntry
from app.video import UndecodableFrame, VideoSource, keep_indices_in, open_video
from app.video.split.recorders import group_by_name, natural, video_files

MOST_VIDEOS = 1_000_000
# Pictures whose numbers are farther apart than the frames of a second or two show other scenes.
_FILM_STEP = 60
_OPEN_AT_ONCE = 3
_CACHE_BYTES = 24 << 20
_KEPT_BYTES = 384 << 20
_TRIES = 20
_TRAILING = re.compile(r"(\d+)$")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """What clips are cut from: one recording, a film of pictures, or one picture.

    Attributes:
        name: of the file or the first picture, within the archive.
        group: the operation, as far as names tell.
        frames: how many there are.
        video: the file; None where pictures are meant.
        pictures: the frames, where they are pictures.
    """

    name: str
    group: str
    frames: int
    video: Path | None = None
    pictures: tuple[PictureEntry, ...] = ()


class Archive(Sequence[Footage]):
    """All footage of a pre-training, by name."""

    def __init__(self, footage: Iterable[Footage]) -> None:
        self.footage = tuple(footage)

    def __len__(self) -> int:
        return len(self.footage)

    @overload
    def __getitem__(self, index: int) -> Footage: ...
    @overload
    def __getitem__(self, index: slice) -> Archive: ...
    def __getitem__(self, index: int | slice) -> Footage | Archive:
        if isinstance(index, slice):
            return Archive(self.footage[index])
        return self.footage[index]

    def split(self, share: float, seed: int) -> tuple[Archive, Archive]:
        """Footage to learn from, and footage of other operations to be measured on.

        Args:
            share: of the frames to hold out, at least, where there are two operations; groups are
                held out whole.
            seed: decides which.
        """
        frames: dict[str, int] = defaultdict(int)
        for one in self.footage:
            frames[one.group] += one.frames
        wanted, held = share * sum(frames.values()), set[str]()
        for group in np.random.default_rng(seed).permutation(sorted(frames))[:-1]:
            if sum(frames[g] for g in held) >= wanted:
                break
            held.add(str(group))
        learn, measure = (
            [f for f in self.footage if (f.group in held) is out] for out in (False, True)
        )
        return Archive(learn), Archive(measure)


def find_footage(
    folder: Path,
    pictures: Sequence[PictureEntry],
    indices: Path,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[Archive, tuple[str, ...]]:
    """Looks through a folder; every recording is opened once, so that odd files are known.

    Args:
        folder: of an archive, with folders in it.
        pictures: those in it, by name.
        indices: where the indices of long recordings are kept for the loaders and the next time.
        progress: called with the recordings looked at and all of them.

    Returns:
        What there is, and a sentence about each recording that cannot be opened.

    Raises:
        BadInput: there is neither a recording that opens nor a picture.
        EnvironmentProblem: the folder cannot be read, or nothing can be kept.
    """
    try:
        indices.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"The folder {indices.parent.name} cannot be written ({error.strerror}); choose "
            "another one."
        ) from error
    keep_indices_in(indices, writable=True)
    try:
        files = video_files(folder, most=MOST_VIDEOS)
    except BadInput:
        files = ()
    found, problems = [], []
    group_of = {
        path: str((group.files[0] if group.certain else path).relative_to(folder))
        for group in group_by_name(files)
        for path in group.files
    }
    for number, path in enumerate(files, 1):
        try:
            with open_video(path, cache_bytes=_CACHE_BYTES) as source:
                name = path.relative_to(folder).as_posix()
                found.append(
                    Footage(name=name, group=group_of[path], frames=len(source), video=path)
                )
        except TrocarError as error:
            problems.append(error.user_message)
        progress(number, len(files))
    archive = Archive([*found, *_films(pictures)])
    if not archive:
        more = f" {problems[0]}" if problems else ""
        raise BadInput(f"The folder {folder.name} holds no video and no picture to use.{more}")
    return archive, tuple(problems)


def _films(pictures: Sequence[PictureEntry]) -> list[Footage]:
    """Pictures that are numbered on as one film each, the others one by one."""
    groups: dict[str, list[tuple[int, PictureEntry]]] = defaultdict(list)
    for entry in pictures:
        number = _TRAILING.search(entry.name.rpartition(".")[0])
        groups[entry.group].append((int(number[1]) if number else 0, entry))
    found = []
    for group, members in groups.items():
        members.sort(key=lambda m: (m[0], natural(m[1].name)))
        entries = tuple(entry for _, entry in members)
        steps = np.diff([number for number, _ in members])
        if len(steps) and steps.min() > 0 and np.median(steps) <= _FILM_STEP:
            films = [entries]
        else:
            films = [(entry,) for entry in entries]
        found += [Footage(name=f[0].name, group=group, frames=len(f), pictures=f) for f in films]
    return found


class ClipReader:
    """Clips of an archive by number: the same number gives the same clip. Kept within a process.

    Args:
        archive: not empty.
        frames: of a clip.
        stride: frames of a recording from one of the clip's to the next.
        least_px: the shorter side of a frame is brought down to this, where it is longer.
        seed: chooses the order.
        indices: see ``find_footage``; a process of its own must be told again.
    """

    def __init__(
        self,
        archive: Archive,
        *,
        frames: int,
        stride: int,
        least_px: int,
        seed: int,
        indices: Path | None = None,
    ) -> None:
        self.archive, self.frames, self.stride = archive, frames, stride
        self.least_px, self.seed, self.indices = least_px, seed, indices
        half = max(1, frames * stride // 2)
        counts = [1 if f.frames <= 2 * half else f.frames // half - 1 for f in archive]
        self._ends = np.cumsum(counts)
        self._half = half
        self._open: OrderedDict[Path, VideoSource] = OrderedDict()
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._bytes = 0

    def clip(self, number: int) -> NDArray[np.uint8]:
        """uint8 (T, H, W, 3); a place that does not decode is passed over for another one.

        Raises:
            BadInput: nothing can be read any more.
        """
        rng = np.random.default_rng((self.seed, number))
        for _ in range(_TRIES):
            place = int(rng.integers(self._ends[-1]))
            if place in self._kept:
                self._kept.move_to_end(place)
                return self._kept[place]
            try:
                return self._keep(place, self._read(place))
            except TrocarError as error:
                log.info("a clip is passed over: %s", type(error).__name__)
        raise BadInput(
            "The archive cannot be read any more: twenty clips in a row failed; check its drive."
        )

    def close(self) -> None:
        """Closes the recordings."""
        for source in self._open.values():
            source.close()
        self._open.clear()

    def _keep(self, place: int, clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self._kept[place] = clip
        self._bytes += clip.nbytes
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return clip

    def _read(self, place: int) -> NDArray[np.uint8]:
        number = int(np.searchsorted(self._ends, place, side="right"))
        footage = self.archive[number]
        first = (place - (int(self._ends[number - 1]) if number else 0)) * self._half
        # What is already a frame a second is not thinned out further.
        stride = 1 if footage.pictures else self.stride
        wanted = [min(first + k * stride, footage.frames - 1) for k in range(self.frames)]
        if footage.video is None:
            seen = {i: self._small(footage.pictures[i].load().rgb) for i in dict.fromkeys(wanted)}
        else:
            seen = self._frames_of(self._source(footage.video), wanted)
        size = seen[wanted[0]].shape[1::-1]
        return np.stack([p if p.shape[1::-1] == size else cv2.resize(p, size)  # type: ignore[misc]
                         for p in (seen[i] for i in wanted)])  # fmt: skip

    def _frames_of(
        self, source: VideoSource, wanted: Sequence[int]
    ) -> dict[int, NDArray[np.uint8]]:
        """The frames of these indices; one that does not decode is as the one before it."""
        seen: dict[int, NDArray[np.uint8]] = {}
        last: NDArray[np.uint8] | None = None
        for index in dict.fromkeys(min(i, len(source) - 1) for i in wanted):
            try:
                last = self._small(source.frame(index).rgb)
            except UndecodableFrame:
                if last is None:
                    raise
            seen[index] = last
        return {i: seen[min(i, len(source) - 1)] for i in wanted}

    def _source(self, path: Path) -> VideoSource:
        if path not in self._open:
            if self.indices is not None:
                keep_indices_in(self.indices, writable=True)
            self._open[path] = open_video(path, cache_bytes=_CACHE_BYTES)
        self._open.move_to_end(path)
        while len(self._open) > _OPEN_AT_ONCE:
            self._open.popitem(last=False)[1].close()
        return self._open[path]

    def _small(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = rgb.shape[:2]
        share = self.least_px / min(height, width)
        if share >= 1:
            return rgb
        size = (round(width * share), round(height * share))
        return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
