"""Which files of a folder are the parts of one recording, by their names alone. Any thread.

Recorders split at 2 or 4 GB or every some minutes and count in the name; what counts is found by
comparing names, and known schemes (GoPro's chapters, DVD title sets) are read as their makers
wrote them.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.core.errors import BadInput, EnvironmentProblem
from app.video.dicom.folder import may_be_recording
from app.video.dicom.survey import recordings_among
from app.video.index import OpenCancelled

SUFFIXES = frozenset(
    {
        ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".vob", ".m2p", ".ts",
        ".m2ts", ".mts", ".m2t", ".mxf", ".wmv", ".asf", ".flv", ".ogv", ".dv", ".3gp",
    }
)  # fmt: skip
MOST_DEPTH = 6
MOST_FILES = 2000

_TIME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)[-_.T ]{0,3}([0-2]\d)[-_.:h]?([0-5]\d)"
    r"[-_.:m]?([0-5]\d)(?!\d)"
)
_GOPRO = re.compile(r"G[HXLP](\d\d)(\d{4})", re.IGNORECASE)
_GOPRO_FIRST = re.compile(r"GOPR(\d{4})", re.IGNORECASE)
_DVD_MENU = re.compile(r"VTS_\d\d_0|VIDEO_TS", re.IGNORECASE)
_PART_WORD = re.compile(
    r"(part|teil|partie|parte|chapter|ch|clip|seg(ment)?)[-_ ]*$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Files whose names count on.

    Attributes:
        files: in the order of their names.
        certain: the names alone say that they are parts; else their times must say so too.
    """

    files: tuple[Path, ...]
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """What a file's name says: what it shares with its siblings, and its place among them."""

    shared: tuple[object, ...]
    place: tuple[int, ...]
    certain: bool


def video_files(
    folder: Path, cancelled: Callable[[], bool] = lambda: False, *, most: int = MOST_FILES
) -> tuple[Path, ...]:
    """The video files of a folder and of those in it, in natural order; sidecars are left out.

    Args:
        folder: looked through to some depth.
        cancelled: asked between folders.
        most: more files than these are refused.

    Raises:
        EnvironmentProblem: the folder cannot be read.
        BadInput: it holds no video, or too many files to be a recorder's.
        OpenCancelled: ``cancelled()`` answered true.
    """
    found: list[Path] = []
    dicom: list[Path] = []

    def fail(error: OSError) -> None:
        raise EnvironmentProblem(
            f"The folder {folder.name} cannot be read ({error.strerror}); check its drive."
        ) from error

    for place, folders, names in os.walk(folder, onerror=fail):
        if cancelled():
            raise OpenCancelled
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) * (depth < MOST_DEPTH)
        found += [Path(place, n) for n in names if _is_video(n)]
        dicom += [path for n in names if may_be_recording(path := Path(place, n))]
        _check_count(folder, len(found), most)
    found += recordings_among(dicom, cancelled)
    _check_count(folder, len(found), most)
    if not found:
        raise BadInput(f"The folder {folder.name} holds no video that Trocar knows.")
    return tuple(sorted(found, key=lambda p: natural(str(p.relative_to(folder)))))


def _check_count(folder: Path, files: int, most: int) -> None:
    if files > most:
        raise BadInput(
            f"The folder {folder.name} holds more than {most} videos; choose the folder of "
            "one recording."
        )


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts ``part 10`` behind ``part 9``."""
    return tuple(
        (0, int(word), "") if word.isdecimal() else (1, 0, word.casefold())
        for word in re.findall(r"\d+|\D+", name)
    )


def named_utc_ms(path: Path) -> int | None:
    """The date and time in a file's name, taken as UTC, or None."""
    found = _TIME.search(path.stem)
    if found is None:
        return None
    try:
        moment = datetime(*(int(g) for g in found.groups()), tzinfo=UTC)  # type: ignore[misc]
    except ValueError:
        return None
    return int(moment.timestamp() * 1000)


def group_by_name(files: Iterable[Path]) -> tuple[Group, ...]:
    """Files grouped into what may be recordings, in the order of their first files."""
    groups: dict[tuple[object, ...], list[tuple[tuple[int, ...], Path]]] = defaultdict(list)
    certain: dict[tuple[object, ...], bool] = {}
    for path in files:
        name = _read(path)
        key = (path.parent, path.suffix.lower(), *name.shared)
        groups[key].append((name.place, path))
        certain[key] = name.certain
    out = []
    for key, members in groups.items():
        members.sort(key=lambda m: (m[0], natural(m[1].name)))
        places = {m[0] for m in members}
        # The same number twice: they do not count on after all.
        if len(places) < len(members):
            out += [Group(files=(path,), certain=True) for _, path in members]
        else:
            out.append(Group(files=tuple(p for _, p in members), certain=certain[key]))
    return tuple(sorted(out, key=lambda g: natural(str(g.files[0]))))


def _is_video(name: str) -> bool:
    path = Path(name)
    hidden = name.startswith(".") or _DVD_MENU.fullmatch(path.stem) is not None
    return path.suffix.lower() in SUFFIXES and not hidden


def _read(path: Path) -> _Name:
    stem = path.stem
    if chapter := _GOPRO.fullmatch(stem):
        return _Name(shared=("gopro", chapter[2]), place=(int(chapter[1]),), certain=True)
    if first := _GOPRO_FIRST.fullmatch(stem):
        return _Name(shared=("gopro", first[1]), place=(0,), certain=True)
    time = _TIME.search(stem)
    stamp = named_utc_ms(path)
    rest = (
        stem if time is None or stamp is None else f"{stem[: time.start()]}\0{stem[time.end() :]}"
    )
    words: Sequence[str] = re.findall(r"\d+|\D+", rest)
    numbers = [i for i, w in enumerate(words) if w.isdecimal()]
    counter = numbers[-1] if numbers else None
    after_time = stamp is not None and counter is not None and "\0" in "".join(words[:counter])
    if stamp is not None and not after_time:
        # The time counts; numbers before it name a channel or a camera.
        return _Name(shared=tuple(w.casefold() for w in words), place=(stamp,), certain=True)
    if counter is None:
        return _Name(shared=(stem.casefold(),), place=(), certain=True)
    shared = tuple("#" if i == counter else w.casefold() for i, w in enumerate(words))
    before = words[counter - 1] if counter else ""
    # A second number, a word that means a part, or nothing but a number counts parts; a lone
    # number behind a name may as well count operations.
    certain = len(numbers) > 1 or stamp is not None or not before or bool(_PART_WORD.search(before))
    return _Name(
        shared=(*shared, *([stamp] if stamp is not None else [])),
        place=(int(words[counter]),),
        certain=certain,
    )
