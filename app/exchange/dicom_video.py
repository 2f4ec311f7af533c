"""A recording, or a stretch of it, as DICOM Video Endoscopic Image Storage.

Packets are copied where a transfer syntax takes them as they are, else the frames are encoded as
H.264. The header is made anew. Runs on the caller's thread.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from app.core.case import Asset, Case
from app.core.errors import BadInput
from app.core.taxonomy import UNKNOWN_PROCEDURE, find_taxonomy
from app.exchange.case_export import Exported, write_readme, writing
from app.store import Library
from app.video import VideoSource, open_recording
from app.video.clip.export import Draw, Progress, frames_between
from app.video.dicom.stream import stream_for_dicom
from app.video.dicom.write import VideoHeader, uid_of, write_dicom_video

_ANATOMY = {
    "cholecystectomy": ("818981001", "Abdomen"),
    "hysterectomy": ("816092008", "Pelvis"),
}

DrawerOf = Callable[[Case, Asset], Draw]


def export_dicom_video(
    library: Library,
    case_id: str,
    out: Path,
    *,
    stretch_s: tuple[float, float] | None = None,
    drawer: DrawerOf | None = None,
    progress: Progress = lambda _done, _all: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Exported:
    """Write every recording of a case, or a stretch of the first, as DICOM video.

    Args:
        library: the open library.
        case_id: whose recordings.
        out: folder to write into.
        stretch_s: from and to, of the first recording; the whole of all by default.
        drawer: burns outlines and the research line into the frames.
        progress: told frames done and frames to do of each recording.
        cancelled: asked between frames.

    Raises:
        BadInput: there is no such case, or a recording is not where it was or not the same.
        EnvironmentProblem: the folder cannot be written.
        ClipCancelled: ``cancelled()`` answered true.
    """
    case = library.case(case_id)
    assets = case.assets[:1] if stretch_s else case.assets
    if not assets:
        raise BadInput(f"Case {case_id} has no recording.")
    copied, frames, path = 0, 0, out
    with writing(out):
        for asset in assets:
            with open_recording(asset) as source:
                first, last = 0, len(source) - 1
                if stretch_s is not None:
                    first, last = frames_between(source, *stretch_s)
                draw = drawer(case, asset) if drawer else None
                part = f"-frames-{first}-{last}" if last - first + 1 < len(source) else ""
                path = out / f"{asset.asset_id}{'-annotated' * (draw is not None)}{part}.dcm"
                copied += _write(
                    case, asset, source, (first, last), path, draw, progress, cancelled
                )
                frames += last - first + 1
        write_readme(out, case, "video as DICOM Video Endoscopic Image Storage")
    how = "copied unaltered" if copied == len(assets) else "encoded anew"
    return Exported(
        path=path,
        words=f"{frames} frames as DICOM video, {how},",
        counts={"recordings": len(assets), "frames": frames, "copied": copied},
    )


def header_of(
    case: Case, asset: Asset, source: VideoSource, stretch: tuple[int, int], *, annotated: bool
) -> VideoHeader:
    """What a DICOM file says of frames ``first`` to ``last`` of a recording.

    Its UIDs are the same whenever the same frames of the same recording are written.
    """
    first, last = stretch
    times = [source.pts(i) for i in range(first, last + 1)]
    times.append(source.pts(last + 1) if last + 1 < len(source) else source.info.end_pts)
    unit_ms = source.info.time_base * 1000
    whole = (first, last) == (0, len(source) - 1)
    part = [] if whole else [str(source.pts(first)), str(times[-1])]
    known = case.procedure != UNKNOWN_PROCEDURE
    return VideoHeader(
        instance_uid=uid_of(asset.asset_id, *part, "annotated" if annotated else "video"),
        series_uid=uid_of(asset.asset_id, "annotated series" if annotated else "video series"),
        study_uid=uid_of(*(a.asset_id for a in case.assets), "study"),
        patient_id=f"CASE-{case.case_id}",
        study=find_taxonomy(case.procedure).name if known else "Endoscopy",
        series="Recording with outlines" if annotated else "Recording",
        step_ms=[(b - a) * unit_ms for a, b in pairwise(times)],
        **({"anatomy": _ANATOMY[case.procedure]} if case.procedure in _ANATOMY else {}),
        sample_aspect=Fraction(source.info.pixel_aspect),
    )


def _write(
    case: Case,
    asset: Asset,
    source: VideoSource,
    stretch: tuple[int, int],
    path: Path,
    draw: Draw | None,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> bool:
    """Write one file; returns whether packets were copied."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".trocar-") as folder:
        stream, coding, is_copy = stream_for_dicom(
            source, stretch, Path(folder), draw=draw, progress=progress, cancelled=cancelled
        )
        header = header_of(case, asset, source, stretch, annotated=draw is not None)
        write_dicom_video(stream, path, header, coding)
    return is_copy
