"""The phases of the real window as a screen reader reads them."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible

from app.ui import theme
from app.ui.messages import Message
from tests.ui.annotate.conftest import Desk

NAME = QAccessible.Text.Name


def test_the_blocks_are_read_and_follow_what_a_person_changes(desk: Desk) -> None:
    timeline = desk.annotate.timeline
    found = QAccessible.queryAccessibleInterface(timeline)
    names = [found.child(i).text(NAME) for i in range(found.childCount())]
    assert [n.split(", ")[0] for n in names] == [
        "Calot triangle",
        "Clip and cut",
        "Gallbladder dissection",
    ]
    assert all(n.endswith(", model, 70 %") for n in names)
    desk.go_to(30)
    desk.press(Qt.Key.Key_5, on=timeline)
    desk.wait_saved()
    first = found.child(0)
    assert first.text(NAME).startswith("Bagging, 0:01 to ")
    assert first.text(NAME).endswith(", yours")
    timeline.select(first.block())
    assert found.focusChild() is first


def test_messages_lie_on_the_canvas_and_hide_neither_tool_nor_clock(desk: Desk) -> None:
    desk.window.resize(1280, 800)
    desk.window.slot.say(Message(text="Something happened.", key="test"))
    slot, canvas = desk.window.slot.geometry(), desk.annotate.canvas
    left = canvas.mapTo(desk.window, canvas.rect().topLeft())
    assert slot.top() >= left.y() + 8 + theme.px(58), "the plate and the clock end above"
    assert abs(slot.center().x() - (left.x() + canvas.width() / 2)) <= 1
    assert slot.width() < canvas.width()
