"""What hands do in Live: snapshots, marks, quick keys, cards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QAbstractButton, QApplication
from pytestqt.qtbot import QtBot

from app.store import Library
from app.ui.main_window import MainWindow
from app.ui.messages import Message
from app.ui.services import Services
from app.ui.settings import Settings
from tests.helpers.clips import RECIPES, make_clip
from tests.live.test_interrupted import interrupted
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


def test_the_phases_to_touch_go_away_and_hide_no_word(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    watch(live, qtbot, f"file:{live_clip}")
    record(live, qtbot)
    assert live.live is not None
    stage, picker = live.live.stage, live.live.picker
    qtbot.keyClick(stage, Qt.Key.Key_P)
    assert picker.isVisible()
    qtbot.keyClick(stage, Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier)
    assert stage.view.toast is not None
    assert stage.view.toast.text == "Hold Stop first"
    assert stage.view.toast_floor_px >= stage.height() - picker.y()
    qtbot.keyClick(stage, Qt.Key.Key_Escape)
    assert not picker.isVisible()
    qtbot.waitUntil(lambda: stage.view.toast_floor_px == 0, timeout=WAIT_MS)
    qtbot.keyClick(stage, Qt.Key.Key_P)
    assert picker.isVisible()
    qtbot.keyClick(stage, Qt.Key.Key_2)
    assert not picker.isVisible()


def test_what_was_said_before_record_was_pressed_is_kept_where_it_is_recorded(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    models = control.models
    qtbot.waitUntil(lambda: len(models.stretches) > 0, timeout=WAIT_MS)
    begun_pts = models.stretches[0][0]
    qtbot.waitUntil(lambda: models.stretches[-1][1] >= begun_pts + 90_000, timeout=WAIT_MS)
    assert control.screen.shown is not None
    pressed_pts = control.screen.shown.pts
    record(live, qtbot)
    assert control.case is not None
    store = live.services.library.predictions(control.case.case_id)
    (asset,) = control.case.assets
    qtbot.waitUntil(lambda: len(store.runs(asset.asset_id)) == 2, timeout=WAIT_MS)
    for run in store.runs(asset.asset_id):
        first_pts = min(store.stored_pts(run.run_id))
        assert asset.start_pts <= first_pts < pressed_pts


def test_what_was_recovered_is_a_press_away(
    dressed: QApplication, qtbot: QtBot, own_library: Path, tmp_path: Path
) -> None:
    recording = make_clip(tmp_path / "live.ts", RECIPES["h264-ts"])
    library = Library.open(own_library, ballast_bytes=1 << 16)
    interrupted(library, recording)
    said: list[Message] = []
    window = MainWindow(Services(library, Settings()))
    try:
        window.services.said.connect(said.append)
        window.show()
        qtbot.waitUntil(lambda: any("Recovered" in m.text for m in said), timeout=WAIT_MS)
        (message,) = (m for m in said if "Recovered" in m.text)
        assert message.lasting_s > 0
        button = next(
            b
            for line in window.slot.lines
            for b in line.findChildren(QAbstractButton)
            if b.text() == "Open the case"
        )
        with qtbot.waitSignal(window.services.session.frame_shown, timeout=WAIT_MS):
            button.click()
        assert window.workspace == "review"
        case = window.services.session.case
        assert case is not None
        assert case.case_id == "0001"
    finally:
        window.close()
        window.deleteLater()
        dressed.processEvents()


@pytest.mark.long
def test_what_live_needs_is_imported_before_it_is_opened(tmp_path: Path) -> None:
    """In a process of its own: this one has imported all of it."""
    script = """
import sys, time
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from app.store import Library
from app.ui.live import recovery
app = QCoreApplication([])
assert not any(name in sys.modules for name in recovery._OF_LIVE)
library = Library.open(Path(sys.argv[1]), ballast_bytes=0)
work = recovery.Recovery(library)
work.start()
while not all(name in sys.modules for name in recovery._OF_LIVE):
    time.sleep(0.05)
work.close()
library.close()
"""
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "library")], check=True, timeout=60
    )
