"""A case deleted together with the file that Trocar recorded for it. Any thread but the GUI's.

An original is never deleted: only what Trocar wrote itself, and only where it is still that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.case import Case
from app.core.errors import BadInput, EnvironmentProblem, Refused, TrocarError
from app.core.recording import Recording
from app.video import full_hash, quick_hash
from app.video.record.growing import GROWING

if TYPE_CHECKING:
    from app.store import Library

log = logging.getLogger(__name__)


def delete_with_recording(library: Library, case_id: str) -> tuple[Path, ...]:
    """Delete a case, then the files that Trocar recorded for it; those are returned.

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
    library.writer.delete_case(case_id).result()
    for file in own:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise EnvironmentProblem(
                f"Case {case_id} is deleted, but its recording {file.name} could not be "
                f"({error.strerror}); delete it in {file.parent}.",
                type(error).__name__,
            ) from error
    return tuple(own)


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
