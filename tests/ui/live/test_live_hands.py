"""What hands do in Live: snapshots, marks, quick keys, cards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from app.ui.main_window import MainWindow
from tests.ui.live.conftest import WAIT_MS, record, watch


def test_a_snapshot_is_a_file_that_shows_the_picture_on_screen(
    live: MainWindow,
    qtbot: QtBot,
    live_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.ui.live.control.picture_folder", lambda: tmp_path / "pictures")
    control = watch(live, qtbot, f"file:{live_clip}")
    assert live.live is not None
    stage = live.live.stage
    qtbot.keyClick(stage, Qt.Key.Key_Space)
    assert control.screen.shown is not None
    rgb = control.screen.shown.rgb
    qtbot.keyClick(stage, Qt.Key.Key_S)
    qtbot.waitUntil(
        lambda: stage.view.toast is not None and "saved" in stage.view.toast.text, timeout=WAIT_MS
    )
    (path,) = (tmp_path / "pictures").iterdir()
    saved = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB888)
    assert (saved.height(), saved.width(), 3) == rgb.shape
    rows = np.frombuffer(saved.constBits(), np.uint8).reshape(saved.height(), -1)
    pixels = rows[:, : 3 * saved.width()].reshape(rgb.shape)
    # All but the research mark.
    assert (pixels == rgb).mean() > 0.9


def test_quick_keys_count_from_where_the_last_one_went(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    record(live, qtbot)
    assert live.live is not None
    notes, screen = control.notes, control.screen
    assert notes is not None
    qtbot.waitUntil(lambda: notes.ms(screen.shown.pts) > 2500, timeout=WAIT_MS)  # type: ignore[union-attr]
    begun_ms = notes.ms(screen.shown.pts)  # type: ignore[union-attr]
    live.live.strip.seek.emit(begun_ms - 1000)
    for step_ms in (-500, 200, -500):
        control.look_by(step_ms)
    wanted_ms = begun_ms - 1800
    assert screen.behind
    assert screen.at_pts is not None
    assert abs(notes.ms(screen.at_pts) - wanted_ms) < 1
    qtbot.waitUntil(lambda: 0 <= wanted_ms - notes.ms(screen.shown.pts) < 80, timeout=WAIT_MS)  # type: ignore[union-attr]
