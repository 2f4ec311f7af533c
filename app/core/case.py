"""A case: one procedure recorded, with its assets, predictions and corrections."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from app.core import validate
from app.core.frame import ms_to_pts, pts_to_ms
from app.core.taxonomy import UNKNOWN_PROCEDURE


class CaseState(StrEnum):
    """Where the work on a case stands, as the case list shows it."""

    NEW = "new"
    WORKING = "working"
    QUESTIONS = "questions"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One recorded medium of a case.

    Attributes:
        asset_id: for life.
        path: where the file lies now, absolute; never altered by Trocar.
        quick_hash: SHA-256 over size, first and last MiB: known at once.
        sha256: of the whole file, "" until the background hash is done.
        stream: index of the video stream.
        time_base: seconds per pts unit.
        start_pts: pts of the first presentable frame.
        end_pts: pts just after the last presentable frame.
        frames: number of presentable frames.
        width_px, height_px: the raster (upright).
        codec: FFmpeg's name.
    """

    asset_id: str
    path: str
    quick_hash: str
    sha256: str = ""
    stream: int
    time_base: Fraction
    start_pts: int
    end_pts: int
    frames: int
    width_px: int
    height_px: int
    codec: str

    def __post_init__(self) -> None:
        validate.positive("Asset.frames", self.frames)
        validate.positive("Asset.width_px", self.width_px)
        validate.positive("Asset.height_px", self.height_px)

    @property
    def duration_ms(self) -> float:
        """Length in milliseconds."""
        return pts_to_ms(self.end_pts, self.start_pts, self.time_base)

    def time_ms(self, pts: int) -> float:
        """Milliseconds of ``pts`` from the first presentable frame."""
        return pts_to_ms(pts, self.start_pts, self.time_base)

    def pts(self, time_ms: float) -> int:
        """The pts nearest to ``time_ms``; not necessarily that of a frame."""
        return ms_to_pts(time_ms, self.start_pts, self.time_base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case as the library lists it.

    Attributes:
        case_id: short, unique in the library, typed by users (``0001``).
        title: shown; never a patient's name.
        procedure: key of a taxonomy or ``unknown``.
        created_utc_ms: when it was made.
        assets: its recordings, in order.
        state: where the work stands.
        corrections: how many human corrections are in force.
    """

    case_id: str
    title: str
    procedure: str = UNKNOWN_PROCEDURE
    created_utc_ms: int
    assets: tuple[Asset, ...] = ()
    state: CaseState = CaseState.NEW
    corrections: int = 0
