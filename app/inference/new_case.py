"""The case of some recordings, as the commands make it: known again, or new with its picture."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from app.core.case import Asset, Case
from app.core.errors import BadInput, Refused
from app.core.taxonomy import UNKNOWN_PROCEDURE, find_taxonomy, list_taxonomies
from app.inference.preprocess import resized
from app.video import describe_asset, fingerprinted, open_recording, quick_hash

if TYPE_CHECKING:
    from app.store import Library

THUMBNAIL_WIDTH_PX = 480
_JPEG_QUALITY = 88
_THUMBNAIL_SHARE_OF_LENGTH = 1 / 3


def case_of(
    library: Library,
    files: Sequence[Path],
    *,
    case_id: str | None = None,
    procedure: str | None = None,
    title: str | None = None,
) -> Case:
    """The case of these recordings: the one named, the one that has them already, or a new one.

    A new case is named after its procedure, never after a file, whose name may be a patient's.
    A case that is there already keeps its procedure and title.

    Raises:
        BadInput: a file is no video, there is no such case, or no such procedure.
        Refused: the named case has other recordings.
    """
    if procedure is not None:
        check_procedure(procedure)
    hashes = [quick_hash(path) for path in files]
    if case_id is not None:
        case = library.case(case_id)
        if files and hashes != [a.quick_hash for a in case.assets]:
            raise Refused(
                f"Case {case_id} was made from other recordings; leave --case out to make a new "
                "case, or leave the files out to analyse that one."
            )
    else:
        if not files:
            raise BadInput("Name the video files to analyse, or a case with --case.")
        known = (c for c in library.cases() if hashes == [a.quick_hash for a in c.assets])
        found = next(known, None)
        if found is None:
            return _new_case(library, files, procedure, title)
        case = found
    return _at_these_paths(library, case, files)


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
                library.writer.set_fingerprints(asset.asset_id, found).result()


def _new_case(
    library: Library, files: Sequence[Path], procedure: str | None, title: str | None
) -> Case:
    if len({p.resolve() for p in files}) != len(files):
        raise BadInput("The same recording was named twice.")
    assets = tuple(describe_asset(path, uuid.uuid4().hex) for path in files)
    procedure = procedure or UNKNOWN_PROCEDURE
    if title is None:
        known = procedure != UNKNOWN_PROCEDURE
        title = find_taxonomy(procedure).name if known else "Recording"
    case = library.writer.create_case(title, procedure, assets).result()
    save_thumbnail(library, case.case_id, assets[0])
    return case


def save_thumbnail(library: Library, case_id: str, asset: Asset) -> None:
    """Keep a frame from a third of the recording as the case's picture."""
    with open_recording(asset, missing_ok=True) as source:
        seconds = asset.duration_ms / 1000 * _THUMBNAIL_SHARE_OF_LENGTH
        rgb = source.frame_at(seconds).rgb
    height = max(1, round(rgb.shape[0] * THUMBNAIL_WIDTH_PX / rgb.shape[1]))
    small = cv2.cvtColor(resized(rgb, THUMBNAIL_WIDTH_PX, height), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    library.save_thumbnail(case_id, jpeg.tobytes())


def _at_these_paths(library: Library, case: Case, files: Sequence[Path]) -> Case:
    """The case with the paths at which its recordings were named now."""
    moved = [
        replace(asset, path=str(path.absolute()))
        for asset, path in zip(case.assets, files, strict=False)
        if asset.path != str(path.absolute()) and not Path(asset.path).exists()
    ]
    for asset in moved:
        library.writer.update_asset(asset).result()
    return library.case(case.case_id) if moved else case
