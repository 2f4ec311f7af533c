"""Makes tiny real clips whose every frame carries its number as a barcode.

The number survives every codec: 16 squares of 20 pixels and, under them, their inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH_PX, HEIGHT_PX = 320, 180
_BITS, _SQUARE_PX = 16, 20


def picture(number: int, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> NDArray[np.uint8]:
    """Frame ``number``: a moving gradient with its barcode in the upper left."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    frame = np.stack(
        [(x + 3 * number) % 256, (y + 2 * number) % 256, (x + y) % 256], axis=-1
    ).astype(np.uint8)
    bits = np.array([number >> bit & 1 for bit in range(_BITS)], np.uint8) * 255
    code = np.stack([bits, 255 - bits])
    block = np.kron(code, np.ones((_SQUARE_PX, _SQUARE_PX), np.uint8))
    frame[: 2 * _SQUARE_PX, : _BITS * _SQUARE_PX] = block[..., None]
    return frame


def number_of(rgb: NDArray[np.uint8]) -> int:
    """The number that a frame carries.

    Raises:
        ValueError: the barcode and its inverse do not agree.
    """
    centre = slice(_SQUARE_PX // 2, None, _SQUARE_PX)
    grey = rgb.mean(axis=2)[: 2 * _SQUARE_PX, : _BITS * _SQUARE_PX][centre, centre] > 128
    if not (grey[0] ^ grey[1]).all():
        raise ValueError("this picture carries no barcode")
    return int(sum(1 << bit for bit in range(_BITS) if grey[0, bit]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a clip is made.

    Attributes:
        suffix: names the container.
        codec: FFmpeg's encoder.
        options: of the encoder.
        container_options: of the muxer.
        pix_fmt: stored pixels.
        frames: how many.
        gop: frames between keyframes.
        b_frames: most B-frames in a row.
        rate: frames per second.
        pts_steps: repeated steps in units of 1 / (rate * 8), for variable rate; None for constant.
        start_s: when the first frame is shown.
        cut_before: frames hidden by an edit list (MP4 and MOV).
        rotation_deg: clockwise turn written to the container.
        interlaced: coded as fields.
        top_field_first: their order.
    """

    suffix: str = ".mp4"
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    pix_fmt: str = "yuv420p"
    frames: int = 60
    gop: int = 15
    b_frames: int = 2
    rate: int = 25
    pts_steps: Sequence[int] | None = None
    start_s: Fraction = Fraction(0)
    cut_before: int = 0
    rotation_deg: int = 0
    interlaced: bool = False
    top_field_first: bool = True
    width_px: int = WIDTH_PX
    height_px: int = HEIGHT_PX


_X264 = {"preset": "ultrafast", "crf": "20", "x264-params": "scenecut=0:open-gop=0"}
_X265 = {"preset": "ultrafast", "x265-params": "log-level=none:scenecut=0:pools=1:open-gop=0"}

RECIPES: dict[str, Recipe] = {
    "h264-mp4": Recipe(options=_X264),
    "h264-mp4-no-b": Recipe(options=_X264, b_frames=0),
    "h264-mkv": Recipe(suffix=".mkv", options=_X264),
    "h264-mov": Recipe(suffix=".mov", options=_X264),
    "h264-ts": Recipe(suffix=".ts", options=_X264),
    "h264-avi": Recipe(suffix=".avi", options=_X264, b_frames=0),
    "h264-avi-b": Recipe(suffix=".avi", options=_X264),
    "h264-open-gop-ts": Recipe(
        suffix=".ts", options={**_X264, "x264-params": "scenecut=0:open-gop=1"}, b_frames=3
    ),
    "h264-open-gop-mp4": Recipe(
        options={**_X264, "x264-params": "scenecut=0:open-gop=1"}, b_frames=3
    ),
    "h264-long-gop": Recipe(options=_X264, gop=250, frames=120, b_frames=3),
    "h264-fragmented": Recipe(
        options=_X264, container_options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "h264-one-frame": Recipe(options=_X264, frames=1),
    "h264-422-10": Recipe(options={**_X264, "profile": "high422"}, pix_fmt="yuv422p10le"),
    "hevc-mp4": Recipe(codec="libx265", options=_X265),
    "hevc-mkv-10": Recipe(suffix=".mkv", codec="libx265", options=_X265, pix_fmt="yuv420p10le"),
    "hevc-mov": Recipe(suffix=".mov", codec="libx265", options=_X265),
    "hevc-open-gop-ts": Recipe(
        suffix=".ts",
        codec="libx265",
        options={**_X265, "x265-params": "log-level=none:scenecut=0:pools=1:open-gop=1"},
    ),
    "mpeg4-avi": Recipe(suffix=".avi", codec="mpeg4", options={"qscale": "2"}),
    "mpeg4-avi-no-b": Recipe(suffix=".avi", codec="mpeg4", b_frames=0),
    "mjpeg-avi": Recipe(suffix=".avi", codec="mjpeg", pix_fmt="yuvj420p", b_frames=0),
    "mpeg2-ts": Recipe(suffix=".ts", codec="mpeg2video", options={"b": "4M"}),
    "mpeg2-ts-interlaced": Recipe(
        suffix=".ts", codec="mpeg2video", options={"b": "4M"}, interlaced=True
    ),
    "mpeg2-mpg": Recipe(suffix=".mpg", codec="mpeg2video", options={"b": "4M"}),
    "vfr-mp4": Recipe(options=_X264, pts_steps=(8, 3, 17, 8, 1, 11)),
    "vfr-mkv": Recipe(suffix=".mkv", options=_X264, pts_steps=(8, 3, 17, 8, 2, 11)),
    "late-start-mp4": Recipe(options=_X264, start_s=Fraction(7, 2)),
    "late-start-mkv": Recipe(suffix=".mkv", options=_X264, start_s=Fraction(90)),
    # The 33-bit clock of MPEG-TS starts again one and a half seconds into the clip.
    "clock-wraps-ts": Recipe(suffix=".ts", options=_X264, start_s=Fraction(95442)),
    "edit-list-mp4": Recipe(options=_X264, cut_before=7),
    "edit-list-mov": Recipe(suffix=".mov", options=_X264, cut_before=22),
    "rotated-mp4": Recipe(options=_X264, rotation_deg=90),
}


def make_clip(path: Path, recipe: Recipe) -> Path:
    """Write the clip of ``recipe`` to ``path`` (its suffix is the recipe's) and return it."""
    unit = Fraction(1, recipe.rate * 8)
    times = _times(recipe)
    with av.open(str(path), "w", options=_muxer_options(recipe)) as container:
        stream = container.add_stream(recipe.codec, rate=recipe.rate, options=recipe.options)
        stream.width, stream.height = recipe.width_px, recipe.height_px
        stream.pix_fmt, stream.gop_size = recipe.pix_fmt, recipe.gop
        context = stream.codec_context
        context.max_b_frames = recipe.b_frames
        context.thread_count = 1
        if recipe.pts_steps is not None:
            context.time_base = unit
        if recipe.interlaced:
            context.flags |= av.codec.context.Flags.interlaced_dct
            mark = _field_marker(stream, top_first=recipe.top_field_first)
        if recipe.rotation_deg:
            stream.set_display_rotation(-recipe.rotation_deg)
        for number in range(recipe.frames):
            rgb = picture(number, recipe.width_px, recipe.height_px)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=recipe.pix_fmt)
            frame.time_base = unit if recipe.pts_steps is not None else Fraction(1, recipe.rate)
            frame.pts = times[number]
            if recipe.interlaced:
                mark.push(frame)
                frame = mark.pull()
            _mux(container, stream.encode(frame), recipe)
        _mux(container, stream.encode(None), recipe)
    return path


def _field_marker(stream: av.video.stream.VideoStream, *, top_first: bool) -> av.filter.Graph:
    """Says of every picture that it is made of two fields, and which comes first."""
    graph = av.filter.Graph()
    shape = {"width": stream.width, "height": stream.height, "format": stream.pix_fmt}
    source = graph.add_buffer(**shape, time_base=Fraction(1, stream.codec_context.rate))
    marker = graph.add("setfield", "tff" if top_first else "bff")
    source.link_to(marker)
    marker.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _times(recipe: Recipe) -> list[int]:
    if recipe.pts_steps is None:
        return list(range(recipe.frames))
    steps = [recipe.pts_steps[i % len(recipe.pts_steps)] for i in range(recipe.frames)]
    return [0, *np.cumsum(steps[:-1]).tolist()]


def _muxer_options(recipe: Recipe) -> dict[str, str]:
    if recipe.cut_before:
        return {**recipe.container_options, "avoid_negative_ts": "disabled"}
    return dict(recipe.container_options)


def _mux(container: av.container.OutputContainer, packets: list[av.Packet], recipe: Recipe) -> None:
    for packet in packets:
        shift_s = recipe.start_s - Fraction(recipe.cut_before, recipe.rate)
        shift = int(shift_s / packet.time_base)
        packet.pts += shift
        packet.dts += shift
        container.mux(packet)


def damaged_clip(path: Path, numbers: Sequence[int], frames: int = 40) -> Path:
    """A motion-JPEG AVI in which the packets of ``numbers`` hold nothing that decodes."""
    recipe = RECIPES["mjpeg-avi"]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=recipe.rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuvj420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number), "rgb24")
            frame = frame.reformat(format="yuvj420p")
            frame.pts, frame.time_base = number, Fraction(1, recipe.rate)
            for packet in stream.encode(frame):
                kept = packet
                if number in numbers:
                    kept = av.Packet(b"\xff\xd8" + bytes(200))
                    kept.stream, kept.pts, kept.dts = stream, packet.pts, packet.dts
                    kept.time_base = packet.time_base
                container.mux(kept)
    return path


def motion_jpeg(path: Path, sizes: list[tuple[int, int]]) -> Path:
    """A motion-JPEG AVI whose pictures have these sizes, whatever its header says."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height = sizes[0]
        stream.pix_fmt = "yuvj420p"
        container.start_encoding()
        for number, (width_px, height_px) in enumerate(sizes):
            flat = np.full((height_px, width_px, 3), 90, np.uint8)
            packet = av.Packet(cv2.imencode(".jpg", flat)[1].tobytes())
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.is_keyframe = True
            container.mux(packet)
    return path
