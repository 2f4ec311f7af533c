"""Frames of a stretch encoded anew, with their own times. Runs on the caller's thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.frame import Frame
from app.video.clip.sound import Sound
from app.video.decoder import UndecodableFrame
from app.video.source import VideoSource

# High definition and below: matrix, primaries and transfer by ITU-T H.273.
_HD_HEIGHT_PX, _BT709, _BT601 = 720, 1, 6
_QUALITY = {"crf": "17", "preset": "veryfast"}
_QUIET = {"x265-params": "log-level=error"}
_GOP_FRAMES = 50


class ClipCancelled(Exception):
    """The caller's ``cancelled`` answered true; nothing was written."""


def muxer_options(path: Path) -> dict[str, str]:
    """Of a file that says nothing of who made it and when, and that plays while it is fetched."""
    options = {"fflags": "+bitexact"}
    if path.suffix.lower() in (".mp4", ".mov"):
        options["movflags"] = "+faststart"
    return options


def encode_frames(
    source: VideoSource,
    first: int,
    last: int,
    path: Path,
    *,
    draw: Callable[[Frame], NDArray[np.uint8]] | None,
    sound: bool,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
    encoder: str = "libx264",
) -> int:
    """Encode frames with the steps in time of the original; times begin at zero.

    By ``libx264`` (H.264) or ``libx265`` (HEVC). An odd side gets its last line twice, as 4:2:0
    asks for even ones.

    Returns:
        How many frames did not decode and repeat the one before them.

    Raises:
        BadInput: the picture changes its size within the stretch, or none of it decodes.
        ClipCancelled: ``cancelled()`` answered true.
    """
    pictures = _Pictures(source, draw)
    start_pts, base = source.pts(first), source.info.time_base
    with av.open(str(path), "w", options=muxer_options(path)) as out:
        options = _QUALITY | (_QUIET if encoder == "libx265" else {})
        stream: Any = out.add_stream(encoder, rate=source.info.frame_rate, options=options)
        kept = None
        for index in range(first, last + 1):
            if cancelled():
                raise ClipCancelled
            rgb = _even(pictures.at(index, last))
            if index == first:
                _set_up(stream, rgb, source)
            if rgb.shape[:2] != (stream.height, stream.width):
                raise BadInput(
                    f"The picture of {source.path.name} changes its size at frame {index}; make "
                    "two clips."
                )
            if sound and kept is None:
                end_pts = source.pts(last + 1) if last + 1 < len(source) else source.index.end_pts
                kept = Sound(source.path, out, start_pts * base, end_pts * base)
            if kept is not None:
                kept.write_until((source.pts(index) - start_pts) * base)
            out.mux(stream.encode(_frame(rgb, source, index, start_pts)))
            progress(index - first + 1, last - first + 1)
        out.mux(stream.encode(None))
        if kept is not None:
            kept.close()
    return pictures.repeated


class _Pictures:
    """Pictures by index; one that does not decode repeats the one before it."""

    def __init__(
        self, source: VideoSource, draw: Callable[[Frame], NDArray[np.uint8]] | None
    ) -> None:
        self.repeated = 0
        self._source, self._draw = source, draw
        self._newest: NDArray[np.uint8] | None = None

    def at(self, index: int, last: int) -> NDArray[np.uint8]:
        for place in range(index, last + 1):
            try:
                frame = self._source.frame(place)
            except UndecodableFrame:
                if place == index:
                    self.repeated += 1
                if self._newest is not None:
                    return self._newest
                # Before the first good picture there is only the next one to show.
                continue
            self._newest = frame.rgb if self._draw is None else self._draw(frame)
            return self._newest
        raise BadInput(
            f"No frame of this stretch of {self._source.path.name} can be shown; it is damaged."
        )


def _set_up(stream: Any, rgb: NDArray[np.uint8], source: VideoSource) -> None:
    stream.height, stream.width = rgb.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.gop_size = _GOP_FRAMES
    context = stream.codec_context
    # H.264 keeps its clock in 32 bits; every time base of a recording fits.
    context.time_base = source.info.time_base
    colour = _colour(rgb)
    context.colorspace = context.color_primaries = context.color_trc = colour
    context.color_range = 1
    context.sample_aspect_ratio = source.info.pixel_aspect


def _colour(rgb: NDArray[np.uint8]) -> int:
    return _BT709 if rgb.shape[0] >= _HD_HEIGHT_PX else _BT601


def _frame(
    rgb: NDArray[np.uint8], source: VideoSource, index: int, start_pts: int
) -> av.VideoFrame:
    matrix = Colorspace.ITU709 if _colour(rgb) == _BT709 else Colorspace.ITU601
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=matrix
    )
    picture.pts = source.pts(index) - start_pts
    picture.time_base = source.info.time_base
    end = source.pts(index + 1) if index + 1 < len(source) else source.index.end_pts
    picture.duration = end - source.pts(index)
    return picture


def _even(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return rgb
    return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
