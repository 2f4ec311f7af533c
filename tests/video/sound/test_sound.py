"""Sound keeps to the player's clock: start, seeks, pauses, speeds, drift, joins; silence otherwise.

The sink's time passes only as far as a test lets it: what is measured does not depend on how busy
the machine is.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from app.core.case import Asset
from app.core.errors import EnvironmentProblem, TrocarError
from app.video.file_source import FileSource
from app.video.player import Player
from app.video.sound.playing import Sound
from app.video.sound.sinks import NO_PORTAUDIO, Sink, sound_problem
from tests.helpers.sound import PacedSink, SinkClock, SteppedSink, asset_at, beeping_clip, beeps_in

ALLOWED_MS = 40.0


class Room:
    """A sound, its clock and its sink."""

    def __init__(self, asset: Asset | None, sink: SteppedSink | None = None) -> None:
        self.sink = sink or SteppedSink()
        self.clock = SinkClock(self.sink)
        self.problems: list[TrocarError] = []
        self.sound = Sound(self.clock, open_sink=self.sink.open, on_problem=self.problems.append)
        self.sound.load(asset)

    def play(self, from_ms: float, seconds: float) -> None:
        """Play from a moment, then stop."""
        self.clock.start(from_ms)
        self.sink.run(seconds)
        self.clock.stop()
        self.sink.idle()

    def offsets_ms(self) -> list[float]:
        return self.clock.offsets_ms(self.sink.beeps_s())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """Six seconds that flash and beep."""
    return asset_at(beeping_clip(tmp_path_factory.mktemp("sound") / "beeps.mp4"))


@pytest.fixture
def room() -> Iterator[Callable[..., Room]]:
    """Makes rooms and closes their sound."""
    made: list[Room] = []

    def make(asset: Asset | None, sink: SteppedSink | None = None, *, on: bool = True) -> Room:
        made.append(Room(asset, sink))
        made[-1].sound.set_muted(not on)
        return made[-1]

    yield make
    for one in made:
        one.sink.let_go()
        one.sound.close()


def test_no_thread_and_no_device_before_it_is_turned_on(
    room: Callable[..., Room], clip: Asset
) -> None:
    one = room(clip, on=False)
    one.clock.start(0)
    assert one.sound.is_muted
    assert one.sink.opened == 0
    assert not [t for t in threading.enumerate() if t.name == "trocar-sound"]


def test_beeps_come_with_their_flashes(room: Callable[..., Room], clip: Asset) -> None:
    one = room(clip)
    one.play(300, 4.2)
    offsets = one.offsets_ms()
    assert len(offsets) == 4
    assert max(map(abs, offsets)) < 5


def test_after_seeks_and_pauses_it_is_with_the_picture(
    room: Callable[..., Room], clip: Asset
) -> None:
    one = room(clip)
    for from_ms in (2700, 700, 4650, 1800, 3900):
        one.play(from_ms, 0.6)
    one.clock.start(500)
    one.sink.run(0.8)
    one.clock.start(3600)  # a seek while it plays
    one.sink.run(0.9)
    offsets = one.offsets_ms()
    assert len(offsets) == 7
    assert max(map(abs, offsets)) < 5


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.5, 2.0])
def test_at_other_speeds_it_stays_with_the_picture_at_its_pitch(
    room: Callable[..., Room], clip: Asset, speed: float
) -> None:
    one = room(clip)
    one.clock.set_speed(speed)
    one.play(600, 4.9 / speed)
    offsets = one.offsets_ms()
    assert len(offsets) == 5
    assert max(map(abs, offsets)) < ALLOWED_MS
    whole = np.concatenate([s[:, 0] for _, s in one.sink.heard])
    loudest = np.argmax(np.abs(np.fft.rfft(whole))) * one.sink.rate_hz / len(whole)
    assert loudest == pytest.approx(1000, abs=30)


@pytest.mark.parametrize("speed", [-1.0, 0.25, 4.0])
def test_backwards_and_at_speeds_beyond_words_it_is_silent(
    room: Callable[..., Room], clip: Asset, speed: float
) -> None:
    one = room(clip)
    one.play(500, 0.2)
    heard = len(one.sink.heard)
    one.clock.set_speed(speed)
    one.clock.start(4000)
    one.clock.let_look()
    assert len(one.sink.heard) == heard
    one.clock.set_speed(1.0)
    one.sink.run(0.2)
    assert len(one.sink.heard) > heard


@pytest.mark.parametrize("fast", [1.01, 0.99])
def test_a_device_that_runs_wrong_does_not_drift_away(
    room: Callable[..., Room], clip: Asset, fast: float
) -> None:
    one = room(clip, SteppedSink(fast=fast))
    one.play(500, 5.3)
    offsets = one.offsets_ms()
    assert len(offsets) == 5  # without correction the last is 50 ms off
    assert max(map(abs, offsets)) < 20


def test_a_stalled_device_catches_up(room: Callable[..., Room], clip: Asset) -> None:
    one = room(clip)
    one.clock.start(500)
    one.sink.run(0.8)
    one.sink.now_s += 0.7  # nothing was written for so long: the buffer ran empty
    one.sink.run(1.5)
    offsets = one.offsets_ms()
    assert len(offsets) >= 2
    assert max(map(abs, offsets)) < ALLOWED_MS


def test_a_wrong_clock_is_noticed(room: Callable[..., Room], clip: Asset) -> None:
    """What the other tests measure can fail: a recording whose origin is wrong by 100 ms."""
    wrong = replace(clip, start_pts=clip.start_pts + round(Fraction(1, 10) / clip.time_base))
    one = room(wrong)
    one.play(300, 2.0)
    assert min(map(abs, one.offsets_ms())) > 90


def test_parts_of_a_split_recording_follow_one_another(
    room: Callable[..., Room], tmp_path: Path
) -> None:
    parts = [
        asset_at(beeping_clip(tmp_path / "one.mp4", 2.0)),
        asset_at(beeping_clip(tmp_path / "two.mkv", 2.0)),
        asset_at(beeping_clip(tmp_path / "three.ts", 2.0, start_s=Fraction(7))),
    ]
    unit = Fraction(1, 1000)
    whole = replace(
        parts[0], time_base=unit, start_pts=0, end_pts=6000, frames=150,
        parts=tuple(
            replace(p.files[0], first_pts=2000 * i, end_pts=2000 * (i + 1))
            for i, p in enumerate(parts)
        ),
    )  # fmt: skip
    one = room(whole)
    one.play(300, 5.2)
    offsets = one.offsets_ms()
    assert len(offsets) == 5
    assert max(map(abs, offsets)) < ALLOWED_MS


def test_the_second_track_is_another(room: Callable[..., Room], tmp_path: Path) -> None:
    two = asset_at(beeping_clip(tmp_path / "two.mp4", 3.0, tracks=2))
    one = room(two)
    one.sound.load(two, choice=1)
    one.play(300, 1.2)
    assert one.sink.heard
    assert one.sink.beeps_s() == []


def test_muting_gives_the_device_back(room: Callable[..., Room], clip: Asset) -> None:
    one = room(clip)
    one.clock.start(500)
    one.sink.run(0.3)
    one.sound.set_muted(True)
    one.sink.idle()
    assert one.sink.closed == 1
    heard = len(one.sink.heard)
    one.sound.set_muted(False)
    one.sink.run(0.3)
    assert len(one.sink.heard) > heard
    assert one.sink.opened == 2


def test_volume_is_heard(room: Callable[..., Room], clip: Asset) -> None:
    one = room(clip)
    one.sound.set_volume(0.5)
    one.play(800, 0.4)
    loudest = max(float(np.abs(s).max()) for _, s in one.sink.heard)
    assert loudest == pytest.approx(0.8 * 0.25, rel=0.1)


def test_without_a_device_it_says_so_and_is_muted(clip: Asset) -> None:
    def none() -> Sink:
        raise EnvironmentProblem("There is no loudspeaker.")

    told: list[TrocarError] = []
    said = threading.Event()
    clock = SinkClock(SteppedSink())
    sound = Sound(clock, open_sink=none, on_problem=lambda e: (told.append(e), said.set())[0])
    try:
        sound.load(clip)
        clock.start(0)
        sound.set_muted(False)
        assert said.wait(30)
        assert sound.is_muted
        assert [e.user_message for e in told] == ["There is no loudspeaker."]
    finally:
        sound.close()


@pytest.mark.long
def test_beside_a_real_player_in_real_time(tmp_path: Path) -> None:
    """The offset as it is measured here: printed; the middle one is held to."""
    path = beeping_clip(tmp_path / "beeps.mp4", 60.0)
    sink = PacedSink()
    clock = SinkClock(sink)
    opened = threading.Event()
    player = Player(
        on_frame=lambda _frame: opened.set(),
        clock=clock,
        open_source=lambda _file, **_options: FileSource(path),
    )
    sound = Sound(clock, open_sink=lambda: sink)
    sound.load(asset_at(path))
    sound.set_muted(False)
    player.open(path)
    assert opened.wait(60)

    def play(seconds: float, *seeks_ms: float) -> None:
        for at_ms in seeks_ms or (None,):
            if at_ms is not None:
                player.seek_ms(at_ms)
            player.play()
            time.sleep(seconds)

    def measured(what: str, act: Callable[[], None]) -> float:
        heard = len(sink.heard)
        act()
        player.pause()
        time.sleep(0.3)
        offsets = np.abs(clock.offsets_ms(beeps_in(sink.heard[heard:], sink.rate_hz)))
        middle, most = np.percentile(offsets, (50, 95))
        told = f"{what}: {len(offsets)} beeps, {middle:.1f}, {most:.1f}, {offsets.max():.1f} ms\n"
        sys.stdout.write(told)
        return float(middle)

    try:
        rng = np.random.default_rng(3)
        middles = [
            measured("after a start", lambda: play(10, 300)),
            measured("after 20 seeks", lambda: play(1.3, *rng.uniform(1000, 55_000, 20))),
            measured("after pauses", lambda: [(play(1.2), player.pause()) for _ in range(10)]),
        ]
        for speed in (0.5, 2.0):
            player.set_speed(speed)
            middles.append(measured(f"at {speed} times", lambda: play(10, 500)))
    finally:
        sound.close()
        player.close()
    assert max(middles) < ALLOWED_MS


def test_without_portaudio_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # as where it is not installed
    assert sound_problem() == NO_PORTAUDIO
    assert "libportaudio2" in NO_PORTAUDIO
