"""What follows a recording, at once or after a crash: its case is completed, its MP4 made.

Runs on the session's thread, on a background thread of the window at its start, or in a command.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.core.case import Asset
from app.core.errors import BadInput, TrocarError
from app.core.recording import LIVE_TIME_BASE, Gap, Recording, RecordingStage
from app.inference.new_case import save_thumbnail
from app.live.annotations import grown, timeline_correction
from app.live.deleting import finish_deletions
from app.video import (
    OpenCancelled,
    UndecodableFrame,
    VideoSource,
    describe_asset,
    full_hash,
    open_video,
    quick_hash,
)
from app.video.file_source import FileSource
from app.video.index import PacketIndex
from app.video.record.finalise import StaysMpegTs, finalise
from app.video.record.growing import GROWING

if TYPE_CHECKING:
    from app.store import Library

_GAP_AT_LEAST_S = 0.5
_GAP_STEPS = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A recording that a crash had interrupted, or that still had to be finished.

    Attributes:
        case_id: of which case.
        length_s: how much of it is there.
        was_interrupted: the program or the machine stopped while it was being written.
        sentence: for the user.
    """

    case_id: str
    length_s: float
    was_interrupted: bool
    sentence: str


def gaps_of(source: VideoSource) -> tuple[Gap, ...]:
    """Stretches of a recording without a picture, by the times of its pictures."""
    pts = source.index.pts
    if len(pts) < 2:
        return ()
    steps = np.diff(pts)
    usual = float(np.median(steps))
    least = max(_GAP_AT_LEAST_S / float(LIVE_TIME_BASE), _GAP_STEPS * usual)
    return tuple(
        Gap(start_pts=int(pts[i] + usual), end_pts=int(pts[i + 1]))
        for i in np.flatnonzero(steps >= least)
    )


def _all_gaps(recording: Recording, seen: tuple[Gap, ...]) -> tuple[Gap, ...]:
    """What was noted while it ran, and what a crash left unnoted."""
    noted = recording.gaps
    unnoted = [
        gap
        for gap in seen
        if all(gap.end_pts <= n.start_pts or gap.start_pts >= n.end_pts for n in noted)
    ]
    return tuple(sorted((*noted, *unnoted), key=lambda gap: gap.start_pts))


def complete(
    library: Library, recording: Recording, asset: Asset, index: PacketIndex | None = None
) -> tuple[Recording, Asset]:
    """The case of a recording that is written: its asset, gaps, picture and last phase.

    Args:
        library: open for writing.
        recording: as it was when it was last stored.
        asset: the same.
        index: the recorder's own; without it, as after a crash, the file is read through.

    Raises:
        BadInput: the file went, or holds no picture.
    """
    path = Path(recording.path)
    with FileSource(path, index=index) as source:
        fresh = describe_asset(path, asset.asset_id, source)
        gaps = _all_gaps(recording, gaps_of(source))
        sha256 = recording.sha256 or full_hash(path)
        asset = replace(fresh, sha256=sha256)
        written = replace(recording, stage=RecordingStage.WRITTEN, sha256=sha256, gaps=gaps)
        library.writer.put_recording(written, asset).result()
        _end_timeline(library, written, asset)
        try:
            save_thumbnail(library, written.case_id, asset, source)
        except UndecodableFrame as error:
            log.info("frame %d makes no picture for the case", error.index)
    return written, asset


def finish_recording(
    library: Library,
    recording: Recording,
    cancelled: Callable[[], bool] = lambda: False,
) -> Asset:
    """Make the MP4 of a written recording, put it in the recording's place, delete the MPEG-TS.

    Labels stay as they are: every picture keeps its pts.

    Raises:
        StaysMpegTs: as ``finalise``; the library knows it, and it is not tried again.
        BadInput, EnvironmentProblem: as ``finalise``; the MPEG-TS is kept.
        OpenCancelled: ``cancelled()`` answered true; it is done again at the next start.
    """
    path = Path(recording.path)
    target = _free(path.with_suffix(".mp4"))
    try:
        made = finalise(path, target, cancelled)
    except StaysMpegTs:
        _asset_of(library, recording)  # of a deleted case nothing is noted
        kept = replace(recording, stage=RecordingStage.KEPT)
        library.writer.put_recording(kept).result()
        raise
    try:
        asset = _asset_of(library, recording)
        with open_video(target, trusted=True) as source:
            fresh = describe_asset(target, asset.asset_id, source)
        # Its last frame ends where it did: a phase may run to there.
        fresh = replace(fresh, end_pts=asset.end_pts, sha256=full_hash(target))
        final = replace(recording, stage=RecordingStage.FINAL, payload_sha256=made.payload_sha256)
        library.writer.put_recording(final, fresh).result()
    except BadInput:
        # The case was deleted meanwhile: nobody would ever look for this file.
        _remove(target)
        raise
    _remove(path)
    return fresh


def recover(
    library: Library,
    cancelled: Callable[[], bool] = lambda: False,
    told: Callable[[Recovered], None] = lambda _recovered: None,
) -> tuple[Recovered, ...]:
    """Complete and finish what an earlier run of the program left behind.

    Args:
        library: open for writing.
        cancelled: asked now and then; what is left is done at the next start.
        told: called with each recording as soon as its case is whole.
    """
    found = []
    for case_id, sentence in finish_deletions(library):
        gone = Recovered(case_id=case_id, length_s=0.0, was_interrupted=False, sentence=sentence)
        told(gone)
        found.append(gone)
    for recording in library.recordings():
        if GROWING.is_growing(Path(recording.path)) or cancelled():
            continue
        try:
            one = _recover(library, recording, cancelled, told)
        except OpenCancelled:
            break
        except TrocarError as error:
            log.info("a recording was not finished: %s", error.detail)
            one = Recovered(
                case_id=recording.case_id,
                length_s=0.0,
                was_interrupted=recording.stage is RecordingStage.RUNNING,
                sentence=f"Case {recording.case_id}: {error.user_message}",
            )
            told(one)
        if one is not None:
            found.append(one)
    return tuple(found)


def _recover(
    library: Library,
    recording: Recording,
    cancelled: Callable[[], bool],
    told: Callable[[Recovered], None],
) -> Recovered | None:
    asset = _asset_of(library, recording)
    if recording.stage is RecordingStage.KEPT:
        return None
    if recording.stage is RecordingStage.FINAL:
        if _is_left_over(recording, asset, cancelled):
            _remove(Path(recording.path))
        return None
    was_interrupted = recording.stage is RecordingStage.RUNNING
    if was_interrupted:
        recording, asset = complete(library, recording, asset)
    length = _clock_words(asset.duration_ms)
    sentence = f"Recovered {length} of the recording of case {recording.case_id}."
    if not was_interrupted:
        sentence = f"The recording of case {recording.case_id} ({length}) was finished."
    if lost := _lost_bytes(library, recording):
        sentence += f" Its last {lost} bytes did not reach the disk."
    one = Recovered(
        case_id=recording.case_id,
        length_s=asset.duration_ms / 1000,
        was_interrupted=was_interrupted,
        sentence=sentence,
    )
    if was_interrupted:
        told(one)
    finish_recording(library, recording, cancelled)
    if not was_interrupted:
        told(one)
    return one


def _is_left_over(recording: Recording, asset: Asset, cancelled: Callable[[], bool]) -> bool:
    """Whether the MPEG-TS is still there beside the intact file that took its place.

    Never the last copy, and never another file that has its name by now.
    """
    path, present = Path(recording.path), Path(asset.path)
    if present == path or not path.is_file() or not present.is_file() or not recording.sha256:
        return False
    try:
        if path.samefile(present) or quick_hash(present) != asset.quick_hash:
            return False
        return full_hash(path, cancelled=cancelled) == recording.sha256
    except (OSError, TrocarError) as error:
        log.info("the MPEG-TS of a recording stays for now: %s", type(error).__name__)
        return False


def _lost_bytes(library: Library, recording: Recording) -> int:
    """Bytes that were reported as safe and are not in the file."""
    promised = max((f.end_byte for f in library.fragments(recording.asset_id)), default=0)
    return max(0, promised - Path(recording.path).stat().st_size)


def _asset_of(library: Library, recording: Recording) -> Asset:
    for asset in library.case(recording.case_id).assets:
        if asset.asset_id == recording.asset_id:
            return asset
    raise BadInput(f"Case {recording.case_id} has no such recording any more.")


def _end_timeline(library: Library, recording: Recording, asset: Asset) -> None:
    """The last phase that was keyed runs to the end of the recording."""
    before = library.human_timeline(recording.asset_id)
    if before is None:
        return
    after = grown(before.timeline, asset.start_pts, asset.end_pts)
    step = timeline_correction(
        recording.case_id, recording.asset_id, before, after, "End of the recording"
    )
    if step is not None:
        library.writer.commit(step).result()


def _free(path: Path) -> Path:
    """``path``, or one beside it that does not exist."""
    number = 2
    while path.exists():
        path = path.with_name(f"{path.stem.removesuffix(f' {number - 1}')} {number}{path.suffix}")
        number += 1
    return path


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        # Windows keeps a file that somebody has open; the next start tries again.
        log.info("the MPEG-TS of a recording stays for now: %s", error.strerror)


def _clock_words(duration_ms: float) -> str:
    seconds = int(duration_ms / 1000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
