"""A recording that Trocar makes of a live source, as the library keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from app.core.case import Case

LIVE_TIME_BASE = Fraction(1, 90_000)
"""Of every live pts: that of MPEG-TS, which the recording keeps."""


class RecordingStage(StrEnum):
    """How far a recording has come.

    ``RUNNING``: being written, or the program ended meanwhile. ``WRITTEN``: whole, as MPEG-TS.
    ``FINAL``: a plain MP4 has taken its place; the MPEG-TS may still have to go. ``KEPT``: the
    MPEG-TS stays the recording, since an MP4 cannot stand for it. ``DELETING``: its files go, then
    its case; what a crash interrupts is finished at the next start.
    """

    RUNNING = "running"
    WRITTEN = "written"
    FINAL = "final"
    KEPT = "kept"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Time without a signal: from just after the last frame to the first one that came again.

    Attributes:
        start_pts, end_pts: in 1/90000; the wall clock gives the length.
    """

    start_pts: int
    end_pts: int

    @property
    def length_s(self) -> float:
        """How long nothing came."""
        return float((self.end_pts - self.start_pts) * LIVE_TIME_BASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """From the frame at ``first_pts`` on the pictures have this size, upright."""

    first_pts: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A stretch of the recording that is safely on the disk.

    Attributes:
        position: from 0.
        first_pts, last_pts: lowest and highest pts of its pictures, in 1/90000.
        first_byte, end_byte: where it lies in the file.
        frames: how many pictures.
    """

    position: int
    first_pts: int
    last_pts: int
    first_byte: int
    end_byte: int
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What the library knows of a recording beside its case.

    Attributes:
        asset_id, case_id: whose it is.
        path: of the MPEG-TS file that is written while recording.
        source: for people; without user, password and query.
        started_utc_ms: when its first picture came.
        stage: how far it has come.
        sha256: of the MPEG-TS file as it was written, "" while it is.
        payload_sha256: over the coded pictures, the same in the MP4; "" until that is there.
        gaps: stretches without a signal.
        rasters: the sizes of its pictures.
    """

    asset_id: str
    case_id: str
    path: str
    source: str
    started_utc_ms: int
    stage: RecordingStage = RecordingStage.RUNNING
    sha256: str = ""
    payload_sha256: str = ""
    gaps: tuple[Gap, ...] = ()
    rasters: tuple[Raster, ...] = ()


def recorded_files(case: Case, recordings: Iterable[Recording]) -> tuple[str, ...]:
    """Paths of a case's files that Trocar recorded itself; those of originals are not among them.

    Args:
        case: which.
        recordings: of the case, as the library knows them.
    """
    made = {recording.asset_id for recording in recordings}
    return tuple(f.path for a in case.assets if a.asset_id in made for f in a.files)
