"""The case of some recordings, as the commands make it: known again, or new with its picture."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from app.core.case import UNNAMED, Asset, Case
from app.core.errors import BadInput, Refused
from app.core.taxonomy import UNKNOWN_PROCEDURE, find_taxonomy, list_taxonomies
from app.inference.preprocess import resized
from app.video import (
    OpenCancelled,
    VideoSource,
    describe_asset,
    describe_joined,
    fingerprinted,
    joined_hash,
    open_recording,
    quick_hash,
)
from app.video.dicom.facts import facts_of

if TYPE_CHECKING:
    from app.store import Library

THUMBNAIL_WIDTH_PX = 480
_JPEG_QUALITY = 88
_THUMBNAIL_SHARE_OF_LENGTH = 1 / 3


def case_of(
    library: Library,
    files: Sequence[Path],
    *,
    joined: bool = False,
    case_id: str | None = None,
    procedure: str | None = None,
    title: str | None = None,
    stream: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Case:
    """The case of these recordings: the one named, the one that has them already, or a new one.

    A new case is named after its procedure, never after a file, whose name may be a patient's; one
    of a DICOM file also after the device in its header.
    A case that is there already keeps its procedure and title.

    Args:
        library: the open library.
        files: of the case, in order.
        joined: they are the parts of one recording.
        case_id: the case they must belong to.
        procedure, title: of a new case.
        stream: which video of files that hold several; None for the best one.
        cancelled: asked while new recordings are read; then there is no case of them.

    Raises:
        BadInput: a file is no video, there is no such case, or no such procedure.
        Refused: the named case has other recordings.
        OpenCancelled: ``cancelled()`` answered true.
    """
    if procedure is not None:
        check_procedure(procedure)
    recordings = [list(files)] if joined and files else [[path] for path in files]
    hashes = [[quick_hash(path) for path in recording] for recording in recordings]
    if case_id is not None:
        case = library.case(case_id)
        if files and not _is_made_of(case, hashes):
            raise Refused(
                f"Case {case_id} was made from other recordings; leave --case out to make a new "
                "case, or leave the files out to analyse that one."
            )
    else:
        if not files:
            raise BadInput("Name the video files to analyse, or a case with --case.")
        found = next((c for c in library.cases() if _is_made_of(c, hashes, stream)), None)
        if found is None:
            return _new_case(library, recordings, procedure, title, stream, cancelled)
        case = found
    return _at_these_paths(library, case, recordings, hashes)


def _is_made_of(case: Case, hashes: Sequence[Sequence[str]], stream: int | None = None) -> bool:
    """Whether a case has these recordings, as they were made or as they lie there now."""
    if len(hashes) != len(case.assets):
        return False
    if stream is not None and any(asset.stream != stream for asset in case.assets):
        return False
    return all(
        joined_hash(found) in (asset.quick_hash, joined_hash([f.quick_hash for f in asset.files]))
        for found, asset in zip(hashes, case.assets, strict=True)
    )


def check_procedure(procedure: str) -> None:
    """Raise ``BadInput`` unless a taxonomy of that procedure is installed."""
    known = [t.procedure for t in list_taxonomies()]
    if procedure not in known:
        raise BadInput(f"There is no procedure “{procedure}”; there are {', '.join(known)}.")


def complete_fingerprints(library: Library, case: Case) -> None:
    """Full hash and pictures of the files that lack them; of one that went, nothing."""
    for asset in case.assets:
        for file in asset.files:
            found = fingerprinted(file)
            if found is not None:
                library.writer.replace_file(asset.asset_id, file, found).result()


def _new_case(
    library: Library,
    recordings: Sequence[Sequence[Path]],
    procedure: str | None,
    title: str | None,
    stream: int | None,
    cancelled: Callable[[], bool],
) -> Case:
    writer = library.writer  # refused at once where it can only be read
    files = [path.resolve() for recording in recordings for path in recording]
    if len(set(files)) != len(files):
        raise BadInput("The same recording was named twice.")
    assets = tuple(_described(recording, stream, cancelled) for recording in recordings)
    facts = facts_of(files[0])
    procedure = procedure or UNKNOWN_PROCEDURE
    if facts is not None and procedure == UNKNOWN_PROCEDURE:
        procedure = _procedure_in(facts.descriptions)
    if title is None:
        known = procedure != UNKNOWN_PROCEDURE
        title = find_taxonomy(procedure).name if known else UNNAMED
        title += f", {facts.device}" if facts is not None and facts.device else ""
    if cancelled():
        raise OpenCancelled
    case = writer.create_case(title, procedure, assets).result()
    save_thumbnail(library, case.case_id, assets[0])
    return case


def _procedure_in(words: str) -> str:
    """The procedure whose name a description holds, else unknown."""
    known = (t.procedure for t in list_taxonomies() if t.procedure != UNKNOWN_PROCEDURE)
    return next((p for p in known if p in words.casefold()), UNKNOWN_PROCEDURE)


def _described(
    recording: Sequence[Path], stream: int | None, cancelled: Callable[[], bool]
) -> Asset:
    if len(recording) == 1:
        return describe_asset(recording[0], uuid.uuid4().hex, stream=stream, cancelled=cancelled)
    return describe_joined(recording, uuid.uuid4().hex, cancelled)


def save_thumbnail(
    library: Library, case_id: str, asset: Asset, source: VideoSource | None = None
) -> None:
    """Keep a frame from a third of the recording as the case's picture.

    Args:
        library: open for writing.
        case_id, asset: whose picture.
        source: the recording where it is open already.
    """
    opened = open_recording(asset, missing_ok=True) if source is None else nullcontext(source)
    with opened as found:
        seconds = asset.duration_ms / 1000 * _THUMBNAIL_SHARE_OF_LENGTH
        rgb = found.frame_at(seconds).rgb
    height = max(1, round(rgb.shape[0] * THUMBNAIL_WIDTH_PX / rgb.shape[1]))
    small = cv2.cvtColor(resized(rgb, THUMBNAIL_WIDTH_PX, height), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    library.save_thumbnail(case_id, jpeg.tobytes())


def _at_these_paths(
    library: Library,
    case: Case,
    recordings: Sequence[Sequence[Path]],
    hashes: Sequence[Sequence[str]],
) -> Case:
    """The case with the paths at which files that were moved were named now."""
    moved = False
    for asset, paths, found in zip(case.assets, recordings, hashes, strict=False):
        for file, path, quick in zip(asset.files, paths, found, strict=False):
            here = str(path.absolute())
            if file.path != here and file.quick_hash == quick and not Path(file.path).exists():
                after = replace(file, path=here)
                moved |= library.writer.replace_file(asset.asset_id, file, after).result()
    return library.case(case.case_id) if moved else case
