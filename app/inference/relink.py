"""Finds recordings that were moved, renamed or remuxed, and tells the library where they are.

Runs on the caller's thread. Only the library is written to.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.case import Part
from app.core.errors import BadInput, EnvironmentProblem, TrocarError
from app.video.fingerprint import quick_hash
from app.video.opening import not_there
from app.video.split.recorders import SUFFIXES, natural
from app.video.split.relinking import OtherTimes, moved_file, remuxed_file

if TYPE_CHECKING:
    from app.store import Library

MOST_FILES = 20_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFile:
    """A file of a case that is not where it was.

    Attributes:
        case_id: the case.
        asset_id: its recording.
        time_base: of the recording.
        file: as it was.
    """

    case_id: str
    asset_id: str
    time_base: Fraction
    file: Part

    @property
    def name(self) -> str:
        """Its name when it was there."""
        return Path(self.file.path).name


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file that was found again.

    Attributes:
        missing: what it was.
        now: as it lies there now.
    """

    missing: MissingFile
    now: Part

    @property
    def is_remuxed(self) -> bool:
        """It has other bytes in another container, but the same pictures at the same times."""
        return self.now.quick_hash != self.missing.file.quick_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Relinked:
    """What was found.

    Attributes:
        found: files that lie elsewhere.
        missing: files that were not found.
        notes: sentences about files that look alike and were not taken.
    """

    found: tuple[FoundFile, ...]
    missing: tuple[MissingFile, ...]
    notes: tuple[str, ...] = ()


def missing_files(library: Library, case_id: str | None = None) -> tuple[MissingFile, ...]:
    """The files that are not where they were, of one case or of all."""
    cases = library.cases() if case_id is None else (library.case(case_id),)
    return tuple(
        MissingFile(
            case_id=case.case_id, asset_id=asset.asset_id, time_base=asset.time_base, file=file
        )
        for case in cases
        for asset in case.assets
        for file in asset.files
        if not_there(file)
    )


def relink(
    library: Library,
    places: Sequence[Path],
    *,
    case_id: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Relinked:
    """Look for missing files, and store where they are; see ``look_for``."""
    done = look_for(library, places, case_id=case_id, progress=progress, cancelled=cancelled)
    for one in done.found:
        library.writer.replace_file(one.missing.asset_id, one.missing.file, one.now).result()
    return done


def look_for(
    library: Library,
    places: Sequence[Path],
    *,
    case_id: str | None = None,
    in_full: bool = True,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Relinked:
    """Look for missing files in folders and among files; nothing is stored.

    Args:
        library: the open library.
        places: folders, searched with those in them, and files.
        case_id: look for the files of this case alone.
        in_full: compare full hashes where they are known; else size, first and last MiB.
        progress: called with the files looked at and all of them.
        cancelled: asked between files; what was found so far counts.

    Raises:
        BadInput: a place is not there, or there is no such case.
        EnvironmentProblem: a folder cannot be read.
    """
    missing = missing_files(library, case_id)
    files = candidates(places, missing)
    found, left = _by_bytes(missing, files, in_full, progress, cancelled)
    still = [m for m in missing if m not in {f.missing for f in found}]
    remuxed, notes = _by_pictures(still, left, cancelled)
    gone = tuple(m for m in still if m not in {f.missing for f in remuxed})
    return Relinked(found=(*found, *remuxed), missing=gone, notes=tuple(notes))


def candidates(places: Iterable[Path], missing: Sequence[MissingFile]) -> list[Path]:
    """Files that may be what is missing: videos, and what is named like one that is missing.

    Raises:
        BadInput: a place is not there, or holds too many files.
        EnvironmentProblem: a folder cannot be read.
    """
    suffixes = SUFFIXES | {"", ".dcm"} | {Path(m.file.path).suffix.lower() for m in missing}
    out: list[Path] = []
    for place in places:
        if place.is_file():
            out.append(place)
            continue
        if not place.is_dir():
            raise BadInput(f"There is no folder {place}; name the one to look in.")

        def fail(error: OSError, place: Path = place) -> None:
            raise EnvironmentProblem(
                f"The folder {place.name} cannot be read ({error.strerror}); check its drive."
            ) from error

        for folder, folders, names in os.walk(place, onerror=fail):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            paths = (Path(folder, n) for n in names if not n.startswith("."))
            out += [p for p in paths if p.suffix.lower() in suffixes and p.is_file()]
            if len(out) > MOST_FILES:
                raise BadInput(
                    f"The folder {place.name} holds more than {MOST_FILES} files to look at; name "
                    "one nearer to the recordings."
                )
    return sorted(dict.fromkeys(out), key=lambda p: natural(str(p)))


def _by_bytes(
    missing: Sequence[MissingFile],
    files: Sequence[Path],
    in_full: bool,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> tuple[list[FoundFile], list[Path]]:
    """Files found by their hashes, and the files that hold other bytes."""
    found: dict[int, FoundFile] = {}
    left: list[Path] = []
    for done, path in enumerate(files):
        if cancelled():
            break
        progress(done, len(files))
        try:
            quick = quick_hash(path)
        except TrocarError as error:
            log.info("a file is passed over: %s", type(error).__name__)
            continue
        wanted = [i for i, m in enumerate(missing) if m.file.quick_hash == quick]
        if not wanted:
            left.append(path)
        for at in wanted:
            here = found.get(at)
            # Of several copies the one that kept its name.
            if here is not None and path.name != missing[at].name:
                continue
            now = moved_file(missing[at].file, path, in_full=in_full, cancelled=cancelled)
            if now is not None:
                found[at] = FoundFile(missing=missing[at], now=now)
    progress(len(files), len(files))
    return list(found.values()), left


def _by_pictures(
    missing: Sequence[MissingFile], files: Sequence[Path], cancelled: Callable[[], bool]
) -> tuple[list[FoundFile], list[str]]:
    """Files found by their pictures, and what to say of those that were not taken."""
    found: list[FoundFile] = []
    notes: list[str] = []
    for one in missing:
        stem = Path(one.file.path).stem
        for path in sorted(files, key=lambda p: p.stem != stem):
            if cancelled():
                return found, notes
            try:
                now = remuxed_file(one.file, one.time_base, path, cancelled)
            except OtherTimes as error:
                notes.append(error.user_message)
            except (BadInput, EnvironmentProblem) as error:
                log.info("a file is passed over: %s", type(error).__name__)
            else:
                if now is not None:
                    found.append(FoundFile(missing=one, now=now))
                    break
    return found, notes
