"""The timeline under the mouse: seek, select, drag edges with snapping, zoom, fold."""

from __future__ import annotations

from itertools import pairwise

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.annotate.phases import Block
from app.ui.timeline.geometry import Kind
from app.ui.timeline.layer import bar_of
from tests.ui.timeline.conftest import CALOT, CLIP, FPS, GALL, Desk, line, make_data


def _at(desk: Desk, kind: Kind, seconds: float) -> QPoint:
    scene = desk.timeline.scene()
    assert scene is not None
    row = next(r for r in scene.rows if r.kind is kind)
    view = scene.whole if kind is Kind.WHOLE else scene.view
    return QPoint(round(view.x(seconds * FPS)), round(bar_of(row, view).center().y()))


def _drag(
    qtbot: QtBot, desk: Desk, kind: Kind, start: float, end: float, *, alt: bool = False
) -> None:
    keys = Qt.KeyboardModifier.AltModifier if alt else Qt.KeyboardModifier.NoModifier
    left, a, b = Qt.MouseButton.LeftButton, _at(desk, kind, start), _at(desk, kind, end)
    qtbot.mousePress(desk.timeline, left, keys, a)
    for step in (0.3, 0.7, 1.0):
        _move(desk, a + (b - a) * step, keys)
    qtbot.mouseRelease(desk.timeline, left, keys, b)


def _move(desk: Desk, to: QPoint, keys: Qt.KeyboardModifier) -> None:
    from PySide6.QtCore import QEvent
    from PySide6.QtGui import QMouseEvent

    event = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(to),
        QPointF(desk.timeline.mapToGlobal(to)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        keys,
    )
    QApplication.sendEvent(desk.timeline, event)


def test_a_click_selects_the_block_and_seeks(qtbot: QtBot, desk: Desk) -> None:
    qtbot.mouseClick(desk.timeline, Qt.MouseButton.LeftButton, pos=_at(desk, Kind.YOU, 300))
    assert desk.timeline.selected == Block(row="you", index=1)
    assert desk.sought == [pytest.approx(300 * FPS, abs=FPS)]
    assert "Clip and cut, from 3:20 to 6:40, yours, selected" in desk.timeline.accessibleName()


def test_the_ruler_scrubs(qtbot: QtBot, desk: Desk) -> None:
    _drag(qtbot, desk, Kind.RULER, 100, 150)
    assert len(desk.sought) >= 3
    assert all(a <= b for a, b in pairwise(desk.sought))
    assert desk.sought[-1] == pytest.approx(150 * FPS, abs=FPS)
    assert desk.corrections == []


def test_dragging_a_boundary_moves_both_neighbours_in_one_correction(
    qtbot: QtBot, desk: Desk
) -> None:
    _drag(qtbot, desk, Kind.YOU, 200, 260)
    assert [c.title for c in desk.corrections] == ["Move the start of Clip and cut"]
    boundary = desk.you[0][1]
    assert boundary == pytest.approx(260, abs=1)
    assert desk.you == [(0, boundary, CALOT), (boundary, 400, CLIP)]
    assert desk.timeline.selected == Block(row="you", index=1)
    assert desk.sought[-1] == boundary * FPS


def test_an_edge_snaps_to_the_models_boundary_and_alt_lets_it_go(qtbot: QtBot, desk: Desk) -> None:
    _drag(qtbot, desk, Kind.YOU, 200, 212)
    assert desk.you[0][1] == 210
    _drag(qtbot, desk, Kind.YOU, 210, 240)
    _drag(qtbot, desk, Kind.YOU, 240, 212, alt=True)
    assert desk.you[0][1] != 210
    assert desk.you[0][1] == pytest.approx(212, abs=0.6)


def test_an_edge_snaps_to_where_the_playhead_was(qtbot: QtBot, desk: Desk) -> None:
    desk.timeline.set_playhead(301 * FPS)
    _drag(qtbot, desk, Kind.YOU, 200, 303)
    assert desk.you[0][1] == 301


def test_the_drag_is_shown_but_not_stored_before_release(qtbot: QtBot, desk: Desk) -> None:
    a = _at(desk, Kind.YOU, 200)
    qtbot.mousePress(desk.timeline, Qt.MouseButton.LeftButton, pos=a)
    before = desk.timeline.grab().toImage()
    _move(desk, _at(desk, Kind.YOU, 300), Qt.KeyboardModifier.NoModifier)
    assert desk.timeline.grab().toImage() != before
    assert desk.corrections == []
    assert desk.you[0][1] == 200
    qtbot.mouseRelease(desk.timeline, Qt.MouseButton.LeftButton, pos=_at(desk, Kind.YOU, 300))
    assert desk.you[0][1] == pytest.approx(300, abs=1)


def test_a_drag_goes_on_while_an_analysis_adds_to_the_models_tier(qtbot: QtBot, desk: Desk) -> None:
    left = Qt.MouseButton.LeftButton
    qtbot.mousePress(desk.timeline, left, pos=_at(desk, Kind.YOU, 200))
    _move(desk, _at(desk, Kind.YOU, 280), Qt.KeyboardModifier.NoModifier)
    you = desk.timeline.data.tiers.you
    desk.timeline.set_data(make_data(you, line((0, 210, CALOT), (210, 550, CLIP))))
    _move(desk, _at(desk, Kind.YOU, 300), Qt.KeyboardModifier.NoModifier)
    qtbot.mouseRelease(desk.timeline, left, pos=_at(desk, Kind.YOU, 300))
    assert desk.you[0][1] == pytest.approx(300, abs=1)


def test_dragging_the_models_edge_takes_its_block_over(qtbot: QtBot, desk: Desk) -> None:
    desk.timeline.set_data(make_data(None, line((0, 210, CALOT), (210, 500, CLIP))))
    _drag(qtbot, desk, Kind.MODEL, 500, 450)
    assert desk.you == [(210, pytest.approx(450, abs=1), CLIP)]
    assert desk.timeline.data is not None
    assert desk.timeline.data.tiers.model == line((0, 210, CALOT), (210, 500, CLIP))


def test_a_locked_timeline_says_why(qtbot: QtBot, desk: Desk) -> None:
    desk.timeline.locked_reason = "Read only"
    _drag(qtbot, desk, Kind.YOU, 200, 260)
    assert desk.corrections == []
    assert desk.refused == ["Read only"]


def test_the_wheel_zooms_at_the_pointer(desk: Desk) -> None:
    point = _at(desk, Kind.YOU, 300)
    before = desk.timeline.view.pts(point.x())
    _wheel(desk, point, 480)
    view = desk.timeline.view
    assert view.end_pts - view.start_pts < 400 * FPS
    assert view.pts(point.x()) == pytest.approx(before, abs=1)
    for _ in range(60):
        _wheel(desk, point, 480)
    shortest = desk.timeline.view
    assert shortest.end_pts - shortest.start_pts == pytest.approx(8)
    for _ in range(60):
        _wheel(desk, point, -480)
    assert (desk.timeline.view.start_pts, desk.timeline.view.end_pts) == (0, 600 * FPS)


def _wheel(desk: Desk, point: QPoint, turn: int) -> None:
    event = QWheelEvent(
        QPointF(point),
        QPointF(desk.timeline.mapToGlobal(point)),
        QPoint(),
        QPoint(0, turn),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(desk.timeline, event)


def test_the_zoom_window_is_dragged_and_resized(qtbot: QtBot, desk: Desk) -> None:
    desk.timeline.show_stretch(100 * FPS, 200 * FPS)
    _drag(qtbot, desk, Kind.WHOLE, 150, 250)
    view = desk.timeline.view
    assert view.start_pts / FPS == pytest.approx(200, abs=2)
    assert view.end_pts / FPS == pytest.approx(300, abs=2)
    _drag(qtbot, desk, Kind.WHOLE, 300, 400)
    view = desk.timeline.view
    assert view.start_pts / FPS == pytest.approx(200, abs=2)
    assert view.end_pts / FPS == pytest.approx(400, abs=2)


def test_a_row_folds_by_its_label(qtbot: QtBot, desk: Desk) -> None:
    scene = desk.timeline.scene()
    assert scene is not None
    row = next(r for r in scene.rows if r.kind is Kind.MODEL)
    label = QPoint(20, round(row.top_px + 8))
    qtbot.mouseClick(desk.timeline, Qt.MouseButton.LeftButton, pos=label)
    assert Kind.MODEL in desk.timeline.folded
    folded = next(r for r in desk.timeline.scene().rows if r.kind is Kind.MODEL)
    assert folded.height_px < row.height_px
    qtbot.mouseClick(desk.timeline, Qt.MouseButton.LeftButton, pos=label)
    assert desk.timeline.folded == frozenset()


def test_a_click_on_an_empty_model_tier_asks_for_an_analysis(qtbot: QtBot, desk: Desk) -> None:
    desk.timeline.set_data(make_data())
    with qtbot.waitSignal(desk.timeline.analyse_requested, timeout=500):
        qtbot.mouseClick(desk.timeline, Qt.MouseButton.LeftButton, pos=_at(desk, Kind.MODEL, 100))


def test_only_the_strips_of_the_playhead_are_painted_anew(qtbot: QtBot, desk: Desk) -> None:
    desk.timeline.set_playhead(100 * FPS)
    desk.timeline.grab()
    scene = desk.timeline.scene()
    desk.timeline.set_playhead(101 * FPS)
    assert desk.timeline.scene() is scene
    picture = desk.timeline.grab().toImage()
    x = round(desk.timeline.view.x(101 * FPS))
    y = _at(desk, Kind.YOU, 101).y()
    assert picture.pixelColor(x - 1, y).lightness() > 240


def test_playing_turns_the_page(desk: Desk) -> None:
    desk.timeline.show_stretch(100 * FPS, 200 * FPS)
    desk.timeline.set_playhead(150 * FPS, follow=True)
    assert desk.timeline.view.start_pts == 100 * FPS
    desk.timeline.set_playhead(200 * FPS, follow=True)
    assert desk.timeline.view.start_pts == 200 * FPS


def test_blocks_have_their_phases_colours_and_the_model_is_toned(desk: Desk) -> None:
    picture = desk.timeline.grab().toImage()
    you = picture.pixelColor(_at(desk, Kind.YOU, 350))
    model = picture.pixelColor(_at(desk, Kind.MODEL, 450))
    assert you.name().upper() == "#009E73"
    assert model.lightness() < you.lightness()
    gall = picture.pixelColor(_at(desk, Kind.MODEL, 590))
    assert gall.hue() == pytest.approx(26, abs=6), GALL


def test_everything_is_painted_without_a_warning_at_any_size(qtbot: QtBot, desk: Desk) -> None:
    for width, height in ((180, 92), (900, 204), (2560, 400)):
        desk.timeline.resize(width, height)
        desk.timeline.grab()
    desk.timeline.set_data(None)
    desk.timeline.grab()
