"""A screen reader walks the timeline block by block."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

from PySide6.QtGui import QAccessible

from tests.ui.timeline.conftest import BAG, CALOT, CLIP, FPS, Desk, line, make_data

PROJECT = Path(__file__).resolve().parents[3]
NAME = QAccessible.Text.Name


def fill(desk: Desk) -> None:
    """One block by a human, two by the model, sure by 0.9 and 0.4."""
    sure = tuple((s * FPS, 0.9 if s < 300 else 0.4) for s in range(600))
    desk.timeline.set_data(
        make_data(
            you=line((10, 70, CLIP)), model=line((0, 300, CALOT), (300, 600, BAG)), confidence=sure
        )
    )


def test_every_block_is_an_item_with_its_name_and_place(desk: Desk) -> None:
    fill(desk)
    timeline = desk.timeline
    found = QAccessible.queryAccessibleInterface(timeline)
    assert found.role() == QAccessible.Role.List
    assert [found.child(i).text(NAME) for i in range(found.childCount())] == [
        "Clip and cut, 0:10 to 1:10, yours",
        "Calot triangle, 0:00 to 5:00, model, 90 %",
        "Bagging, 5:00 to 10:00, model, 40 %",
        "Disagreement, 1:00, at 0:10: you say Clip and cut, the model Calot triangle",
    ]
    differs = found.child(3)
    at = differs.rect().center()
    assert found.childAt(at.x(), at.y()) is differs
    assert differs.isValid()
    assert differs.block() is None
    second = found.child(1)
    assert second.role() == QAccessible.Role.ListItem
    assert second.parent() is found
    assert found.indexOfChild(second) == 1
    middle = second.rect().center()
    assert found.childAt(middle.x(), middle.y()) is second
    block = timeline.block_rect(second.block())
    assert block is not None
    assert block.contains(timeline.mapFromGlobal(middle))
    timeline.show_stretch(400 * FPS, 500 * FPS)
    assert second.rect().isEmpty()
    assert second.state().offscreen


def test_the_selection_is_the_item_in_focus(desk: Desk) -> None:
    fill(desk)
    timeline = desk.timeline
    found = QAccessible.queryAccessibleInterface(timeline)
    assert found.focusChild() is None
    timeline.select(found.child(2).block())
    chosen = found.focusChild()
    assert chosen is found.child(2)
    assert chosen.state().selected
    assert not found.child(1).state().selected


def test_an_item_outlives_its_block(desk: Desk) -> None:
    fill(desk)
    found = QAccessible.queryAccessibleInterface(desk.timeline)
    last = found.child(2)
    assert last.isValid()
    desk.timeline.set_data(None)
    gc.collect()
    assert found.childCount() == 0
    assert not last.isValid()
    assert last.text(NAME) == ""
    assert last.rect().isEmpty()


def test_a_screen_reader_that_holds_on_does_not_end_the_program() -> None:
    code = (
        "import gc; from PySide6.QtGui import QAccessible;"
        "from app.ui.application import make_application; from app.ui import theme;"
        "a = make_application(); theme.apply(a);"
        "from tests.ui.timeline.conftest import make_data, line;"
        "from app.ui.timeline.widget import Timeline\n"
        "for _ in range(20):\n"
        "    t = Timeline(); t.show()\n"
        "    t.set_data(make_data(model=line((0, 60, 'clipping_cutting'))))\n"
        "    i = QAccessible.queryAccessibleInterface(t)\n"
        "    ids = [QAccessible.uniqueId(i.child(n)) for n in range(i.childCount())]\n"
        "    assert ids and QAccessible.accessibleInterface(ids[0]).text(QAccessible.Text.Name)\n"
        "    t.close(); t.deleteLater(); del t, i; a.processEvents(); gc.collect()\n"
        "print('well')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "well"), done.stderr
