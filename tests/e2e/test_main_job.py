"""The main job in the real window: drop a clip, play, analyse, correct, undo, close, find it all.

Uses the demo models that ship, on a phantom clip; ``long`` runs the same on a real clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.correction import Verdict
from app.learning.phantom import PhantomVideo
from app.store import Library
from app.ui import theme
from app.ui.main_window import MainWindow
from app.ui.services import Services
from app.ui.settings import Settings
from app.video.encode import write_video
from tests.ui.annotate.conftest import Desk

PATIENCE_MS = 120_000
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture(scope="module")
def phantom_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of a phantom operation at 5 frames a second."""
    path = tmp_path_factory.mktemp("clip") / "operation.mp4"
    video = PhantomVideo(21, fps=5, size_px=(424, 240), start_s=420, seconds=8)
    write_video(path, (f.rgb for f in video), fps=5, gop=10)
    return path


@pytest.fixture
def application(qapp: QApplication) -> Iterator[QApplication]:
    theme.apply(qapp)
    yield qapp
    theme.apply(qapp)


def start(folder: Path, qtbot: QtBot) -> MainWindow:
    """The window as a user finds it: what is opened is analysed at once."""
    window = MainWindow(Services(Library.open(folder, ballast_bytes=1 << 16), Settings()))
    window.resize(1366, 768)
    window.show()
    qtbot.waitExposed(window)
    return window


def end(window: MainWindow) -> None:
    window.close()
    window.deleteLater()
    QApplication.processEvents()


def drop(window: MainWindow, path: Path) -> None:
    """Drop a file on the window."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    window.dropEvent(
        QDropEvent(
            QPointF(600, 400),
            Qt.DropAction.CopyAction,
            data,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
    )


def pixels(window: MainWindow) -> np.ndarray:
    """What the stage shows."""
    image = window.current_stage().grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits(), np.uint8)
    return data.reshape(image.height(), image.bytesPerLine())[:, : 4 * image.width()].copy()


def analysed(window: MainWindow, qtbot: QtBot, frames: int) -> None:
    """Wait until both models have looked at everything."""
    services = window.services
    case = services.session.case
    assert case is not None
    store = services.library.predictions(case.case_id)

    def done() -> bool:
        runs = store.runs()
        return len(runs) == 2 and all(r.finished for r in runs)

    qtbot.waitUntil(done, timeout=5 * PATIENCE_MS)
    instances = next(r for r in store.runs() if r.task == "instance-segmentation")
    assert len(store.stored_pts(instances.run_id)) == frames


def the_main_job(folder: Path, clip: Path, frames: int, qtbot: QtBot) -> None:
    window = start(folder, qtbot)
    drop(window, clip)
    session = window.services.session
    qtbot.waitUntil(lambda: session.frame is not None and session.frame.index >= 2,
                    timeout=PATIENCE_MS)  # fmt: skip
    window.services.cases.set_procedure("cholecystectomy")
    analysed(window, qtbot, frames)
    case, asset = session.case, session.asset
    assert case is not None
    assert asset is not None
    qtbot.waitUntil(lambda: session.model is not None, timeout=PATIENCE_MS)

    # A frame with an outline: its pixels change when the dial goes to nothing and back.
    player = window.services.player.player
    player.pause()
    store = window.services.library.predictions(case.case_id)
    run = next(r for r in store.runs() if r.task == "instance-segmentation")
    everything = store.frames(run.run_id, asset.start_pts, asset.end_pts)
    index = next(p.index for p in everything if p.instances and p.instances[0].mask.area_px > 400)
    window.show_workspace("annotate")
    assert window.annotate is not None
    desk = Desk(window=window, annotate=window.annotate, qtbot=qtbot)
    desk.go_to(index)
    qtbot.waitUntil(lambda: bool(desk.shown), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: window.services.playback.dial == 1, timeout=PATIENCE_MS)
    with_outline = pixels(window)
    window.services.playback.set_dial(0)
    qtbot.waitUntil(lambda: not np.array_equal(pixels(window), with_outline), timeout=PATIENCE_MS)
    window.services.playback.set_dial(1)

    # Correct a mask with the brush; undo and redo bring it to and fro.
    model_mask = desk.annotate.editor.instances[0].mask
    rows, cols = np.nonzero(model_mask.full())
    inside = len(rows) // 2
    x, y = float(cols[inside]) + 0.5, float(rows[inside]) + 0.5
    desk.click(x, y)
    assert desk.annotate.editor.selected is not None
    desk.press(Qt.Key.Key_E)
    desk.annotate.canvas.brush_px = 12
    desk.drag((x, y), (x + 6, y), (x + 12, y + 2))
    desk.wait_saved()
    corrected = desk.annotate.editor.instances[0].mask
    assert corrected.area_px < model_mask.area_px
    desk.press(Qt.Key.Key_Z, CTRL)
    desk.wait_saved()
    assert desk.annotate.editor.instances[0].mask == model_mask
    desk.press(Qt.Key.Key_Z, CTRL, SHIFT)
    desk.wait_saved()
    assert desk.annotate.editor.instances[0].mask == corrected

    # Correct the phases by digit at a moment.
    desk.go_to(frames // 2)
    desk.press(Qt.Key.Key_3)
    desk.wait_saved()
    human = session.human_timeline
    assert human is not None
    assert human.phase_at(asset.start_pts + (asset.end_pts - asset.start_pts) * 3 // 4) == (
        "clipping_cutting"
    )
    end(window)

    # Tomorrow.
    with Library.open(folder, "read") as library:
        kept = library.annotations(asset.asset_id)
        assert [a.mask for a in kept] == [corrected]
        assert kept[0].verdict is Verdict.CORRECTED
        assert library.human_timeline(asset.asset_id) is not None
        assert library.verify().ok
    window = start(folder, qtbot)
    window.services.cases.open_case(case.case_id)
    qtbot.waitUntil(lambda: window.services.session.frame is not None, timeout=PATIENCE_MS)
    session = window.services.session
    assert session.human_timeline == human
    assert [a.mask for a in window.services.library.annotations(asset.asset_id)] == [corrected]
    assert window.services.library.undo_title(case.case_id)
    end(window)


def test_the_main_job(
    application: QApplication, own_library: Path, phantom_clip: Path, qtbot: QtBot
) -> None:
    the_main_job(own_library, phantom_clip, 40, qtbot)


@pytest.mark.long
def test_the_main_job_on_a_real_clip(
    application: QApplication, own_library: Path, real_clip: Path, qtbot: QtBot
) -> None:
    the_main_job(own_library, real_clip, 800, qtbot)
