"""A split recording is one exact source of frames: across joins, in any order, with parts gone."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from app.core.errors import BadInput
from app.video import (
    Player,
    ShownFrame,
    UndecodableFrame,
    describe_asset,
    describe_joined,
    find_recordings,
    open_recording,
    open_video,
)
from app.video.fingerprint import pack_steps, unpack_steps
from app.video.split.joined import MOST_OPEN
from tests.helpers.clips import damaged_clip, number_of
from tests.helpers.parts import four_parts, write_part
from tests.video.test_player import FakeClock

FRAMES = 100


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """These files are the tests' own: a child process that looks at each costs half the time."""
    monkeypatch.setattr("app.video.opening.first_look", lambda _path, _cancelled: None)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Path]]:
    """The four files of a container, made once."""
    made: dict[str, list[Path]] = {}

    def get(suffix: str) -> list[Path]:
        if suffix not in made:
            made[suffix] = four_parts(tmp_path_factory.mktemp("stick"), suffix)
        return made[suffix]

    return get


@pytest.mark.parametrize("suffix", [".ts", ".mp4"])
def test_every_frame_once_forward_backward_and_at_random(
    parts: Callable[[str], list[Path]], suffix: str
) -> None:
    asset = describe_joined(parts(suffix), "a")
    assert asset.frames == FRAMES
    with open_recording(asset) as source:
        assert len(source) == FRAMES
        assert [number_of(f.rgb) for f in source.frames()] == list(range(FRAMES))
    with open_recording(asset, cache_bytes=2 << 20) as source:
        back = [number_of(source.frame(i).rgb) for i in reversed(range(FRAMES))]
        assert back == list(reversed(range(FRAMES)))
        draw = random.Random(suffix)
        for index in draw.choices(range(FRAMES), k=30):
            frame = source.frame(index)
            assert (number_of(frame.rgb), frame.index) == (index, index)
            assert frame.pts == source.pts(index) == source.pts(source.index_of(frame.pts))
            assert source.index_at_ms(frame.time_ms) == index
        assert source.cached_bytes <= 2 << 20


@pytest.mark.parametrize("suffix", [".ts", ".mp4"])
def test_time_is_joined_without_a_hole(parts: Callable[[str], list[Path]], suffix: str) -> None:
    asset = describe_joined(parts(suffix), "a")
    with open_recording(asset) as source:
        steps = np.diff(source.index.pts)
        assert set(steps.tolist()) == {int(Fraction(1, 25) / asset.time_base)}
        assert source.info.duration_ms == asset.duration_ms == FRAMES * 40
        assert not source.info.is_variable_rate
        assert source.info.frame_rate == 25
    assert [p.first_pts for p in asset.parts[1:]] == [p.end_pts for p in asset.parts[:-1]]


def test_parts_are_opened_when_wanted_and_few_stay_open(
    parts: Callable[[str], list[Path]],
) -> None:
    asset = describe_joined(parts(".mp4"), "a")
    with open_recording(asset) as source:
        for index in (0, 95, 40, 60):
            source.frame(index)
            assert len(source._open) <= MOST_OPEN


def test_clocks_that_differ_have_one_common_time(tmp_path: Path) -> None:
    files = [
        write_part(tmp_path / "x_1.mp4", range(12), rate=Fraction(30000, 1001)),
        write_part(tmp_path / "x_2.avi", range(12, 20), rate=25, codec="mpeg4"),
        write_part(tmp_path / "x_3.mkv", range(20, 33), rate=30),
        write_part(tmp_path / "x_4.ts", range(33, 40), rate=25, start_s=Fraction(7)),
    ]
    asset = describe_joined(files, "a")
    with open_recording(asset) as source:
        assert [number_of(f.rgb) for f in source.frames()] == list(range(40))
        assert source.info.is_variable_rate
        for file, part in zip(files, asset.parts, strict=True):
            alone = describe_asset(file, "b")
            first = source.index_of(part.first_pts)
            with open_recording(alone) as own:
                times = [own.time_ms(i) for i in range(len(own))]
            joined = [source.time_ms(first + i) - source.time_ms(first) for i in range(part.frames)]
            assert joined == pytest.approx(times, abs=1e-6)


def test_parts_of_another_size_play_in_their_own_raster(tmp_path: Path) -> None:
    files = [
        write_part(tmp_path / "x_1.mp4", range(8)),
        write_part(tmp_path / "x_2.mp4", range(8, 16), size_px=(400, 240)),
    ]
    asset = describe_joined(files, "a")
    with open_recording(asset) as source:
        assert source.frame(7).rgb.shape == (180, 320, 3)
        assert source.frame(8).rgb.shape == (240, 400, 3)
        assert [number_of(f.rgb) for f in source.frames()] == list(range(16))
        assert (source.info.width_px, source.info.height_px) == (320, 180)
        sizes = [(r.first_pts, r.width_px, r.height_px) for r in source.info.rasters]
        assert sizes == [(source.pts(0), 320, 180), (source.pts(8), 400, 240)]


@pytest.mark.parametrize("gone", [0, 2])
def test_a_missing_part_keeps_its_place(
    parts: Callable[[str], list[Path]], tmp_path: Path, gone: int
) -> None:
    files = [Path(shutil.copy(p, tmp_path)) for p in parts(".ts")]
    asset = describe_joined(files, "a")
    with open_recording(asset) as source:
        whole = source.index.pts
    files[gone].rename(tmp_path / "elsewhere.ts")
    with pytest.raises(BadInput, match=files[gone].name):
        open_recording(asset)
    with open_recording(asset, missing_ok=True) as source:
        assert np.array_equal(source.index.pts, whole)
        assert any(files[gone].name in sentence for sentence in source.info.problems)
        lost, said = [], set()
        for index in range(FRAMES):
            try:
                assert number_of(source.frame(index).rgb) == index
            except UndecodableFrame as error:
                lost.append(error.index)
                said.add(error.user_message)
        first = sum(p.frames for p in asset.parts[:gone])
        assert lost == list(range(first, first + asset.parts[gone].frames))
        assert len(said) == 1
        assert files[gone].name in said.pop()


def test_another_file_in_the_place_of_a_part_is_not_taken_for_it(
    parts: Callable[[str], list[Path]], tmp_path: Path
) -> None:
    files = [Path(shutil.copy(p, tmp_path)) for p in parts(".mp4")]
    asset = describe_joined(files, "a")
    shutil.copy(files[0], files[1])
    with pytest.raises(BadInput, match="another file has taken"):
        open_recording(asset)
    with open_recording(asset, missing_ok=True) as source, pytest.raises(UndecodableFrame):
        source.frame(30)
    for path in files:
        path.unlink()
    with pytest.raises(BadInput, match="not where it was"):
        open_recording(asset, missing_ok=True)


def test_a_frame_that_does_not_decode_is_named_by_its_place_in_the_whole(tmp_path: Path) -> None:
    files = [damaged_clip(tmp_path / "x_1.avi", []), damaged_clip(tmp_path / "x_2.avi", [3])]
    with open_recording(describe_joined(files, "a")) as source:
        with pytest.raises(UndecodableFrame) as caught:
            source.frame(43)
        assert caught.value.index == 43
        assert source.undecodable() == (43,)


def test_joined_twice_or_without_common_time_is_refused(
    parts: Callable[[str], list[Path]],
) -> None:
    first = parts(".mp4")[0]
    with pytest.raises(BadInput, match="named twice"):
        describe_joined([first, first], "a")


def test_a_part_that_no_longer_fits_its_place_is_refused(
    parts: Callable[[str], list[Path]],
) -> None:
    asset = describe_joined(parts(".mp4"), "a")
    short = replace(asset.parts[1], end_pts=asset.parts[1].first_pts + 5)
    with pytest.raises(BadInput, match="does not fit"):
        open_recording(asset.with_file(1, short))


def test_steps_come_back_as_they_were() -> None:
    pts = np.array([7, 8, 1000, 1001, 90_000_000_000], np.int64)
    assert np.array_equal(unpack_steps(7, pack_steps(pts)), pts)
    assert len(pack_steps(np.arange(216_000, dtype=np.int64) * 3600)) < 4000
    with pytest.raises(BadInput, match="damaged"):
        unpack_steps(0, "not what was packed")


def test_the_player_shows_every_frame_across_the_joins_both_ways(
    parts: Callable[[str], list[Path]],
) -> None:
    asset = describe_joined(parts(".ts"), "a")
    shown: list[ShownFrame] = []
    player = Player(on_frame=shown.append, clock=FakeClock(), cache_bytes=32 << 20)

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert condition()

    try:
        player.open(asset)
        until(lambda: len(shown) == 1)
        player.play()
        until(lambda: player.state.at_end)
        assert [number_of(s.frame.rgb) for s in shown] == list(range(FRAMES))
        player.set_speed(-1.0)
        player.play()
        until(lambda: player.state.index == 0 and not player.state.playing)
        back = [number_of(s.frame.rgb) for s in shown[FRAMES:]]
        assert back == list(reversed(range(FRAMES - 1)))
        assert player.state.dropped == 0
    finally:
        player.close()


@pytest.mark.long
@pytest.mark.parametrize(
    ("pattern", "options"),
    [("rec_1_%d.ts", ()), ("rec_1_%d.mp4", ("-reset_timestamps", "1")), ("rec_1_%d.mkv", ())],
)
def test_a_real_recording_split_by_ffmpeg_is_the_same_to_the_pixel(
    real_clip: Path, tmp_path: Path, pattern: str, options: tuple[str, ...]
) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg command is not installed")
    split = ("-c", "copy", "-map", "0:v", "-f", "segment", "-segment_time", "8")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(real_clip), *split, *options, str(tmp_path / pattern)],
        check=True,
    )
    (found,) = find_recordings([tmp_path]).recordings
    assert len(found.files) == 4
    asset = describe_joined([f.path for f in found.files], "a")
    with open_video(real_clip) as whole, open_recording(asset) as source:
        assert len(source) == len(whole) == 800
        for one, other in zip(whole.frames(), source.frames(), strict=True):
            assert one.time_ms == pytest.approx(other.time_ms, abs=1)
            assert np.array_equal(one.rgb, other.rgb), one.index
