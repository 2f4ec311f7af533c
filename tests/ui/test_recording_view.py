"""Pixels that are not square, missing time, fields, several videos: what the window does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot

from app.core.frame import Frame
from app.ui.main_window import MainWindow
from app.ui.message_slot import MessageLine
from app.ui.messages import Message
from app.ui.recording_view import StreamLine
from app.ui.stage import Stage
from tests.helpers.clips import damaged_clip, number_of
from tests.helpers.torture import CASES

PATIENCE_MS = 20_000


def show(window: MainWindow, qtbot: QtBot, path: Path) -> None:
    """Open a recording and stand still on its first frame."""
    player = window.services.player
    with qtbot.waitSignal(window.services.session.frame_shown, timeout=PATIENCE_MS):
        window.open_files([path])
    player.player.pause()
    go_to(window, qtbot, 0)


def go_to(window: MainWindow, qtbot: QtBot, index: int) -> None:
    player, session = window.services.player, window.services.session
    player.player.seek_index(index)
    qtbot.waitUntil(
        lambda: session.frame is not None and session.frame.index == index, timeout=PATIENCE_MS
    )


def made(name: str, folder: Path) -> Path:
    """A file of the torture set."""
    path = folder / name
    CASES[name].make(path)
    return path


def test_a_stage_stretches_pixels_and_keeps_the_raster(qtbot: QtBot) -> None:
    stage = Stage()
    qtbot.addWidget(stage)
    stage.resize(800, 400)
    rgb = np.zeros((100, 100, 3), np.uint8)
    stage.set_frame(Frame(rgb=rgb, pts=0, index=0, time_ms=0.0))
    assert stage.fitted_rect().width() == stage.fitted_rect().height() == 400
    stage.set_pixel_aspect(2.0)
    fitted = stage.fitted_rect()
    assert (fitted.width(), fitted.height()) == (800, 400)
    assert stage.to_image(QPointF(800, 400)) == QPointF(100, 100)
    assert stage.to_widget(QPointF(50, 50)) == QPointF(400, 200)
    assert stage.snapshot(with_overlay=False).size().width() == 100


def test_the_window_stretches_a_recording_of_wide_pixels(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    show(window, qtbot, made("dv-avi.avi", tmp_path))
    fitted = window.review.stage.fitted_rect()
    # 720 x 576 of 16:15.
    assert fitted.width() / fitted.height() == pytest.approx(4 / 3, abs=0.01)


def test_missing_time_and_damage_are_hatched(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    show(window, qtbot, made("missing-time.mkv", tmp_path))
    assert window.review.ribbon.lost == ((1000.0, 9000.0),)
    window.review.ribbon.hovered.emit(2000.0, 200.0)
    assert window.review.card.name == "No picture for 8.0 s"
    window.review.ribbon.hovered.emit(500.0, 60.0)
    assert window.review.card.name == "Not analysed"
    show(window, qtbot, damaged_clip(tmp_path / "damaged.avi", [10, 11, 30]))
    ribbon, player = window.review.ribbon, window.services.player.player
    qtbot.waitUntil(lambda: ribbon.lost == (), timeout=PATIENCE_MS)
    for index in (10, 11):
        player.seek_index(index)
        qtbot.waitUntil(lambda i=index: i in player.state.lost, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: ribbon.lost == ((400.0, 480.0),), timeout=PATIENCE_MS)


def test_fields_as_stored_or_whole(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    show(window, qtbot, made("h264-fields-mkv.mkv", tmp_path))
    go_to(window, qtbot, 5)
    stage, session = window.review.stage, window.services.session
    whole = session.frame.rgb
    window.keys.trigger("fields")
    qtbot.waitUntil(lambda: not np.array_equal(session.frame.rgb, whole), timeout=PATIENCE_MS)
    assert "Fields as stored, top first" in stage.chips
    assert session.frame.index == 5
    window.keys.trigger("fields")
    qtbot.waitUntil(lambda: np.array_equal(session.frame.rgb, whole), timeout=PATIENCE_MS)
    assert stage.chips == ()


def test_a_recording_without_fields_says_so(opened: MainWindow) -> None:
    opened.keys.trigger("fields")
    texts = [x.message.text for x in opened.slot.lines if isinstance(x, MessageLine)]
    assert any("not interlaced" in text for text in texts)


def test_another_video_of_a_file_is_a_case_of_its_own(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    path = made("two-cameras.mkv", tmp_path)
    show(window, qtbot, path)
    session = window.services.session
    first = session.case.case_id
    assert number_of(session.frame.rgb) == 0
    (line,) = (x for x in window.slot.lines if isinstance(x, StreamLine))
    assert "holds 2 videos" in line.accessibleName()
    with qtbot.waitSignal(session.frame_shown, timeout=PATIENCE_MS):
        qtbot.mouseClick(line.buttons[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: session.frame is not None and number_of(session.frame.rgb) >= 1000,
        timeout=PATIENCE_MS,
    )
    assert session.case.case_id != first
    assert (session.asset.stream, session.asset.path) == (1, str(path))
    # The same file again is the first case again, not a third one.
    window.services.cases.open_stream(path, 0)
    qtbot.waitUntil(lambda: session.case and session.case.case_id == first, timeout=PATIENCE_MS)
    assert len(window.services.library.cases()) == 2


def test_what_is_not_as_usual_is_told_below_the_messages(opened: MainWindow) -> None:
    stage, slot = opened.review.stage, opened.slot

    def top_of_the_words() -> int:
        stage.set_chips(())
        without = stage.grab().toImage()
        stage.set_chips(("Fields as stored",))
        told = stage.grab().toImage()
        wide = range(stage.width() // 2 - 60, stage.width() // 2 + 60)
        return next(
            y for y in range(200) if any(told.pixel(x, y) != without.pixel(x, y) for x in wide)
        )

    while slot.lines:
        slot.close_newest()
    assert top_of_the_words() == 12
    slot.say(Message(text="Something that stays until it is read."))
    end = stage.mapFrom(opened, slot.geometry().bottomLeft()).y()
    assert end > 12
    assert top_of_the_words() > end
    slot.close_newest()
    assert top_of_the_words() == 12
