"""The stage: exact pixels, zoom that keeps its place, the research mark, None's reference count."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.frame import Frame
from app.ui.stage import Stage, draw_research_mark, mean_luma

WIDTH, HEIGHT = 400, 240


def frame_of(rgb: NDArray[np.uint8], index: int = 0) -> Frame:
    return Frame(rgb=rgb, pts=index, index=index, time_ms=float(index))


@pytest.fixture
def stage(qtbot: QtBot, dressed: QApplication) -> Stage:
    made = Stage()
    qtbot.addWidget(made)
    made.resize(WIDTH, HEIGHT)
    made.show()
    qtbot.waitExposed(made)
    return made


def noise(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def pixels(image: QImage) -> NDArray[np.uint8]:
    rgb = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(rgb.constBits(), np.uint8).reshape(rgb.height(), rgb.bytesPerLine())
    return rows[:, : rgb.width() * 3].reshape(rgb.height(), rgb.width(), 3).copy()


def test_a_frame_of_the_stage_s_size_is_painted_exactly(stage: Stage) -> None:
    rgb = noise()
    stage.set_frame(frame_of(rgb))
    np.testing.assert_array_equal(pixels(stage.grab().toImage()), rgb)


def test_the_overlay_is_blended_premultiplied(stage: Stage) -> None:
    rgb = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    overlay = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    overlay[50:60, 20:40] = (0, 128, 0, 128)
    stage.set_frame(frame_of(rgb))
    stage.set_overlay(overlay)
    got = pixels(stage.grab().toImage())
    np.testing.assert_allclose(got[55, 30], (50, 178, 50), atol=1)
    np.testing.assert_array_equal(got[70, 30], (100, 100, 100))


def test_the_research_mark_is_read_on_white_and_on_what_a_recorder_wrote(
    dressed: QApplication,
) -> None:
    image = QImage(300, 60, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.white)
    painter = QPainter(image)
    draw_research_mark(painter, QRectF(image.rect()), 12)
    painter.end()
    plate = {(x, y) for x in range(300) for y in range(60) if image.pixelColor(x, y).value() < 90}
    wide = max(x for x, _ in plate) - min(x for x, _ in plate)
    assert wide > 100
    assert len(plate) > wide * 10, "letters alone, no plate"


def test_the_research_line_stands_below_the_picture_and_hides_nothing_of_it(stage: Stage) -> None:
    stage.show_use(shown=True)
    stage.set_frame(frame_of(np.full((HEIGHT, WIDTH, 3), 255, np.uint8)))
    stage.set_overlay(np.zeros((HEIGHT, WIDTH, 4), np.uint8))
    for zoom in (1.0, 3.0):
        stage.zoom_by(zoom)
        shown, end = pixels(stage.grab().toImage()), stage.height() - 20
        assert round(min(stage.image_rect().bottom(), end)) == end
        left, right = max(0, round(stage.image_rect().left())), stage.image_rect().right()
        assert (shown[:end, left : round(right)] == 255).all()
        assert 100 < shown[end:, :250].max() < 255


def test_a_snapshot_with_an_overlay_bears_the_research_mark(stage: Stage) -> None:
    stage.set_frame(frame_of(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    assert pixels(stage.grab().toImage()).max() == 0
    stage.set_overlay(np.zeros((HEIGHT, WIDTH, 4), np.uint8))
    snapshot = pixels(stage.snapshot())
    assert snapshot.shape == (HEIGHT, WIDTH, 3)
    assert snapshot[-30:, :250].max() > 100


def test_a_snapshot_without_an_overlay_bears_the_mark_too(stage: Stage) -> None:
    stage.set_frame(frame_of(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    assert pixels(stage.snapshot()).max() > 100


def test_a_snapshot_takes_an_overlay_of_another_size(stage: Stage) -> None:
    stage.set_frame(frame_of(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    overlay = np.zeros((HEIGHT * 2, WIDTH * 2, 4), np.uint8)
    overlay[200:240, 600:700] = 255
    stage.set_overlay(overlay)
    assert pixels(stage.snapshot())[110, 325].min() > 250


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(st.floats(0.3, 3.0), min_size=1, max_size=6),
    x=st.floats(1, WIDTH - 1),
    y=st.floats(1, HEIGHT - 1),
)
def test_points_survive_the_way_to_the_picture_and_back(
    stage: Stage, steps: list[float], x: float, y: float
) -> None:
    stage.set_frame(frame_of(noise()))
    stage.fit()
    for factor in steps:
        stage.zoom_by(factor, QPointF(x, y))
    there = stage.to_image(QPointF(x, y))
    back = stage.to_widget(there)
    assert abs(back.x() - x) < 1e-6
    assert abs(back.y() - y) < 1e-6
    assert 1.0 <= stage.zoom <= 32.0


def test_zoom_keeps_the_point_under_the_pointer(stage: Stage) -> None:
    stage.set_frame(frame_of(noise()))
    at = QPointF(120, 80)
    before = stage.to_image(at)
    stage.zoom_by(2.0, at)
    stage.zoom_by(1.7, at)
    after = stage.to_image(at)
    assert (after - before).manhattanLength() < 1e-6


def test_pan_never_leaves_the_picture(stage: Stage) -> None:
    stage.set_frame(frame_of(noise()))
    stage.zoom_by(3.0)
    stage.pan_by(QPointF(10_000, 10_000))
    rect = stage.image_rect()
    assert rect.left() <= 0.5
    assert rect.top() <= 0.5
    assert rect.right() >= WIDTH - 0.5


def test_a_drag_pans_and_a_click_is_told(stage: Stage, qtbot: QtBot) -> None:
    stage.set_frame(frame_of(noise()))
    stage.zoom_by(4.0)
    with qtbot.waitSignal(stage.activated, timeout=1000):
        qtbot.mouseClick(stage, Qt.MouseButton.LeftButton, pos=QPointF(50, 50).toPoint())
    before = stage.image_rect()
    qtbot.mousePress(stage, Qt.MouseButton.MiddleButton, pos=QPointF(50, 50).toPoint())
    qtbot.mouseMove(stage, QPointF(90, 70).toPoint())
    qtbot.mouseRelease(stage, Qt.MouseButton.MiddleButton, pos=QPointF(90, 70).toPoint())
    assert stage.image_rect() != before


def test_space_taps_only_where_it_did_not_drag(stage: Stage, qtbot: QtBot) -> None:
    stage.space_pans = True
    stage.set_frame(frame_of(noise()))
    stage.zoom_by(4.0)
    taps: list[int] = []
    stage.space_tapped.connect(lambda: taps.append(1))
    qtbot.keyClick(stage, Qt.Key.Key_Space)
    assert taps == [1]
    qtbot.keyPress(stage, Qt.Key.Key_Space)
    qtbot.mousePress(stage, Qt.MouseButton.LeftButton, pos=QPointF(50, 50).toPoint())
    qtbot.mouseMove(stage, QPointF(90, 70).toPoint())
    qtbot.mouseRelease(stage, Qt.MouseButton.LeftButton, pos=QPointF(90, 70).toPoint())
    qtbot.keyRelease(stage, Qt.Key.Key_Space)
    assert taps == [1]


def test_painting_takes_no_reference_of_none(stage: Stage) -> None:
    """PySide6 6.12.0 lost one reference to None in every QPainter call on Python 3.11."""
    stage.set_frame(frame_of(noise()))
    overlay = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    stage.set_overlay(overlay)
    for _ in range(50):
        stage.repaint()
    before = sys.getrefcount(None)
    for _ in range(1000):
        stage.repaint()
    assert abs(sys.getrefcount(None) - before) < 200


def test_mean_luma_tells_black_from_bright() -> None:
    image = QImage(64, 64, QImage.Format.Format_RGB888)
    image.fill(Qt.GlobalColor.black)
    from PySide6.QtCore import QRectF

    assert mean_luma(image, QRectF(0, 0, 64, 64)) == 0.0
    image.fill(Qt.GlobalColor.white)
    assert mean_luma(image, QRectF(10, 10, 20, 20)) == 1.0
