"""Bookmarks in the real window: set by key, with a note, shown, found again, undone."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractButton
from pytestqt.qtbot import QtBot

from app.ui import theme
from app.ui.ask import NoteLine
from app.ui.main_window import MainWindow
from app.ui.timeline.geometry import Kind
from tests.ui.conftest import on_screen

PATIENCE_MS = 10_000


def go_to(window: MainWindow, qtbot: QtBot, index: int) -> None:
    """Show a frame."""
    window.services.player.player.seek_index(index)
    qtbot.waitUntil(lambda: on_screen(window) == index, timeout=PATIENCE_MS)


def set_one(window: MainWindow, qtbot: QtBot, index: int, note: str = "") -> None:
    """Press M at a frame and type a note."""
    go_to(window, qtbot, index)
    stage = window.current_stage()
    window.activateWindow()
    stage.setFocus()
    qtbot.keyClick(stage, Qt.Key.Key_M)
    line = window.slot.lines[-1]
    assert isinstance(line, NoteLine)
    qtbot.keyClicks(line.field, note)
    qtbot.keyClick(line.field, Qt.Key.Key_Return)
    session = window.services.session
    qtbot.waitUntil(lambda: session.unsaved == 0, timeout=PATIENCE_MS)


def stored(window: MainWindow) -> list[str]:
    """Notes of the bookmarks in the library, by time."""
    asset = window.services.session.asset
    assert asset is not None
    return [b.note for b in window.services.library.bookmarks(asset.asset_id)]


def test_m_marks_the_moment_with_a_note_that_is_stored_and_undone(
    opened: MainWindow, qtbot: QtBot
) -> None:
    set_one(opened, qtbot, 30, "bleeding, space m")
    assert stored(opened) == ["bleeding, space m"]
    assert on_screen(opened) == 30
    opened.keys.trigger("undo")
    qtbot.waitUntil(lambda: stored(opened) == [""], timeout=PATIENCE_MS)
    opened.keys.trigger("undo")
    qtbot.waitUntil(lambda: stored(opened) == [], timeout=PATIENCE_MS)
    session = opened.services.session
    qtbot.waitUntil(lambda: session.bookmarked_pts == (), timeout=PATIENCE_MS)
    opened.keys.trigger("redo")
    qtbot.waitUntil(lambda: stored(opened) == [""], timeout=PATIENCE_MS)


def test_it_stands_on_the_ribbon_and_the_timeline_and_the_card_names_it(
    opened: MainWindow, qtbot: QtBot
) -> None:
    ribbon = opened.review.ribbon
    go_to(opened, qtbot, 30)
    x = round(ribbon._x(1200.0))
    y = round(ribbon._bookmark_y())
    before = ribbon.grab().toImage()
    set_one(opened, qtbot, 30, "critical view")
    go_to(opened, qtbot, 0)
    at = QPoint(x, y)
    assert QColor(ribbon.grab().toImage().pixel(at)) == theme.color("text")
    assert QColor(before.pixel(at + QPoint(3, 0))) != theme.color("text")
    ribbon.hovered.emit(1200.0, float(x))
    assert opened.review.card.name == "critical view"
    opened.show_workspace("annotate")
    annotate = opened.annotate
    assert annotate is not None
    timeline = annotate.timeline
    timeline.grab()
    assert timeline._scene is not None
    ruler = next(r for r in timeline._scene.rows if r.kind is Kind.RULER)
    place = QPoint(round(timeline.view.x(opened.services.session.bookmarked_pts[0])), 0)
    place.setY(round(ruler.top_px + ruler.height_px - 6))
    assert QColor(timeline.grab().toImage().pixel(place)) == theme.color("text")


def test_page_keys_go_from_one_to_the_next(opened: MainWindow, qtbot: QtBot) -> None:
    for index in (10, 40):
        set_one(opened, qtbot, index)
    stage = opened.current_stage()
    stage.setFocus()
    go_to(opened, qtbot, 0)
    for key, wanted in (
        (Qt.Key.Key_PageDown, 10),
        (Qt.Key.Key_PageDown, 40),
        (Qt.Key.Key_PageUp, 10),
    ):
        qtbot.keyClick(stage, key)
        qtbot.waitUntil(lambda n=wanted: on_screen(opened) == n, timeout=PATIENCE_MS)
    qtbot.keyClick(stage, Qt.Key.Key_PageUp)
    assert "No bookmark before" in opened.slot.lines[-1].message.text
    assert on_screen(opened) == 10


def test_it_is_removed_by_key_or_button_and_kept_by_esc(opened: MainWindow, qtbot: QtBot) -> None:
    set_one(opened, qtbot, 10)
    stage = opened.current_stage()
    qtbot.keyClick(stage, Qt.Key.Key_M)
    line = opened.slot.lines[-1]
    qtbot.keyClick(line.field, Qt.Key.Key_Escape)
    assert not isinstance(opened.slot.lines[-1] if opened.slot.lines else None, NoteLine)
    assert stored(opened) == [""]
    stage.setFocus()
    qtbot.keyClick(stage, Qt.Key.Key_M, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: stored(opened) == [], timeout=PATIENCE_MS)
    set_one(opened, qtbot, 20)
    opened.keys.trigger("bookmark")
    line = opened.slot.lines[-1]
    next(b for b in line.findChildren(QAbstractButton) if b.text() == "Remove").click()
    qtbot.waitUntil(lambda: stored(opened) == [], timeout=PATIENCE_MS)
