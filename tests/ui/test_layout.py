"""No text is clipped and nothing overlaps, at the three sizes and at 150 % text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QRect
from PySide6.QtWidgets import QAbstractButton, QApplication, QCheckBox, QLabel, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from app.store import Library
from app.ui import theme
from app.ui.main_window import MainWindow
from app.ui.services import Services
from app.ui.settings import Settings
from app.ui.widgets import Elided

SIZES = [(1366, 768, 1.0), (1680, 1050, 1.0), (2560, 1440, 1.0), (1920, 1200, 1.5)]


def in_window(widget: QWidget, window: QWidget) -> QRect:
    return QRect(widget.mapTo(window, QPoint(0, 0)), widget.size())


def clipped(root: QWidget) -> list[str]:
    """Labels and buttons whose text does not fit, or that reach out of their parent."""
    found = []
    for widget in root.findChildren(QWidget):
        if not widget.isVisible() or not isinstance(widget, QLabel | QAbstractButton):
            continue
        text = widget.text()
        if (
            not text
            or isinstance(widget, Elided)
            or (isinstance(widget, QToolButton) and not widget.text())
        ):
            continue
        metrics = widget.fontMetrics()
        room = widget.contentsRect()
        if isinstance(widget, QLabel) and widget.wordWrap():
            needed = metrics.boundingRect(room, 0x1000, text)
            fits = needed.height() <= room.height() + 2
        else:
            needed_width = metrics.horizontalAdvance(text)
            fits = needed_width <= room.width() + 1 and metrics.height() <= room.height() + 4
        if not fits:
            found.append(f"{text!r} in {room.width()} x {room.height()}")
        parent = widget.parentWidget()
        if parent is not None and not isinstance(widget, QCheckBox):
            place = widget.geometry()
            if not parent.rect().adjusted(-1, -1, 1, 1).contains(place):
                found.append(f"{text!r} reaches out of {type(parent).__name__}")
    return found


def overlapping(root: QWidget) -> list[str]:
    """Visible siblings with text that lie on one another."""
    found = []
    for parent in (root, *root.findChildren(QWidget)):
        parts = [
            c
            for c in parent.children()
            if isinstance(c, QLabel | QAbstractButton) and c.isVisible() and c.text()
        ]
        found += [
            f"{a.text()!r} and {b.text()!r}"
            for a, b in combinations(parts, 2)
            if a.geometry().intersects(b.geometry())
        ]
    return found


@pytest.fixture(params=SIZES, ids=lambda s: f"{s[0]}x{s[1]}@{s[2]}")
def sized(
    request: pytest.FixtureRequest, qapp: QApplication, qtbot: QtBot, own_library: Path
) -> Iterator[MainWindow]:
    width, height, scale = request.param
    theme.apply(qapp, "dark", scale)
    settings = Settings()
    settings.set(analyse_at_once=False)
    window = MainWindow(Services(Library.open(own_library, ballast_bytes=1 << 16), settings))
    window.resize(width, height)
    window.show()
    qtbot.waitExposed(window)
    yield window
    window.close()
    window.deleteLater()
    qapp.processEvents()
    theme.apply(qapp)


def test_what_does_not_fit_is_found(qtbot: QtBot, dressed: QApplication) -> None:
    box = QWidget()
    qtbot.addWidget(box)
    short, long = QLabel("fits", box), QLabel("this does not fit at all", box)
    short.setGeometry(0, 0, 80, 20)
    long.setGeometry(60, 0, 60, 20)
    box.resize(100, 30)
    box.show()
    assert len(clipped(box)) == 2
    assert len(overlapping(box)) == 1


def settle(qapp: QApplication) -> None:
    for _ in range(4):
        qapp.processEvents()


def test_nothing_is_clipped(
    sized: MainWindow, qapp: QApplication, qtbot: QtBot, clip: Path
) -> None:
    window = sized
    settle(qapp)
    problems = [f"first run: {x}" for x in (*clipped(window), *overlapping(window))]
    window.open_files([clip])
    qtbot.waitUntil(lambda: window.services.session.frame is not None, timeout=20_000)
    window.services.player.pause()
    window.services.cases.set_procedure("cholecystectomy")
    session = window.services.session
    qtbot.waitUntil(lambda: session.taxonomy.procedure == "cholecystectomy", timeout=20_000)
    assert window.review.stage.image_rect().width() >= min(1166, 0.8 * window.width())
    for workspace in ("review", "annotate", "library"):
        window.show_workspace(workspace)
        window.review.transport.wake()
        settle(qapp)
        problems += [f"{workspace}: {x}" for x in (*clipped(window), *overlapping(window))]
        if workspace == "annotate":
            canvas = window.current_stage()
            assert (canvas.width(), canvas.height()) >= (640, 360)
    qtbot.waitUntil(lambda: window.library.model.rowCount() == 1, timeout=20_000)
    for action in ("keys", "settings", "models", "teach", "trainings"):
        window.keys.trigger(action)
        settle(qapp)
        sheet = next(s for s in window.sheets.all if s.isVisible())
        problems += [f"{action}: {x}" for x in (*clipped(sheet.panel), *overlapping(sheet.panel))]
        window.keys.trigger("escape")
    assert problems == []


def test_everything_that_takes_focus_has_a_name(opened: MainWindow) -> None:
    window = opened
    for workspace in ("library", "review", "annotate", "live"):
        window.show_workspace(workspace)
    from PySide6.QtCore import Qt

    nameless = [
        f"{w.metaObject().className()} in {type(w.parentWidget()).__name__}"
        for w in window.findChildren(QWidget)
        if w.focusPolicy() & Qt.FocusPolicy.TabFocus
        and not w.accessibleName()
        and not (isinstance(w, QAbstractButton) and w.text())
        and not w.objectName().startswith("qt_")
        and w.focusProxy() is None
        and w.metaObject().className() != "QComboBoxListView"
    ]
    assert nameless == []


def test_the_focus_ring_is_for_the_keyboard_alone(qtbot: QtBot, dressed: QApplication) -> None:
    from PySide6.QtCore import Qt

    from app.ui import style
    from app.ui.widgets import Button

    box = QWidget()
    qtbot.addWidget(box)
    button = Button("Report")
    button.setParent(box)
    button.setGeometry(10, 10, 120, 30)
    box.resize(160, 60)
    box.show()
    qtbot.waitExposed(box)
    style.watch(box)
    box.activateWindow()

    def ringed() -> bool:
        image = box.grab().toImage()
        return any(image.pixelColor(x, 11) == theme.color("accent") for x in range(20, 120)) or any(
            image.pixelColor(11, y) == theme.color("accent") for y in range(12, 38)
        )

    button.setFocus(Qt.FocusReason.MouseFocusReason)
    qtbot.waitUntil(button.hasFocus)
    assert not ringed()
    button.clearFocus()
    button.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(button.hasFocus)
    assert ringed()
