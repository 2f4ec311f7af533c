"""Which DICOM files of a folder, or of a DICOMDIR, are recordings. Any thread but the GUI's.

Headers alone are read, of a video its container's too: in the child that ``survey`` asks, or after
a file's first look. A DICOMDIR names files of its own folder; what lies elsewhere is not followed
(PS3.10 §8, PS3.3 §F).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.core.errors import BadInput
from app.video.container import open_payload, video_stream
from app.video.dicom.bounds import bounded, pydicom_reader, quiet, unreadable
from app.video.dicom.file import DicomFile, NoPictures, is_dicom, read_dicom
from app.video.dicom.payload import ELEMENTARY, raw_payload
from app.video.dicom.times import TICKS_PER_S, frame_ticks

DICOMDIR = "DICOMDIR"
_SUFFIXES = ("", ".dcm", ".dicom", ".dic")
_MOST_BYTES = 64 << 20
_MOST_RECORDS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomGlance:
    """What a recording's header says of its place among others.

    Attributes:
        series: UID of its series.
        number: of the instance in the series.
        duration_s: as its stream says; of what has no times of its own, by count and rate of its
            frames in the header.
        size_px: width and height.
        recorded_utc_ms: its own clock taken as UTC, None where the header does not say.
    """

    series: str
    number: int
    duration_s: float
    size_px: tuple[int, int]
    recorded_utc_ms: int | None


def is_dicomdir(path: Path) -> bool:
    """Whether a file is the index of a DICOM medium."""
    return path.name.upper() == DICOMDIR and is_dicom(path)


def may_be_recording(path: Path) -> bool:
    """Whether a file is DICOM, by its name and its mark alone."""
    named = path.suffix.lower() in _SUFFIXES and path.name.upper() != DICOMDIR
    return named and is_dicom(path)


def is_recording(path: Path) -> bool:
    """Whether a DICOM file has more than one picture in it.

    Raises:
        BadInput: as ``read_dicom``.
    """
    try:
        file = read_dicom(path)
    except NoPictures:
        return False
    return bool(file.elementary) or file.declared_frames > 1


def glance_at(path: Path) -> DicomGlance:
    """Read where a recording belongs.

    Raises:
        BadInput: as ``read_dicom``, and its stream cannot be read.
    """
    file = read_dicom(path)
    return DicomGlance(
        series=str(file.dataset.get("SeriesInstanceUID", path.name)),
        number=int(file.number("InstanceNumber") or 0),
        duration_s=_stream_s(file)
        or frame_ticks(file, max(1, file.declared_frames))[-1] / TICKS_PER_S,
        size_px=file.size_px,
        recorded_utc_ms=_recorded(file),
    )


def _stream_s(file: DicomFile) -> float:
    """The length that the video itself says: headers promise frames that are not there."""
    payload = raw_payload(file) if file.elementary else None
    if payload is None or payload.format in ELEMENTARY:
        return 0.0
    with open_payload(payload) as container:
        stream = video_stream(container, file.path)
        return float((stream.duration or 0) * (stream.time_base or 0))


def _recorded(file: DicomFile) -> int | None:
    """When the recording began, by the first pair of elements that says it."""
    whole = str(file.dataset.get("AcquisitionDateTime", ""))
    pairs = [whole[:14]] + [
        str(file.dataset.get(f"{what}Date", "")) + str(file.dataset.get(f"{what}Time", ""))[:6]
        for what in ("Acquisition", "Content")
    ]
    for text in pairs:
        try:
            moment = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            continue
        return int(moment.timestamp() * 1000)
    return None


def named_in(dicomdir: Path) -> Iterator[Path]:
    """The files that a DICOMDIR names and that are there, in its order.

    Raises:
        BadInput: it cannot be read.
    """
    folder = dicomdir.parent.resolve()
    if dicomdir.stat().st_size > _MOST_BYTES:
        raise BadInput(f"The {dicomdir.name} is too large to be an index; it is damaged.")
    try:
        with bounded(dicomdir) as file, quiet():
            records = pydicom_reader().dcmread(file).get("DirectoryRecordSequence", [])
            names = [_components(r) for r in records[:_MOST_RECORDS]]
    except (*unreadable(), RecursionError) as error:
        raise BadInput(
            f"The {dicomdir.name} cannot be read; open the folder instead.",
            f"{type(error).__name__}: {error}",
        ) from error
    for components in names:
        path = _below(folder, components)
        if path is not None:
            yield path


def _components(record: Any) -> list[str]:
    named = record.get("ReferencedFileID")
    if record.get("DirectoryRecordType") != "IMAGE" or not named:
        return []
    return [named] if isinstance(named, str) else [str(n) for n in named]


def _below(folder: Path, components: list[str]) -> Path | None:
    """The file of a record, by the very names or as a system without capitals wrote them."""
    if not components or any(Path(c).name != c or c in (".", "..") for c in components):
        return None
    for names in (components, [c.lower() for c in components]):
        path = folder.joinpath(*names)
        if path.is_file() and path.resolve().is_relative_to(folder):
            return path
    return None
