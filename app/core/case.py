"""A case: one procedure recorded, with its assets, predictions and corrections."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

from app.core import validate
from app.core.frame import ms_to_pts, pts_to_ms
from app.core.taxonomy import UNKNOWN_PROCEDURE

UNNAMED = "Recording"
"""Title of a case until somebody names it; the procedure is shown in its place."""


class CaseState(StrEnum):
    """Where the work on a case stands, as the case list shows it."""

    NEW = "new"
    WORKING = "working"
    QUESTIONS = "questions"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a recording, and its place in the recording's time.

    A frame's pts in the asset is ``first_pts + (own pts - start_pts) * time_base / asset's time
    base``, a whole number; where the file was remuxed into another clock, ``steps`` says it.

    Attributes:
        path: where the file lies now, absolute; never altered by Trocar.
        quick_hash: SHA-256 over size, first and last MiB.
        sha256: of the whole file, "" until the background hash is done.
        pictures: SHA-256 over some decoded pictures, "" until known; the same after a remux.
        stream: index of the video stream.
        time_base: of the file: seconds per unit of its own pts.
        start_pts: own pts of its first frame.
        first_pts: pts of that frame in the asset.
        end_pts: pts in the asset just after the last frame, where the next part begins.
        frames: number of presentable frames.
        width_px, height_px: its raster (upright), which may differ from that of other parts.
        steps: packed steps between the frames' pts in the asset, "" where not known.
        follows_steps: the frames' pts are those of ``steps``: the file was remuxed.
        gap_ms: time that the recorder lost before this part; negative: recorded twice; None: not
            known.
    """

    path: str
    quick_hash: str
    sha256: str = ""
    pictures: str = ""
    stream: int
    time_base: Fraction
    start_pts: int
    first_pts: int
    end_pts: int
    frames: int
    width_px: int
    height_px: int
    steps: str = ""
    follows_steps: bool = False
    gap_ms: float | None = None

    def __post_init__(self) -> None:
        validate.positive("Part.frames", self.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One recorded medium of a case: a file, or the files of a split recording as one.

    Imported labels without a recording stand on an asset that has no file: it has a time and
    nothing to see (``has_recording``).

    Attributes:
        asset_id: for life.
        path: where the file lies now, absolute; of several, the first one; "" without a recording.
        quick_hash: SHA-256 over size, first and last MiB: known at once; of several files, over
            theirs. It says what the case was made from, and stays.
        sha256: of the whole file, "" until the background hash is done; "" where there are parts.
        stream: index of the video stream.
        time_base: seconds per pts unit.
        start_pts: pts of the first presentable frame.
        end_pts: pts just after the last presentable frame.
        frames: number of presentable frames; without a recording, of moments that have labels.
        width_px, height_px: the raster (upright); 0 without a recording.
        codec: FFmpeg's name.
        pictures, steps: of the file, as a part has them; "" where there are parts.
        parts: the files of a split recording, contiguous in its time, or the one file that took
            the place of the first after a remux; empty for a file as it was recorded.
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
    pictures: str = ""
    steps: str = ""
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        validate.positive("Asset.frames", self.frames)
        if self.has_recording:
            validate.positive("Asset.width_px", self.width_px)
            validate.positive("Asset.height_px", self.height_px)

    @property
    def has_recording(self) -> bool:
        """Whether there is, or was, something to see; False for labels alone."""
        return bool(self.path)

    @property
    def files(self) -> tuple[Part, ...]:
        """The files it is made of, in order; a single one as a part that is the whole."""
        if not self.has_recording:
            return ()
        return self.parts or (
            Part(
                path=self.path,
                quick_hash=self.quick_hash,
                sha256=self.sha256,
                pictures=self.pictures,
                stream=self.stream,
                time_base=self.time_base,
                start_pts=self.start_pts,
                first_pts=self.start_pts,
                end_pts=self.end_pts,
                frames=self.frames,
                width_px=self.width_px,
                height_px=self.height_px,
                steps=self.steps,
            ),
        )

    def with_file(self, position: int, file: Part) -> Asset:
        """The same recording with another file, or another place of one, at ``position``."""
        files = [*self.files]
        files[position] = file
        path = files[0].path
        alone = replace(self, path=path, sha256=file.sha256, pictures=file.pictures, parts=())
        return alone if (file,) == alone.files else replace(self, path=path, parts=tuple(files))

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
