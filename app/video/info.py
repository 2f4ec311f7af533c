"""What a file holds, in the program's words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.frame import pts_to_ms
from app.video.index import PacketIndex
from app.video.raster import orientation, rotation_deg


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """One stream of a container.

    Attributes:
        index: in the container.
        kind: ``video``, ``audio``, ``subtitle``, ``data``, ``attachment``.
        codec: FFmpeg's name, "" when unknown.
    """

    index: int
    kind: str
    codec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a file holds.

    Attributes:
        frames: number of presentable frames.
        duration_ms: from the first frame's start to the last one's end.
        width_px, height_px: the raster, upright.
        codec, container: FFmpeg's names.
        frame_rate: mean frames per second.
        is_variable_rate: the steps between frames differ by more than rounding.
        is_interlaced: the first frame is made of two fields.
        rotation_deg: clockwise turn that makes the stored picture upright.
        time_base: seconds per pts unit.
        start_pts, end_pts: of the first frame; just after the last one.
        stream: index of the stream in the container.
        streams: all of the container's streams.
        problems: sentences about what is wrong with the file.
    """

    frames: int
    duration_ms: float
    width_px: int
    height_px: int
    codec: str
    container: str
    frame_rate: Fraction
    is_variable_rate: bool
    is_interlaced: bool
    rotation_deg: int
    time_base: Fraction
    start_pts: int
    end_pts: int
    stream: int
    streams: tuple[StreamInfo, ...] = ()
    problems: tuple[str, ...] = ()


def describe(
    container: InputContainer,
    stream: VideoStream,
    index: PacketIndex,
    first: av.VideoFrame | None,
    name: str,
) -> VideoInfo:
    """Describe an open file.

    Args:
        container: the open file.
        stream: the one that is shown.
        index: its packet index.
        first: the first picture that decodes, None when none of the first ones does.
        name: of the file, for the sentence.

    Raises:
        BadInput: the size of its picture is unknown.
    """
    context, time_base = stream.codec_context, stream.time_base
    width_px, height_px, turn_deg, interlaced = context.width, context.height, 0, False
    problems = list(_index_problems(index))
    if first is None:
        problems.append("None of the first frames decodes; the file is damaged or encrypted.")
    else:
        matrix = orientation(first)
        turn_deg, interlaced = rotation_deg(matrix), bool(first.interlaced_frame)
        sides = (first.width, first.height)
        width_px, height_px = sides if matrix[0] else sides[::-1]
    if not width_px or not height_px or not time_base:
        raise BadInput(f"{name}: the size of its picture is unknown; it is damaged.")
    rate, variable = frame_rate(index.pts, time_base, stream.average_rate)
    return VideoInfo(
        frames=len(index),
        duration_ms=pts_to_ms(index.end_pts, int(index.pts[0]), time_base),
        width_px=width_px,
        height_px=height_px,
        codec=context.codec.canonical_name,
        container=container.format.name,
        frame_rate=rate,
        is_variable_rate=variable,
        is_interlaced=interlaced,
        rotation_deg=turn_deg,
        time_base=time_base,
        start_pts=int(index.pts[0]),
        end_pts=index.end_pts,
        stream=stream.index,
        streams=tuple(_stream_info(s) for s in container.streams),
        problems=tuple(problems),
    )


def _stream_info(stream: av.stream.Stream) -> StreamInfo:
    context = stream.codec_context
    codec = "" if context is None else context.codec.canonical_name
    return StreamInfo(index=stream.index, kind=stream.type, codec=codec)


def _index_problems(index: PacketIndex) -> Iterator[str]:
    if index.timeless:
        yield f"{index.timeless} packets have no time and are left out."
    if index.doubled:
        yield f"{index.doubled} packets share their time with another and are left out."
    if not index.key.any():
        yield "The file has no keyframe: it can be played from the start, but seeking is slow."


def frame_rate(
    pts: NDArray[np.int64], time_base: Fraction, declared: Fraction | None
) -> tuple[Fraction, bool]:
    """Mean frames per second, and whether the steps differ by more than rounding explains."""
    if len(pts) < 2:
        return declared or Fraction(25), False
    measured = Fraction(len(pts) - 1) / (int(pts[-1] - pts[0]) * time_base)
    steps = np.diff(pts)
    variable = bool(np.ptp(steps) > max(2, 0.02 * float(np.median(steps))))
    if declared and abs(measured - declared) < declared / 1000:
        return declared, variable
    return measured.limit_denominator(100_000), variable
