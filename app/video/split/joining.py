"""Finds out which files are one recording, in which order, and what is lost between them.

Any thread but the GUI's. Names are compared first (``recorders``), then each file's own times
speak (``part_times``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm
from pathlib import Path

from app.core.case import Asset, Part
from app.core.errors import BadInput, Refused, TrocarError
from app.video.dicom.file import is_dicom
from app.video.dicom.folder import is_dicomdir
from app.video.dicom.survey import recordings_of
from app.video.fingerprint import describe_asset, joined_hash
from app.video.opening import open_video
from app.video.split.part_times import MOST_GAP_S, Glance, by_time, gap_s, gaps_ms, glance
from app.video.split.recorders import Group, group_by_name, video_files

_LOOKS_AT_ONCE = 3
_SPLIT_S, _SPLIT_BYTES = 300, 10**9
_MOST_UNITS_PER_S = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecording:
    """One recording among the files that were given.

    Attributes:
        files: its parts in the order of their names, or as given.
        by_time: the same by their own times, None where these say nothing.
        gaps_ms: per file of ``files``, what is lost before it; see ``Part.gap_ms``.
    """

    files: tuple[Glance, ...]
    by_time: tuple[Glance, ...] | None = None
    gaps_ms: tuple[float | None, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether the names and the times order the files alike."""
        return self.by_time is None or self.by_time == self.files


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies in a folder.

    Attributes:
        recordings: in the order of their names.
        left_out: (name, why) of files that look like video and cannot be opened.
    """

    recordings: tuple[FoundRecording, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def find_recordings(
    paths: Sequence[Path],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Found:
    """Group files and the videos of folders into recordings.

    Args:
        paths: files and folders; a file that cannot be opened is an error only where it is alone.
        progress: called with the files looked at and all of them.
        cancelled: asked between files.

    Raises:
        BadInput: a folder without a video, or none of its files can be opened.
        EnvironmentProblem: a folder cannot be read.
        OpenCancelled: ``cancelled()`` answered true.
    """
    files = list(dict.fromkeys(f for p in paths for f in _files_of(p, cancelled)))
    dicom = [f for f in files if is_dicom(f)]
    looks, left_out = _looks(files, progress, cancelled)
    groups = group_by_name(f for f in files if f not in dicom)
    groups += _by_series([looks[f] for f in dicom if f in looks])
    found: list[FoundRecording] = []
    for group in groups:
        there = [looks[f] for f in group.files if f in looks]
        found += _recordings(there, certain=group.certain)
    if not found:
        raise BadInput(f"None of these {len(files)} files can be opened: {left_out[0][1]}")
    return Found(recordings=tuple(found), left_out=tuple(left_out))


def _looks(
    files: Sequence[Path], progress: Callable[[int, int], None], cancelled: Callable[[], bool]
) -> tuple[dict[Path, Glance], list[tuple[str, str]]]:
    """A look at each file, and (name, why) of those that cannot be opened."""
    looks: dict[Path, Glance] = {}
    left_out: list[tuple[str, str]] = []
    pool = ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="trocar-look")
    try:
        coming = {p: pool.submit(glance, p, cancelled) for p in files}
        for path, look in coming.items():
            try:
                looks[path] = look.result()
            except TrocarError as error:
                if len(files) == 1:
                    raise
                left_out.append((path.name, error.user_message))
            progress(sum(c.done() for c in coming.values()), len(files))
    finally:
        pool.shutdown(cancel_futures=True)
    return looks, left_out


def _by_series(looks: Sequence[Glance]) -> tuple[Group, ...]:
    """DICOM recordings of one series together, by instance number; their times say the rest."""
    series: dict[str, list[Glance]] = defaultdict(list)
    for look in sorted(looks, key=lambda look: look.number):
        series[look.series].append(look)
    return tuple(Group(files=tuple(m.path for m in s), certain=False) for s in series.values())


def _files_of(path: Path, cancelled: Callable[[], bool]) -> Sequence[Path]:
    if path.is_dir():
        return video_files(path, cancelled)
    return recordings_of(path, cancelled) if is_dicomdir(path) else (path,)


def one_recording(
    named: Sequence[Path],
    *,
    join: bool = False,
    order: str | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Path, ...]:
    """The parts, in order, of the one recording that files and folders hold.

    Args:
        named: files and folders.
        join: all of them are one recording, whatever their names say.
        order: ``name``, ``time``; None: files as they were given, in a folder what both say.
        cancelled: asked between files.

    Raises:
        Refused: they hold several recordings, a file that cannot be opened, or names and times
            disagree about the order.
        BadInput, EnvironmentProblem, OpenCancelled: as ``find_recordings``.
    """
    if join and order is None and not any(p.is_dir() for p in named):
        return tuple(named)
    looked = find_recordings(named, cancelled=cancelled)
    if looked.left_out:
        # A part that is lost changes every time after it: a person says whether to go on.
        raise Refused(
            f"{looked.left_out[0][1]} Take it away, or name the files of the recording one by one "
            "with --join."
        )
    found = looked.recordings
    if len(found) > 1 and not join:
        several = "; ".join(_list([f.path for f in r.files]) for r in found[:4])
        more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
        raise Refused(
            f"{named[0].name} holds {len(found)} recordings: {several}{more}. Name the files of "
            "one, or join all of them with --join."
        )
    return in_order(regrouped([look for r in found for look in r.files]), order)


def regrouped(files: Sequence[Glance]) -> FoundRecording:
    """These files as one recording, in this order."""
    return FoundRecording(files=tuple(files), by_time=by_time(files), gaps_ms=gaps_ms(files))


def in_order(found: FoundRecording, order: str | None) -> tuple[Path, ...]:
    """The files in the order that is asked for: ``name``, ``time``, or None where both agree.

    Raises:
        Refused: names and times disagree and no order is asked for.
        BadInput: the files have no times to be ordered by.
    """
    names = tuple(f.path for f in found.files)
    if order == "name" or len(names) == 1:
        return names
    if order == "time" and found.by_time is None:
        raise BadInput("The times of these files do not say in which order they were recorded.")
    times = names if found.by_time is None else tuple(f.path for f in found.by_time)
    if order is None and times != names:
        raise Refused(
            "The names and the times of the parts disagree about their order: by name "
            f"{_list(names)}; by time {_list(times)}. Choose with --order name or --order time."
        )
    return times


def describe_joined(
    files: Sequence[Path], asset_id: str, cancelled: Callable[[], bool] = lambda: False
) -> Asset:
    """The files, in this order, as one recording with one time; nothing is written.

    Raises:
        BadInput: as ``open_video``; or the files cannot be one recording.
        EnvironmentProblem, OpenCancelled: as ``open_video``.
    """
    if len({p.resolve() for p in files}) != len(files):
        raise BadInput("The same file was named twice as a part.")
    alone = []
    for path in files:
        with open_video(path, cancelled=cancelled) as source:
            alone.append(describe_asset(path, "", source))
    unit = lcm(*(a.time_base.denominator for a in alone))
    if unit > _MOST_UNITS_PER_S:
        raise BadInput(
            f"{files[0].name} and the files after it count time in units that have nothing in "
            "common; open them as separate cases."
        )
    base = Fraction(1, unit)
    lost = gaps_ms(_exact(alone, [glance(p, cancelled) for p in files]))
    parts: list[Part] = []
    at = 0
    for asset, gap in zip(alone, lost, strict=True):
        own = asset.files[0]
        units = int(own.time_base / base)
        end = at + (asset.end_pts - asset.start_pts) * units
        steps = own.steps if units == 1 else _scaled_steps(own.steps, units)
        parts.append(replace(own, first_pts=at, end_pts=end, steps=steps, gap_ms=gap))
        at = end
    first = alone[0]
    return replace(
        first,
        asset_id=asset_id,
        quick_hash=joined_hash([p.quick_hash for p in parts]),
        time_base=base,
        start_pts=0,
        end_pts=at,
        frames=sum(p.frames for p in parts),
        steps="",
        parts=tuple(parts),
    )


def _recordings(looks: list[Glance], *, certain: bool) -> list[FoundRecording]:
    """One group of names, cut where the times say that another recording begins."""
    out: list[list[Glance]] = []
    certain = certain or _split_evenly(looks)
    for look in looks:
        lost_s = gap_s(out[-1][-1], look) if out else None
        follows = certain if lost_s is None else abs(lost_s) <= MOST_GAP_S
        # Where the order is in doubt, a person decides; nothing is cut.
        doubtful = certain and lost_s is not None and lost_s < 0
        if out and (follows or doubtful):
            out[-1].append(look)
        else:
            out.append([look])
    return [regrouped(files) for files in out]


def _split_evenly(looks: list[Glance]) -> bool:
    """Whether files are as long, or as large, as those that a recorder splits at a limit.

    Three or more of at least five minutes or a gigabyte, all alike but for a shorter last one.
    """
    if len(looks) < 3:
        return False
    *full, last = looks
    measures = (
        (_SPLIT_S, [f.duration_s for f in full], last.duration_s),
        (_SPLIT_BYTES, [f.bytes for f in full], last.bytes),
    )
    return any(
        min(sizes) >= least and min(sizes) > 0.98 * max(sizes) and rest < 1.02 * max(sizes)
        for least, sizes, rest in measures
    )


def _exact(alone: list[Asset], looks: list[Glance]) -> list[Glance]:
    """The glances with the times of the files' packets in place of their headers'."""
    return [
        replace(
            look,
            start_s=float(asset.start_pts * asset.time_base),
            duration_s=asset.duration_ms / 1000,
        )
        for asset, look in zip(alone, looks, strict=True)
    ]


def _scaled_steps(steps: str, units: int) -> str:
    from app.video.fingerprint import pack_steps, unpack_steps

    return pack_steps(unpack_steps(0, steps) * units)


def _list(paths: Sequence[Path]) -> str:
    names = [p.name for p in paths]
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])}, … {names[-1]}"
