"""Whether a file elsewhere is a recording's file: the same bytes, or the same pictures remuxed.

Any thread but the GUI's. Bytes are compared by the quick hash and, where it is known, the full
one. A remuxed or finalised file has other bytes: it is the same recording where it has as many
frames, nine of them decode to the same pixels, and its times are the old ones, scaled, shifted or
rounded to its own clock; a file that was cut or encoded again never is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.case import Part
from app.core.errors import BadInput
from app.video.container import open_container, video_streams
from app.video.fingerprint import STILL, full_hash, picture_hash, quick_hash, unpack_steps
from app.video.opening import open_video
from app.video.source import VideoSource
from app.video.split.part_times import glance

_LENGTH_SHARE = 0.02
_LENGTH_S = 1.0


class OtherTimes(BadInput):
    """A file shows a recording's pictures at times that do not map one to one."""


def moved_file(
    file: Part,
    path: Path,
    *,
    in_full: bool = True,
    cancelled: Callable[[], bool] = lambda: False,
) -> Part | None:
    """A recording's file as it lies at ``path``, None where that holds other bytes.

    Args:
        file: as it was.
        path: where it may lie now.
        in_full: compare the full hash too, where it is known.
        cancelled: asked while that is computed.

    Raises:
        EnvironmentProblem: the file cannot be read.
    """
    if quick_hash(path) != file.quick_hash:
        return None
    if in_full and file.sha256 and full_hash(path, cancelled=cancelled) != file.sha256:
        return None
    return replace(file, path=str(path.absolute()))


def remuxed_file(
    file: Part,
    time_base: Fraction,
    path: Path,
    cancelled: Callable[[], bool] = lambda: False,
) -> Part | None:
    """A recording's file as it lies at ``path`` in another container, None for another recording.

    Of several video streams, the only one with its pictures is taken.

    Args:
        file: as it was; its pictures and steps must be known.
        time_base: of the asset.
        path: a file with other bytes.
        cancelled: asked while it is looked at.

    Raises:
        OtherTimes: it shows the same pictures at other times.
        BadInput: it cannot be opened.
        EnvironmentProblem, OpenCancelled: as ``open_video``.
    """
    if file.pictures in ("", STILL) or not file.steps:
        return None
    length_s = float((file.end_pts - file.first_pts) * time_base)
    if not _may_be_as_long(path, length_s, cancelled):
        return None
    with open_video(path, cancelled=cancelled) as source:
        shown = [s.index for s in source.info.streams if s.may_be_shown]
        if len(shown) < 2:
            alike = _shows_the_same(file, source, cancelled)
            return _placed(file, time_base, path, source) if alike else None
    same = []
    for stream in shown:
        # A remux may have put the streams in another order.
        with open_video(path, stream=stream, cancelled=cancelled) as source:
            if _shows_the_same(file, source, cancelled):
                same.append(stream)
    if len(same) != 1:
        return None
    with open_video(path, stream=same[0], cancelled=cancelled) as source:
        return _placed(file, time_base, path, source)


def _may_be_as_long(path: Path, length_s: float, cancelled: Callable[[], bool]) -> bool:
    """Whether a stream of a file has about a length, as its header says; nothing is indexed."""

    def differs(other_s: float) -> bool:
        return abs(other_s - length_s) > _LENGTH_S + _LENGTH_SHARE * length_s

    look = glance(path, cancelled)
    if not look.duration_s or not differs(look.duration_s):
        return True
    with open_container(path) as container:
        streams = video_streams(container)
        lengths_s = [s.duration and float(s.duration * (s.time_base or 0)) for s in streams]
    # The stream that is shown first need not be the one that the case is of.
    return len(streams) > 1 and any(not found_s or not differs(found_s) for found_s in lengths_s)


def _shows_the_same(file: Part, source: VideoSource, cancelled: Callable[[], bool]) -> bool:
    return len(source) == file.frames and picture_hash(source, cancelled) == file.pictures


def _placed(file: Part, time_base: Fraction, path: Path, source: VideoSource) -> Part:
    own_base, own = source.info.time_base, source.index.pts
    old = unpack_steps(file.first_pts, file.steps)
    exact = _affine(own, own_base / time_base)
    follows = exact is None or not np.array_equal(exact, old - old[0])
    # Each clock rounds to its own unit, which may put a frame off by one unit of either.
    near_s = float(own_base + time_base)
    apart_s = (own - own[0]) * float(own_base) - (old - old[0]) * float(time_base)
    if follows and float(np.abs(apart_s).max()) > near_s:
        raise OtherTimes(
            f"{path.name} shows the pictures of {Path(file.path).name}, but at other times; labels "
            "would lie on other frames, so it is not taken for it."
        )
    return replace(
        file,
        path=str(path.absolute()),
        quick_hash=quick_hash(path),
        sha256="",
        stream=source.info.stream,
        time_base=own_base,
        start_pts=int(own[0]),
        follows_steps=follows,
    )


def _affine(own: NDArray[np.int64], unit: Fraction) -> NDArray[np.int64] | None:
    """Times from the first frame on in units of the asset, None where they are not whole."""
    scaled = (own - own[0]) * unit.numerator
    return None if (scaled % unit.denominator).any() else scaled // unit.denominator
