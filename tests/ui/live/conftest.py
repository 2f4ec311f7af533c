"""The real window in its Live workspace, with tiny real networks and a file played as if live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QTimer
from PySide6.QtGui import QImage, QRegion
from PySide6.QtWidgets import QApplication, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from app.store import Library
from app.ui.live.control import LiveControl
from app.ui.main_window import MainWindow
from app.ui.services import Services
from app.ui.settings import Settings
from tests.helpers.clips import RECIPES, make_clip, number_of
from tests.inference.conftest import save_instruments, save_phases

WAIT_MS = 30_000
SLOW_IS_FINE_MS = 2000


@pytest.fixture(scope="session")
def live_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute at 15 frames per second, a keyframe each second; frames bear numbers."""
    recipe = replace(RECIPES["h264-mp4"], frames=450, rate=15, gop=15)
    return make_clip(tmp_path_factory.mktemp("live") / "clip.mp4", recipe)


@pytest.fixture
def live(
    dressed: QApplication, qtbot: QtBot, own_library: Path, tmp_path: Path
) -> Iterator[MainWindow]:
    """The window in Live, choosing; models are installed, recordings go to a folder of the test.

    How fast this machine is must not decide a test: outlines may be two seconds old.
    """
    save_instruments(own_library / "models")
    save_phases(own_library / "models")
    settings = Settings()
    settings.set(
        analyse_at_once=False,
        procedure="cholecystectomy",
        models={"instance-segmentation": "tools", "phase-recognition": "phases"},
        live_folder=str(tmp_path / "recordings"),
        live_limit_ms=SLOW_IS_FINE_MS,
    )
    library = Library.open(own_library, ballast_bytes=1 << 16)
    window = MainWindow(Services(library, settings))
    window.resize(1680, 1050)
    window.show()
    qtbot.waitExposed(window)
    window.show_workspace("live")
    yield window
    if window.isVisible() and control_of(window).is_recording:
        answer("End it and close")  # a test that failed must not hang in the question
    window.close()
    window.deleteLater()
    dressed.processEvents()


def answer(word: str) -> list[str]:
    """Press a button of the next question; its text is in the list once it was asked."""
    asked: list[str] = []

    def look() -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            asked.append(box.text())
            next(b for b in box.buttons() if b.text() == word).click()
        else:
            QTimer.singleShot(20, look)

    QTimer.singleShot(0, look)
    return asked


def shown_number(window: MainWindow) -> int:
    """The number that the picture on the stage bears, read from the painted window."""
    assert window.live is not None
    stage = window.live.stage
    painted = QImage(stage.size(), QImage.Format.Format_RGB888)
    # Words and outlines cover the number.
    overlay, stage._overlay = stage._overlay, None
    stage.paint_over = lambda _painter: None  # type: ignore[method-assign]
    stage.render(painted, QPoint(), QRegion(), QWidget.RenderFlag.DrawWindowBackground)
    del stage.paint_over  # type: ignore[attr-defined]
    stage._overlay = overlay
    image = painted.copy(stage.image_rect().toRect()).scaled(320, 180)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(180, image.bytesPerLine())
    return number_of(rows[:, : 3 * 320].reshape(180, 320, 3))


def control_of(window: MainWindow) -> LiveControl:
    """What makes Live work."""
    assert window.live_control is not None
    return window.live_control


def watch(window: MainWindow, qtbot: QtBot, source: str) -> LiveControl:
    """Watch a source until its picture is on the stage."""
    control = control_of(window)
    assert window.live is not None
    window.live.chooser.chosen.emit(source)
    qtbot.waitUntil(lambda: control.screen.shown is not None, timeout=WAIT_MS)
    return control


def record(window: MainWindow, qtbot: QtBot) -> LiveControl:
    """Press Record, and wait until the case is there."""
    control = control_of(window)
    assert window.live is not None
    window.live.record.press_hold()
    window.live.record.release_hold()
    qtbot.waitUntil(lambda: control.notes is not None, timeout=WAIT_MS)
    return control
