"""The player: order, drops, steps, seeks, reverse, errors, closing. The clock is a fake one."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from app.core.errors import BadInput, TrocarError
from app.core.frame import Frame
from app.video import Player, PlayerState, ShownFrame, UndecodableFrame, VideoSource
from app.video.clock import PlaybackClock, bounded_speed
from app.video.file_source import FileSource
from tests.helpers.clips import RECIPES, damaged_clip, make_clip, motion_jpeg, number_of

PATIENCE_S = 30.0


class FakeClock(PlaybackClock):
    """Time passes only by waiting, or by what a test adds."""

    def __init__(self) -> None:
        super().__init__()
        self.time_s = 100.0

    def now_s(self) -> float:
        return self.time_s

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        if seconds is None:
            condition.wait()
        else:
            self.time_s += seconds


class Screen:
    """A player and everything it said."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.shown: list[ShownFrame] = []
        self.states: list[PlayerState] = []
        self.errors: list[TrocarError] = []
        self._heard = threading.Condition()
        self.player = Player(
            on_frame=lambda frame: self._hear(self.shown, frame),
            on_state=lambda state: self._hear(self.states, state),
            on_error=lambda error: self._hear(self.errors, error),
            **{"clock": self.clock, "open_source": trusted, **options},
        )

    def _hear(self, what: list[Any], said: object) -> None:
        with self._heard:
            what.append(said)
            self._heard.notify_all()

    def until(self, condition: Callable[[], object]) -> None:
        with self._heard:
            assert self._heard.wait_for(condition, PATIENCE_S), (self.shown[-3:], self.states[-2:])

    def open(self, path: Path) -> None:
        self.player.open(path)
        self.until(lambda: self.shown and self.shown[-1].path == path)

    def indices(self) -> list[int]:
        return [s.index for s in self.shown]

    def play_to_end(self) -> None:
        self.player.play()
        self.until(lambda: self.states and self.states[-1].at_end)


def trusted(path: Path, **options: Any) -> VideoSource:
    return FileSource(path, **options)


@pytest.fixture
def screen() -> Iterator[Callable[..., Screen]]:
    """Makes screens and closes them."""
    made: list[Screen] = []

    def make(**options: Any) -> Screen:
        made.append(Screen(**options))
        return made[-1]

    yield make
    for one in made:
        one.player.close()
        assert not one.player._thread.is_alive()


def slowed(clock_of: list[FakeClock], seconds: float) -> Callable[..., VideoSource]:
    """Sources whose every new picture takes ``seconds`` of the fake clock."""

    def slow(path: Path, **options: Any) -> VideoSource:
        source = FileSource(path, **options)
        keep = source._decoder._keep

        def keep_late(picture: Any) -> int:
            clock_of[0].time_s += seconds
            return keep(picture)

        source._decoder._keep = keep_late
        return source

    return slow


def test_opens_on_the_first_frame(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen()
    one.open(clip("h264-mp4"))
    state = one.player.state
    assert state.info is not None
    assert state.info.frames == 60
    assert (state.playing, state.index, state.speed) == (False, 0, 1.0)
    assert number_of(one.shown[0].frame.rgb) == 0
    assert one.errors == []


def test_a_seek_while_a_file_is_being_opened_is_kept(
    screen: Callable[..., Screen], clip: Any
) -> None:
    one = screen()
    one.player.open(clip("h264-mp4"))
    one.player.seek_index(25)
    one.until(lambda: one.shown and one.shown[-1].exact and one.shown[-1].index == 25)
    assert number_of(one.shown[-1].frame.rgb) == 25


@pytest.mark.parametrize("name", ["h264-mp4", "vfr-mkv", "h264-open-gop-ts", "mjpeg-avi"])
def test_plays_every_frame_at_its_time(screen: Callable[..., Screen], clip: Any, name: str) -> None:
    one = screen()
    times: list[float] = []
    one.open(clip(name))
    one.player._on_frame = lambda f: (times.append(one.clock.time_s), one._hear(one.shown, f))
    started_s = one.clock.time_s
    one.play_to_end()
    assert one.indices() == list(range(60))
    assert [number_of(s.frame.rgb) for s in one.shown] == list(range(60))
    assert all(s.exact for s in one.shown)
    state = one.player.state
    assert (state.shown, state.dropped, state.undecodable) == (60, 0, 0)
    played_s = [s.frame.time_ms / 1000 for s in one.shown[1:]]
    assert [t - started_s for t in times] == pytest.approx(played_s, abs=0.002)


def test_speed_is_kept(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen()
    one.open(clip("h264-mp4"))
    for speed, seconds in ((0.5, 4.72), (2.0, 1.18), (0.1, 23.6)):
        one.player.set_speed(speed)
        one.states.clear()
        started_s = one.clock.time_s
        one.player.play()
        one.until(lambda: one.states and one.states[-1].at_end)
        assert one.clock.time_s - started_s == pytest.approx(seconds, abs=0.05), speed


def test_late_frames_are_dropped_while_playing(screen: Callable[..., Screen], clip: Any) -> None:
    clock: list[FakeClock] = []
    one = screen(open_source=slowed(clock, 0.1))
    clock.append(one.clock)
    one.open(clip("h264-mp4"))
    one.play_to_end()
    state = one.player.state
    assert one.indices() == sorted(set(one.indices()))
    assert one.indices()[-1] == 59
    assert state.dropped > 20
    assert state.shown + state.dropped == 60


def test_steps_are_never_dropped(screen: Callable[..., Screen], clip: Any) -> None:
    clock: list[FakeClock] = []
    one = screen(open_source=slowed(clock, 0.5))
    clock.append(one.clock)
    one.open(clip("h264-mp4"))
    for _ in range(20):
        one.player.step(1)
    for _ in range(8):
        one.player.step(-1)
    one.player.step(10)
    one.until(lambda: len(one.shown) == 30)
    assert one.indices() == [*range(21), *range(19, 11, -1), 22]
    assert [number_of(s.frame.rgb) for s in one.shown] == one.indices()
    assert one.player.state.dropped == 0


def test_steps_stop_at_the_ends(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen()
    one.open(clip("h264-mp4"))
    one.player.step(-3)
    one.player.step(1000)
    one.until(lambda: len(one.shown) == 3)
    assert one.indices() == [0, 0, 59]


def test_the_newest_seek_wins(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen(cache_bytes=1)
    one.open(clip("h264-long-gop"))
    for index in (119, 20, 110, 30, 100, 40, 90, 77):
        one.player.seek_index(index)
    one.until(lambda: one.shown[-1].index == 77 and one.shown[-1].exact)
    assert number_of(one.shown[-1].frame.rgb) == 77
    for state in one.shown:
        if state.exact:
            assert number_of(state.frame.rgb) == state.index


def test_a_far_seek_shows_its_keyframe_first(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen(cache_bytes=1)
    one.open(clip("h264-mp4"))
    one.shown.clear()
    one.player.seek_index(43)
    one.until(lambda: one.shown and one.shown[-1].exact)
    assert [(s.index, s.frame.index, s.exact) for s in one.shown] == [
        (43, 30, False),
        (43, 43, True),
    ]
    one.player.seek_index(46)
    one.until(lambda: one.shown[-1].index == 46)
    assert [s.exact for s in one.shown] == [False, True, True]


def test_seeks_are_clamped(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen()
    one.open(clip("h264-mp4"))
    one.player.seek_index(10_000)
    one.until(lambda: one.shown[-1].index == 59 and one.shown[-1].exact)
    one.player.seek_index(-4)
    one.until(lambda: one.shown[-1].index == 0)


def test_seeks_by_time_are_exact_at_a_variable_rate(
    screen: Callable[..., Screen], clip: Any
) -> None:
    one = screen()
    assert (one.player.index_at_ms(500), one.player.time_ms(7)) == (0, 0.0)
    one.open(clip("vfr-mp4"))
    for index in (41, 8, 59):
        start_ms, next_ms = one.player.time_ms(index), one.player.time_ms(index + 1)
        one.player.seek_ms((start_ms + next_ms) / 2)
        one.until(lambda index=index: one.shown[-1].index == index and one.shown[-1].exact)
        assert number_of(one.shown[-1].frame.rgb) == index


@pytest.mark.parametrize("cache_bytes", [1, 64 << 20])
def test_backward_play_shows_every_frame(
    screen: Callable[..., Screen], clip: Any, cache_bytes: int
) -> None:
    one = screen(cache_bytes=cache_bytes)
    one.open(clip("h264-mp4"))
    one.player.seek_index(40)
    one.until(lambda: one.shown[-1].index == 40 and one.shown[-1].exact)
    one.shown.clear()
    one.player.set_speed(-1)
    one.player.play()
    one.until(lambda: one.shown and one.shown[-1].index == 0)
    assert one.indices() == list(range(39, -1, -1))
    assert [number_of(s.frame.rgb) for s in one.shown] == one.indices()
    one.until(lambda: not one.states[-1].playing)
    assert not one.player.state.at_end


def test_play_at_the_end_starts_again(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen()
    one.open(clip("mjpeg-avi"))
    one.play_to_end()
    one.states.clear()
    one.play_to_end()
    assert one.indices() == [*range(60), *range(60)]


def test_pause_and_play_on(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen(clock=PlaybackClock())
    one.open(clip("h264-mp4"))
    one.player.play()
    one.until(lambda: len(one.shown) > 5)
    one.player.pause()
    one.until(lambda: not one.states[-1].playing)
    at = one.player.state.index
    time.sleep(0.15)
    assert one.player.state.index == at
    one.player.play()
    one.until(lambda: one.shown[-1].index > at + 3)
    assert one.indices() == sorted(set(one.indices()))


def test_seek_while_playing_goes_on_from_there(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen(clock=PlaybackClock())
    one.open(clip("h264-mp4"))
    one.player.play()
    one.until(lambda: len(one.shown) > 3)
    one.player.seek_index(50)
    one.until(lambda: one.states[-1].at_end)
    after = one.indices()[one.indices().index(50) :]
    assert after[-1] == 59
    assert len(set(after)) >= 3


def test_shuttle_keys(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen(clock=PlaybackClock())
    one.open(clip("h264-long-gop"))
    speeds = []
    for key in (1, 1, 1, -1, -1, 0):
        one.player.shuttle(key)
        speeds.append((one.player.state.speed, one.player.state.playing))
    assert speeds == [(1, True), (2, True), (4, True), (-1, True), (-2, True), (1, False)]


def test_speeds_are_bounded() -> None:
    assert [bounded_speed(s) for s in (0, 0.05, 3, 100, -0.01, -99)] == [0.1, 0.1, 3, 16, -0.1, -16]


def test_damaged_packets_are_tolerated_and_counted(
    screen: Callable[..., Screen], tmp_path: Path
) -> None:
    one = screen()
    one.open(damaged_clip(tmp_path / "damaged.avi", [10, 11, 25]))
    one.play_to_end()
    assert one.errors == []
    assert one.indices() == list(range(40))
    assert [s.index for s in one.shown if not s.exact] == [10, 11, 25]
    assert [number_of(s.frame.rgb) for s in one.shown[10:12]] == [9, 9]
    assert one.player.state.undecodable == 3
    assert one.player.state.shown == 37


def test_stepping_on_a_damaged_frame_says_so(screen: Callable[..., Screen], tmp_path: Path) -> None:
    one = screen()
    one.open(damaged_clip(tmp_path / "damaged.avi", [10]))
    one.player.seek_index(9)
    one.player.step(1)
    one.player.step(1)
    one.until(lambda: one.shown[-1].index == 11)
    assert [type(e) for e in one.errors] == [UndecodableFrame]
    before = one.shown[-2]
    assert (before.index, before.exact, before.frame.index) == (10, False, 9)


def test_a_bad_file_is_an_error_and_the_next_one_opens(
    screen: Callable[..., Screen], clip: Any, tmp_path: Path
) -> None:
    one = screen()
    one.player.open(tmp_path / "gone.mp4")
    one.until(lambda: one.errors)
    assert isinstance(one.errors[0], BadInput)
    assert (one.player.state.info, one.player.state.path) == (None, None)
    one.player.play()
    one.player.step(1)
    one.open(clip("h264-mp4"))
    one.open(clip("h264-ts"))
    state = one.player.state
    assert state.info.container == "mpegts"
    assert (state.shown, state.index) == (1, 0)
    assert state.path == clip("h264-ts")


def test_a_file_that_is_taken_away(
    screen: Callable[..., Screen], clip: Any, tmp_path: Path
) -> None:
    path = tmp_path / "stick.ts"
    path.write_bytes(clip("h264-ts").read_bytes())
    one = screen(cache_bytes=1)
    one.open(path)
    with path.open("wb"):
        pass
    one.player.seek_index(40)
    one.until(lambda: one.errors)
    assert "stick.ts" in one.errors[0].user_message
    one.player.play()
    one.until(lambda: len(one.errors) > 1 and not one.states[-1].playing)
    one.open(clip("h264-mp4"))
    assert number_of(one.shown[-1].frame.rgb) == 0


@pytest.mark.parametrize("reads", ["frame", "read_ahead", "skip_to", "hold", "close"])
@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), av.error.UnknownError(5, "Unknown error")]
)
def test_a_drive_that_fails_where_nobody_foresees_it(
    screen: Callable[..., Screen], clip: Any, reads: str, error: Exception
) -> None:
    """The file is closed with a sentence; the player goes on with the next one."""
    opened: list[VideoSource] = []

    def fails(*_args: Any, **_options: Any) -> Any:
        raise error

    def keep(path: Path, **options: Any) -> VideoSource:
        opened.append(FileSource(path, **options))
        return opened[-1]

    one = screen(open_source=keep, cache_bytes=1)
    one.open(clip("h264-ts"))
    closed: list[bool] = []
    close = opened[0].close
    opened[0].close = lambda: (closed.append(True), close())
    setattr(opened[0], "frame" if reads == "close" else reads, fails)
    if reads == "close":
        opened[0].close = lambda: (close(), closed.append(True), fails())
    one.player.seek_index(40)
    one.player.play()
    one.until(lambda: one.errors)
    assert one.errors[0].user_message.startswith("h264-ts.ts cannot be read any more (")
    assert closed == [True]
    assert one.player.state == PlayerState()
    assert one.states[-1].path is None
    one.open(clip("h264-mp4"))
    assert number_of(one.shown[-1].frame.rgb) == 0
    assert len(one.errors) == 1


def test_a_file_whose_drive_fails_while_it_is_opened(
    screen: Callable[..., Screen], clip: Any
) -> None:
    def fail_first(path: Path, **options: Any) -> VideoSource:
        if path.suffix == ".ts":
            raise OSError(errno.EIO, "Input/output error")
        return FileSource(path, **options)

    one = screen(open_source=fail_first)
    one.player.open(clip("h264-ts"))
    one.until(lambda: one.errors)
    assert "Input/output error" in one.errors[0].user_message
    assert one.player.state.path is None
    one.open(clip("h264-mp4"))


def test_a_picture_that_may_not_be_shown_stops_play(
    screen: Callable[..., Screen], tmp_path: Path
) -> None:
    sizes = [(64, 48)] * 5 + [(8448, 64)] + [(64, 48)] * 5
    one = screen()
    one.open(motion_jpeg(tmp_path / "jump.avi", sizes))
    one.player.play()
    one.until(lambda: one.errors)
    assert "too large" in one.errors[0].user_message
    one.until(lambda: not one.states[-1].playing)
    one.player.seek_index(8)
    one.until(lambda: any(s.index == 8 and s.exact for s in one.shown))


def test_close_during_anything(clip: Any) -> None:
    path = clip("h264-long-gop")
    for delay_s in (0, 0.002, 0.01, 0.05, 0.2):
        for act in ("open", "play", "seek", "reverse"):
            shown: list[ShownFrame] = []
            player = Player(on_frame=shown.append, open_source=trusted, cache_bytes=1)
            player.open(path)
            if act != "open":
                wait_for(lambda shown=shown: shown)
            if act == "play":
                player.set_speed(16)
                player.play()
            if act == "seek":
                player.seek_index(119)
            if act == "reverse":
                player.seek_index(119)
                player.set_speed(-2)
                player.play()
            time.sleep(delay_s)
            player.close()
            assert not player._thread.is_alive(), (act, delay_s)


def test_close_while_a_file_is_looked_at(clip: Any, tmp_path: Path) -> None:
    path = tmp_path / "new.mp4"
    path.write_bytes(clip("h264-mp4").read_bytes() + b"never seen")
    player = Player(on_frame=lambda _f: None)
    player.open(path)
    time.sleep(0.05)
    player.close()
    assert not player._thread.is_alive()
    player.close()


def wait_for(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.002)


def test_what_lies_around_a_still_is_at_hand(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen()
    one.open(clip("h264-mp4"))
    one.player.seek_index(31)
    one.until(lambda: one.shown[-1].index == 31 and one.shown[-1].exact)
    wait_for(lambda: one.player._settled)
    source = one.player._source
    assert source is not None
    assert all(source.holds(index) for index in range(19, 43))


def test_frames_are_whole(screen: Callable[..., Screen], clip: Any) -> None:
    one = screen()
    one.open(clip("vfr-mp4"))
    one.play_to_end()
    with FileSource(clip("vfr-mp4")) as source:
        for said in one.shown:
            frame = said.frame
            assert isinstance(frame, Frame)
            assert frame.pts == source.pts(said.index)
            assert frame.time_ms == source.time_ms(said.index)


def go_to(one: Screen, index: int) -> None:
    """Seek, and forget what was shown on the way."""
    del one.shown[:]
    one.player.seek_index(index)
    one.until(lambda: one.shown and one.shown[-1].index == index and one.shown[-1].exact)
    del one.shown[:]


@pytest.mark.parametrize("name", ["h264-mp4", "vfr-mp4", "h264-open-gop-ts"])
@pytest.mark.parametrize("loop", [(17, 33), (50, 59), (0, 4), (20, 20)])
def test_a_loop_shows_its_frames_over_and_over(
    screen: Callable[..., Screen], clip: Any, name: str, loop: tuple[int, int]
) -> None:
    one = screen()
    one.open(clip(name))
    first, last = loop
    one.player.set_loop(last, first)  # in whatever order they were marked
    go_to(one, first)
    one.player.play()
    count = last - first + 1
    one.until(lambda: len(one.shown) > 2 * count + 3)
    one.player.pause()
    wanted = [first + (1 + i) % count for i in range(2 * count + 3)]
    assert one.indices()[: len(wanted)] == wanted
    assert [number_of(s.frame.rgb) for s in one.shown[: len(wanted)]] == wanted
    assert one.player.state.loop == loop
    assert one.player.state.dropped == 0


def test_a_loop_goes_round_backwards_and_ends_when_it_is_taken_away(
    screen: Callable[..., Screen], clip: Any
) -> None:
    one = screen()
    one.open(clip("h264-mp4"))
    one.player.set_loop(5, 9)
    go_to(one, 9)
    one.player.set_speed(-1.0)
    one.player.play()
    one.until(lambda: len(one.shown) > 9)
    assert one.indices()[:9] == [8, 7, 6, 5, 9, 8, 7, 6, 5]
    one.player.set_loop(0, None)
    one.until(lambda: not one.player.state.playing)
    assert one.indices()[-1] == 0


def test_play_that_begins_outside_a_loop_goes_on_into_it(
    screen: Callable[..., Screen], clip: Any
) -> None:
    one = screen()
    one.open(clip("h264-mp4"))
    one.player.set_loop(10, 14)
    go_to(one, 7)
    one.player.play()
    one.until(lambda: len(one.shown) > 9)
    assert one.indices()[:9] == [8, 9, 10, 11, 12, 13, 14, 10, 11]
    one.player.pause()
    go_to(one, 40)
    one.play_to_end()
    assert one.indices()[-1] == 59


def counting(decoded: list[int]) -> Callable[..., VideoSource]:
    """Sources that tell which frames they decode."""

    def count(path: Path, **options: Any) -> VideoSource:
        source = FileSource(path, cache_bytes=40 * 320 * 180 * 3 // 2)
        keep = source._decoder._keep

        def keep_counted(picture: Any, *rest: Any) -> int:
            index = keep(picture, *rest)
            decoded.append(index)
            return index

        source._decoder._keep = keep_counted
        return source

    return count


def test_a_loop_that_fits_is_decoded_once(screen: Callable[..., Screen], clip: Any) -> None:
    decoded: list[int] = []
    one = screen(open_source=counting(decoded))
    one.open(clip("h264-long-gop"))
    one.player.set_loop(60, 80)
    go_to(one, 60)
    one.player.play()
    one.until(lambda: len(one.shown) > 45)
    del decoded[:]
    seen = len(one.shown)
    one.until(lambda: len(one.shown) > seen + 63)
    one.player.pause()
    assert set(decoded) <= set(range(81, 95))  # what lies ahead of it, never the way there


def test_of_a_long_loop_the_beginning_is_at_hand_when_it_goes_round(
    screen: Callable[..., Screen], clip: Any
) -> None:
    decoded: list[int] = []
    one = screen(open_source=counting(decoded))
    one.open(clip("h264-long-gop"))
    one.player.set_loop(40, 110)
    go_to(one, 40)
    one.player.play()
    one.until(lambda: one.indices().count(110) == 1)
    del decoded[:]
    one.until(lambda: one.indices().count(40) == 1)
    at_once = list(decoded)
    one.until(lambda: one.indices().count(110) == 2)
    one.player.pause()
    assert 40 not in at_once
    shown = one.indices()[one.indices().index(40) :]
    assert shown[:71] == list(range(40, 111))


def test_fast_backwards_through_a_long_group_keeps_its_time(
    screen: Callable[..., Screen], tmp_path: Path
) -> None:
    recipe = replace(RECIPES["h264-long-gop"], gop=60, frames=180)
    one = screen(cache_bytes=1 << 20)
    one.open(make_clip(tmp_path / "long.mp4", recipe))
    one.player.seek_index(179)
    one.until(lambda: one.shown[-1].index == 179 and one.shown[-1].exact)
    one.shown.clear()
    started_s = one.clock.time_s
    one.player.set_speed(-16)
    one.player.play()
    one.until(lambda: one.states[-1].playing and one.shown)
    one.until(lambda: not one.states[-1].playing)
    assert one.clock.time_s - started_s == pytest.approx(179 / 25 / 16, abs=0.03)
    shown = one.indices()
    assert shown == sorted(set(shown), reverse=True)
    assert {120, 60, 0} <= {*shown}
    assert [number_of(s.frame.rgb) for s in one.shown] == shown


def test_far_behind_pictures_are_shown_on_the_way(screen: Callable[..., Screen], clip: Any) -> None:
    clock: list[FakeClock] = []
    one = screen(open_source=slowed(clock, 0.03))
    clock.append(one.clock)
    one.open(clip("h264-long-gop"))
    one.player.set_speed(16)
    one.play_to_end()
    shown = one.indices()
    assert shown == sorted(set(shown))
    assert [number_of(s.frame.rgb) for s in one.shown] == shown
    # Two at the most would be, were every one decoded to that is due.
    assert len(shown) > 6
    assert one.player.state.shown + one.player.state.dropped == 120
