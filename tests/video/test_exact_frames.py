"""Every container and codec: the frame that is asked for is the frame that comes."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from app.video import VideoSource, open_video
from tests.helpers.clips import RECIPES, number_of, picture

CLIPS = sorted(set(RECIPES) - {"rotated-mp4", "h264-one-frame"})


def numbers(name: str) -> list[int]:
    """The numbers that a clip's frames carry, in display order."""
    recipe = RECIPES[name]
    return list(range(recipe.cut_before, recipe.frames))


def opened(path: Path, cache_bytes: int = 64 << 20) -> VideoSource:
    return open_video(path, trusted=True, cache_bytes=cache_bytes)


@pytest.mark.parametrize("name", CLIPS)
def test_frames_in_order(clip: Callable[[str], Path], name: str) -> None:
    with opened(clip(name)) as source:
        assert len(source) == len(numbers(name))
        assert [number_of(f.rgb) for f in source.frames()] == numbers(name)
        assert [f.index for f in source.frames(5)] == list(range(5, len(source)))


@pytest.mark.parametrize("cache_bytes", [1, 64 << 20], ids=["no-cache", "cache"])
@pytest.mark.parametrize("name", CLIPS)
def test_random_access(clip: Callable[[str], Path], name: str, cache_bytes: int) -> None:
    expected = numbers(name)
    draw = random.Random(name)
    last = len(expected) - 1
    with opened(clip(name), cache_bytes) as source:
        wanted = [last, 0, last, last - 1, *(draw.randint(0, last) for _ in range(16))]
        found = [number_of(source.frame(i).rgb) for i in wanted]
    assert found == [expected[i] for i in wanted]


@pytest.mark.parametrize("name", CLIPS)
def test_steps_both_ways(clip: Callable[[str], Path], name: str) -> None:
    expected = numbers(name)
    last = len(expected) - 1
    walk = [*range(20, 32), *range(32, 8, -1), *range(last, last - 8, -1), *range(5, -1, -1)]
    with opened(clip(name), 3 << 20) as source:
        found = [number_of(source.frame(i).rgb) for i in walk]
    assert found == [expected[i] for i in walk]


@pytest.mark.parametrize("name", CLIPS)
def test_times_name_the_frame_on_screen(clip: Callable[[str], Path], name: str) -> None:
    with opened(clip(name)) as source:
        last = len(source) - 1
        assert source.time_ms(0) == 0
        assert source.info.duration_ms > source.time_ms(last)
        for index in range(len(source)):
            start_ms = source.time_ms(index)
            end_ms = source.time_ms(index + 1) if index < last else source.info.duration_ms
            assert source.index_at_ms(start_ms) == index
            assert source.index_at_ms((start_ms + end_ms) / 2 - 0.51) in {index, index - 1}
            assert source.index_of(source.pts(index)) == index
        assert source.index_at_ms(-5) == 0
        assert source.index_at_ms(1e9) == last


def test_times_rounded_to_six_digits_name_the_same_frame(clip: Callable[[str], Path]) -> None:
    with opened(clip("vfr-mkv")) as source:
        for index in range(len(source)):
            assert source.frame_at(round(source.time_ms(index) / 1000, 6)).index == index


def test_variable_rate_is_told_from_constant(clip: Callable[[str], Path]) -> None:
    for name in CLIPS:
        with opened(clip(name)) as source:
            assert source.info.is_variable_rate == name.startswith("vfr"), name
            if not source.info.is_variable_rate:
                assert source.info.frame_rate == Fraction(25), name


def test_recorded_times_of_a_variable_rate_are_kept(clip: Callable[[str], Path]) -> None:
    recipe = RECIPES["vfr-mp4"]
    assert recipe.pts_steps is not None
    with opened(clip("vfr-mp4")) as source:
        steps_ms = np.diff([source.time_ms(i) for i in range(13)])
    assert steps_ms.tolist() == pytest.approx([s * 5.0 for s in recipe.pts_steps * 2], abs=0.1)


def test_info_of_what_is_written(clip: Callable[[str], Path]) -> None:
    with opened(clip("h264-mp4")) as source:
        info = source.info
    assert (info.frames, info.width_px, info.height_px) == (60, 320, 180)
    assert (info.codec, info.rotation_deg, info.is_interlaced) == ("h264", 0, False)
    assert info.duration_ms == 2400
    assert [(s.kind, s.codec) for s in info.streams] == [("video", "h264")]
    assert info.problems == ()


def test_one_frame_has_a_length(clip: Callable[[str], Path]) -> None:
    with opened(clip("h264-one-frame")) as source:
        assert len(source) == 1
        assert source.info.duration_ms == pytest.approx(40)
        assert number_of(source.frame(0).rgb) == 0


def test_rotation_is_applied(clip: Callable[[str], Path]) -> None:
    with opened(clip("rotated-mp4")) as source:
        assert source.info.rotation_deg == 90
        assert (source.info.width_px, source.info.height_px) == (180, 320)
        for index in (0, 17, 59):
            rgb = source.frame(index).rgb
            assert rgb.shape == (320, 180, 3)
            assert number_of(np.rot90(rgb, 1)) == index


def test_colours_are_near_the_recorded_ones(clip: Callable[[str], Path]) -> None:
    for name in ("h264-mp4", "mjpeg-avi", "hevc-mkv-10"):
        with opened(clip(name)) as source:
            error = np.abs(source.frame(7).rgb[50:].astype(int) - picture(7)[50:])
        assert np.median(error) <= 6, name


def test_range_and_matrix_of_the_stream_are_honoured(tmp_path: Path) -> None:
    colour = (200, 40, 60)
    for colorspace, color_range in ((1, 1), (1, 2), (5, 1), (5, 2)):
        path = tmp_path / f"{colorspace}-{color_range}.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            stream.codec_context.colorspace = colorspace
            stream.codec_context.color_range = color_range
            rgb = np.full((64, 64, 3), colour, np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
                format="yuv420p",
                dst_colorspace=colorspace,
                dst_color_range=color_range,
            )
            frame.pts = 0
            container.mux([*stream.encode(frame), *stream.encode(None)])
        with opened(path) as source:
            found = source.frame(0).rgb[32, 32].astype(int)
        assert np.abs(found - colour).max() <= 5, (colorspace, color_range, found)


def test_pixels_equal_plain_decoding(clip: Callable[[str], Path]) -> None:
    with av.open(str(clip("h264-mp4"))) as container:
        plain = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    with opened(clip("h264-mp4")) as source:
        for index in (59, 0, 31, 30, 14):
            assert np.array_equal(source.frame(index).rgb, plain[index])


def test_outside_the_video(clip: Callable[[str], Path]) -> None:
    with opened(clip("h264-mp4")) as source:
        for index in (-1, 60):
            with pytest.raises(IndexError, match="frame"):
                source.frame(index)
        with pytest.raises(KeyError):
            source.index_of(source.pts(3) + 1)
