"""What Review writes over the picture stays readable."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from app.core.frame import Frame
from app.ui import theme
from app.ui.main_window import MainWindow
from app.ui.osd import KeyRow
from app.ui.theme import contrast
from tests.ui.conftest import on_screen


def frame_with(window: MainWindow, brightness: int, share: float) -> Frame:
    """A black frame of the stage's size, bright in a part of what lies behind the key."""
    stage = window.review.stage
    rgb = np.zeros((stage.height(), stage.width(), 3), np.uint8)
    rect = stage._key_rect().toRect()
    right = rect.left() + round(rect.width() * share)
    rgb[rect.top() : rect.bottom() + 1, rect.left() : right] = brightness
    return Frame(rgb=rgb, pts=0, index=0, time_ms=0.0)


@pytest.mark.parametrize(("brightness", "share", "plate"), [(0, 1, 0), (255, 1, 1), (255, 0.1, 1)])
def test_the_key_has_a_plate_wherever_the_picture_behind_it_is_bright(
    opened: MainWindow, qtbot: QtBot, brightness: int, share: float, plate: bool
) -> None:
    stage = opened.review.stage
    assert on_screen(opened) == 0
    stage.set_key((KeyRow(name="Grasper", colour=theme.outlines()[0]),))
    qtbot.wait(300)
    stage.set_frame(frame_with(opened, brightness, share))
    image = stage.grab().toImage()
    at = stage._key_rect().topLeft() + QPointF(6, stage._key_rect().height() / 2)
    behind = QColor(image.pixel(at.toPoint()))
    bare = QColor(brightness, brightness, brightness)
    assert (behind != bare) == plate
    assert contrast(theme.color("osd_text"), behind) >= 4.5
    assert contrast(theme.color("osd_text_2"), behind) >= 4.5
