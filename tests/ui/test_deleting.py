"""The question before a case is deleted that Trocar recorded itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from app.core.recording import Recording
from app.ui.main_window import MainWindow
from app.video import describe_asset


@pytest.mark.parametrize("ticked", [False, True])
def test_a_live_recording_is_deleted_only_where_that_is_ticked(
    window: MainWindow,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    clip: Path,
    tmp_path: Path,
    *,
    ticked: bool,
) -> None:
    live = tmp_path / "live.mp4"
    live.write_bytes(clip.read_bytes())
    library = window.services.library
    recording = Recording(
        asset_id="live-1", case_id="", path=str(live), source="tower", started_utc_ms=1
    )
    case = library.writer.begin_recording(
        recording, describe_asset(live, "live-1"), "Live", "unknown"
    ).result()

    def act(box: QMessageBox) -> int:
        assert str(live) in box.informativeText()
        assert "stays where it is" in box.informativeText()
        box.checkBox().setChecked(ticked)
        next(b for b in box.buttons() if b.text() == "Delete").click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", act)
    window.ask_to_delete(case)
    qtbot.waitUntil(lambda: not library.cases(), timeout=20_000)
    qtbot.waitUntil(lambda: live.exists() != ticked, timeout=20_000)
