"""What a file holds, in the program's words."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.frame import pts_to_ms
from app.core.recording import Raster
from app.video.container import check_extent, video_streams
from app.video.deinterlace import is_top_field_first
from app.video.index import PacketIndex
from app.video.oddities import has_variable_steps, missing_time, oddities
from app.video.raster import orientation, rotation_deg

# Beyond it a declared pixel aspect is a slip of the muxer.
_LEAST_ASPECT = Fraction(1, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """One stream of a container.

    Attributes:
        index: in the container.
        kind: ``video``, ``audio``, ``subtitle``, ``data``, ``attachment``.
        codec: FFmpeg's name, "" when unknown.
        width_px, height_px: of a video stream, as stored; 0 otherwise.
        may_be_shown: a video stream that is no cover picture.
    """

    index: int
    kind: str
    codec: str
    width_px: int = 0
    height_px: int = 0
    may_be_shown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a file holds.

    Attributes:
        frames: number of presentable frames.
        duration_ms: from the first frame's start to the last one's end.
        width_px, height_px: the raster, upright; of several sizes the first one.
        codec, container: FFmpeg's names.
        frame_rate: mean frames per second.
        is_variable_rate: the steps between frames differ by more than rounding.
        is_interlaced: the first frame is made of two fields.
        field_order: ``top`` or ``bottom``, the field that comes first; "" for whole pictures.
        pixel_aspect: width of a pixel of the raster over its height; the view alone stretches.
        rasters: where the pictures change their size, the first size among them; else empty.
        gaps: (pts, pts) of each stretch in which the recording shows no frame.
        rotation_deg: clockwise turn that makes the stored picture upright.
        time_base: seconds per pts unit.
        start_pts, end_pts: of the first frame; just after the last one.
        stream: index of the stream in the container.
        streams: all of the container's streams.
        problems: sentences about what is odd or wrong with the file.
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
    field_order: str = ""
    pixel_aspect: Fraction = Fraction(1)
    rasters: tuple[Raster, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()


def describe(
    container: InputContainer,
    stream: VideoStream,
    index: PacketIndex,
    first: av.VideoFrame | None,
    path: Path,
) -> VideoInfo:
    """Describe an open file.

    Args:
        container: the open file.
        stream: the one that is shown.
        index: its packet index.
        first: the first picture that decodes, None when none of the first ones does.
        path: of the file.

    Raises:
        BadInput: the size of its picture is unknown, it is too long or too fast.
    """
    context, time_base = stream.codec_context, stream.time_base
    sides, matrix, order = (context.width, context.height), (1, 0, 0, 1), ""
    if first is not None:
        sides, matrix = (first.width, first.height), orientation(first)
        if first.interlaced_frame:
            order = "top" if is_top_field_first(first) else "bottom"
    is_turned = not matrix[0]
    width_px, height_px = sides[::-1] if is_turned else sides
    if not width_px or not height_px or not time_base:
        raise BadInput(f"{path.name}: the size of its picture is unknown; it is damaged.")
    rate, variable = frame_rate(index.pts, time_base, stream.average_rate)
    duration_ms = pts_to_ms(index.end_pts, int(index.pts[0]), time_base)
    check_extent(duration_ms / 1000, float(rate), path)
    shown = {s.index for s in video_streams(container)}
    return VideoInfo(
        frames=len(index),
        duration_ms=duration_ms,
        width_px=width_px,
        height_px=height_px,
        codec=context.codec.canonical_name,
        container=container.format.name,
        frame_rate=rate,
        is_variable_rate=variable,
        is_interlaced=bool(order),
        field_order=order,
        rotation_deg=rotation_deg(matrix),
        pixel_aspect=_pixel_aspect(stream, is_turned=is_turned),
        rasters=_rasters(index, is_turned=is_turned),
        gaps=missing_time(index, time_base),
        time_base=time_base,
        start_pts=int(index.pts[0]),
        end_pts=index.end_pts,
        stream=stream.index,
        streams=tuple(_stream_info(s, may_be_shown=s.index in shown) for s in container.streams),
        problems=tuple(oddities(container, stream, index, first, path)),
    )


def _stream_info(stream: av.stream.Stream, *, may_be_shown: bool) -> StreamInfo:
    context = stream.codec_context
    return StreamInfo(
        index=stream.index,
        kind=stream.type,
        codec="" if context is None else context.codec.canonical_name,
        width_px=context.width if isinstance(context, av.VideoCodecContext) else 0,
        height_px=context.height if isinstance(context, av.VideoCodecContext) else 0,
        may_be_shown=may_be_shown,
    )


def _pixel_aspect(stream: VideoStream, *, is_turned: bool) -> Fraction:
    declared = stream.sample_aspect_ratio
    if not declared or not _LEAST_ASPECT <= declared <= 1 / _LEAST_ASPECT:
        return Fraction(1)
    return 1 / declared if is_turned else declared


def _rasters(index: PacketIndex, *, is_turned: bool) -> tuple[Raster, ...]:
    return tuple(
        Raster(
            first_pts=pts,
            width_px=height_px if is_turned else width_px,
            height_px=width_px if is_turned else height_px,
        )
        for pts, width_px, height_px in index.sizes.tolist()
    )


def frame_rate(
    pts: NDArray[np.int64], time_base: Fraction, declared: Fraction | None
) -> tuple[Fraction, bool]:
    """Mean frames per second, and whether the steps differ by more than rounding explains."""
    if len(pts) < 2:
        return declared or Fraction(25), False
    measured = Fraction(len(pts) - 1) / (int(pts[-1] - pts[0]) * time_base)
    variable = has_variable_steps(pts)
    if declared and abs(measured - declared) < declared / 1000:
        return declared, variable
    return measured.limit_denominator(100_000), variable
