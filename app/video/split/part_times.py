"""What a file says of when it was recorded, and what is lost between two files. Any thread but GUI.

Clocks, the best one first: timestamps that go on from file to file, the moment written in the
header, the one in the name, the time of the last change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from app.video.container import open_container, video_stream
from app.video.dicom.file import is_dicom
from app.video.dicom.folder import glance_at
from app.video.opening import check_file
from app.video.split.recorders import named_utc_ms

MOST_GAP_S = 15 * 60.0
"""What lies further apart was not recorded in one go."""
_OVERLAP_S = 60.0
_CLOCK_S = 1.5
"""Moments in headers and names are whole seconds: less than this apart is no gap."""
_FILE_TIME_S = 30.0
_TS_WRAP_S = float(Fraction(1 << 33, 90_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a file's header says, without reading it through.

    Attributes:
        path: the file.
        bytes: its size.
        start_s: time of its first timestamp.
        duration_s: as the header says, 0 where it does not.
        width_px, height_px: of the pictures as they are stored.
        created_utc_ms: when it was recorded, by its header.
        named_utc_ms: when it was recorded, by its name.
        changed_utc_ms: when the file was last written to.
        wraps: its timestamps start again after 26.5 hours (MPEG).
        series: UID of a DICOM recording's series.
        number: of the recording in it.
    """

    path: Path
    bytes: int
    start_s: float
    duration_s: float
    width_px: int
    height_px: int
    created_utc_ms: int | None
    named_utc_ms: int | None
    changed_utc_ms: int
    wraps: bool
    series: str = ""
    number: int = 0


def glance(path: Path, cancelled: Callable[[], bool] = lambda: False) -> Glance:
    """Read a file's header, after a first look in a child process.

    Raises:
        BadInput, EnvironmentProblem, OpenCancelled: as ``open_video``.
    """
    check_file(path, cancelled)
    known = path.stat()
    if is_dicom(path):
        return _glance_at_dicom(path, known.st_size)
    with open_container(path) as container:
        stream = video_stream(container, path)
        base = stream.time_base or Fraction(1, 90_000)
        start = float(stream.start_time * base) if stream.start_time is not None else 0.0
        length = float(stream.duration * base) if stream.duration else 0.0
        if not length and container.duration:
            # Matroska's length counts from time 0, wherever the pictures begin.
            counts_from = max(0.0, start) if "matroska" in container.format.name else 0.0
            length = max(0.0, container.duration / 1e6 - counts_from)
        created = {**container.metadata, **stream.metadata}.get("creation_time", "")
        return Glance(
            path=path,
            bytes=known.st_size,
            start_s=start,
            duration_s=length,
            width_px=stream.codec_context.width,
            height_px=stream.codec_context.height,
            created_utc_ms=_utc_ms(created),
            named_utc_ms=named_utc_ms(path),
            changed_utc_ms=int(known.st_mtime * 1000),
            wraps=container.format.name in ("mpegts", "mpeg"),
        )


def by_time(files: Sequence[Glance]) -> tuple[Glance, ...] | None:
    """The files ordered by their own times, None where these do not order them."""
    for moments in _clocks(files):
        if moments is not None:
            return tuple(f for _, f in sorted(zip(moments, files, strict=True), key=lambda m: m[0]))
    return None


def gaps_ms(files: Sequence[Glance]) -> tuple[float | None, ...]:
    """Milliseconds lost before each file (negative: recorded twice), None where not known."""
    out: list[float | None] = [None] * len(files)
    for at in range(1, len(files)):
        lost = gap_s(files[at - 1], files[at])
        out[at] = None if lost is None else round(lost * 1000, 3)
    return tuple(out)


def _clocks(files: Sequence[Glance]) -> tuple[list[float] | None, ...]:
    """Per kind of clock the moments of the files, None where it does not order them."""
    pts: list[float] = [f.start_s for f in files]
    created = [f.created_utc_ms for f in files]
    named = [f.named_utc_ms for f in files]
    changed = [f.changed_utc_ms / 1000 - f.duration_s for f in files]
    return (
        pts if _apart(pts, files) else None,
        *(
            None if None in c or not _apart(seconds := [(m or 0) / 1000 for m in c], files)
            else seconds
            for c in (created, named)
        ),
        changed if _apart(changed, files) else None,
    )  # fmt: skip


def _apart(moments: list[float], files: Sequence[Glance]) -> bool:
    """Whether moments are as far apart as files of that length that follow one another."""
    order = sorted(range(len(files)), key=lambda i: moments[i])
    return all(
        moments[b] - moments[a] > max(0.5 * files[a].duration_s, 1e-3) for a, b in pairwise(order)
    )


def gap_s(before: Glance, after: Glance) -> float | None:
    """Seconds between two files by the best clock that both have."""
    end_s = before.start_s + before.duration_s
    start_s = after.start_s
    if before.wraps and after.wraps and end_s - start_s > _TS_WRAP_S / 2:
        start_s += _TS_WRAP_S
    overlap = min(_OVERLAP_S, before.duration_s / 2)
    if start_s > before.start_s and -overlap <= start_s - end_s <= MOST_GAP_S:
        # Timestamps that go on; rounding of a header's length is no gap.
        return 0.0 if abs(start_s - end_s) < 2e-3 else start_s - end_s
    for a, b in (
        (before.created_utc_ms, after.created_utc_ms),
        (before.named_utc_ms, after.named_utc_ms),
    ):
        if a is not None and b is not None and a != b:
            gap = (b - a) / 1000 - before.duration_s
            return 0.0 if abs(gap) <= _CLOCK_S else gap
    gap = (after.changed_utc_ms - before.changed_utc_ms) / 1000 - after.duration_s
    # The time of the last change says that files follow, but not how closely.
    return 0.0 if abs(gap) <= _FILE_TIME_S and after.duration_s > 2 * _FILE_TIME_S else None


def _glance_at_dicom(path: Path, size: int) -> Glance:
    look = glance_at(path)
    return Glance(
        path=path,
        bytes=size,
        start_s=0.0,
        duration_s=look.duration_s,
        width_px=look.size_px[0],
        height_px=look.size_px[1],
        created_utc_ms=look.recorded_utc_ms,
        named_utc_ms=None,
        # An archive writes its files whenever they are fetched.
        changed_utc_ms=0,
        wraps=False,
        series=look.series,
        number=look.number,
    )


def _utc_ms(text: str) -> int | None:
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # Recorders without a clock write 1904 or 1970.
        return int(moment.timestamp() * 1000) if moment.year >= 1990 else None
    return None
