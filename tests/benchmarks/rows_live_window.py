"""Rows about the Live workspace: from the sender's encoder to the painted window, on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.benchmarks import material
from tests.benchmarks.measure import Row
from tests.helpers.live_senders import KINDS, Sender, free_port, need, percentiles_ms, spec_of

PROJECT = Path(__file__).resolve().parents[2]
_SECONDS, _TIMEOUT_S = 8, 300


def live_window(rounds: int) -> list[Row]:
    """How old a picture is when it is painted, with outlines computed beside it."""
    del rounds  # a stretch of seconds holds hundreds of pictures already
    if find_spec("PySide6") is None:
        note = "PySide6 is not installed, so the window cannot be measured"
        return [Row(row="live: sent to painted", ours=None, unit="ms", note=note)]
    return [_row(kind) for kind in KINDS]


def _row(kind: str) -> Row:
    name = f"live {kind}: sent to painted"
    try:
        need(kind)
    except pytest.skip.Exception as error:
        return Row(row=name, ours=None, unit="ms", note=f"not run, because {error.msg}")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        material.instrument_model(library / "models", always_finds=True)
        found, sent_s = _watch(kind, library)
    painted = {int(number): at_s for number, at_s in found["painted"].items()}
    if not painted:
        return Row(row=name, ours=None, unit="ms", note="not measured, because no picture came")
    p50, p95 = percentiles_ms([at_s - sent_s[n] for n, at_s in painted.items() if n in sent_s])
    share = len(painted) / (max(painted) - min(painted) + 1)
    outlines = "shown" if found["outlines_help"] else "left out, too slow"
    return Row(
        row=name,
        ours=p50,
        unit="ms",
        note=f"p95 {p95:.0f} ms, {len(painted)} pictures of 320 x 180 in 1680 x 1050, "
        f"{share:.0%} of those sent; outlines {found['outline_age_ms']:.0f} ms old when they "
        f"come, {outlines}; "
        f"GUI timer late p99 {found['late_p99_ms']:.0f} ms",
        more={
            "p95": p95,
            "share_painted": share,
            **{k: v for k, v in found.items() if k != "painted"},
        },
    )


def _watch(kind: str, library: Path) -> tuple[dict[str, object], dict[int, float]]:
    """What the window saw, and when each picture was sent."""
    port = free_port(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    calls = kind not in ("udp", "rtmp")
    command = [sys.executable, "-m", "tests.benchmarks.live_probe", str(library)]
    command += [spec_of(kind, port), str(_SECONDS)]
    sender = Sender(kind, port) if calls else None
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as window:
        try:
            assert window.stdout is not None
            assert window.stdout.readline() == "watching\n"
            if sender is None:  # who waits for a sender is there first
                time.sleep(1.0)
                sender = Sender(kind, port)
            line, _ = window.communicate(timeout=_TIMEOUT_S)
        finally:
            window.kill()
            if sender is not None:
                sender.kill()
    found: dict[str, object] = json.loads(line.strip().splitlines()[-1])
    return found, sender.sent_s
