"""A picture of the real window playing a case, for machines without a display. GUI thread."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEventLoop
from PySide6.QtWidgets import QApplication

from app.core.errors import EnvironmentProblem
from app.store import Library
from app.ui.application import log_qt_messages, make_application, open_window
from app.ui.main_window import MainWindow
from app.ui.settings import Settings

SIZE = (1680, 1050)
_TIME_LIMIT_S = 120.0


def window_picture(folder: Path, case_id: str, path: Path) -> None:
    """Open a case in the window, play it with its overlay, and save what the window shows.

    Args:
        folder: of the library; not open elsewhere.
        case_id: which case.
        path: the PNG to write.

    Raises:
        EnvironmentProblem: nothing came on screen in two minutes, or the file is not written.
    """
    log_qt_messages()
    application = make_application()
    with tempfile.TemporaryDirectory() as nobody:
        window = open_window(Library.open(folder, "write"), Settings(Path(nobody)), [])
        _take(application, window, case_id, path)


def _take(application: QApplication, window: MainWindow, case_id: str, path: Path) -> None:
    try:
        window.resize(*SIZE)
        window.show()
        window.services.analysis.hold_back()
        window.services.cases.open_case(case_id)
        _wait(application, lambda: window.services.session.frame is not None)
        _go_to_something(window)
        _wait(application, lambda: _is_playing_with_overlay(window))
        window.review.transport.wake()
        for _ in range(3):
            application.processEvents()
        if not window.grab().save(str(path), "PNG"):
            raise EnvironmentProblem(f"The picture {path.name} was not written; check the disk.")
    finally:
        window.close()
        window.deleteLater()
        application.processEvents()


def _go_to_something(window: MainWindow) -> None:
    """Play from a second with most frames in which an instrument was seen."""
    session = window.services.session
    presence = session.model.presence if session.model else None
    ms = 0.0
    if presence is not None and presence.present.size:
        seen = presence.present.sum(axis=1)
        ms = 1000.0 * float(seen.argmax())
    window.services.player.player.seek_ms(ms)
    window.services.player.player.play()


def _is_playing_with_overlay(window: MainWindow) -> bool:
    session, state = window.services.session, window.services.player.state
    if session.segment_run is None:
        return state.shown > 3
    return state.shown > 3 and (bool(session.instances) or state.at_end)


def _wait(application: QApplication, reached: Callable[[], bool]) -> None:
    until = time.monotonic() + _TIME_LIMIT_S
    while not reached():
        if time.monotonic() > until:
            raise EnvironmentProblem("The window did not show the case in two minutes; try again.")
        application.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
