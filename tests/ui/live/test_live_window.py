"""Watching live in the real window: picture, outlines, marks, phases, looking back, the case."""

from __future__ import annotations

from pathlib import Path

from pytestqt.qtbot import QtBot

from app.ui.main_window import MainWindow
from tests.ui.live.conftest import WAIT_MS, record, watch


def test_a_file_is_watched_with_outlines(live: MainWindow, qtbot: QtBot, live_clip: Path) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    assert live.live is not None
    stage = live.live.stage
    qtbot.waitUntil(lambda: stage._overlay_pixels is not None, timeout=WAIT_MS)
    assert control.models.has_outlines
    qtbot.waitUntil(lambda: control.models.phase is not None, timeout=WAIT_MS)


def test_a_recording_becomes_a_case_with_its_mark_and_phase(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    record(live, qtbot)
    control.mark()
    control.key_phase(2)
    qtbot.waitUntil(lambda: bool(control.notes and control.notes.marks), timeout=WAIT_MS)
    control.stop_recording()
    qtbot.waitUntil(lambda: not control.is_recording, timeout=WAIT_MS)
    assert control.case is not None
