"""A real window over a real library, with a clip whose frames carry their number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.store import Library
from app.ui import theme
from app.ui.main_window import MainWindow
from app.ui.services import Services
from app.ui.settings import Settings
from tests.helpers.clips import RECIPES, make_clip


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames at 25 per second, 320 x 180, each with its number."""
    return make_clip(tmp_path_factory.mktemp("ui") / "clip.mp4", RECIPES["h264-mp4"])


@pytest.fixture
def dressed(qapp: QApplication) -> Iterator[QApplication]:
    """The application in the dark theme at 100 %."""
    if (theme.theme_name(), theme.scale()) != ("dark", 1.0) or not qapp.styleSheet():
        theme.apply(qapp)
    yield qapp
    if (theme.theme_name(), theme.scale()) != ("dark", 1.0):
        theme.apply(qapp)


@pytest.fixture
def window(dressed: QApplication, qtbot: QtBot, own_library: Path) -> Iterator[MainWindow]:
    """The window over an empty library; nothing is analysed by itself."""
    settings = Settings()
    settings.set(analyse_at_once=False)
    library = Library.open(own_library, ballast_bytes=1 << 16)
    made = MainWindow(Services(library, settings))
    made.resize(1680, 1050)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()
    made.deleteLater()
    dressed.processEvents()


@pytest.fixture
def opened(window: MainWindow, qtbot: QtBot, clip: Path) -> MainWindow:
    """The window with the clip open and paused on its first frame."""
    with qtbot.waitSignal(window.services.session.frame_shown, timeout=20_000):
        window.open_files([clip])
    qtbot.waitUntil(lambda: window.services.player.state.shown > 2, timeout=20_000)
    player = window.services.player.player
    player.pause()
    # By way of another one, lest the first frame is taken for that of the seek.
    for index in (9, 0):
        player.seek_index(index)
        qtbot.waitUntil(lambda i=index: on_screen(window) == i, timeout=10_000)
    return window


def on_screen(window: MainWindow) -> int | None:
    """Index of the frame on screen."""
    frame = window.services.session.frame
    return None if frame is None else frame.index
