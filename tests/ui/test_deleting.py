"""The question before a case is deleted that Trocar recorded itself."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from app.core.case import Case
from app.core.recording import Recording
from app.ui.main_window import MainWindow
from app.video import describe_asset


@pytest.fixture
def recorded(window: MainWindow, clip: Path, tmp_path: Path) -> Case:
    """The case of a live recording."""
    live = tmp_path / "live.mp4"
    live.write_bytes(clip.read_bytes())
    recording = Recording(
        asset_id="live-1", case_id="", path=str(live), source="tower", started_utc_ms=1
    )
    return window.services.library.writer.begin_recording(
        recording, describe_asset(live, "live-1"), "Live", "unknown"
    ).result()


def _answer(monkeypatch: pytest.MonkeyPatch, live: str, *, ticked: bool) -> None:
    def act(box: QMessageBox) -> int:
        assert live in box.informativeText()
        assert "stays where it is" in box.informativeText()
        box.checkBox().setChecked(ticked)
        next(b for b in box.buttons() if b.text() == "Delete").click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", act)


@pytest.mark.parametrize("ticked", [False, True])
def test_a_live_recording_is_deleted_only_where_that_is_ticked(
    window: MainWindow,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    recorded: Case,
    *,
    ticked: bool,
) -> None:
    live, library = Path(recorded.assets[0].path), window.services.library
    _answer(monkeypatch, str(live), ticked=ticked)
    window.ask_to_delete(recorded)
    qtbot.waitUntil(lambda: not library.cases(), timeout=20_000)
    qtbot.waitUntil(lambda: live.exists() != ticked, timeout=20_000)


def test_an_open_recording_is_let_go_and_waits_for_no_other_work(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, recorded: Case
) -> None:
    live, services = Path(recorded.assets[0].path), window.services
    busy = threading.Event()
    services.cases._slow.run(busy.wait)
    try:
        services.cases.open_case(recorded.case_id)
        qtbot.waitUntil(lambda: services.player.state.shown > 0, timeout=20_000)
        _answer(monkeypatch, str(live), ticked=True)
        window.ask_to_delete(recorded)
        qtbot.waitUntil(lambda: not live.exists(), timeout=20_000)
        qtbot.waitUntil(lambda: services.player.state.path is None, timeout=20_000)
    finally:
        busy.set()
