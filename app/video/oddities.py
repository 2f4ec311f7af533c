"""What is odd about a file, in sentences: said by ``trocar probe`` and kept in its ``VideoInfo``.

Told from the packet index, the container's headers and the first picture; nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from app.video.container import video_streams
from app.video.deinterlace import is_top_field_first
from app.video.index import PacketIndex
from app.video.mp4_boxes import is_edit, video_track_boxes
from app.video.raster import has_odd_matrix, orientation, rotation_deg, wide_transfer
from app.video.tone import Transfer

# Time is missing where a step is longer than this, and than so many usual ones.
_GAP_S, _GAP_STEPS = 1.0, 8

_SUFFIXES = {
    "MP4 or QuickTime": ("mp4", "m4v", "mov", "3gp", "3g2", "qt", "f4v", "insv"),
    "Matroska or WebM": ("mkv", "webm", "mk3d"),
    "AVI": ("avi", "divx"),
    "MPEG-TS": ("ts", "m2ts", "mts", "m2t", "tts"),
    "MPEG-PS": ("mpg", "mpeg", "vob", "ps", "m2p", "mod"),
    "MXF": ("mxf",),
    "ASF": ("asf", "wmv"),
    "FLV": ("flv",),
    "Ogg": ("ogv", "ogg", "ogm"),
    "DV": ("dv", "dif"),
}
_NAMES = {
    "mov,mp4,m4a,3gp,3g2,mj2": "MP4 or QuickTime",
    "matroska,webm": "Matroska or WebM",
    "avi": "AVI",
    "mpegts": "MPEG-TS",
    "mpeg": "MPEG-PS",
    "mxf": "MXF",
    "asf": "ASF",
    "flv": "FLV",
    "ogg": "Ogg",
    "dv": "DV",
}


def missing_time(index: PacketIndex, time_base: Fraction) -> tuple[tuple[int, int], ...]:
    """(first pts, pts after it) of each stretch in which a recording shows no frame."""
    if len(index) < 3:
        return ()
    steps = np.diff(index.pts)
    usual = int(np.median(steps))
    least = max(usual * _GAP_STEPS, int(_GAP_S / time_base))
    before = np.flatnonzero(steps > least)
    return tuple((int(index.pts[i]) + usual, int(index.pts[i + 1])) for i in before)


def oddities(
    container: InputContainer,
    stream: VideoStream,
    index: PacketIndex,
    first: av.VideoFrame | None,
    path: Path,
) -> Iterator[str]:
    """Sentences about an open file.

    Args:
        container: the open file.
        stream: the one that is shown.
        index: its packet index.
        first: the first picture that decodes, None when none of the first ones does.
        path: of the file.
    """
    yield from _of_the_file(container, stream, path)
    yield from _of_the_count(stream, index, path)
    yield from _of_the_times(stream, index)
    yield from _of_the_order(index)
    if first is None:
        yield "None of the first frames decodes; the file is damaged or encrypted."
    else:
        yield from _of_the_picture(first, index)


def _of_the_file(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[str]:
    suffix = path.suffix.lower().removeprefix(".")
    kind = _NAMES.get(container.format.name, "")
    named = next((name for name, known in _SUFFIXES.items() if suffix in known), "")
    if kind and named and kind != named:
        yield f"The file is named .{suffix}, but its container is {kind}."
    count = len(video_streams(container))
    if count > 1:
        yield f"It has {count} video streams; stream {stream.index} is the one shown."
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        yield f"Its pixels are not square ({aspect.numerator}:{aspect.denominator})."


def _of_the_count(stream: VideoStream, index: PacketIndex, path: Path) -> Iterator[str]:
    has_less = bool(stream.frames) and stream.frames != len(index)
    # Every MP4 with B-frames has an edit list; one that changes nothing else is no oddity.
    if (has_less or index.pts[0]) and _has_edits(path):
        yield "It has an edit list: what is shown is not all that is stored, or begins elsewhere."
    if has_less:
        yield f"The header names {stream.frames} frames; {len(index)} can be shown."
    if index.by_decode_time:
        yield "Some packets have no time of their own; theirs follow from those before them."
    if index.timeless:
        yield f"{index.timeless} packets have no time and are left out."
    if index.doubled:
        yield f"{index.doubled} packets share their time with another and are left out."


def _has_edits(path: Path) -> bool:
    try:
        return any(map(is_edit, video_track_boxes(path, b"edts", b"elst")))
    except OSError:
        # Of a file that was taken away while it is open, whoever reads its pictures tells.
        return False


def _of_the_times(stream: VideoStream, index: PacketIndex) -> Iterator[str]:
    unit = stream.time_base or Fraction(1)
    start = int(index.pts[0])
    if start:
        yield f"Its time begins at {float(start * unit):.3f} s, not at 0."
    steps = np.diff(index.pts)
    if has_variable_steps(index.pts):
        fastest, slowest = (float(n * unit * 1000) for n in (steps.min(), steps.max()))
        yield f"The frame rate varies: frames stand for {fastest:.1f} to {slowest:.1f} ms."
    for first, after in missing_time(index, unit):
        at_s, long_s = float((first - start) * unit), float((after - first) * unit)
        yield f"Time is missing: {long_s:.1f} s without a frame, {at_s:.1f} s after the start."


def has_variable_steps(pts: NDArray[np.int64]) -> bool:
    """Whether the steps between frames, pts (N,) ascending, differ by more than rounding."""
    if len(pts) < 3:
        return False
    steps = np.diff(pts)
    return bool(np.ptp(steps) > max(2, 0.02 * float(np.median(steps))))


def _of_the_order(index: PacketIndex) -> Iterator[str]:
    if index.unordered:
        yield f"{index.unordered} packets are out of order."
    if not np.array_equal(index.label, index.pts):
        yield "Its packets are timed in the order of decoding, not of showing."
    if not index.key.any():
        yield "The file has no keyframe: it can be played from the start, but seeking is slow."
    if leading := leading_frames(index):
        yield f"It has open groups of pictures: {leading} frames lean on the group before theirs."


def leading_frames(index: PacketIndex) -> int:
    """How many frames follow a keyframe in the file and are shown before it."""
    order = np.argsort(index.dts, kind="stable")
    pts, key = index.pts[order], index.key[order]
    newest_key = np.maximum.accumulate(np.where(key, np.arange(len(pts)), -1))
    leads = (newest_key >= 0) & (pts < pts[np.maximum(newest_key, 0)])
    return int(leads.sum())


def _of_the_picture(first: av.VideoFrame, index: PacketIndex) -> Iterator[str]:
    turn_deg = rotation_deg(orientation(first))
    if turn_deg:
        yield f"Its rotation: the picture is shown turned by {turn_deg} degrees."
    elif has_odd_matrix(first):
        yield "Its rotation is no quarter turn and is left out."
    if first.interlaced_frame:
        order = "top" if is_top_field_first(first) else "bottom"
        yield f"It is interlaced, {order} field first."
    for pts, width_px, height_px in index.sizes[1:].tolist():
        yield f"The picture is {width_px} x {height_px} from pts {pts} on."
    transfer = wide_transfer(first)
    if transfer is not None:
        kind = "wide colour" if transfer is Transfer.SDR else f"high dynamic range ({transfer})"
        yield f"It has {kind} and is shown in the colours of BT.709."
