"""Every kind of recorded file in the real window: dropped, stepped, sought, scrubbed, closed.

Each frame carries its number, so that what is on screen is read off the picture itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.store import Library
from app.ui import theme
from app.ui.main_window import MainWindow
from app.ui.services import Services
from app.ui.settings import Settings
from tests.helpers.clips import RECIPES, make_clip, number_of

PATIENCE_MS = 60_000
KINDS = ("h264-mp4", "vfr-mkv", "h264-open-gop-ts", "mjpeg-avi", "mpeg2-mpg")


@pytest.fixture
def window(qapp: QApplication, qtbot: QtBot, own_library: Path) -> Iterator[MainWindow]:
    """A window that analyses nothing by itself."""
    theme.apply(qapp)
    settings = Settings()
    settings.set(analyse_at_once=False)
    made = MainWindow(Services(Library.open(own_library, ballast_bytes=1 << 16), settings))
    made.resize(1366, 768)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()
    made.deleteLater()
    qapp.processEvents()


class Viewer:
    """A pair of hands and eyes before the window."""

    def __init__(self, window: MainWindow, qtbot: QtBot) -> None:
        self.window, self.qtbot = window, qtbot
        self.ribbon = window.review.ribbon

    def drop(self, path: Path) -> None:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier
        self.window.dropEvent(QDropEvent(QPointF(600, 400), copy, data, left, none.NoModifier))

    def number(self) -> int | None:
        """The number in the picture on the stage."""
        frame = self.window.review.stage.frame
        return None if frame is None else number_of(frame.rgb)

    def sees(self, number: int) -> None:
        """The picture with this number comes and stays."""
        self.qtbot.waitUntil(lambda: self.number() == number, timeout=PATIENCE_MS)
        state = self.window.services.player
        self.qtbot.waitUntil(lambda: state.state.index == number, timeout=PATIENCE_MS)
        assert self.number() == number

    def press(self, key: Qt.Key) -> None:
        self.qtbot.keyClick(self.window.review.stage, key)

    def place_of(self, index: int) -> QPoint:
        """Where on the ribbon the middle of a frame lies."""
        player = self.window.services.player.player
        at_ms = (player.time_ms(index) + player.time_ms(index + 1)) / 2
        xs = range(self.ribbon.width())
        x = min(xs, key=lambda x: abs(self.ribbon.time_at(x) - at_ms))
        assert player.index_at_ms(self.ribbon.time_at(x)) == index
        return QPoint(x, self.ribbon.height() // 2)


def watch(eyes: Viewer, path: Path) -> None:
    """From the first frame to the last, by keys and on the ribbon."""
    player, ribbon, qtbot = eyes.window.services.player, eyes.ribbon, eyes.qtbot
    session = eyes.window.services.session
    eyes.drop(path)
    # It plays by itself.
    qtbot.waitUntil(
        lambda: player.state.path == path and player.state.shown > 2 and session.frame is not None,
        timeout=PATIENCE_MS,
    )
    assert player.state.info is not None
    last = player.state.info.frames - 1
    player.pause()

    eyes.press(Qt.Key.Key_Home)
    eyes.sees(0)
    for number in (1, 2, 3):
        eyes.press(Qt.Key.Key_Right)
        eyes.sees(number)
    eyes.press(Qt.Key.Key_End)
    eyes.sees(last)
    for number in (last - 1, last - 2, last - 3):
        eyes.press(Qt.Key.Key_Left)
        eyes.sees(number)

    for number in (37, 14, 15, 0):
        qtbot.mouseClick(ribbon, Qt.MouseButton.LeftButton, pos=eyes.place_of(number))
        eyes.sees(number)

    qtbot.mousePress(ribbon, Qt.MouseButton.LeftButton, pos=eyes.place_of(5))
    for number in (9, 16, 30, 44, 31, last - 8):
        qtbot.mouseMove(ribbon, eyes.place_of(number))
    qtbot.mouseRelease(ribbon, Qt.MouseButton.LeftButton, pos=eyes.place_of(last - 8))
    eyes.sees(last - 8)

    eyes.press(Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: player.state.at_end, timeout=PATIENCE_MS)
    eyes.sees(last)
    assert player.state.undecodable == 0


def test_five_kinds_of_recordings_are_watched_one_after_another(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    eyes = Viewer(window, qtbot)
    for kind in KINDS:
        watch(eyes, make_clip(tmp_path / f"{kind}{RECIPES[kind].suffix}", RECIPES[kind]))
    assert len(window.services.library.cases()) == len(KINDS)
