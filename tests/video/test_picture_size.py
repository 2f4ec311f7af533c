"""A change of size in mid-stream is found by the headers of keyframes, whatever the codec."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from app.video import open_video
from app.video.picture_size import picture_header
from tests.helpers.clips import motion_jpeg, number_of, picture

SIZES = ((320, 180), (400, 240), (320, 180))
EACH = 10

CODERS = {
    "mpeg2video": (".ts", {"b": "4M"}),
    "mpeg4": (".ts", {"qscale": "2"}),
    "libx265": (".ts", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"}),
    "libvpx": (".mkv", {"deadline": "realtime", "cpu-used": "8", "b": "2M"}),
    "libvpx-vp9": (".mkv", {"deadline": "realtime", "cpu-used": "8", "b": "2M"}),
}


def changing(path: Path, coder: str, options: dict[str, str]) -> Path:
    """Ten frames of each size in one stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(coder, rate=25, options=options)
        (stream.width, stream.height), stream.pix_fmt = SIZES[0], "yuv420p"
        container.start_encoding()
        for part, (width_px, height_px) in enumerate(SIZES):
            context = av.CodecContext.create(coder, "w")
            context.width, context.height, context.pix_fmt = width_px, height_px, "yuv420p"
            context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
            context.thread_count, context.options = 1, options
            context.max_b_frames = 0
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


@pytest.mark.parametrize("coder", CODERS)
def test_every_codec_tells(tmp_path: Path, coder: str) -> None:
    suffix, options = CODERS[coder]
    with open_video(changing(tmp_path / f"c{suffix}", coder, options), trusted=True) as source:
        assert len(source) == 3 * EACH
        found = [(r.first_pts, r.width_px, r.height_px) for r in source.info.rasters]
        assert found == [(source.pts(EACH * i), *size) for i, size in enumerate(SIZES)]
        for index in (0, 29, 9, 10, 20, 19):
            rgb = source.frame(index).rgb
            assert rgb.shape[1::-1] == SIZES[index // EACH]
            assert number_of(rgb) == index


def test_motion_jpeg_tells(tmp_path: Path) -> None:
    path = motion_jpeg(tmp_path / "sizes.avi", [(64, 48), (64, 48), (96, 48), (96, 48)])
    with open_video(path, trusted=True) as source:
        assert [(r.width_px, r.height_px) for r in source.info.rasters] == [(64, 48), (96, 48)]
        assert source.info.rasters[1].first_pts == source.pts(2)


def test_damaged_heads_say_nothing() -> None:
    draw = np.random.default_rng(7)
    for codec in ("h264", "hevc", "mpeg2video", "mpeg4", "mjpeg", "vp8", "vp9", "prores"):
        for length in (0, 1, 5, 40, 4096):
            picture_header(codec, draw.bytes(length))
