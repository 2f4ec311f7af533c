"""Starts the window: application, look, crash reports, library, services. The GUI thread begins."""

from __future__ import annotations

import ctypes
import logging
import sys
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QtMsgType, Signal, qInstallMessageHandler
from PySide6.QtGui import QFontInfo, QGuiApplication
from PySide6.QtWidgets import QApplication

from app.core.errors import EnvironmentProblem, Refused, TrocarError
from app.store import Library
from app.ui import theme
from app.ui.crash import CrashReports, log_folder
from app.ui.main_window import MainWindow, Resume
from app.ui.messages import Message, Tone
from app.ui.services import Services
from app.ui.settings import Settings
from app.ui.settings_sheet import wanted_scale, wanted_theme

# The offscreen platform says this on every window; nothing follows from it.
_HARMLESS = "This plugin does not support propagateSizeHints()"
_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}
# malloc.h
_M_ARENA_MAX = -8
log = logging.getLogger(__name__)


def log_qt_messages() -> None:
    """Send what Qt says to the log."""

    def write(kind: QtMsgType, _context: object, text: str) -> None:
        if text != _HARMLESS:
            log.log(_LEVELS.get(kind, logging.WARNING), "Qt: %s", text)

    qInstallMessageHandler(write)


class _Told(QObject):
    """Brings a crash report's path to the GUI thread."""

    report = Signal(object)


def _few_memory_pools() -> None:
    """Let threads share pools of memory.

    glibc gives each thread a pool of its own and keeps in all of them what frames leave behind:
    after nine recordings the window held 690 MB, with four pools 550.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 4)


def make_application() -> QApplication:
    """The one QApplication of the process."""
    found = QApplication.instance()
    if isinstance(found, QApplication):
        return found
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(
        Qt.HighDpiScaleFactorRoundingPolicy.PassThrough
    )
    application = QApplication(sys.argv[:1])
    application.setApplicationName("Trocar")
    application.setApplicationDisplayName("Trocar")
    application.setDesktopFileName("trocar")
    return application


def dress(application: QApplication, settings: Settings) -> None:
    """Theme and text size of the settings."""
    asked = application.property("systemPointSize")
    if asked is None:
        asked = QFontInfo(application.font()).pointSizeF()
        application.setProperty("systemPointSize", asked)
    theme.apply(application, wanted_theme(settings), wanted_scale(settings, float(asked)))


def open_window(
    library: Library,
    settings: Settings,
    files: list[Path],
    *,
    demo: bool = False,
    resume: Resume | None = None,
    locked: str = "",
) -> MainWindow:
    """Build the window over an open library, and open what was named.

    Args:
        library: closed with the window.
        settings: of this user.
        files: recordings to make cases of.
        demo: open the demo case.
        resume: where an earlier window was.
        locked: why the library is open for reading only.
    """
    dress(make_application(), settings)
    window = MainWindow(Services(library, settings), locked)
    if settings.quarantined is not None:
        window.slot.say(
            Message(
                text="The settings could not be read and were put aside; these are the usual ones.",
                tone=Tone.WARN,
                detail=settings.quarantined.name,
            )
        )
    if locked:
        window.slot.say(Message(text=locked, tone=Tone.WARN, key="locked"))
    for problem in library.problems:
        window.slot.say(Message(text=problem, tone=Tone.WARN))
    if resume is not None:
        window.go_on(resume)
    elif files:
        window.open_files(files)
    elif demo:
        window.open_demo()
    return window


def open_library(folder: Path) -> tuple[Library, str]:
    """The library for writing, else for reading where another process or the disk forbids it.

    Returns:
        The library, and why it can only be read, "" where it can be written.

    Raises:
        TrocarError: it can be opened in neither way.
    """
    try:
        return Library.open(folder, "write"), ""
    except (Refused, EnvironmentProblem) as error:
        try:
            return Library.open(folder, "read"), error.user_message
        except TrocarError:
            raise error from None


def run(folder: Path, files: list[Path], *, demo: bool = False) -> int:
    """Open the window and stay until it is closed. Returns the exit status.

    Another text size closes the window and opens it again where it was.

    Raises:
        TrocarError: the library cannot be opened.
    """
    from app.video import keep_indices_in

    _few_memory_pools()
    application = make_application()
    log_qt_messages()
    told = _Told()
    reports = CrashReports(log_folder(), told.report.emit)
    reports.install()
    resume: Resume | None = None
    try:
        while True:
            library, locked = open_library(folder)
            keep_indices_in(library.cache_folder, writable=library.is_writable)
            window = open_window(
                library, Settings(), files, demo=demo, resume=resume, locked=locked
            )
            shown = told.report.connect(lambda path, w=window: w.slot.say(_crashed(path)))
            window.appear()
            status = application.exec()
            told.report.disconnect(shown)
            resume, files, demo = window.resume, [], False
            if resume is None:
                return status
    finally:
        reports.remove()


def _crashed(path: Path) -> Message:
    return Message(
        text="Something in Trocar broke; what was saved is safe. A report lies on this PC.",
        tone=Tone.ERROR,
        detail=path.name,
        key="crash",
    )
