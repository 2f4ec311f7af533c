"""The timeline by keyboard, through the window's key map: nothing needs the mouse."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QMenu, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.annotate.phases import Block
from app.ui.keys import KeyMap, Scope, set_widget_scope
from app.ui.timeline.commands import ACTIONS
from tests.ui.timeline.conftest import BAG, CALOT, CLIP, FPS, GALL, Desk, line, make_data

CTRL, ALT, SHIFT = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ShiftModifier,
)


class _Window(QWidget):
    """A window with a key map, as the shell has it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        QVBoxLayout(self).addWidget(desk.timeline)
        self.keys = KeyMap(self, ACTIONS)
        set_widget_scope(desk.timeline, Scope.TIMELINE)
        for action_id, act in desk.commands.table().items():
            self.keys.bind(action_id, act)
        self.keys.digit.connect(lambda digit, _keys: desk.commands.digit(digit))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not self.keys.press(event):
            super().keyPressEvent(event)


@pytest.fixture
def window(qtbot: QtBot, desk: Desk) -> _Window:
    window = _Window(desk)
    qtbot.addWidget(window)
    window.resize(1348, 330)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    desk.timeline.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(desk.timeline.hasFocus)
    return window


def _press(qtbot: QtBot, desk: Desk, key: Qt.Key, keys: Qt.KeyboardModifier | None = None) -> None:
    qtbot.keyClick(desk.timeline, key, keys or Qt.KeyboardModifier.NoModifier)


def test_every_action_is_bound(window: _Window, desk: Desk) -> None:
    assert {a.id for a in ACTIONS} == set(desk.commands.table())


def test_ctrl_arrows_go_from_block_to_block(qtbot: QtBot, window: _Window, desk: Desk) -> None:
    _press(qtbot, desk, Qt.Key.Key_Right, CTRL)
    assert desk.timeline.selected == Block(row="you", index=0)
    _press(qtbot, desk, Qt.Key.Key_Right, CTRL)
    _press(qtbot, desk, Qt.Key.Key_Right, CTRL)
    assert desk.timeline.selected == Block(row="you", index=1)
    assert desk.sought[-1] == 200 * FPS
    desk.timeline.set_playhead(550 * FPS)
    _press(qtbot, desk, Qt.Key.Key_Down, CTRL)
    assert desk.timeline.selected == Block(row="model", index=2)


def test_digits_relabel_the_selection_or_start_a_phase(
    qtbot: QtBot, window: _Window, desk: Desk
) -> None:
    desk.timeline.select(Block(row="you", index=1))
    _press(qtbot, desk, Qt.Key.Key_5)
    assert desk.you == [(0, 200, CALOT), (200, 400, BAG)]
    desk.timeline.select(None)
    desk.timeline.set_playhead(300 * FPS)
    _press(qtbot, desk, Qt.Key.Key_3)
    assert desk.you == [(0, 200, CALOT), (200, 300, BAG), (300, 400, CLIP)]


def test_digits_label_while_playing_whatever_is_selected(
    qtbot: QtBot, window: _Window, desk: Desk
) -> None:
    desk.timeline.set_data(make_data())
    desk.commands.playing = True
    for second, key in ((0, Qt.Key.Key_2), (100, Qt.Key.Key_3), (250, Qt.Key.Key_4)):
        desk.timeline.set_playhead(second * FPS, follow=True)
        _press(qtbot, desk, key)
    assert desk.you == [(0, 100, CALOT), (100, 250, CLIP), (250, 600, GALL)]
    _press(qtbot, desk, Qt.Key.Key_9)
    assert len(desk.corrections) == 3


def test_split_merge_boundary_nudge_remove(qtbot: QtBot, window: _Window, desk: Desk) -> None:
    desk.timeline.set_playhead(100 * FPS)
    _press(qtbot, desk, Qt.Key.Key_B)
    assert desk.you[:2] == [(0, 100, CALOT), (100, 200, CALOT)]
    assert desk.timeline.selected == Block(row="you", index=1)
    desk.timeline.select(Block(row="you", index=0))
    _press(qtbot, desk, Qt.Key.Key_B, SHIFT)
    assert desk.you == [(0, 200, CALOT), (200, 400, CLIP)]
    desk.timeline.select(Block(row="you", index=1))
    desk.timeline.set_playhead(220 * FPS)
    _press(qtbot, desk, Qt.Key.Key_R)
    assert desk.you == [(0, 220, CALOT), (220, 400, CLIP)]
    _press(qtbot, desk, Qt.Key.Key_Left, ALT)
    assert desk.you[1][0] == pytest.approx(220 - 1 / FPS)
    _press(qtbot, desk, Qt.Key.Key_Delete)
    assert len(desk.you) == 1
    assert desk.timeline.selected is None


@pytest.mark.parametrize(
    ("key", "keys", "at_s", "why"),
    [
        (Qt.Key.Key_B, None, 200, "edge"),
        (Qt.Key.Key_B, SHIFT, 300, "No block follows"),
        (Qt.Key.Key_Delete, None, 300, "Pick one"),
    ],
)
def test_a_key_that_cannot_act_says_why(
    qtbot: QtBot,
    window: _Window,
    desk: Desk,
    key: Qt.Key,
    keys: Qt.KeyboardModifier | None,
    at_s: int,
    why: str,
) -> None:
    desk.timeline.set_playhead(at_s * FPS)
    _press(qtbot, desk, key, keys)
    assert desk.corrections == []
    assert why in desk.refused[-1]


def test_marks_and_enter_make_a_block(qtbot: QtBot, window: _Window, desk: Desk) -> None:
    desk.timeline.set_playhead(50 * FPS)
    _press(qtbot, desk, Qt.Key.Key_I)
    desk.timeline.set_playhead(60 * FPS - 1)
    _press(qtbot, desk, Qt.Key.Key_O)
    assert desk.timeline.marks == (50 * FPS, 60 * FPS)
    _press(qtbot, desk, Qt.Key.Key_Return)
    menu = _menu(qtbot, desk)
    next(a for a in menu.actions() if a.text().startswith("Bagging")).trigger()
    menu.close()
    assert (50, 60, BAG) in desk.you
    assert desk.timeline.marks == (None, None)


def test_enter_changes_the_phase_of_the_selection(
    qtbot: QtBot, window: _Window, desk: Desk
) -> None:
    desk.timeline.select(Block(row="model", index=2))
    _press(qtbot, desk, Qt.Key.Key_Return)
    menu = _menu(qtbot, desk)
    next(a for a in menu.actions() if a.text().startswith("Bagging")).trigger()
    menu.close()
    assert desk.you[-1] == (500, 600, BAG)
    assert desk.corrections[-1].title == "Relabel Gallbladder dissection as Bagging"


def _menu(qtbot: QtBot, desk: Desk) -> QMenu:
    qtbot.waitUntil(lambda: any(m.isVisible() for m in desk.timeline.findChildren(QMenu)))
    return next(m for m in desk.timeline.findChildren(QMenu) if m.isVisible())


def test_accept_and_adopt(qtbot: QtBot, window: _Window, desk: Desk) -> None:
    desk.timeline.set_data(make_data(None, line((0, 210, CALOT), (210, 600, CLIP))))
    desk.timeline.set_playhead(300 * FPS)
    _press(qtbot, desk, Qt.Key.Key_A)
    assert desk.you == [(210, 600, CLIP)]
    _press(qtbot, desk, Qt.Key.Key_A, SHIFT)
    assert desk.you == [(0, 210, CALOT), (210, 600, CLIP)]


def test_the_models_blocks_cannot_be_removed(qtbot: QtBot, window: _Window, desk: Desk) -> None:
    desk.timeline.select(Block(row="model", index=0))
    _press(qtbot, desk, Qt.Key.Key_Delete)
    assert desk.corrections == []
    assert desk.refused


def test_zoom_keys_keep_the_playhead_in_sight(qtbot: QtBot, window: _Window, desk: Desk) -> None:
    desk.timeline.set_playhead(500 * FPS)
    _press(qtbot, desk, Qt.Key.Key_Equal, CTRL)
    view = desk.timeline.view
    assert view.end_pts - view.start_pts == pytest.approx(400 * FPS)
    assert view.start_pts < 500 * FPS < view.end_pts
    _press(qtbot, desk, Qt.Key.Key_0, CTRL)
    assert desk.timeline.view.end_pts == 600 * FPS


def test_escape_drops_marks_then_the_selection(desk: Desk) -> None:
    desk.timeline.set_marks(5, None)
    desk.timeline.select(Block(row="you", index=0))
    assert desk.commands.escape()
    assert desk.timeline.selected is not None
    assert desk.commands.escape()
    assert not desk.commands.escape()
