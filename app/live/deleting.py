"""A case deleted together with the file that Trocar recorded for it. Any thread but the GUI's.

The intent is stored first, then the files go, then the case: what a crash interrupts is finished by
``finish_deletions``. An original is never deleted: only what Trocar wrote itself, and only where it
is still that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.case import Case
from app.core.errors import BadInput, EnvironmentProblem, Refused, TrocarError
from app.core.recording import Recording, RecordingStage
from app.video import full_hash, quick_hash
from app.video.record.growing import GROWING

if TYPE_CHECKING:
    from app.store import Library

log = logging.getLogger(__name__)


def delete_with_recording(library: Library, case_id: str) -> tuple[Path, ...]:
    """Delete the files that Trocar recorded for a case, then the case; the files are returned.

    A file that was changed, that another case shows too, or that is not there is left alone.

    Raises:
        BadInput: no such case, or Trocar recorded none of it.
        Refused: it is still being recorded.
        EnvironmentProblem: the case is deleted, but a file could not be.
    """
    case = library.case(case_id)
    recordings = library.recordings(case_id)
    if not recordings:
        raise BadInput(
            f"Case {case_id} has no recording that Trocar made; its video file is an original, "
            "which Trocar never deletes."
        )
    if any(GROWING.is_growing(Path(recording.path)) for recording in recordings):
        raise Refused(f"Case {case_id} is still being recorded; end the recording first.")
    elsewhere = {
        Path(file.path)
        for other in library.cases()
        if other.case_id != case_id
        for asset in other.assets
        for file in asset.files
    }
    own = [f for r in recordings for f in _own_files(case, r) if f not in elsewhere]
    for recording in recordings:
        intent = replace(recording, stage=RecordingStage.DELETING)
        library.writer.put_recording(intent).result()
    left = [(file, error) for file in own if (error := _unlinked(file)) is not None]
    library.writer.delete_case(case_id).result()
    for file, error in left:
        raise EnvironmentProblem(
            f"Case {case_id} is deleted, but its recording {file.name} could not be "
            f"({error.strerror}); delete it in {file.parent}.",
            type(error).__name__,
        ) from error
    return tuple(own)


def finish_deletions(library: Library) -> Iterator[tuple[str, str]]:
    """Do what a crash interrupted; each case, with a sentence for the user."""
    begun = {r.case_id for r in library.recordings() if r.stage is RecordingStage.DELETING}
    for case_id in sorted(begun):
        try:
            delete_with_recording(library, case_id)
        except TrocarError as error:
            yield case_id, error.user_message
        else:
            yield case_id, f"Case {case_id} and its recording, whose deletion broke off, are gone."


def _unlinked(file: Path) -> OSError | None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        return error
    return None


def _own_files(case: Case, recording: Recording) -> Iterator[Path]:
    """The recording where it lies now, and the MPEG-TS where that has not gone yet."""
    written = Path(recording.path)
    for asset in case.assets:
        if asset.asset_id == recording.asset_id:
            for file in asset.files:
                path = Path(file.path)
                # Until it is whole, nothing is known of it but its name, which Trocar gave.
                if path.is_file() and (not file.quick_hash or _is(path, quick=file.quick_hash)):
                    yield path
            is_left = written != Path(asset.path) and written.is_file()
            if is_left and _is(written, sha256=recording.sha256):
                yield written


def _is(path: Path, *, quick: str = "", sha256: str = "") -> bool:
    try:
        return quick_hash(path) == quick if quick else full_hash(path) == sha256
    except TrocarError as error:
        log.info("a recording is left where it is: %s", type(error).__name__)
        return False
