"""Real senders on loopback: what is sent is shown and recorded, whatever happens to the line."""

from __future__ import annotations

import itertools
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from app.core.recording import Raster
from app.video import open_video
from app.video.live.capture import Capture
from app.video.live.state import LiveFrame, LiveState, LiveStatus
from app.video.record.recorder import Recorder
from tests.helpers.clips import RECIPES, make_clip, number_of
from tests.helpers.live_senders import (
    COMING,
    KINDS,
    OTHER_WAYS,
    Sender,
    free_port,
    need,
    percentiles_ms,
    spec_of,
)
from tests.live.conftest import wait_for


class Watched:
    """A capture with what it showed and said."""

    def __init__(self, spec: str, recorder: Recorder | None = None, **options: float) -> None:
        self.frames: list[tuple[float, int, LiveFrame]] = []
        self.states: list[LiveState] = []
        self.rasters: list[Raster] = []
        self.recorder = recorder
        self.capture = Capture(
            spec,
            on_frame=self._seen,
            on_state=self.states.append,
            on_packet=recorder.put if recorder else lambda _packet: None,
            on_raster=self.rasters.append,
            **options,  # type: ignore[arg-type]
        )

    def _seen(self, frame: LiveFrame) -> None:
        self.frames.append((time.monotonic(), number_of(frame.rgb), frame))

    @property
    def numbers(self) -> list[int]:
        return [number for _, number, _ in self.frames]

    def count(self, status: LiveStatus) -> int:
        return sum(1 for a, b in pairwise([None, *self.states]) if b.status is status != _of(a))

    def close(self) -> None:
        self.capture.close()
        if self.recorder is not None:
            self.recorder.stop()


def _of(state: LiveState | None) -> LiveStatus | None:
    return None if state is None else state.status


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """``watch(spec, recorded=True)``: a capture that runs, and its recorder."""
    made: list[Watched] = []

    def begin(spec: str, *, recorded: bool = True, **options: float) -> Watched:
        recorder = Recorder(tmp_path / "recording.ts") if recorded else None
        watched = Watched(spec, recorder, **options)
        made.append(watched)
        watched.capture.start()
        return watched

    yield begin
    for watched in made:
        watched.close()


def _port(kind: str) -> int:
    return free_port(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)


def _check_recording(watched: Watched, path: Path) -> None:
    """Every picture that was shown is in the recording under the same pts."""
    shown = {frame.pts: number for _, number, frame in watched.frames if not frame.damaged}
    with open_video(path, trusted=True) as source:
        recorded = {source.pts(i): number_of(source.frame(i).rgb) for i in range(len(source))}
    assert {pts: recorded.get(pts) for pts in shown} == shown
    pts = [frame.pts for _, _, frame in watched.frames]
    assert pts == sorted(set(pts))


@pytest.mark.parametrize(
    "kind", [*KINDS, *(pytest.param(k, marks=pytest.mark.long) for k in OTHER_WAYS)]
)
def test_what_is_sent_is_shown_and_recorded(
    kind: str, watch: Callable[..., Watched], tmp_path: Path
) -> None:
    need(kind)
    port = _port(kind)
    if kind in COMING:
        watched = watch(spec_of(kind, port))
        wait_for(lambda: watched.states)
    with Sender(kind, port) as sender:
        if kind not in COMING:
            watched = watch(spec_of(kind, port))
        wait_for(lambda: len(watched.frames) >= 40)
        watched.close()
    numbers = watched.numbers
    state = watched.capture.state
    assert numbers == sorted(set(numbers))
    # What is not shown was dropped for newer pictures, and that is counted.
    assert numbers[-1] - numbers[0] + 1 - len(numbers) <= state.dropped
    assert state.damaged == 0
    assert state.size_px == (320, 180)
    _check_recording(watched, tmp_path / "recording.ts")
    settled = watched.frames[10:]
    p50, p95 = percentiles_ms([at_s - sender.sent_s[number] for at_s, number, _ in settled])
    sys.stdout.write(f"{kind}: sent to decoded {p50:.0f} ms p50, {p95:.0f} ms p95\n")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_a_sender_that_goes_and_comes_a_hundred_times(
    kind: str, watch: Callable[..., Watched], tmp_path: Path
) -> None:
    need(kind)
    port = _port(kind)
    watched = watch(spec_of(kind, port), read_timeout_s=1.0, first_retry_s=0.1)
    first = 0
    for _ in range(25):
        before = len(watched.frames)
        with Sender(kind, port, first=first) as sender:
            wait_for(lambda n=before: len(watched.frames) >= n + 10, 30)
        first = max(sender.sent_s) + 1
        wait_for(lambda: watched.capture.state.status is not LiveStatus.LIVE)
    watched.close()
    state = watched.capture.state
    assert state.reconnects >= 24, "one that ends before its first picture counts too"
    assert len(state.gaps) == 24
    assert all(gap.length_s < 20 for gap in state.gaps)
    assert watched.numbers == sorted(set(watched.numbers))
    _check_recording(watched, tmp_path / "recording.ts")


class FlakyServer:
    """A server of MPEG-TS over TCP that hangs up after each stretch, like a bad line."""

    def __init__(self, *clips: Path, stretch_s: float = 0.3) -> None:
        self._clips = itertools.cycle([clip.read_bytes() for clip in clips])
        self._stretch_s = stretch_s
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self._over = threading.Event()
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._socket.accept()
            except TimeoutError:
                continue
            with client:
                self._send(client, next(self._clips))

    def _send(self, client: socket.socket, data: bytes) -> None:
        """The clip at its own pace (2.4 s), for a stretch."""
        began_s = time.monotonic()
        step = 188 * 7
        for at in range(0, len(data), step):
            due_s = began_s + 2.4 * at / len(data)
            if due_s - began_s > self._stretch_s or self._over.is_set():
                return
            time.sleep(max(0.0, due_s - time.monotonic()))
            try:
                client.sendall(data[at : at + step])
            except OSError:
                return


@pytest.mark.parametrize(
    "times", [10, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_a_line_that_breaks_again_and_again(
    times: int, watch: Callable[..., Watched], tmp_path: Path, clip: Callable[[str], Path]
) -> None:
    server = FlakyServer(clip("mpeg2-ts"))
    try:
        watched = watch(f"tcp://127.0.0.1:{server.port}", first_retry_s=0.05)
        wait_for(lambda: watched.capture.state.reconnects >= times, 3.0 * times + 20)
    finally:
        server.close()
    watched.close()
    state = watched.capture.state
    # The source's own clock began anew each time; the recording's never does.
    assert len(state.gaps) >= times - 1
    assert all(0 < gap.length_s < 5 for gap in state.gaps)
    assert all(a.end_pts <= b.start_pts for a, b in pairwise(state.gaps))
    assert watched.count(LiveStatus.LOST) >= times
    assert set(watched.numbers) <= set(range(60))
    _check_recording(watched, tmp_path / "recording.ts")


def test_another_size_after_a_reconnect_goes_on_in_the_same_recording(
    watch: Callable[..., Watched], tmp_path: Path, clip: Callable[[str], Path]
) -> None:
    recipe = replace(RECIPES["mpeg2-ts"], width_px=480, height_px=272)
    server = FlakyServer(clip("mpeg2-ts"), make_clip(tmp_path / "large.ts", recipe))
    try:
        watched = watch(f"tcp://127.0.0.1:{server.port}", first_retry_s=0.05)
        wait_for(lambda: len({f.rgb.shape for _, _, f in watched.frames}) == 2)
        wait_for(lambda: watched.capture.state.reconnects >= 3)
    finally:
        server.close()
    watched.close()
    rasters = watched.rasters
    assert [(r.width_px, r.height_px) for r in rasters[:2]] == [(320, 180), (480, 272)]
    for _, _, frame in watched.frames:
        current = next(r for r in reversed(rasters) if r.first_pts <= frame.pts)
        assert (current.width_px, current.height_px) == frame.rgb.shape[1::-1]
    with open_video(tmp_path / "recording.ts", trusted=True) as source:
        for _, number, frame in watched.frames:
            again = source.frame(source.index_of(frame.pts)).rgb
            assert again.shape == frame.rgb.shape
            assert number_of(again) == number


def test_silence_is_a_lost_signal_and_sound_again_a_found_one(
    watch: Callable[..., Watched], clip: Callable[[str], Path]
) -> None:
    port = free_port(socket.SOCK_DGRAM)
    data = clip("h264-ts").read_bytes()
    step = 1316

    def send() -> None:
        """A third of the clip (2.4 s) at its own pace."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for at in range(0, len(data) // 3, step):
                out.sendto(data[at : at + step], ("127.0.0.1", port))
                time.sleep(2.4 * step / len(data))

    watched = watch(
        f"udp://127.0.0.1:{port}", recorded=False, open_timeout_s=0.5, read_timeout_s=0.5
    )
    for again in range(2):
        wait_for(lambda: watched.capture.state.status is not LiveStatus.LIVE)
        time.sleep(0.1)
        send()
        wait_for(lambda n=again: watched.count(LiveStatus.LIVE) == n + 1)
        wait_for(lambda n=again: watched.count(LiveStatus.LOST) == n + 1)
    lost = next(s for s in watched.states if s.status is LiveStatus.LOST)
    assert lost.sentence.endswith("is lost: nothing comes.")
    assert watched.capture.state.reconnects == 1
    (gap,) = watched.capture.state.gaps
    assert gap.length_s > 0.3
