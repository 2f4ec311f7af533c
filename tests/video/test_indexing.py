"""Indexing in the background: what is told on the way, who shares it, and a player meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.errors import BadInput, TrocarError
from app.video import (
    PacketIndex,
    Player,
    PlayerState,
    ShownFrame,
    keep_indices_in,
    open_video,
    opening,
)
from app.video import index as indexing_of
from app.video.container import open_container, video_stream
from app.video.decoder import Decoder
from app.video.file_source import FileSource
from app.video.first_look import SPARE, first_look
from app.video.index import OpenCancelled, build_index
from app.video.indexing import INDEXINGS, Indexing, Indexings
from app.video.kept import KEPT
from tests.helpers.clips import RECIPES, make_clip, number_of

PATIENCE_S = 30.0
READ_THROUGH = (
    "h264-ts",
    "h264-open-gop-ts",
    "vfr-mkv",
    "mpeg2-mpg",
    "h264-fragmented",
    "clock-wraps-ts",
)
Clip = Callable[[str], Path]


@pytest.fixture
def clip(clip: Clip, tmp_path: Path) -> Clip:
    """Clips of the test's own: what another test's threads still learn of theirs is not known."""

    def get(name: str) -> Path:
        made = clip(name)
        own = tmp_path / made.name
        if not own.exists():
            shutil.copy(made, own)
        return own

    return get


@pytest.fixture
def told_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small clips are told of as long recordings are."""
    monkeypatch.setattr(indexing_of, "_FIRST_TOLD", 8)
    monkeypatch.setattr(indexing_of, "_HELD_BACK", 4)
    monkeypatch.setattr(indexing_of, "_CHECK_EVERY", 8)


@pytest.mark.usefixtures("told_often")
@pytest.mark.parametrize("name", READ_THROUGH)
def test_what_is_told_never_changes(clip: Clip, name: str) -> None:
    told: list[PacketIndex] = []
    with open_container(clip(name)) as container:
        stream = video_stream(container, clip(name))
        whole = build_index(container, stream, clip(name), told=told.append)
    assert len(told) > 3
    assert [len(i) for i in told] == sorted({len(i) for i in told})
    for part in told:
        for what in ("pts", "label", "dts", "key"):
            known = getattr(whole, what)[: len(part)]
            assert np.array_equal(getattr(part, what), known), (what, len(part))


class Gate:
    """Holds the reading of a file at some packets until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.opened = threading.Event()
        self.reads = 0
        read = indexing_of.read_packets

        def slow(*args: Any, **options: Any) -> Iterator[Any]:
            self.reads += 1
            for number, packet in enumerate(read(*args, **options)):
                if number == at:
                    assert self.opened.wait(PATIENCE_S)
                yield packet

        monkeypatch.setattr(indexing_of, "read_packets", slow)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, told_often: None) -> Iterator[Gate]:
    """Reading stops at packet 40 of every file until ``opened`` is set; nothing is known."""
    monkeypatch.setattr(opening, "_known", opening._KnownFiles())
    made = Gate(monkeypatch, 40)
    yield made
    made.opened.set()


def wait_for(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.005)


def test_a_source_grows(clip: Clip, gate: Gate) -> None:
    with open_video(clip("h264-ts"), whole=False) as source:
        known = len(source)
        assert 20 < known < 60
        assert not source.is_whole
        assert source.info.frames == known
        assert source.estimated_ms == pytest.approx(2400, abs=150)
        assert number_of(source.frame(known - 1).rgb) == known - 1
        assert not source.grow()
        gate.opened.set()
        wait_for(source.grow)
        wait_for(lambda: source.is_whole or source.grow())
        assert len(source) == source.info.frames == 60
        assert source.estimated_ms == source.info.duration_ms == pytest.approx(2400)
        assert [number_of(source.frame(i).rgb) for i in (59, 3, known - 1, known)] == [
            59, 3, known - 1, known,
        ]  # fmt: skip
        assert not source.grow()
    with open_video(clip("h264-ts")) as again:
        assert np.array_equal(again.index.pts, source.index.pts)
    assert gate.reads == 1


def test_whoever_wants_it_shares_the_work(clip: Clip, gate: Gate) -> None:
    lengths: list[int] = []
    player = open_video(clip("vfr-mkv"), whole=False)
    command = threading.Thread(target=lambda: lengths.append(_length(clip("vfr-mkv"))))
    command.start()
    time.sleep(0.05)
    assert lengths == []
    gate.opened.set()
    command.join(PATIENCE_S)
    assert lengths == [60]
    wait_for(lambda: player.is_whole or player.grow())
    assert len(player) == 60
    player.close()
    assert gate.reads == 1


def _length(path: Path) -> int:
    with open_video(path) as source:
        return len(source)


def test_the_last_one_to_leave_stops_it(clip: Clip, gate: Gate) -> None:
    source = open_video(clip("h264-ts"), whole=False)
    timer = threading.Timer(0.05, gate.opened.set)
    timer.start()
    source.close()
    timer.join()
    assert [t.name for t in threading.enumerate() if t.name == "trocar-index"] == []
    assert not opening._known.index(opening.check_file(clip("h264-ts")))


def test_waiting_can_be_cancelled(clip: Clip, gate: Gate) -> None:
    shares = Indexings()
    share = shares.join(("h264-ts", 0), clip("h264-ts"), None, lambda *_: None)
    with pytest.raises(OpenCancelled):
        share.of.whole(lambda: True)
    gate.opened.set()
    share.leave()
    share.leave()


def test_a_file_that_cannot_be_indexed_says_why(tmp_path: Path) -> None:
    path = tmp_path / "nothing.ts"
    path.write_bytes(b"\x47" + b"\0" * 4000)
    indexing = Indexing(path, None, lambda *_: None)
    for wait in (lambda: indexing.first(lambda: False, 0.1), lambda: indexing.whole(lambda: False)):
        with pytest.raises(BadInput, match=r"nothing\.ts"):
            wait()
    indexing.stop()


def test_frames_that_move_keep_their_pts(tmp_path: Path, clip: Clip) -> None:
    """A file whose later packets come before its first ones: indices change, frames do not."""
    with FileSource(clip("h264-mp4-no-b")) as source:
        whole = source.index
    late = replace(
        whole,
        pts=whole.pts[20:40], label=whole.label[20:40], dts=whole.dts[20:40], key=whole.key[20:40],
    )  # fmt: skip
    growth = Told([(late, False), (whole, True)])
    with FileSource(clip("h264-mp4-no-b"), index=late, growth=growth) as source:
        assert number_of(source.frame(5).rgb) == 25
        pts = source.pts(5)
        assert not source.grow()
        assert source.grow()
        assert source.index_of(pts) == 25
        assert [number_of(source.frame(i).rgb) for i in (5, 25, 45)] == [5, 25, 45]
    assert growth.left == 1


class Told:
    """An index as somebody else builds it, step by step."""

    def __init__(self, steps: list[tuple[PacketIndex, bool]]) -> None:
        self.steps = steps
        self.left = 0

    def now(self) -> tuple[PacketIndex, bool]:
        return self.steps.pop(0)

    def leave(self) -> None:
        self.left += 1


def test_a_player_shows_a_file_before_it_is_indexed(clip: Clip, gate: Gate) -> None:
    shown: list[ShownFrame] = []
    states: list[PlayerState] = []
    player = Player(on_frame=shown.append, on_state=states.append)
    try:
        player.open(clip("h264-ts"))
        wait_for(lambda: shown)
        state = player.state
        assert state.info is not None
        assert not state.is_whole
        assert state.estimated_ms == pytest.approx(2400, abs=150)
        player.seek_ms(2300)
        assert player.state.awaits
        player.step(1)
        wait_for(lambda: shown[-1].index == 1)
        assert not player.state.awaits
        player.seek_index(55)
        time.sleep(0.2)
        assert (player.state.awaits, shown[-1].index) == (True, 1)
        gate.opened.set()
        wait_for(lambda: shown[-1].index == 55 and shown[-1].exact)
        assert number_of(shown[-1].frame.rgb) == 55
        wait_for(lambda: player.state.is_whole)
        assert player.state.info is not None
        assert player.state.info.frames == 60
        wait_for(lambda: states[-1].is_whole and not states[-1].awaits)
    finally:
        gate.opened.set()
        player.close()


def test_play_waits_at_the_end_of_what_is_known(clip: Clip, gate: Gate) -> None:
    shown: list[ShownFrame] = []
    player = Player(on_frame=shown.append)
    try:
        player.open(clip("h264-ts"))
        wait_for(lambda: shown)
        known = player.state.info.frames if player.state.info else 0
        player.seek_index(known - 3)
        player.play()
        wait_for(lambda: shown[-1].index == known - 1)
        time.sleep(0.3)
        assert player.state.playing
        gate.opened.set()
        wait_for(lambda: player.state.at_end)
        played = [s.index for s in shown if s.exact]
        played = played[played.index(known - 3) :]
        # Late frames are dropped on a busy machine; none is shown twice, or out of its turn.
        assert played == sorted(set(played))
        assert {known - 1, 59} <= set(played)
    finally:
        gate.opened.set()
        player.close()


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


@pytest.mark.parametrize("spoil", [shorten, Path.unlink])
@pytest.mark.parametrize("name", ["h264-ts", "vfr-mkv"])
def test_a_file_that_breaks_off_is_not_whole(
    name: str,
    spoil: Callable[[Path], None],
    gate: Gate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The player says so and goes on with what is known; nobody takes it for the recording."""
    monkeypatch.setattr(opening, "WORTH_KEEPING_S", 0)
    keep_indices_in(tmp_path / "cache", writable=True)
    path = make_clip(tmp_path / f"clip{RECIPES[name].suffix}", RECIPES[name])
    key = opening.check_file(path)
    shown: list[ShownFrame] = []
    said: list[TrocarError] = []
    player = Player(on_frame=shown.append, on_error=said.append)
    try:
        player.open(path)
        wait_for(lambda: shown)
        share = INDEXINGS.join(key, path, None, lambda *_: None)
        known = player.state.info.frames if player.state.info else 0
        player.seek_index(59)
        wait_for(lambda: player.state.awaits)
        spoil(path)
        gate.opened.set()
        wait_for(lambda: said)
        with pytest.raises(TrocarError, match=path.name):
            share.of.whole(lambda: False)
        share.leave()
        assert path.name in said[0].user_message
        state = player.state
        assert (state.is_whole, state.grows, state.awaits) == (False, False, False)
        assert state.info is not None
        # What became known meanwhile may have reached the player after the question.
        assert known <= state.info.frames < 60
        known = state.info.frames
        assert state.estimated_ms == state.info.duration_ms
        player.seek_index(known - 3)
        player.play()
        wait_for(lambda: player.state.at_end)
        assert number_of(shown[-1].frame.rgb) == known - 1
        assert len(said) == 1
        assert opening._known.index(key) is None
        assert not (tmp_path / "cache").exists()
    finally:
        gate.opened.set()
        player.close()
        KEPT.lie_in(None, writable=False)


def test_what_cannot_be_taken_in_is_told_of_once(
    clip: Clip, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drive that fails at every turn: the player stays with what is known."""

    def fails(*_args: Any, **_options: Any) -> None:
        raise OSError(5, "Input/output error")

    shown: list[ShownFrame] = []
    said: list[TrocarError] = []
    player = Player(on_frame=shown.append, on_error=said.append)
    try:
        player.open(clip("h264-ts"))
        wait_for(lambda: shown)
        monkeypatch.setattr(Decoder, "grow", fails)
        gate.opened.set()
        wait_for(lambda: said)
        assert "cannot be read any more (Input/output error)" in said[0].user_message
        state = player.state
        assert (state.is_whole, state.grows) == (False, False)
        for index in (3, 5, 7):
            player.seek_index(index)
            wait_for(lambda at=index: shown[-1].exact and shown[-1].index == at)
        assert len(said) == 1
    finally:
        gate.opened.set()
        player.close()


def test_a_file_that_is_still_being_written_is_shown_but_not_kept(
    gate: Gate, tmp_path: Path
) -> None:
    path = make_clip(tmp_path / "clip.ts", RECIPES["h264-ts"])
    key = opening.check_file(path)
    with open_video(path, whole=False) as source:
        with path.open("ab") as file:
            file.write(bytes(188))
        gate.opened.set()
        wait_for(lambda: source.is_whole or source.grow())
        assert len(source) == 60
    assert opening._known.index(key) is None


def test_one_that_failed_is_begun_anew(tmp_path: Path, clip: Clip) -> None:
    path, shares = tmp_path / "clip.ts", Indexings()
    path.write_bytes(b"\x47" + bytes(4000))
    failed = shares.join(("", 0), path, None, lambda *_: None)
    with pytest.raises(BadInput):
        failed.of.whole(lambda: False)
    with pytest.raises(BadInput):
        failed.now()
    shutil.copyfile(clip("h264-ts"), path)
    again = shares.join(("", 0), path, None, lambda *_: None)
    assert len(again.of.whole(lambda: False)) == 60
    failed.leave()
    third = shares.join(("", 0), path, None, lambda *_: None)
    assert third.of is again.of
    again.leave()
    third.leave()


_INDEX = """
import sys
from pathlib import Path
from app.core.errors import EnvironmentProblem
from app.video.file_source import FileSource
try:
    with FileSource(Path(sys.argv[1])) as source:
        print(len(source), "frames")
except EnvironmentProblem as error:
    print(error.user_message)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs a C compiler on Linux"
)
@pytest.mark.parametrize(("fails_at", "says"), [(10**9, "60 frames"), (60000, "check its drive")])
def test_a_drive_that_fails_is_not_the_end_of_the_file(
    tmp_path: Path, fails_at: int, says: str
) -> None:
    path = make_clip(tmp_path / "failing.ts", RECIPES["h264-ts"])
    assert path.stat().st_size > 80000
    library = tmp_path / "drive.so"
    source = Path(__file__).parents[1] / "helpers" / "failing_drive.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    run = subprocess.run(
        [sys.executable, "-c", _INDEX, path],
        env={**os.environ, "LD_PRELOAD": str(library), "FAILS_AT": str(fails_at)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert says in run.stdout


def test_a_child_waits_for_the_next_file(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "é ñ\n.mp4", replace(RECIPES["h264-mp4"], frames=4))
    SPARE.prepare()
    child = SPARE._child
    assert child is not None
    SPARE.prepare()
    assert SPARE._child is child
    first_look(path)
    assert child.returncode is not None
    assert SPARE._child is None
    SPARE.prepare()
    assert SPARE._child is not None
    SPARE._child.kill()
    SPARE._child.wait()
    first_look(path)
    SPARE.prepare()
    waiting = SPARE._child
    SPARE.end()
    assert waiting is not None
    assert waiting.poll() is not None
    SPARE.end()


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_that_is_taken_away_after_the_first_look_has_a_sentence(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, whole: bool
) -> None:
    """Anything else would end the thread of the player."""
    path = tmp_path / "gone.ts"
    shutil.copyfile(clip("h264-ts"), path)
    look = opening.check_file

    def then_taken_away(*args: Any) -> Any:
        key = look(*args)
        path.unlink()
        return key

    monkeypatch.setattr(opening, "check_file", then_taken_away)
    with pytest.raises(TrocarError, match=r"gone\.ts"):
        open_video(path, whole=whole)
