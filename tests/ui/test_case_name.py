"""A case's name is changed where it stands, stored with its audit, undone and redone."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.ui.case_name import TitleField
from app.ui.main_window import MainWindow

PATIENCE_MS = 10_000


def name_in_library(window: MainWindow) -> str:
    """What the library has stored."""
    case = window.services.session.case or window.library.model.cards[0].case
    return window.services.library.case(case.case_id).title


def rename(window: MainWindow, qtbot: QtBot, text: str, end: Qt.Key = Qt.Key.Key_Return) -> None:
    """Open the field by key, type, and end with a key."""
    window.keys.trigger("rename")
    field = window.top.name.field
    assert field.isVisible()
    qtbot.waitUntil(field.hasFocus)
    field.clear()
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, end)


def test_the_name_in_the_bar_is_changed_undone_and_redone(opened: MainWindow, qtbot: QtBot) -> None:
    name = opened.top.name
    opened.activateWindow()
    opened.current_stage().setFocus()
    qtbot.keyClick(opened.current_stage(), Qt.Key.Key_F2)
    assert name.field.isVisible()
    assert name.field.text() == "", "a case that was never named begins with an empty field"
    qtbot.keyClicks(name.field, "Teaching: gallstone, space")
    assert not opened.services.player.state.playing, "typing a space must not play"
    qtbot.keyClick(name.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: name.text() == "Teaching: gallstone, space", timeout=PATIENCE_MS)
    assert name_in_library(opened) == "Teaching: gallstone, space"
    assert opened.current_stage().hasFocus()
    case = opened.services.session.case
    assert case is not None
    steps = opened.services.library.corrections(case.case_id)
    assert [s.title for s in steps] == ["Rename the case"]
    entry = next(e for e in opened.services.library.audit() if e.action == "correct")
    assert entry.object == f"case {case.case_id} correction {steps[0].seq}"
    assert entry.before_sha != entry.after_sha
    opened.keys.trigger("undo")
    qtbot.waitUntil(lambda: name.text() == "Recording", timeout=PATIENCE_MS)
    opened.keys.trigger("redo")
    qtbot.waitUntil(lambda: name.text().startswith("Teaching"), timeout=PATIENCE_MS)


def test_esc_and_an_empty_name_change_nothing(opened: MainWindow, qtbot: QtBot) -> None:
    opened.activateWindow()
    rename(opened, qtbot, "Something", Qt.Key.Key_Escape)
    assert not opened.top.name.field.isVisible()
    assert opened.workspace == "review"
    rename(opened, qtbot, "   ")
    assert opened.top.name.text() == "Recording"
    assert opened.services.session.unsaved == 0
    assert name_in_library(opened) == "Recording"


def test_a_click_on_the_name_opens_it_and_going_elsewhere_keeps_it(
    opened: MainWindow, qtbot: QtBot
) -> None:
    opened.activateWindow()
    name = opened.top.name
    qtbot.mouseClick(name, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(name.field, "Case for the course")
    opened.current_stage().setFocus()
    qtbot.waitUntil(lambda: name_in_library(opened) == "Case for the course", timeout=PATIENCE_MS)


def test_a_case_is_renamed_in_the_library_without_opening_it(
    opened: MainWindow, qtbot: QtBot
) -> None:
    opened.services.session.close()
    opened.activateWindow()
    library = opened.library
    qtbot.waitUntil(lambda: bool(library.model.cards), timeout=PATIENCE_MS)
    library.choose(library.model.cards[0].case.case_id)
    library.view.setFocus()
    qtbot.keyClick(library.view, Qt.Key.Key_F2)
    field = library.view.findChild(TitleField)
    assert field is not None
    qtbot.keyClicks(field, "Named")
    library.set_cards(list(library.model.cards))
    qtbot.keyClicks(field, " here")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: library.model.cards[0].case.title == "Named here", timeout=PATIENCE_MS)
    assert opened.workspace == "library"
    assert opened.services.session.case is None
    library.search.setText("named")
    assert library.filter.rowCount() == 1
    QApplication.processEvents()
