"""Pictures into a video file. Runs on the caller's thread."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.video.written_whole import written_whole

CONTAINERS = (".mp4", ".mov", ".mkv", ".avi", ".ts")
ENCODERS = {"h264": "libx264", "hevc": "libx265", "mpeg4": "mpeg4"}


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: float = 25.0,
    codec: str = "h264",
    crf: int = 23,
    gop: int = 50,
) -> int:
    """Encode pictures; the file appears under its name only when it is whole.

    Args:
        path: the file; its suffix chooses the container.
        frames: RGB uint8 (H, W, 3), all of one size, even in both directions.
        fps: frames per second.
        codec: "h264", "hevc" or "mpeg4".
        crf: constant rate factor, lower is better; "mpeg4" ignores it.
        gop: frames from one keyframe to the next.

    Returns:
        How many frames were written.

    Raises:
        BadInput: no frames, an odd or changing size, a codec or container that is not known.
        EnvironmentProblem: the file cannot be written.
    """
    if codec not in ENCODERS:
        raise BadInput(f"{codec} cannot be written; choose one of {', '.join(ENCODERS)}.")
    if path.suffix.lower() not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise BadInput(f"{path.name} cannot be written; name it with one of {known}.")
    given = iter(frames)
    first = next(given, None)
    if first is None:
        raise BadInput(f"{path.name} was not written: there are no frames.")
    if first.shape[0] % 2 or first.shape[1] % 2:
        raise BadInput(f"{path.name} was not written: width and height must be even.")
    rate = Fraction(fps).limit_denominator(1001)
    with written_whole(path) as part:
        return _encode(part, chain([first], given), rate, codec, crf, gop)


def _encode(path, frames, rate, codec, crf, gop) -> int:
    count = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream(ENCODERS[codec], rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.gop_size = gop
        stream.thread_count = 1
        if codec != "mpeg4":
            stream.options = {"crf": str(crf), "preset": "medium"}
        for rgb in frames:
            if count == 0:
                stream.height, stream.width = rgb.shape[:2]
            elif rgb.shape[:2] != (stream.height, stream.width):
                raise BadInput(f"{path.name} was not written: the frames differ in size.")
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                container.mux(packet)
            count += 1
        for packet in stream.encode():
            container.mux(packet)
    return count
