"""The table of keys: no conflicts, narrow scopes win, digits by place, text fields undisturbed."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.ui.actions import ACTIONS
from app.ui.key_sheet import caps
from app.ui.keys import Action, KeyMap, Scope, conflicts, digit_of, set_widget_scope
from app.ui.main_window import MainWindow


def action(id_: str, key: str, scope: Scope, *, hold: bool = False) -> Action:
    return Action(id=id_, text=id_, keys=(key,), scope=scope, group="g", hold=hold)


def test_no_key_means_two_things_in_one_scope() -> None:
    assert conflicts(ACTIONS) == []


def test_conflicts_are_found_whatever_the_spelling() -> None:
    both = (action("a", "Ctrl+S", Scope.PLAYER), action("b", "Ctrl+s", Scope.PLAYER))
    assert len(conflicts(both)) == 1
    assert conflicts((both[0], action("b", "Ctrl+S", Scope.CANVAS))) == []


def test_a_conflicting_table_is_refused(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    with pytest.raises(ValueError, match="both"):
        KeyMap(window, (action("a", "X", Scope.PLAYER), action("b", "X", Scope.PLAYER)))


class Desk:
    """A window with a canvas, a field and a button, and what was done."""

    def __init__(self, qtbot: QtBot) -> None:
        self.window = QWidget()
        qtbot.addWidget(self.window)
        self.canvas, self.field, self.button = QWidget(), QLineEdit(), QPushButton("b")
        self.canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        layout = QVBoxLayout(self.window)
        for part in (self.canvas, self.field, self.button):
            layout.addWidget(part)
        set_widget_scope(self.canvas, Scope.CANVAS)
        self.done: list[str] = []
        self.keys = KeyMap(
            self.window,
            (
                action("full", "F", Scope.PLAYER),
                action("finish", "F", Scope.CANVAS),
                action("play", "Space", Scope.PLAYER),
                action("hold", "H", Scope.PLAYER, hold=True),
            ),
        )
        for name in ("full", "finish", "play"):
            self.keys.bind(name, lambda n=name: self.done.append(n))
        self.keys.set_workspace((Scope.PLAYER,))
        self.window.show()
        qtbot.waitExposed(self.window)
        self.window.activateWindow()

    def focus(self, widget: QWidget, qtbot: QtBot) -> None:
        widget.setFocus()
        qtbot.waitUntil(lambda: QApplication.focusWidget() is widget)


def test_the_narrower_scope_wins_while_it_has_the_focus(qtbot: QtBot, dressed: object) -> None:
    desk = Desk(qtbot)
    desk.focus(desk.canvas, qtbot)
    qtbot.keyClick(desk.canvas, Qt.Key.Key_F)
    desk.focus(desk.button, qtbot)
    qtbot.keyClick(desk.button, Qt.Key.Key_F)
    assert desk.done == ["finish", "full"]


def test_letters_go_into_text_fields(qtbot: QtBot, dressed: object) -> None:
    desk = Desk(qtbot)
    desk.focus(desk.field, qtbot)
    qtbot.keyClicks(desk.field, "f 7")
    assert desk.field.text() == "f 7"
    assert desk.done == []


def test_space_presses_the_focused_button_and_nothing_else(qtbot: QtBot, dressed: object) -> None:
    desk = Desk(qtbot)
    pressed: list[int] = []
    desk.button.clicked.connect(lambda: pressed.append(1))
    desk.focus(desk.button, qtbot)
    qtbot.keyClick(desk.button, Qt.Key.Key_Space)
    assert len(pressed) == 1
    assert desk.done == []


def test_a_held_key_tells_both_ends_once(qtbot: QtBot, dressed: object) -> None:
    desk = Desk(qtbot)
    desk.focus(desk.canvas, qtbot)
    told: list[str] = []
    desk.keys.held.connect(lambda i: told.append("down " + i))
    desk.keys.released.connect(lambda i: told.append("up " + i))
    none = Qt.KeyboardModifier.NoModifier
    for kind, repeated in (
        (QEvent.Type.KeyPress, False),
        (QEvent.Type.KeyPress, True),
        (QEvent.Type.KeyRelease, True),
        (QEvent.Type.KeyRelease, False),
    ):
        event = QKeyEvent(kind, Qt.Key.Key_H, none, "h", repeated)
        (desk.keys.press if kind == QEvent.Type.KeyPress else desk.keys.release)(event)
    assert told == ["down hold", "up hold"]


def test_digits_follow_the_place_of_the_key() -> None:
    none = Qt.KeyboardModifier.NoModifier
    plain = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_7, none, "7")
    azerty = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Egrave, none, 16, 0, 0, "è")
    letter = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_A, none, 38, 0, 0, "a")
    assert digit_of(plain) == 7
    assert digit_of(letter) is None
    import sys

    if sys.platform.startswith("linux"):
        assert digit_of(azerty) == 7


def test_every_bound_action_stands_in_the_sheet(window: MainWindow) -> None:
    window.keys.trigger("keys")
    shown = {a.id for a in window.sheets.keys.matching("")}
    wanted = {a.id for a in window.keys.actions if a.keys and window.keys.is_bound(a.id)}
    assert wanted <= shown
    assert {a.id for a in window.sheets.keys.matching("full screen")} >= {"full_screen"}


def headings(window: MainWindow) -> list[str]:
    """The groups of the sheet, column after column."""
    window.keys.trigger("keys")
    names = {a.group for a in window.keys.actions}
    found = [w.text() for w in window.sheets.keys.findChildren(QLabel) if w.text() in names]
    window.keys.trigger("escape")
    return found


def test_in_live_the_sheet_begins_with_lives_keys_and_has_none_of_the_player(
    window: MainWindow,
) -> None:
    sheet, keys = window.sheets.keys, window.keys
    assert {"play", "boundary_on"} <= {a.id for a in sheet.matching("")}
    window.show_workspace("live")
    assert headings(window)[0] == "Live"
    shown = sheet.matching("")
    assert {a.scope for a in shown} == {Scope.LIVE, Scope.EVERYWHERE}
    assert {"live_pause", "workspace_review", "quit"} <= {a.id for a in shown}
    window.show_workspace("library")
    assert headings(window)[0] == "Play"
    assert "play" in {a.id for a in sheet.matching("")}
    assert keys.hint("workspace_review") == "Alt+2"


def test_every_action_of_the_table_does_something(window: MainWindow) -> None:
    idle = {a.id for a in window.keys.actions if not a.hold and not window.keys.is_bound(a.id)}
    assert idle == set()


def test_key_caps_are_split_as_people_read_them() -> None:
    assert caps("Ctrl+Shift+Z") == ["Ctrl", "Shift", "Z"]
    assert caps("Left") == ["←"]
    assert caps("Ctrl++") == ["Ctrl", "+"]
