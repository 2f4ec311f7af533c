"""Rows about moving through a recording, beside mpv, OpenCV and decord where they are installed.

Wall time, since other players run in processes of their own; candidates take turns at every single
act, so that the machine's load falls on all of them alike.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import cv2
import numpy as np

from app.core.mask import Mask
from app.overlay import ShownInstance, compose
from app.video import Player, ShownFrame, opening
from app.video.file_source import FileSource
from tests.benchmarks import video_material as material
from tests.benchmarks import video_peers as peers
from tests.benchmarks.measure import Row
from tests.benchmarks.rows_compute import STYLE

_PATIENCE_S = 60.0
_BACK_STEPS = 40
_STEPS_PER_S = 15
_PLAYED_S = 6.0
# With more late frames than that, players did not do the same work.
_MOST_LATE = 0.05
_SCRUB_HZ = 30
# So long is looked at a picture before a key is pressed, and between two acts, until a peer's
# threads have ended what they had begun.
_LOOK_S = 0.4
_BREATH_S = 0.03
# Until the child that looks at files waits for the next one.
_SPARE_S = 1.0


class Screen:
    """A player whose pictures are waited for."""

    def __init__(self) -> None:
        self._heard = threading.Condition()
        self.shown: list[tuple[float, ShownFrame]] = []
        self._awaited = False
        self.composed: Callable[[ShownFrame], object] = lambda _shown: None
        self.player = Player(on_frame=self._hear)

    def _hear(self, shown: ShownFrame) -> None:
        self.composed(shown)
        with self._heard:
            # The window keeps no picture that it has shown, and a hundred kept here cost more
            # time than showing them (fresh memory for each).
            if self._awaited:
                self.shown.append((time.perf_counter(), shown))
                self._heard.notify_all()

    def timed(self, act: Callable[[], object], wanted: Callable[[ShownFrame], bool]) -> list[float]:
        """Milliseconds to the first picture after an act, and to the one that is wanted."""
        with self._heard:
            self._awaited = True
        start_s = time.perf_counter()
        act()
        with self._heard:
            if not self._heard.wait_for(lambda: any(wanted(s) for _, s in self.shown), _PATIENCE_S):
                raise RuntimeError("the player did not show what was asked for")
            last_s = next(at for at, s in self.shown if wanted(s))
            first_s = self.shown[0][0]
            self._awaited = False
            self.shown.clear()
        return [1000 * (first_s - start_s), 1000 * (last_s - start_s)]

    def open(self, path: Path) -> float:
        """To the first frame."""
        return self.timed(lambda: self.player.open(path), lambda s: s.path == path)[1]

    def open_unseen(self, path: Path, before: Path) -> float:
        """To the first frame of a file that nobody knows, in a player that shows another one."""
        self.open(before)
        self.rest()
        time.sleep(_SPARE_S)
        opening._known = opening._KnownFiles()
        return self.open(path)

    def rest(self) -> None:
        """Wait until the player has nothing more to do."""
        until_s = time.monotonic() + _PATIENCE_S
        while not self.player._settled and time.monotonic() < until_s:
            time.sleep(0.01)

    def close(self) -> None:
        """End the player."""
        self.player.close()


def video(rounds: int) -> list[Row]:
    """All rows of this module, one after the other, over recordings that are made once."""
    with tempfile.TemporaryDirectory(prefix="trocar-bench-") as folder:
        made = Path(folder)
        return [
            row
            for rows in (_opening, _seeking, _stepping, _scrubbing, _playing, _two_hours, _memory)
            for row in rows(made, rounds)
        ]


def _opening(folder: Path, rounds: int) -> Iterable[Row]:
    """A file that was never seen, so that the child process looks at it; and one that was."""
    path = material.make(folder, material.HARD)
    times: dict[str, list[float]] = {}
    for _ in range(max(2, rounds)):
        with closing(Screen()) as screen:
            easy = material.make(folder, material.EASY)
            _note(times, "ours", screen.open_unseen(path, easy))
        for peer in peers.installed():
            with closing(peer):
                _note(times, peer.name, peer.open(path))
    yield from _rows("open to first frame", times, "1080p H.264, first look in a child included")


def _seeking(folder: Path, rounds: int) -> Iterable[Row]:
    for name, kind in (
        ("exact seek, 12 Mb/s GOP 250", material.HARD),
        ("exact seek, GOP 25", material.EASY),
        ("exact seek, motion JPEG", material.MOTION_JPEG),
    ):
        path = material.make(folder, kind)
        times: dict[str, list[float]] = {}
        used: dict[str, list[float]] = {}
        readers = [peers.Ours(), *peers.installed()]
        for reader in readers:
            reader.open(path)
        for number, index in enumerate(_places(kind.frames, 3 * rounds)):
            # Each in turn is the first: whoever follows a peer of many threads pays for them.
            first = number % len(readers)
            for reader in readers[first:] + readers[:first]:
                time.sleep(_BREATH_S)
                _note(times, reader.name, reader.seek(index, kind.rate))
                _note(used, reader.name, reader.used_ms)
        note = f"{3 * rounds} random frames; wrong: "
        note += ", ".join(f"{reader.name} {reader.wrong}" for reader in readers)
        for reader in readers:
            reader.close()
        yield from _rows(name, times, note)
        yield from _rows(f"{name}, processor", used, note, unit="CPU-ms")


def _stepping(folder: Path, rounds: int) -> Iterable[Row]:
    """A held key backwards over a GOP's border, and one step soon after a seek."""
    kind = material.HARD
    path = material.make(folder, kind)
    inside: dict[str, list[float]] = {}
    across: dict[str, list[float]] = {}
    with ExitStack() as others:
        mpv = _opened(others, path)
        for number in range(max(1, rounds // 2)):
            key = kind.gop * (1 + number % (kind.frames // kind.gop))
            with closing(Screen()) as screen:
                screen.open(path)
                _held_key(screen, key + _BACK_STEPS // 2, key, inside, across)
            if mpv is None:
                continue
            mpv.seek(key + 2, kind.rate)
            for index in range(key + 2, key - 2, -1):
                ms = mpv.step_back(index, kind.rate)
                _note(across if index <= key else inside, "mpv", ms)
    held = f"key held, {_STEPS_PER_S} steps a second, 12 Mb/s GOP 250"
    yield from _rows("step back inside the cache", inside, held)
    yield from _rows("step back across a GOP", across, f"{held}; the steps behind the border")
    for name, kind in (("12 Mb/s GOP 250", material.HARD), ("12 Mb/s GOP 30", material.USUAL)):
        path = material.make(folder, kind)
        for look_s in (0.0, _LOOK_S):
            note = f"{name}; {look_s:g} s after the picture that was gone to is on screen"
            places = _places(kind.frames, 2 * rounds)
            found = _steps_after_seeks(path, kind, places, look_s)
            yield from _rows("step back after a seek to anywhere", found, note)
            keys = [kind.gop * (1 + n % ((kind.frames - 1) // kind.gop)) for n in range(rounds)]
            found = _steps_after_seeks(path, kind, keys, look_s)
            yield from _rows("step back after a seek to a keyframe", found, f"{note}; worst case")


def _steps_after_seeks(
    path: Path, kind: material.Kind, places: list[int], look_s: float
) -> dict[str, list[float]]:
    """Milliseconds of a step back after a seek into a stretch of which nothing is known yet."""
    found: dict[str, list[float]] = {}
    with closing(Screen()) as screen, ExitStack() as others:
        mpv = _opened(others, path)
        screen.open(path)
        screen.rest()
        time.sleep(_SPARE_S)
        for index in (max(1, place) for place in places):
            screen.open(path)
            _at(screen, index)
            time.sleep(look_s)
            _note(found, "ours", _step(screen, index))
            screen.rest()
            if mpv is not None:
                mpv.seek(index, kind.rate)
                time.sleep(look_s)
                _note(found, "mpv", mpv.step_back(index, kind.rate))
    return found


def _opened(until: ExitStack, path: Path) -> peers.Mpv | None:
    mpv = peers.Mpv.where_installed(until)
    if mpv is not None:
        mpv.open(path)
    return mpv


def _held_key(
    screen: Screen, start: int, key: int, inside: dict[str, Any], across: dict[str, Any]
) -> None:
    _at(screen, start)
    screen.rest()
    for index in range(start, start - _BACK_STEPS, -1):
        began_s = time.perf_counter()
        ms = _step(screen, index)
        _note(across if index <= key else inside, "ours", ms)
        time.sleep(max(0.0, 1 / _STEPS_PER_S - (time.perf_counter() - began_s)))


def _at(screen: Screen, index: int) -> list[float]:
    return screen.timed(
        lambda: screen.player.seek_index(index), lambda s: s.exact and s.index == index
    )


def _step(screen: Screen, index: int) -> float:
    return screen.timed(
        lambda: screen.player.step(-1), lambda s: s.exact and s.frame.index == index - 1
    )[1]


def _scrubbing(folder: Path, rounds: int) -> Iterable[Row]:
    """Far jumps: any picture, then the exact one; and a drag: how often the picture changes."""
    kind = material.HARD
    path = material.make(folder, kind)
    first: dict[str, list[float]] = {}
    exact: dict[str, list[float]] = {}
    with closing(Screen()) as screen, ExitStack() as others:
        mpv = peers.Mpv.where_installed(others)
        screen.open(path)
        if mpv is not None:
            mpv.open(path)
        for index in _places(kind.frames, 3 * rounds):
            any_ms, exact_ms = _at(screen, index)
            _note(first, "ours", any_ms)
            _note(exact, "ours", exact_ms)
            screen.rest()
            if mpv is not None:
                _note(first, "mpv", mpv.to_keyframe(index, kind.rate))
                _note(exact, "mpv", mpv.seek(index, kind.rate))
        pictures = _drag(screen, kind)
    note = "far jumps in the 12 Mb/s file; mpv: a seek to keyframes"
    yield from _rows("scrub: time to any picture", first, note)
    yield from _rows("scrub: time to the exact one", exact, "the same jumps; mpv: an exact seek")
    yield Row(
        row="scrub: pictures while dragging",
        ours=pictures,
        unit="frames/s",
        note=f"{_SCRUB_HZ} seeks a second over the whole of the 12 Mb/s file in 4 s",
    )


def _drag(screen: Screen, kind: material.Kind) -> float:
    seen: set[int] = set()
    screen.composed = lambda s: seen.add(s.frame.index)
    steps = 4 * _SCRUB_HZ
    for number in range(steps):
        screen.player.seek_index(kind.frames * number // steps)
        time.sleep(1 / _SCRUB_HZ)
    screen.composed = lambda _shown: None
    return len(seen) / 4


def _playing(folder: Path, rounds: int) -> Iterable[Row]:
    """Processor time of this process while a player plays, and of that the overlay's part."""
    instruments = [_instrument(n) for n in range(4)]
    for name, kind in (("1080p30", material.USUAL), ("1080p60", material.FAST)):
        path = material.make(folder, kind)
        bare: dict[str, list[float]] = {}
        drawn: list[float] = []
        late = {"ours": 0, "mpv": 0}
        plays = max(1, rounds // 2)
        for _ in range(plays):
            played = _played(path, kind, instruments)
            _note(bare, "ours", played.bare_ms)
            drawn.append(played.overlay_ms)
            late["ours"] += played.late
            with ExitStack() as others:
                if (mpv := peers.Mpv.where_installed(others)) is not None:
                    ms, dropped = mpv.play_as_rgb(path, _PLAYED_S, kind.rate)
                    _note(bare, "mpv", ms)
                    late["mpv"] += dropped
        note = (
            f"the first {_PLAYED_S:g} s, decoded and turned into RGB, not painted, no overlay; for "
            f"{kind.rate} shown frames; left out as late: ours {late['ours']}, mpv {late['mpv']}"
        )
        if max(late.values()) > _MOST_LATE * plays * _PLAYED_S * kind.rate:
            bare.pop("mpv", None)
            note += "; this machine was too busy to compare players"
        yield from _rows(f"CPU per played second, {name}", bare, note, unit="CPU-ms")
        yield Row(
            row=f"CPU per played second, {name}: the overlay's part",
            ours=median(drawn),
            unit="CPU-ms",
            note="four instruments composed anew for every frame; no peer: mpv has no overlay",
        )


class _Played(NamedTuple):
    """Processor milliseconds for a second's worth of shown frames, and how many were late."""

    bare_ms: float
    overlay_ms: float
    late: int


def _played(path: Path, kind: material.Kind, shapes: list[ShownInstance]) -> _Played:
    composing: list[float] = []

    def composed(_shown: ShownFrame) -> None:
        began_s = time.thread_time()
        compose(shapes, material.HARD.size_px, STYLE)
        composing.append(1000 * (time.thread_time() - began_s))

    with closing(Screen()) as screen:
        screen.open(path)
        screen.rest()
        time.sleep(_SPARE_S)
        screen.composed = composed
        began_ms = 1000 * time.process_time()
        screen.player.play()
        time.sleep(_PLAYED_S)
        screen.player.pause()
        used_ms = 1000 * time.process_time() - began_ms
        late = screen.player.state.dropped
    a_second = kind.rate / max(1, len(composing))
    overlay_ms = sum(composing)
    return _Played((used_ms - overlay_ms) * a_second, overlay_ms * a_second, late)


def _instrument(number: int) -> ShownInstance:
    """A shaft across a quarter of the picture."""
    width, height = material.HARD.size_px
    drawn = np.zeros((height, width), np.uint8)
    ends = (width * number // 4, height), (width * (number + 1) // 5, height // 2)
    cv2.line(drawn, *ends, 1, 70)
    mask = Mask.from_full(drawn)
    return ShownInstance(label="grasper", mask=mask, score=0.9, track=number)


def _two_hours(folder: Path, rounds: int) -> Iterable[Row]:
    for suffix in (".mp4", ".ts"):
        path = material.two_hours(folder, suffix)
        size_mb = path.stat().st_size >> 20
        opened: dict[str, list[float]] = {}
        indexed: dict[str, list[float]] = {}
        for _ in range(max(2, rounds // 2)):
            with closing(Screen()) as screen:
                easy = material.make(folder, material.EASY)
                _note(opened, "ours", screen.open_unseen(path, easy))
            start_s = time.perf_counter()
            with FileSource(path) as source:
                _note(indexed, "ours", 1000 * (time.perf_counter() - start_s))
                frames = len(source)
            for peer in peers.installed():
                with closing(peer):
                    _note(opened, peer.name, peer.open(path))
        note = f"{frames} frames, 640 x 360, {size_mb} MB, {suffix[1:]}; disk cache warm"
        yield from _rows(f"two hours: open to first frame ({suffix[1:]})", opened, note)
        yield from _rows(f"two hours: whole index ({suffix[1:]})", indexed, note)


def _memory(folder: Path, rounds: int) -> Iterable[Row]:
    """Seeks all over the 12 Mb/s file, each waited for, with the cache of the window."""
    if not Path("/proc/self/status").exists():
        return
    kind = material.HARD
    with closing(Screen()) as screen:
        screen.open(material.make(folder, kind))
        draw = random.Random(3)
        for index in (draw.randrange(kind.frames) for _ in range(8)):
            _at(screen, index)
        screen.rest()
        before_mb, threads, files = _footprint()
        seeks = 10 * rounds
        for index in (draw.randrange(kind.frames) for _ in range(seeks)):
            _at(screen, index)
        screen.rest()
        after_mb, threads_after, files_after = _footprint()
    yield Row(
        row="memory added by seeks",
        ours=after_mb - before_mb,
        unit="MB",
        note=f"{seeks} seeks; {after_mb:.0f} MB in all, of which the cache may take 512",
        more={"threads_added": threads_after - threads, "files_added": files_after - files},
    )


def _footprint() -> tuple[float, int, int]:
    said = Path("/proc/self/status").read_text(encoding="ascii").split()
    threads = int(said[said.index("Threads:") + 1])
    return int(said[said.index("VmRSS:") + 1]) / 1024, threads, len(os.listdir("/proc/self/fd"))


def _places(frames: int, count: int) -> list[int]:
    return random.Random(7).sample(range(frames), min(count, frames))


def _note(times: dict[str, list[float]], who: str, ms: float) -> None:
    times.setdefault(who, []).append(ms)


def _rows(name: str, times: dict[str, list[float]], note: str, unit: str = "ms") -> Iterable[Row]:
    """A row for every peer that was measured, or one alone."""
    ours = times["ours"]
    more = {
        f"{who}_{what}": round(figure, 2)
        for who, found in times.items()
        for what, figure in (("min", min(found)), ("p95", _p95(found)), ("max", max(found)))
    }
    for peer in [p for p in times if p != "ours"] or [""]:
        yield Row(
            row=f"{name} (beside {peer})" if peer else name,
            ours=median(ours),
            peer=median(times[peer]) if peer else None,
            peer_name=f"{peer} {peers.versions()[peer]}" if peer else "",
            unit=unit,
            note=note if peer else f"{note}; no peer",
            more=more,
        )


def _p95(found: list[float]) -> float:
    return quantiles(found, n=20)[-1] if len(found) > 1 else float(np.max(found))
