"""Recordings that the video rows work on, made on the fly; every frame carries its number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.helpers.clips import picture

_CODE_PX = (40, 320)
_SHAKE_PX = 256
_X264 = {"preset": "veryfast", "x264-params": "scenecut=0:open-gop=0:threads=2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A recording.

    Attributes:
        codec: FFmpeg's encoder.
        megabits: per second.
        gop: frames between keyframes.
        rate: frames per second.
        frames: how many.
        size_px: width, height.
        grain: strength of the noise that costs bits.
        suffix: names the container.
    """

    codec: str = "libx264"
    megabits: float = 12.0
    gop: int = 250
    rate: int = 30
    frames: int = 600
    size_px: tuple[int, int] = (1920, 1080)
    grain: int = 9
    suffix: str = ".mp4"


HARD = Kind()
EASY = Kind(megabits=2.0, gop=25, frames=250, grain=0)
MOTION_JPEG = Kind(codec="mjpeg", megabits=30.0, gop=1, frames=120, grain=0, suffix=".avi")
FAST = Kind(rate=60, gop=60, frames=480, grain=3)
USUAL = Kind(gop=30, frames=240, grain=3)
_MINUTE = Kind(megabits=0.12, gop=50, frames=1800, size_px=(640, 360), grain=0)
_MINUTES = 120


def make(folder: Path, kind: Kind) -> Path:
    """Write a recording; a second call with the same kind answers the first one's file."""
    path = (
        folder / f"{kind.codec}-{kind.megabits}-{kind.gop}-{kind.rate}-{kind.frames}{kind.suffix}"
    )
    if path.exists():
        return path
    is_jpeg = kind.codec == "mjpeg"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            kind.codec, rate=kind.rate, options={} if is_jpeg else dict(_X264)
        )
        stream.width, stream.height = kind.size_px
        stream.pix_fmt = "yuvj420p" if is_jpeg else "yuv420p"
        stream.bit_rate, stream.gop_size = round(kind.megabits * 1e6), kind.gop
        stream.codec_context.max_b_frames = 0 if is_jpeg else 3
        for number, rgb in enumerate(_pictures(kind)):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def two_hours(folder: Path, suffix: str) -> Path:
    """A two-hour recording; see ``minutes``."""
    return minutes(folder, suffix, _MINUTES)


def minutes(folder: Path, suffix: str, count: int) -> Path:
    """A recording of 640 x 360 at 30 frames/s: one coded minute, ``count`` times over."""
    minute, path = make(folder, _MINUTE), folder / f"{count}-minutes{suffix}"
    if path.exists():
        return path
    with av.open(str(minute)) as source, av.open(str(path), "w") as target:
        read = source.streams.video[0]
        packets = [
            (bytes(p), p.pts, p.dts, p.is_keyframe, p.duration)
            for p in source.demux(read)
            if p.size
        ]
        written = target.add_stream_from_template(read)
        length = round(_MINUTE.frames / _MINUTE.rate / read.time_base)
        for number in range(count):
            for data, pts, dts, is_key, duration in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base = written, read.time_base
                packet.pts, packet.dts = pts + number * length, dts + number * length
                packet.duration, packet.is_keyframe = duration, is_key
                target.mux(packet)
    return path


def _pictures(kind: Kind) -> Iterator[NDArray[np.uint8]]:
    """A texture like wet tissue that sways, with grain, and the frame's number in its corner."""
    rng = np.random.default_rng(0)
    width, height = kind.size_px
    rough = rng.standard_normal((height + _SHAKE_PX, width + _SHAKE_PX)).astype(np.float32)
    rough = cv2.GaussianBlur(rough, (0, 0), 1.2 if kind.grain > 3 else 6)
    texture = (rough / rough.std() * 28 + 110).clip(0, 255).astype(np.uint8)
    grains = rng.integers(-kind.grain, kind.grain + 1, (4, height, width), dtype=np.int16)
    rows, columns = _CODE_PX
    for number in range(kind.frames):
        x, y = int(120 + 90 * np.sin(number / 17)), int(120 + 90 * np.cos(number / 23))
        grey = texture[y : y + height, x : x + width] + grains[number % 4]
        rgb = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, 2)
        rgb[:rows, :columns] = picture(number % 60000)[:rows, :columns]
        yield rgb
