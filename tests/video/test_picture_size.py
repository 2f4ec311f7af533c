"""A change of size in mid-stream is found by the headers of keyframes, whatever the codec."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from app.video import open_video, picture_size
from app.video.mp4_boxes import boxes
from app.video.picture_size import picture_header
from app.video.sample_table import read_table
from tests.helpers.clips import motion_jpeg, number_of, picture

SIZES = ((320, 180), (400, 240), (320, 180))
EACH = 10

_X264 = {"preset": "ultrafast"}
_X265 = {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"}
_VPX = {"deadline": "realtime", "cpu-used": "8", "b": "2M"}
CODERS = [
    (".ts", "mpeg2video", None, {"b": "4M"}),
    (".ts", "mpeg4", None, {"qscale": "2"}),
    (".ts", "libx265", None, _X265),
    (".mkv", "libvpx", None, _VPX),
    (".mkv", "libvpx-vp9", None, _VPX),
    # These are indexed by their own table.
    (".mp4", "libx264", "avc1", _X264),
    (".mp4", "libx264", "avc3", _X264),
    (".mp4", "libx265", "hev1", _X265),
    (".mp4", "mpeg2video", "mp4v", {"b": "4M"}),
    (".mp4", "mpeg4", "mp4v", {"qscale": "2"}),
    (".mp4", "libvpx-vp9", "vp09", _VPX),
    (".mp4", "libsvtav1", "av01", {"preset": "12"}),
]
_TABLE = (b"trak", b"mdia", b"minf", b"stbl")


def changing(
    path: Path,
    coder: str,
    options: dict[str, str],
    *,
    tag: str | None = None,
    in_band: bool = True,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> Path:
    """Ten frames of each size in one stream, with or without parameter sets in the pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(coder, rate=25, options=options)
        (stream.width, stream.height), stream.pix_fmt = sizes[0], "yuv420p"
        if tag is not None:
            stream.codec_context.codec_tag = tag
        container.start_encoding()
        for part, (width_px, height_px) in enumerate(sizes):
            context = av.CodecContext.create(coder, "w")
            context.width, context.height, context.pix_fmt = width_px, height_px, "yuv420p"
            context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
            context.thread_count, context.options = 1, options
            context.max_b_frames = 0
            if not in_band:
                context.flags |= av.codec.context.Flags.global_header
            packets = []
            for number in range(EACH * part, EACH * (part + 1)):
                frame = av.VideoFrame.from_ndarray(picture(number, width_px, height_px), "rgb24")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                packets += context.encode(frame)
            for packet in [*packets, *context.encode(None)]:
                packet.stream = stream
                container.mux(packet)
    return path


def check_sizes(path: Path) -> None:
    with open_video(path, trusted=True) as source:
        assert len(source) == 3 * EACH
        found = [(r.first_pts, r.width_px, r.height_px) for r in source.info.rasters]
        assert found == [(source.pts(EACH * i), *size) for i, size in enumerate(SIZES)]
        for index in (0, 29, 9, 10, 20, 19):
            rgb = source.frame(index).rgb
            assert rgb.shape[1::-1] == SIZES[index // EACH]
            assert number_of(rgb) == index


@pytest.mark.parametrize(("suffix", "coder", "tag", "options"), CODERS)
def test_every_codec_tells(
    tmp_path: Path, suffix: str, coder: str, tag: str | None, options: dict[str, str]
) -> None:
    path = changing(tmp_path / f"c{suffix}", coder, options, tag=tag)
    assert (read_table(path) is not None) == (suffix == ".mp4")
    check_sizes(path)


def test_sample_descriptions_tell(tmp_path: Path) -> None:
    """An MP4 of two descriptions whose pictures say nothing of their size."""
    path = changing(tmp_path / "one.mp4", "libx264", _X264, in_band=False)
    other = changing(tmp_path / "two.mp4", "libx264", _X264, in_band=False, sizes=SIZES[1:])
    data, table = path.read_bytes(), read_table(path)
    assert table is not None
    # A chunk for each sample; those of the second size are of the second description.
    count = len(table.position)
    film = dict(children(data))[b"moov"]
    second = inside(dict(children(other.read_bytes()))[b"moov"], (*_TABLE, b"stsd"))[8:]
    for name, content in (
        (b"stsd", struct.pack(">II", 0, 2) + inside(film, (*_TABLE, b"stsd"))[8:] + second),
        (b"stco", struct.pack(f">II{count}I", 0, count, *table.position)),
        (b"stsc", struct.pack(">II9I", 0, 3, 1, 1, 1, EACH + 1, 1, 2, 2 * EACH + 1, 1, 1)),
    ):
        film = replaced(film, (*_TABLE, name), content)
    at = data.rindex(b"moov") - 4
    path.write_bytes(data[:at] + box(b"moov", film))
    check_sizes(path)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def children(content: bytes) -> list[tuple[bytes, bytes]]:
    found = boxes(io.BytesIO(content), 0, len(content))
    return [(name, content[start:end]) for name, start, end in found]


def inside(content: bytes, names: Sequence[bytes]) -> bytes:
    for name in names:
        content = dict(children(content))[name]
    return content


def replaced(content: bytes, names: Sequence[bytes], by: bytes) -> bytes:
    """The content of a box in which one further in has another."""
    if not names:
        return by
    return b"".join(
        box(name, replaced(inner, names[1:], by) if name == names[0] else inner)
        for name, inner in children(content)
    )


def test_described_sizes_are_not_looked_for_in_the_pictures(
    clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a common MP4 a few keyframes are looked at, however many it has."""
    looked: list[bytes] = []
    said = picture_size.picture_header
    monkeypatch.setattr(
        picture_size, "picture_header", lambda *args: looked.append(b"") or said(*args)
    )
    monkeypatch.setattr(picture_size, "_TRIED_KEYFRAMES", 2)
    with open_video(clip("h264-mp4"), trusted=True) as source:
        assert source.index.key.sum() == 4
    assert len(looked) == 3


def test_a_length_like_a_start_code_is_a_length() -> None:
    notes, sps = b"\x06" + bytes(299), b"\x67\x42\0\x1e"
    head = b"".join(len(unit).to_bytes(4, "big") + unit for unit in (notes, sps))
    assert head.startswith(b"\0\0\1")
    assert picture_header("h264", head, 4) == sps


def test_motion_jpeg_tells(tmp_path: Path) -> None:
    path = motion_jpeg(tmp_path / "sizes.avi", [(64, 48), (64, 48), (96, 48), (96, 48)])
    with open_video(path, trusted=True) as source:
        assert [(r.width_px, r.height_px) for r in source.info.rasters] == [(64, 48), (96, 48)]
        assert source.info.rasters[1].first_pts == source.pts(2)


def test_damaged_heads_say_nothing() -> None:
    draw = np.random.default_rng(7)
    for codec in ("h264", "hevc", "mpeg2video", "mpeg4", "mjpeg", "vp8", "vp9", "av1", "prores"):
        for length in (0, 1, 5, 40, 4096):
            picture_header(codec, draw.bytes(length), length % 5)
