"""A real sender over UDP: its loss is shown, and what it shows when it is back."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from app.ui.main_window import MainWindow
from tests.helpers.live_senders import KINDS, Sender, free_port, need, percentiles_ms, spec_of
from tests.helpers.painted import Painted
from tests.ui.live.conftest import WAIT_MS, control_of, record, shown_number, watch


def test_a_lost_signal_is_shown_and_the_picture_comes_back(live: MainWindow, qtbot: QtBot) -> None:
    need("udp")
    port = free_port(socket.SOCK_DGRAM)
    assert live.live is not None
    stage = live.live.stage
    with Sender("udp", port):
        control = watch(live, qtbot, spec_of("udp", port))
        record(live, qtbot)
        qtbot.waitUntil(lambda: shown_number(live) > 30, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: stage.view.notice is not None, timeout=WAIT_MS)
    assert stage.view.notice is not None
    assert stage.view.notice.title.startswith("No signal for ")
    assert "The recording goes on" in stage.view.notice.detail
    assert control.is_recording
    # Nothing that is old lies on a picture that stands still.
    assert stage._overlay is None
    with Sender("udp", port, first=5000):
        qtbot.waitUntil(lambda: stage.view.notice is None, timeout=WAIT_MS)
        qtbot.waitUntil(lambda: shown_number(live) >= 5000, timeout=WAIT_MS)
        qtbot.waitUntil(lambda: bool(live.live and live.live.strip.data.gaps), timeout=WAIT_MS)
    control.stop_recording()
    qtbot.waitUntil(lambda: not control.is_recording, timeout=WAIT_MS)
    assert control.case is not None
    (recording,) = live.services.library.recordings(control.case.case_id)
    assert len(recording.gaps) == 1


@pytest.fixture
def painted() -> Iterator[Painted]:
    """When pictures are painted; asked for before the window."""
    made = Painted()
    yield made
    made.close()


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_how_old_a_picture_is_when_it_is_painted(
    painted: Painted, live: MainWindow, qtbot: QtBot, kind: str
) -> None:
    """From the sender's encoder to the painted window, by the number in the picture."""
    need(kind)
    port = free_port(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    control = control_of(live)
    assert live.live is not None
    calls = kind not in ("udp", "rtmp")
    if not calls:  # who waits for a sender is there first
        live.live.chooser.chosen.emit(spec_of(kind, port))
        qtbot.waitUntil(lambda: control.session is not None, timeout=WAIT_MS)
    with Sender(kind, port) as sender:
        if calls:
            live.live.chooser.chosen.emit(spec_of(kind, port))
        qtbot.waitUntil(lambda: control.screen.shown is not None, timeout=WAIT_MS)
        qtbot.wait(3000)
        began = shown_number(live)
        qtbot.wait(12_000)
        assert shown_number(live) > began + 30
        first_s = painted.first_s()
    numbers = [n for n in sorted(first_s) if n > began]
    p50, p95 = percentiles_ms([first_s[n] - sender.sent_s[n] for n in numbers])
    share = len(numbers) / (numbers[-1] - numbers[0] + 1)
    sys.stdout.write(
        f"{kind}: sent to painted {p50:.0f} ms p50, {p95:.0f} ms p95, {share:.0%} painted; "
        f"outlines {control.screen.pace.age_ms:.0f} ms old when they come\n"
    )
