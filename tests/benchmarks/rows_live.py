"""Rows about live sources: from the sender's encoder to the decoded picture, on loopback."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from app.video.live.capture import Capture, LiveFrame
from tests.benchmarks.measure import Row
from tests.helpers.clips import number_of
from tests.helpers.live_senders import KINDS, Sender, free_port, need, percentiles_ms, spec_of

_FRAMES, _SETTLING, _LIMIT_S = 150, 30, 60.0


def live(rounds: int) -> list[Row]:
    """Latency of each kind of source: barcode pictures, 30 a second, H.264 without delay."""
    return [_latency(kind, max(1, rounds // 2)) for kind in KINDS]


def _latency(kind: str, rounds: int) -> Row:
    row = f"live {kind}: sent to decoded"
    try:
        need(kind)
    except pytest.skip.Exception as error:
        return Row(row=row, ours=None, unit="ms", note=f"not run, because {error.msg}")
    seconds: list[float] = []
    opening_s: list[float] = []
    dropped = missing = 0
    for _ in range(rounds):
        found, first_s, lost, left_out = _one_run(kind)
        seconds += found
        opening_s.append(first_s)
        dropped, missing = dropped + left_out, missing + lost
    p50, p95 = percentiles_ms(seconds)
    return Row(
        row=row,
        ours=p50,
        unit="ms",
        note=f"p95 {p95:.0f} ms, {len(seconds)} frames of 320 x 180; first after "
        f"{min(opening_s):.2f} s; {missing} missing, {dropped} left out for newer ones",
        more={"p95": p95, "missing": missing, "dropped": dropped},
    )


def _one_run(kind: str) -> tuple[list[float], float, int, int]:
    """Latencies, seconds to the first picture, pictures missing, pictures left out."""
    seen: list[tuple[float, int]] = []
    enough = threading.Event()

    def take(frame: LiveFrame) -> None:
        seen.append((time.monotonic(), number_of(frame.rgb)))
        if len(seen) == _FRAMES:
            enough.set()

    port = free_port(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    capture = Capture(spec_of(kind, port), on_frame=take)
    # Who waits for a sender is there first; who calls comes second.
    listens = capture.spec.listens
    if listens:
        capture.start()
    with Sender(kind, port) as sender:
        began_s = time.monotonic()
        if not listens:
            capture.start()
        enough.wait(_LIMIT_S)
        state = capture.state
        capture.close()
    numbers = [number for _, number in seen]
    missing = numbers[-1] - numbers[0] + 1 - len(numbers) - state.dropped
    latencies = [at_s - sender.sent_s[n] for at_s, n in seen[_SETTLING:]]
    return latencies, seen[0][0] - began_s, max(0, missing), state.dropped
