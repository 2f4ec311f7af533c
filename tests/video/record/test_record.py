"""The recorder drops nothing, watches the disk, and what it wrote becomes an equal MP4."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from app.core.errors import EnvironmentProblem
from app.core.recording import Fragment
from app.live.finishing import gaps_of
from app.video import OpenCancelled, open_video
from app.video.live.capture import Capture
from app.video.live.clock import LiveClock
from app.video.live.connection import LiveConnection
from app.video.live.spec import parse_spec
from app.video.live.state import LivePacket, LiveStatus
from app.video.record.finalise import finalise
from app.video.record.pre_roll import PreRoll
from app.video.record.recorder import Recorder
from app.video.record.state import RecordingState
from tests.helpers.clips import RECIPES, make_clip, number_of, picture
from tests.live.conftest import wait_for

Clip = Callable[[str], Path]


def packets_of(path: Path, clock: LiveClock | None = None) -> list[LivePacket]:
    """What a capture would hand over for a file."""
    clock = clock or LiveClock(follows_wall=False)
    clock.connected()
    found = []
    with LiveConnection(parse_spec(f"file:{path}")) as connection:
        for packet in connection.packets():
            pts, dts, _ = clock.stamp(packet.pts, packet.dts, packet.time_base, 0.0)
            found.append(
                LivePacket(
                    data=packet.data, pts=pts, dts=dts, is_keyframe=packet.is_keyframe,
                    arrived_s=time.monotonic(), coding=connection.coding,
                )
            )  # fmt: skip
    return found


def record(path: Path, packets: list[LivePacket], **options: object) -> Recorder:
    """A recording of these packets, stopped."""
    recorder = Recorder(path, **options)  # type: ignore[arg-type]
    for packet in packets:
        recorder.put(packet)
    recorder.stop()
    return recorder


@pytest.mark.parametrize(
    "name", ["h264-mp4", "hevc-mkv-10", "mpeg2-ts", "mjpeg-avi", "vfr-mkv", "h264-open-gop-ts"]
)
def test_every_frame_at_its_time_before_and_after_finalising(
    name: str, clip: Clip, tmp_path: Path
) -> None:
    packets = packets_of(clip(name))
    fragments: list[Fragment] = []
    path = tmp_path / "live.ts"
    recorder = record(path, packets, on_fragment=fragments.append)
    state = recorder.state
    assert (state.frames, state.sentence, state.is_running) == (60, "", False)
    assert state.is_copy == (name != "mjpeg-avi")
    assert state.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sum(f.frames for f in fragments) == 60
    assert fragments[-1].end_byte == path.stat().st_size
    made = finalise(path, tmp_path / "live.mp4")
    assert made.frames == 60
    wanted = sorted(p.pts for p in packets)
    index = recorder.index()
    assert index is not None
    for file in (path, made.path):
        with open_video(file, trusted=True) as source:
            assert source.index.pts.tolist() == wanted == index.pts.tolist()
            assert [number_of(source.frame(i).rgb) for i in range(60)] == list(range(60))
            assert source.info.time_base == Fraction(1, 90_000)


def test_a_size_that_changes_goes_on_in_the_same_file(clip: Clip, tmp_path: Path) -> None:
    large = make_clip(
        tmp_path / "large.ts", replace(RECIPES["h264-ts"], width_px=480, height_px=272, frames=20)
    )
    clock = LiveClock(follows_wall=False)
    packets = packets_of(clip("h264-ts"), clock) + packets_of(large, clock)
    record(tmp_path / "live.ts", packets)
    finalise(tmp_path / "live.ts", tmp_path / "live.mp4")
    rasters = []
    with open_video(tmp_path / "live.mp4", trusted=True) as source:
        for index, number in enumerate([*range(60), *range(20)]):
            rgb = source.frame(index).rgb
            assert number_of(rgb) == number
            rasters.append(rgb.shape[1])
    assert rasters == [320] * 60 + [480] * 20


def test_another_codec_after_a_reconnect_is_encoded_into_the_recording(
    clip: Clip, tmp_path: Path
) -> None:
    clock = LiveClock(follows_wall=False)
    packets = packets_of(clip("h264-ts"), clock) + packets_of(clip("mjpeg-avi"), clock)
    state = record(tmp_path / "live.ts", packets).state
    assert (state.frames, state.stopped_early) == (120, False)
    with open_video(tmp_path / "live.ts", trusted=True) as source:
        numbers = [number_of(source.frame(i).rgb) for i in range(len(source))]
    assert numbers == [*range(60), *range(60)]


@pytest.mark.parametrize(("hours", "goes_on"), [(1, True), (7, False)])
def test_a_long_gap_keeps_its_length_and_a_longer_one_ends_the_recording(
    hours: int, goes_on: bool, clip: Clip, tmp_path: Path
) -> None:
    packets = packets_of(clip("h264-ts"))
    gap_pts = hours * 3600 * 90_000
    later = [replace(p, pts=p.pts + gap_pts, dts=p.dts + gap_pts) for p in packets]
    state = record(tmp_path / "live.ts", packets + later).state
    assert state.stopped_early != goes_on
    assert ("nothing came for six hours" in state.sentence) != goes_on
    made = finalise(tmp_path / "live.ts", tmp_path / "live.mp4")
    assert made.frames == state.frames == (120 if goes_on else 60)
    with open_video(made.path, trusted=True) as source:
        assert number_of(source.frame(len(source) - 1).rgb) == 59
        if goes_on:
            (gap,) = gaps_of(source)
            assert gap.end_pts == later[0].pts
            assert abs(gap.length_s - (hours * 3600 - 2.4)) < 0.1


def test_packets_that_a_bad_line_has_damaged_end_nothing(clip: Clip, tmp_path: Path) -> None:
    packets = packets_of(clip("h264-mp4-no-b"))
    broken = [
        replace(p, data=b"\xff" * 40) if number in (20, 21) else p
        for number, p in enumerate(packets)
    ]
    state = record(tmp_path / "live.ts", broken).state
    assert (state.frames + state.unwritable, state.stopped_early) == (60, False)
    made = finalise(tmp_path / "live.ts", tmp_path / "live.mp4")
    with open_video(made.path, trusted=True) as source:
        at = {source.pts(i): i for i in range(len(source))}
        # Before the damage, and from the next keyframe on, all is well.
        for number in (*range(20), *range(30, 60)):
            assert number_of(source.frame(at[packets[number].pts]).rgb) == number


def test_the_writer_is_waited_for_and_nothing_is_dropped(clip: Clip, tmp_path: Path) -> None:
    packets = packets_of(clip("h264-ts"))
    recorder = record(tmp_path / "live.ts", packets, most_waiting_bytes=1)
    assert recorder.state.frames == len(packets)


def test_the_disk_is_watched(clip: Clip, tmp_path: Path) -> None:
    """A warning below ten minutes, a clean stop below two."""
    packets = packets_of(clip("h264-ts"))
    clock, many = LiveClock(follows_wall=False), []
    for _ in range(3):
        many += packets_of(clip("h264-ts"), clock)
    assert len(many) == 3 * len(packets)
    rate = sum(len(p.data) for p in many) / 7.2
    states: list[RecordingState] = []
    room_s = [300.0]
    recorder = Recorder(
        tmp_path / "live.ts", on_state=states.append, room=lambda _: int(room_s[0] * rate * 1.2)
    )
    for packet in many[:120]:
        recorder.put(packet)
    wait_for(lambda: any(s.sentence for s in states))
    assert "more minutes; free some space now" in states[-1].sentence
    assert states[-1].is_running
    assert 180 < (states[-1].seconds_left or 0) < 420
    room_s[0] = 60.0
    for packet in many[120:]:
        recorder.put(packet)
    wait_for(lambda: not recorder.state.is_running)
    state = recorder.stop()
    assert state.stopped_early
    assert "the disk is almost full" in state.sentence
    with open_video(tmp_path / "live.ts", trusted=True) as source:
        assert len(source) == state.frames >= 120


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs the superuser of a Unix")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("this system does not let a disk be mounted")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_ends_the_recording_cleanly(clip: Clip, small_disk: Path) -> None:
    clock, many = LiveClock(follows_wall=False), []
    for _ in range(5):
        many += packets_of(clip("h264-ts"), clock)
    states: list[RecordingState] = []
    recorder = record(
        small_disk / "live.ts", many, on_state=states.append, stop_below_s=0.0, warn_below_s=0.0
    )
    state = recorder.state
    assert state.stopped_early
    assert "the disk takes no more" in state.sentence
    assert states[-1] == state
    written = (small_disk / "live.ts").read_bytes()
    assert state.sha256 == hashlib.sha256(written).hexdigest()
    with open_video(small_disk / "live.ts", trusted=True) as source:
        numbers = [number_of(f.rgb) for f in source.frames()]
    assert len(numbers) > 60
    assert numbers[:60] == list(range(60))
    with pytest.raises(EnvironmentProblem, match="kept as it is"):
        finalise(small_disk / "live.ts", small_disk / "live.mp4")
    assert [p.name for p in small_disk.iterdir()] == ["live.ts"]


def test_a_recording_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "live.ts").write_bytes(b"mine")
    with pytest.raises(EnvironmentProblem, match="cannot be made"):
        Recorder(tmp_path / "live.ts")
    assert (tmp_path / "live.ts").read_bytes() == b"mine"


def test_finalising_can_be_stopped_and_leaves_nothing(clip: Clip, tmp_path: Path) -> None:
    record(tmp_path / "live.ts", packets_of(clip("h264-ts")))
    with pytest.raises(OpenCancelled):
        finalise(tmp_path / "live.ts", tmp_path / "live.mp4", lambda: True)
    assert [p.name for p in tmp_path.iterdir()] == ["live.ts"]
    (tmp_path / "live.mp4").write_bytes(b"mine")
    with pytest.raises(EnvironmentProblem, match="there already"):
        finalise(tmp_path / "live.ts", tmp_path / "live.mp4")
    assert (tmp_path / "live.mp4").read_bytes() == b"mine"


def test_pictures_that_lead_up_to_the_first_one_are_not_recorded(
    clip: Clip, tmp_path: Path
) -> None:
    packets = packets_of(clip("h264-open-gop-ts"))
    begin = [n for n, p in enumerate(packets) if p.is_keyframe][1]
    first_pts = packets[begin].pts
    assert packets[begin + 1].pts < first_pts
    wanted = sorted(p.pts for p in packets[begin:] if p.pts >= first_pts)
    recorder = record(tmp_path / "live.ts", packets[begin:])
    made = finalise(tmp_path / "live.ts", tmp_path / "live.mp4")
    index = recorder.index()
    assert index is not None
    assert index.pts.tolist() == wanted
    with open_video(made.path, trusted=True) as source:
        assert source.index.pts.tolist() == wanted
        numbers = [number_of(source.frame(n).rgb) for n in range(len(source))]
    assert numbers == list(range(60 - len(wanted), 60))


def test_a_recording_of_which_an_mp4_would_hide_pictures_stays(clip: Clip, tmp_path: Path) -> None:
    whole = clip("h264-open-gop-ts")
    with av.open(str(whole)) as container:
        keys = [p.pos for p in container.demux(video=0) if p.is_keyframe]
    data = whole.read_bytes()
    path = tmp_path / "live.ts"
    # The tables of MPEG-TS, then all from a keyframe on that earlier pictures follow.
    path.write_bytes(data[: keys[0]] + data[keys[1] :])
    with pytest.raises(EnvironmentProblem, match="stays the recording"):
        finalise(path, tmp_path / "live.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["live.ts"]


def test_the_pre_roll_begins_at_a_keyframe_and_is_bounded(clip: Clip) -> None:
    packets = packets_of(clip("h264-ts"))
    pre_roll = PreRoll(1.0)
    for packet in packets:
        pre_roll.add(packet)
    kept = pre_roll.take()
    assert kept[0].is_keyframe
    assert kept == packets[-len(kept) :]
    # Groups of 15 at 25 a second: at least a second, at most one group more.
    assert 25 <= len(kept) <= 25 + 15 + 2
    small = PreRoll(60.0, most_bytes=sum(len(p.data) for p in packets[:20]))
    for packet in packets:
        small.add(packet)
    assert len(small.take()) < 60
    assert small.take() == []


def test_a_group_without_end_is_dropped_and_the_next_keyframe_begins_anew(clip: Clip) -> None:
    packets = packets_of(clip("h264-ts"))
    endless = [replace(p, is_keyframe=n == 0) for n, p in enumerate(packets)]
    most = sum(len(p.data) for p in packets[:20])
    pre_roll = PreRoll(60.0, most_bytes=most)
    for packet in endless:
        pre_roll.add(packet)
    assert pre_roll.take() == []
    for packet in [*endless, *packets[:5]]:
        pre_roll.add(packet)
    assert pre_roll.take() == packets[:5]


@pytest.fixture
def display() -> Iterator[str]:
    """A screen of its own with one colour on it."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x360x24", "-wr"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    yield f":{number}"
    server.kill()
    server.wait()


def test_a_part_of_the_screen_is_recorded(
    display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    recorder = Recorder(tmp_path / "live.ts")
    shown: list[tuple[int, np.ndarray]] = []
    capture = Capture(
        "screen:16,8,322x180",
        on_frame=lambda f: shown.append((f.pts, f.rgb)),
        on_packet=recorder.put,
    )
    capture.start()
    wait_for(lambda: len(shown) >= 10)
    capture.close()
    state = recorder.stop()
    assert not state.is_copy
    with open_video(tmp_path / "live.ts", trusted=True) as source:
        known = {source.pts(i) for i in range(len(source))}
        rgb = source.frame(3).rgb
        assert source.index.key[0]
    assert {pts for pts, _ in shown} <= known
    assert shown[0][1].shape == rgb.shape == (180, 322, 3)
    # An empty X screen is black and white, pixel by pixel: the worst that an encoder can get.
    assert np.abs(rgb.astype(int) - shown[3][1].astype(int)).mean() <= 8


def _looped(path: Path, clip_path: Path, seconds: int) -> Path:
    """The packets of a clip again and again, as one long recording."""
    recorder = Recorder(path)
    packets = packets_of(clip_path)
    step = packets[-1].dts - packets[0].dts + 3600
    for turn in range(int(seconds / 2.4)):
        for packet in packets:
            shift = turn * step
            recorder.put(replace(packet, pts=packet.pts + shift, dts=packet.dts + shift))
    assert recorder.stop().stopped_early is False
    return path


@pytest.mark.parametrize(
    "seconds", [120, pytest.param(3600, marks=[pytest.mark.long, pytest.mark.timeout(1200)])]
)
def test_memory_stays_flat_however_long_it_runs(seconds: int, clip: Clip, tmp_path: Path) -> None:
    """Material that comes faster than real time is captured, decoded and recorded."""
    source = _looped(tmp_path / "source.ts", clip("h264-mp4-no-b"), seconds)
    process = psutil.Process()
    sizes: list[int] = []
    recorder = Recorder(tmp_path / "live.ts")
    pre_roll = PreRoll(10.0)

    def take(packet: LivePacket) -> None:
        pre_roll.add(packet)
        recorder.put(packet)
        if packet.is_keyframe:
            sizes.append(process.memory_info().rss)

    capture = Capture(f"file:{source}", on_packet=take, speed=0)
    capture.start()
    wait_for(lambda: capture.state.status is LiveStatus.ENDED, 600)
    capture.close()
    state = recorder.stop()
    assert state.frames == int(seconds / 2.4) * 60
    settled = sizes[len(sizes) // 3]
    # The list of what was written grows by 17 bytes a picture; all else is bounded.
    assert max(sizes[len(sizes) // 3 :]) - settled < (24 << 20) + 40 * state.frames


def test_a_picture_is_the_same_shown_and_recorded(clip: Clip, tmp_path: Path) -> None:
    shown: dict[int, np.ndarray] = {}
    recorder = Recorder(tmp_path / "live.ts")
    capture = Capture(
        f"file:{clip('h264-ts')}",
        on_frame=lambda f: shown.__setitem__(f.pts, f.rgb),
        on_packet=recorder.put,
        speed=4,
    )
    capture.start()
    wait_for(lambda: capture.state.status is LiveStatus.ENDED)
    capture.close()
    recorder.stop()
    with open_video(tmp_path / "live.ts", trusted=True) as source:
        for pts, rgb in shown.items():
            assert np.array_equal(source.frame(source.index_of(pts)).rgb, rgb)
    assert len(shown) > 10
    assert picture(0).shape == next(iter(shown.values())).shape
