"""Phases corrected in the real window: digits while it plays, dragging, the table, restart."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from app.annotate.phases import Block
from app.core.correction import HumanTimeline
from app.core.timeline import Timeline
from app.store import Library
from app.ui.timeline.geometry import Kind
from app.ui.timeline.layer import bar_of
from tests.ui.annotate.conftest import FRAMES, PHASES, Desk

CALOT, CLIP, GALL = PHASES[1:4]
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def _step(desk: Desk) -> int:
    asset = desk.window.services.session.asset
    assert asset is not None
    return (asset.end_pts - asset.start_pts) // FRAMES


def _you(desk: Desk) -> list[tuple[float, float, str]]:
    """The human tier in frames."""
    line = desk.window.services.session.human_timeline
    step = _step(desk)
    return [(s.start_pts / step, s.end_pts / step, s.phase) for s in line.segments] if line else []


def _stored(desk: Desk) -> Timeline | None:
    desk.wait_saved()
    services = desk.window.services
    found = services.library.human_timeline(services.session.asset.asset_id)
    assert found is None or isinstance(found, HumanTimeline)
    return found.timeline if found else None


def _point(desk: Desk, kind: Kind, frame: float) -> QPoint:
    scene = desk.annotate.timeline.scene()
    assert scene is not None
    row = next(r for r in scene.rows if r.kind is kind)
    x = scene.view.x(frame * _step(desk))
    return QPoint(round(x), round(bar_of(row, scene.view).center().y()))


def _drag(desk: Desk, kind: Kind, start: float, end: float) -> None:
    timeline, left = desk.annotate.timeline, Qt.MouseButton.LeftButton
    a, b = _point(desk, kind, start), _point(desk, kind, end)
    desk.qtbot.mousePress(timeline, left, pos=a)
    for to in ((a + b) / 2, b):
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(to),
            QPointF(timeline.mapToGlobal(to)),
            Qt.MouseButton.NoButton,
            left,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(timeline, event)
    desk.qtbot.mouseRelease(timeline, left, pos=b)


def test_digits_label_the_phases_while_the_video_plays(desk: Desk) -> None:
    player, session = desk.window.services.player, desk.window.services.session
    player.player.set_speed(0.25)
    desk.press(Qt.Key.Key_2)
    player.player.play()
    desk.qtbot.waitUntil(lambda: session.frame.index >= 8, timeout=20_000)
    desk.press(Qt.Key.Key_3)
    player.player.pause()
    said = _you(desk)
    assert [p for _, _, p in said] == [CALOT, CLIP]
    assert said[0][0] == 0
    assert 8 <= said[0][1] < FRAMES
    assert said[1][1] == FRAMES
    assert _stored(desk) == session.human_timeline


def test_dragging_split_merge_undo_redo_and_after_a_restart(desk: Desk) -> None:
    timeline, services = desk.annotate.timeline, desk.window.services
    desk.press(Qt.Key.Key_A, SHIFT, on=timeline)
    assert _you(desk) == [(0, 21, CALOT), (21, 42, CLIP), (42, 60, GALL)]
    _drag(desk, Kind.YOU, 21, 30)
    assert _you(desk)[0][1] == 30
    desk.qtbot.waitUntil(lambda: services.session.frame.index == 30, timeout=10_000)
    desk.go_to(36)
    desk.press(Qt.Key.Key_B, on=timeline)
    assert [s[1] for s in _you(desk)] == [30, 36, 42, 60]
    desk.press(Qt.Key.Key_4, on=timeline)
    assert [p for _, _, p in _you(desk)] == [CALOT, CLIP, GALL, GALL]
    desk.press(Qt.Key.Key_B, SHIFT, on=timeline)
    final = [(0, 30, CALOT), (30, 36, CLIP), (36, 60, GALL)]
    assert _you(desk) == final
    for _ in range(3):
        desk.press(Qt.Key.Key_Z, CTRL, on=timeline)
        desk.wait_saved()
    assert _you(desk) == [(0, 30, CALOT), (30, 42, CLIP), (42, 60, GALL)]
    for _ in range(3):
        desk.press(Qt.Key.Key_Y, CTRL, on=timeline)
        desk.wait_saved()
    assert _you(desk) == final
    kept, asset, folder = _stored(desk), services.session.asset, services.library.folder
    case = services.session.case
    desk.window.close()
    with Library.open(folder, ballast_bytes=1 << 16) as library:
        found = library.human_timeline(asset.asset_id)
        assert found is not None
        assert found.timeline == kept
        assert library.undo_title(case.case_id) == (
            "Merge Gallbladder dissection with Gallbladder dissection"
        )


def test_table_and_rows_say_all_that_the_timeline_shows_and_everything_has_a_name(
    desk: Desk,
) -> None:
    tabs, segments = desk.annotate.tabs, desk.annotate.segments
    tabs.setCurrentWidget(segments)
    desk.press(Qt.Key.Key_A, on=desk.annotate.timeline)
    rows = segments.model.rowCount()
    spoken = [
        segments.model.index(r, 0).data(Qt.ItemDataRole.AccessibleTextRole) for r in range(rows)
    ]
    assert spoken == [
        "Calot triangle, from 0:00 to 0:00, yours",
        "Model says Calot triangle from 0:00 to 0:00",
        "Model says Clip and cut from 0:00 to 0:01",
        "Model says Gallbladder dissection from 0:01 to 0:02",
    ]
    segments.table.selectRow(2)
    assert desk.annotate.timeline.selected == Block(row="model", index=1)
    session = desk.window.services.session
    desk.qtbot.waitUntil(lambda: session.frame.index == 21, timeout=10_000)
    segments.buttons["block_accept"].click()
    assert _you(desk) == [(0, 21, CALOT), (21, 42, CLIP)]
    assert segments.model.rowCount() == 5
    desk.press(Qt.Key.Key_5, on=segments.table)
    assert _you(desk)[1] == (21, 42, PHASES[4])
    assert any(
        "Disagreement" in str(segments.model.index(r, 0).data())
        for r in range(segments.model.rowCount())
    )
    segments.buttons["block_remove"].click()
    assert _you(desk) == [(0, 21, CALOT)]

    tabs.setCurrentIndex(0)
    desk.go_to(0)
    desk.click(60, 80)
    desk.press(Qt.Key.Key_A)
    scene = desk.annotate.timeline.scene()
    assert scene is not None
    labels = [r.label for r in scene.rows]
    assert {"Grasper, outlined", "Hook, outlined", "Your outlines", "You", "Model"} <= set(labels)
    assert scene.data.marks == (0,)

    _everything_has_a_name(desk)


def _everything_has_a_name(desk: Desk) -> None:
    from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QComboBox, QLineEdit

    annotate = desk.annotate
    for kind in (QAbstractButton, QAbstractItemView, QComboBox, QLineEdit):
        for widget in annotate.findChildren(kind):
            named = widget.accessibleName() or getattr(widget, "text", lambda: "")()
            assert named or not widget.isVisible(), widget
    for button in (*annotate.rail.tools.values(), annotate.rail.undo, annotate.rail.redo):
        assert "(" in button.toolTip()
