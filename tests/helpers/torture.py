"""The torture set: one small real file for each kind of recording that players get wrong.

Every picture carries its number (``tests.helpers.clips``), so that the frame that comes can be read
off. Made by PyAV, or by the ffmpeg command where PyAV's wheel lacks the encoder.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av

from tests.helpers.clips import RECIPES, Recipe, make_clip, picture

FRAMES = 32

_X264, _X265 = RECIPES["h264-mp4"].options, RECIPES["hevc-mp4"].options
_AV1 = {"preset": "11", "crf": "30", "svtav1-params": "lp=1:rtc=1"}
_WITH_FIELDS = {**_X264, "x264-params": "scenecut=0:open-gop=0:tff=1"}


class NotHere(Exception):
    """A tool that makes this file is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file of the set.

    Attributes:
        name: of the file, with its suffix.
        make: writes it to the path.
        numbers: what its frames carry, in display order.
        stream: the video stream to open, None for the file's own choice.
        turn: quarter turns (anticlockwise) that bring the barcode back; the file asks for them.
        oddities: words that ``trocar probe`` must say of it.
    """

    name: str
    make: Callable[[Path], object]
    numbers: tuple[int, ...] = tuple(range(FRAMES))
    stream: int | None = None
    turn: int = 0
    oddities: tuple[str, ...] = ()


def _intra(suffix: str, codec: str, pix_fmt: str = "yuv420p", **options: str) -> Recipe:
    return Recipe(
        suffix=suffix, codec=codec, pix_fmt=pix_fmt, b_frames=0, frames=FRAMES, options=options
    )


def _x264(suffix: str = ".mp4", **changes: object) -> Recipe:
    return replace(Recipe(suffix=suffix, options=_X264, frames=FRAMES), **changes)  # type: ignore[arg-type]


_PLAIN: dict[str, Recipe] = {
    "h264-444": _x264(pix_fmt="yuv444p"),
    "h264-grey": _x264(pix_fmt="gray"),
    "h264-m2ts": _x264(".m2ts", container_options={"mpegts_m2ts_mode": "1"}),
    "h264-flv": _x264(".flv"),
    "h264-mxf": _x264(".mxf"),
    "h264-asf": _x264(".asf"),
    # Some of its packets have no time.
    "h264-mpg": _x264(".mpg"),
    "hevc-12": Recipe(codec="libx265", options=_X265, pix_fmt="yuv420p12le", frames=FRAMES),
    "hevc-444-10": Recipe(
        suffix=".mkv", codec="libx265", options=_X265, pix_fmt="yuv444p10le", frames=FRAMES
    ),
    "mpeg1-mpg": Recipe(suffix=".mpg", codec="mpeg1video", options={"b": "3M"}, frames=FRAMES),
    "mpeg2-vob": Recipe(suffix=".vob", codec="mpeg2video", options={"b": "4M"}, frames=FRAMES),
    "mpeg2-mxf": Recipe(suffix=".mxf", codec="mpeg2video", options={"b": "4M"}, frames=FRAMES),
    "mpeg2-422-mxf": Recipe(
        suffix=".mxf",
        codec="mpeg2video",
        pix_fmt="yuv422p",
        options={"b": "8M"},
        frames=FRAMES,
    ),
    "mpeg4-mp4": Recipe(codec="mpeg4", options={"qscale": "2"}, frames=FRAMES),
    "mjpeg-422-mov": _intra(".mov", "mjpeg", "yuvj422p"),
    "mjpeg-444-mkv": _intra(".mkv", "mjpeg", "yuvj444p"),
    "vp8-webm": _intra(".webm", "libvpx", deadline="realtime", **{"cpu-used": "8", "b": "2M"}),
    # With hidden (alternate reference) frames.
    "vp9-webm": _intra(
        ".webm",
        "libvpx-vp9",
        **{"cpu-used": "8", "b": "2M", "auto-alt-ref": "1", "lag-in-frames": "12"},
    ),
    "vp9-444-mkv": _intra(
        ".mkv", "libvpx-vp9", "yuv444p", deadline="realtime", **{"cpu-used": "8", "b": "2M"}
    ),
    "av1-mp4": _intra(".mp4", "libsvtav1", **_AV1),
    "av1-10-mkv": _intra(".mkv", "libsvtav1", "yuv420p10le", **_AV1),
    "prores-mov": _intra(".mov", "prores_ks", "yuv422p10le"),
    "prores-444-mxf": _intra(".mxf", "prores_ks", "yuv444p10le"),
    "ffv1-444-12-mkv": _intra(".mkv", "ffv1", "yuv444p12le"),
    "ffv1-avi": _intra(".avi", "ffv1", "yuv422p"),
    "wmv1-asf": _intra(".asf", "wmv1", b="3M"),
    "wmv2-wmv": _intra(".wmv", "wmv2", b="3M"),
    "flv1-flv": _intra(".flv", "flv", b="3M"),
    "msmpeg4-avi": _intra(".avi", "msmpeg4", b="2M"),
    "h263-3gp": replace(_intra(".3gp", "h263", b="2M"), width_px=352, height_px=288),
}


def _interlaced(suffix: str, codec: str, *, top_first: bool, **options: str) -> Recipe:
    return Recipe(
        suffix=suffix,
        codec=codec,
        options=options,
        interlaced=True,
        top_field_first=top_first,
        frames=FRAMES,
    )


_FIELDS: dict[str, Recipe] = {
    "dv-avi": replace(_intra(".avi", "dvvideo"), width_px=720, height_px=576, frames=14),
    "dv-raw": replace(_intra(".dv", "dvvideo"), width_px=720, height_px=576, frames=14),
    "mpeg2-bottom-first-mpg": _interlaced(".mpg", "mpeg2video", top_first=False, b="5M"),
    "h264-fields-mkv": _interlaced(".mkv", "libx264", top_first=True, **_WITH_FIELDS),
}


def _recipe_case(name: str, recipe: Recipe, *oddities: str) -> Case:
    return Case(
        name=f"{name}{recipe.suffix}",
        make=lambda path: make_clip(path, recipe),
        numbers=tuple(range(recipe.cut_before, recipe.frames)),
        oddities=oddities,
    )


# Files that no encoder makes: their bytes are changed afterwards.


def _copied(name: str) -> Callable[[Path], None]:
    """The clip of a recipe under another suffix."""

    def make(path: Path) -> None:
        recipe = replace(RECIPES[name], frames=FRAMES)
        made = make_clip(path.with_name(f"{path.stem}-made{recipe.suffix}"), recipe)
        made.replace(path)

    return make


def _patched(recipe: Recipe, change: Callable[[bytearray], None]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        make_clip(path, recipe)
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)

    return make


def blocks(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """(place of its 16-bit time, time of its cluster in ms) of each simple block in Matroska."""
    at, cluster_ms = data.index(b"\x1f\x43\xb6\x75"), 0
    while at < len(data) - 4:
        if data[at : at + 4] == b"\x1f\x43\xb6\x75":
            at += 4 + 9 - data[at + 4].bit_length()
            continue
        if data[at] < 0x80:
            return
        length = 9 - data[at + 1].bit_length()
        size = int.from_bytes(data[at + 1 : at + 1 + length], "big") & (1 << 7 * length) - 1
        content = at + 1 + length
        if data[at] == 0xE7:
            cluster_ms = int.from_bytes(data[content : content + size], "big")
        elif data[at] == 0xA3:
            yield content + 1, cluster_ms
        at = content + size


def _retimed(times_ms: list[int]) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        places = list(blocks(data))
        assert len(places) == len(times_ms)
        for (place, cluster_ms), time_ms in zip(places, times_ms, strict=True):
            struct.pack_into(">h", data, place, time_ms - cluster_ms)

    return change


_MJPEG_MKV = _intra(".mkv", "mjpeg", "yuvj420p")
_DOUBLED = [40 * (i - (i % 10 == 5)) for i in range(FRAMES)]
_SHUFFLED = [40 * (i + (1, -1, 0, 0)[i % 4]) for i in range(FRAMES)]
_NEGATIVE = [40 * (i - 12) for i in range(FRAMES)]
_GAP = [40 * i + (8000 if i >= 25 else 0) for i in range(FRAMES)]


def _in_order(times: list[int]) -> tuple[int, ...]:
    """Numbers of the frames by their times; of two with the same time the first one counts."""
    first = {time: number for number, time in reversed(list(enumerate(times)))}
    return tuple(first[time] for time in sorted(first))


def _matrix(*values: float) -> Callable[[bytearray], None]:
    """Sets a, b, c, d of the first track's display matrix (16.16 fixed point)."""

    def change(data: bytearray) -> None:
        at = data.index(b"tkhd") + 4 + 40
        for place, value in zip((0, 4, 12, 16), values, strict=True):
            struct.pack_into(">i", data, at + place, int(value * 65536))

    return change


def _wrong_count(data: bytearray) -> None:
    at = data.index(b"avih") + 8 + 16
    struct.pack_into("<I", data, at, 999)
    at = data.index(b"strh") + 8 + 32
    struct.pack_into("<I", data, at, 999)


def _encoded(
    numbers: range, size_px: tuple[int, int], options: dict[str, str] = _X264
) -> Iterator[av.Packet]:
    """H.264 packets with their parameter sets inside, timed by their numbers in 1/25 s."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height = size_px
    context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 25)
    context.framerate, context.gop_size, context.max_b_frames = Fraction(25), 10, 2
    context.thread_count, context.options = 1, options
    for number in numbers:
        frame = av.VideoFrame.from_ndarray(picture(number, *size_px), "rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        yield from context.encode(frame)
    yield from context.encode(None)


def size_change_ts(path: Path) -> None:
    """Half of it is 320 x 180, half 400 x 240, in one stream of MPEG-TS."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=_X264)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        container.start_encoding()
        for numbers, size_px in ((range(20), (320, 180)), (range(20, FRAMES), (400, 240))):
            for packet in _encoded(numbers, size_px):
                packet.stream = stream
                container.mux(packet)


def two_streams(path: Path) -> None:
    """Two cameras in one file: the second one's numbers begin at 1000."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25, options=_X264) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
            stream.gop_size, stream.codec_context.max_b_frames = 10, 2
        for number in range(FRAMES):
            for stream, first in zip(streams, (0, 1000), strict=True):
                frame = av.VideoFrame.from_ndarray(picture(first + number), "rgb24")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))


def _by_ffmpeg(*arguments: str) -> Callable[[Path], None]:
    """A file made by the ffmpeg command from a lossless one."""

    def make(path: Path) -> None:
        command = shutil.which("ffmpeg")
        if command is None:
            raise NotHere("the ffmpeg command is not installed")
        source = make_clip(path.with_name(f"{path.stem}-source.mkv"), _intra(".mkv", "ffv1"))
        done = subprocess.run(
            [command, "-v", "error", "-y", "-i", str(source), *arguments, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        source.unlink()
        if "Unknown encoder" in done.stderr:
            raise NotHere(f"ffmpeg lacks an encoder: {done.stderr.strip()[:80]}")
        assert done.returncode == 0, done.stderr

    return make


_ODD: tuple[Case, ...] = (
    Case(name="mkv-called.mp4", make=_copied("h264-mkv"), oddities=("named .mp4",)),
    Case(name="ts-called.avi", make=_copied("h264-ts"), oddities=("named .avi",)),
    Case(
        name="doubled-times.mkv",
        make=_patched(_MJPEG_MKV, _retimed(_DOUBLED)),
        numbers=_in_order(_DOUBLED),
        oddities=("share their time",),
    ),
    Case(
        name="shuffled-times.mkv",
        make=_patched(_MJPEG_MKV, _retimed(_SHUFFLED)),
        numbers=_in_order(_SHUFFLED),
        oddities=("out of order",),
    ),
    Case(
        name="negative-times.mkv",
        make=_patched(_MJPEG_MKV, _retimed(_NEGATIVE)),
        oddities=("begins at",),
    ),
    Case(
        name="missing-time.mkv",
        make=_patched(_MJPEG_MKV, _retimed(_GAP)),
        oddities=("missing",),
    ),
    Case(
        name="wrong-count.avi",
        make=_patched(_intra(".avi", "mjpeg", "yuvj420p"), _wrong_count),
        oddities=("header",),
    ),
    Case(
        name="turned.mp4",
        make=_patched(_x264(), _matrix(0, 1, -1, 0)),
        turn=1,
        oddities=("turned by 90",),
    ),
    Case(
        name="mirrored.mp4",
        make=_patched(_x264(), _matrix(-1, 0, 0, -1)),
        turn=2,
        oddities=("turned by 180",),
    ),
    Case(
        name="askew.mp4",
        make=_patched(_x264(), _matrix(0.7, 0.7, -0.7, 0.7)),
        oddities=("rotation",),
    ),
    Case(
        name="no-matrix.mp4",
        make=_patched(_x264(), _matrix(0, 0, 0, 0)),
        oddities=("rotation",),
    ),
    Case(
        name="wild-matrix.mp4",
        make=_patched(_x264(), _matrix(-32768, 0, 0, 30000)),
        oddities=("rotation",),
    ),
    Case(name="size-change.ts", make=size_change_ts, oddities=("400 x 240",)),
    Case(name="two-cameras.mkv", make=two_streams, oddities=("2 video streams",)),
    Case(
        name="two-cameras-second.mkv",
        make=two_streams,
        stream=1,
        numbers=tuple(range(1000, 1000 + FRAMES)),
        oddities=("2 video streams",),
    ),
    Case(
        name="two-cameras.ts",
        make=two_streams,
        stream=1,
        numbers=tuple(range(1000, 1000 + FRAMES)),
        oddities=("2 video streams",),
    ),
    Case(name="theora.ogv", make=_by_ffmpeg("-c:v", "libtheora", "-q:v", "9", "-g", "12")),
    Case(
        name="wide-pixels.mp4",
        make=_by_ffmpeg(
            *("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"),
            *("-bf", "2", "-g", "12", "-vf", "setsar=64/45"),
        ),
        oddities=("not square",),
    ),
    Case(
        name="fragmented-with-edits.mp4",
        make=_by_ffmpeg(
            *("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-bf", "2", "-g", "12"),
            *("-movflags", "+frag_keyframe+delay_moov"),
        ),
    ),
)

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        *(_recipe_case(name, recipe) for name, recipe in _PLAIN.items()),
        *(_recipe_case(name, recipe, "interlaced") for name, recipe in _FIELDS.items()),
        *_ODD,
    )
}
