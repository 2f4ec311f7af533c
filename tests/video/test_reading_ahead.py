"""What the engine leaves out on its way, and what it decodes before it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.video import FrameCache, SeekCancelled, describe_joined, open_recording
from app.video.container import open_container, video_stream
from app.video.decoder import Decoder
from app.video.file_source import FileSource
from app.video.skipping import has_one_layer, may_skip
from tests.helpers.clips import RECIPES, make_clip, number_of
from tests.helpers.parts import four_parts

SKIPPING = (
    "h264-long-gop", "h264-open-gop-ts", "h264-mkv", "hevc-mp4", "hevc-open-gop-ts", "mpeg2-ts",
    "mpeg2-ts-interlaced", "mpeg2-mpg", "mpeg4-avi",
)  # fmt: skip
Clip = Callable[[str], Path]


def digest(source: FileSource, index: int) -> str:
    return hashlib.sha256(source.frame(index).rgb.tobytes()).hexdigest()


@pytest.mark.parametrize("name", SKIPPING)
def test_what_is_left_out_changes_no_pixel(clip: Clip, name: str) -> None:
    with FileSource(clip(name)) as source:
        whole = [digest(source, i) for i in range(len(source))]
    picks = np.random.default_rng(5).permutation(len(whole))[:14]
    left_out = 0
    with FileSource(clip(name), cache_bytes=1) as source:
        for index in [len(whole) - 1, *picks.tolist()]:
            source._decoder._position = -1
            source._decoder.picture(index, run=0)
            left_out += source._decoder._skipped_to >= 0
            assert digest(source, index) == whole[index], index
    assert left_out > 5


def test_a_seek_decodes_less_than_it_passes(clip: Clip) -> None:
    with FileSource(clip("h264-long-gop")) as source:
        assert number_of(source.frame(100).rgb) == 100
        held = [i for i in range(120) if source.holds(i)]
    assert {*range(97, 101)} <= {*held}
    assert len([i for i in held if i < 96]) < 70


def test_codecs_whose_pictures_may_lean_on_any_other_are_decoded_whole(clip: Clip) -> None:
    may = {}
    for name in (*SKIPPING, "mjpeg-avi"):
        with open_container(clip(name)) as container:
            may[name] = may_skip(video_stream(container, clip(name)))
    assert may == {name: name != "mjpeg-avi" for name in may}


def test_hevc_of_several_layers_is_decoded_whole(clip: Clip) -> None:
    with open_container(clip("hevc-mp4")) as container:
        box = bytes(video_stream(container, clip("hevc-mp4")).codec_context.extradata or b"")
    assert has_one_layer(box)
    two = bytearray(box)
    two[21] = two[21] & 0b11000111 | 2 << 3
    assert not has_one_layer(bytes(two))
    assert has_one_layer(b"\0\0\0\1\x42\1\1\1\x60")
    assert not has_one_layer(b"\0\0\0\1\x42\1\3\1\x60")
    assert not has_one_layer(b"")


@pytest.fixture(scope="module")
def long_gops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 frames in two groups of pictures."""
    recipe = replace(RECIPES["h264-long-gop"], frames=240, gop=120)
    return make_clip(tmp_path_factory.mktemp("gops") / "clip.mp4", recipe)


def frame_bytes(path: Path) -> int:
    with FileSource(path) as source:
        source.frame(0)
        return source.cached_bytes // len(source._decoder.cache)


def test_backwards_a_run_is_at_hand_before_it_is_wanted(long_gops: Path) -> None:
    room = 64
    with FileSource(long_gops, cache_bytes=room * frame_bytes(long_gops)) as source:
        assert number_of(source.frame(130).rgb) == 130
        while source.read_ahead(130, -1):
            pass
        # Over the border of the groups, and no further than there is room for.
        assert all(source.holds(i) for i in range(130 - room // 4, 131))
        assert source.cached_bytes <= room * frame_bytes(long_gops)
        for index in range(130, 20, -1):
            assert source.holds(index), index
            assert number_of(source.frame(index).rgb) == index
            source.read_ahead(index, -1)


def test_stepping_back_without_a_pause_decodes_a_group_once_for_many_steps(
    long_gops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeks = []
    go = Decoder._go_before
    monkeypatch.setattr(
        Decoder, "_go_before", lambda self, *args: (seeks.append(args[0]), go(self, *args))[1]
    )
    with FileSource(long_gops) as source:
        source.frame(118)
        seeks.clear()
        for index in range(117, 118 - 2 * 24, -1):
            assert number_of(source.frame(index).rgb) == index
        assert 1 <= len(seeks) <= 2
        # Over the border of a group it is the same.
        source.frame(121)
        seeks.clear()
        for index in range(120, 96, -1):
            assert number_of(source.frame(index).rgb) == index
        assert len(seeks) <= 1


def test_a_jump_back_is_no_step(long_gops: Path) -> None:
    with FileSource(long_gops) as source:
        source.frame(230)
        source.frame(200)
        assert not all(source.holds(i) for i in range(176, 196))


def test_standing_still_both_sides_are_at_hand(long_gops: Path) -> None:
    with FileSource(long_gops) as source:
        source.frame(121)
        while source.read_ahead(121, 0):
            pass
        assert all(source.holds(i) for i in range(101, 133))
        assert not source.read_ahead(121, 0)


def test_a_cancelled_run_goes_on_where_it_was(long_gops: Path) -> None:
    asked = 0

    def soon() -> bool:
        nonlocal asked
        asked += 1
        return asked % 20 == 0

    with FileSource(long_gops) as source:
        source.frame(121)
        rounds = 0
        while rounds < 100:
            rounds += 1
            try:
                if not source.read_ahead(121, -1, soon):
                    break
            except SeekCancelled:
                continue
        assert 3 < rounds < 40
        assert source.holds(100)


def test_a_glimpse_is_the_nearest_picture_at_hand(long_gops: Path) -> None:
    with FileSource(long_gops) as source:
        far = source.glimpse(200)
        assert far is not None
        assert (far.index, number_of(far.rgb)) == (120, 120)
        assert number_of(source.frame(200).rgb) == 200
        near = source.glimpse(207)
        assert near is not None
        assert (near.index, number_of(near.rgb)) == (200, 200)
        assert source.glimpse(200) is None
        assert source.glimpse(123) is None
        assert number_of(source.frame(124).rgb) == 124


def test_a_keyframe_on_the_way_to_a_near_frame_is_decoded_once(
    long_gops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeks = []
    go = Decoder._go_before
    monkeypatch.setattr(
        Decoder, "_go_before", lambda self, *args: (seeks.append(args[0]), go(self, *args))[1]
    )
    with FileSource(long_gops) as source:
        for target, passes in ((120 + 25, 1), (120 + 60, 2)):
            source._decoder.cache.clear()
            seeks.clear()
            near = source.glimpse(target)
            assert near is not None
            assert (near.index, number_of(near.rgb)) == (120, 120)
            for index in (target, target - 1, target + 1, 121, 0):
                assert number_of(source.frame(index).rgb) == index
                assert len(seeks) == passes or index != target


def test_a_split_recording_reads_ahead_over_its_joins(tmp_path: Path) -> None:
    asset = describe_joined(four_parts(tmp_path, ".mp4"), "a")
    starts = np.cumsum([0, *(part.frames for part in asset.parts)])
    join = int(starts[2])
    with open_recording(asset) as source:
        source.frame(join + 3)
        while source.read_ahead(join + 3, -1):
            pass
        assert all(source.holds(i) for i in range(join - 5, join + 4))
        glimpse = source.glimpse(join + 28)
        assert glimpse is not None
        assert number_of(glimpse.rgb) == glimpse.index
        assert glimpse.pts == source.pts(glimpse.index)
        assert join < glimpse.index < join + 28


def test_frames_that_were_passed_go_first(long_gops: Path) -> None:
    with FileSource(long_gops) as source:
        pictures = [source._decoder.picture(i) for i in range(40)]
    cache = FrameCache(20 * frame_bytes(long_gops))
    cache.focus, cache.leaning = 20, -1
    for index, picture in enumerate(pictures):
        cache.put(index, picture)
    held = [i for i in range(40) if i in cache]
    assert held == list(range(held[0], held[-1] + 1))
    assert 20 - held[0] > 2 * (held[-1] - 20)
    assert cache.nearest(0) == held[0]
    assert cache.bytes <= cache.limit_bytes
