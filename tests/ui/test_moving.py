"""Moving through a recording by keyboard: stretch, loop, go to, held keys, looks, snapshots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QImage, QKeyEvent, QNativeGestureEvent, QPointingDevice
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from app.annotate import phases
from app.core.taxonomy import find_taxonomy
from app.ui import pictures
from app.ui.adjust import Adjustment
from app.ui.ask import GoToLine
from app.ui.main_window import MainWindow
from app.ui.message_slot import MessageLine
from app.ui.pictures import save_snapshot
from app.ui.timeline.data import timeline_data
from tests.helpers.clips import number_of
from tests.ui.conftest import on_screen

PATIENCE_MS = 10_000
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


def press(window: MainWindow, qtbot: QtBot, key: Qt.Key, held: object = None) -> None:
    """Press a key over the stage."""
    window.activateWindow()
    stage = window.current_stage()
    stage.setFocus()
    qtbot.keyClick(stage, key, held or Qt.KeyboardModifier.NoModifier)


def go_to(window: MainWindow, qtbot: QtBot, index: int) -> None:
    """Show a frame."""
    window.services.player.player.seek_index(index)
    qtbot.waitUntil(lambda: on_screen(window) == index, timeout=PATIENCE_MS)


def mark(window: MainWindow, qtbot: QtBot, first: int, last: int) -> None:
    """Mark a stretch with I and O."""
    go_to(window, qtbot, first)
    press(window, qtbot, Qt.Key.Key_I)
    go_to(window, qtbot, last)
    press(window, qtbot, Qt.Key.Key_O)


def said(window: MainWindow) -> str:
    """The newest message."""
    return [x for x in window.slot.lines if isinstance(x, MessageLine)][-1].message.text


def test_i_and_o_mark_and_shift_l_loops(opened: MainWindow, qtbot: QtBot) -> None:
    loop, player = opened.services.loop, opened.services.player
    opened.slot.close_newest()  # the question about the operation
    mark(opened, qtbot, 20, 29)
    assert (loop.stretch, loop.on) == ((20, 29), False)
    assert opened.review.ribbon._stretch == (800.0, 1200.0)
    assert "0:00.8 to 0:01.2" in opened.review.stage.chips[0]
    seen: list[int] = []
    player.shown.connect(lambda shown: seen.append(shown.index))
    press(opened, qtbot, Qt.Key.Key_L, SHIFT)
    assert loop.on
    assert player.state.playing
    qtbot.waitUntil(lambda: seen.count(20) > 1 and len(seen) > 25, timeout=PATIENCE_MS)
    assert set(seen) <= set(range(20, 30))
    press(opened, qtbot, Qt.Key.Key_K)
    go_to(opened, qtbot, 5)
    assert loop.on  # a seek does not end it
    press(opened, qtbot, Qt.Key.Key_L, SHIFT)
    assert not loop.on
    assert player.state.loop is None
    assert loop.stretch == (20, 29)
    press(opened, qtbot, Qt.Key.Key_Escape)
    assert loop.stretch is None
    assert opened.review.ribbon._stretch == (None, None)
    assert opened.review.stage.chips == ()


def test_marks_never_cross(opened: MainWindow, qtbot: QtBot) -> None:
    loop = opened.services.loop
    mark(opened, qtbot, 20, 30)
    go_to(opened, qtbot, 40)
    press(opened, qtbot, Qt.Key.Key_I)
    assert (loop.first, loop.last) == (40, None)
    assert opened.review.stage.chips == ("From 0:01.6",)
    go_to(opened, qtbot, 10)
    press(opened, qtbot, Qt.Key.Key_O)
    assert (loop.first, loop.last) == (None, 10)


def test_a_loop_round_the_nearest_phase_change_is_widened(opened: MainWindow, qtbot: QtBot) -> None:
    loop, session = opened.services.loop, opened.services.session
    press(opened, qtbot, Qt.Key.Key_L, CTRL)
    assert not loop.on
    assert "No phase change" in said(opened)
    opened.services.cases.set_procedure("cholecystectomy")
    qtbot.waitUntil(lambda: session.taxonomy.procedure == "cholecystectomy", timeout=PATIENCE_MS)
    assert session.case is not None
    assert session.asset is not None
    tiers = timeline_data(
        session.case.case_id, session.asset, find_taxonomy("cholecystectomy"), you=None
    ).tiers
    change = session.asset.pts(1200.0)
    correction = phases.start_at(tiers, change, "clipping_cutting")
    assert correction is not None
    session.commit(correction)
    qtbot.waitUntil(lambda: session.unsaved == 0, timeout=PATIENCE_MS)
    loop._reach_ms = 400.0
    press(opened, qtbot, Qt.Key.Key_L, CTRL)
    assert (loop.stretch, loop.on) == ((20, 39), True)
    opened.keys.trigger("stop")
    opened.keys.trigger("loop_wider")
    assert loop.stretch == (0, 59)
    opened.keys.trigger("loop_narrower")
    assert loop._reach_ms == 1000.0  # never shorter than a second on both sides
    assert loop.on


def test_a_marked_stretch_is_widened_and_never_vanishes(opened: MainWindow, qtbot: QtBot) -> None:
    loop = opened.services.loop
    mark(opened, qtbot, 28, 31)
    opened.keys.trigger("loop_wider")
    assert loop.stretch == (3, 56)
    opened.keys.trigger("loop_narrower")
    assert loop.stretch == (3, 56)
    assert "as short as it gets" in said(opened)


def test_another_case_forgets_the_stretch(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path, clip: Path
) -> None:
    mark(opened, qtbot, 20, 30)
    opened.keys.trigger("loop")
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes() + b"\0" * 64)
    with qtbot.waitSignal(opened.services.session.case_opened, timeout=20_000):
        opened.open_files([other])
    assert opened.services.loop.stretch is None
    assert opened.services.player.player.state.loop is None


def test_go_to_takes_a_share_and_says_what_is_wrong(opened: MainWindow, qtbot: QtBot) -> None:
    press(opened, qtbot, Qt.Key.Key_G)
    line = opened.slot.lines[-1]
    assert isinstance(line, GoToLine)
    qtbot.keyClicks(line.field, "9:99")
    qtbot.keyClick(line.field, Qt.Key.Key_Return)
    assert line.wrong.isVisible()
    assert "go to 59" in line.wrong.text()
    qtbot.keyClicks(line.field, "50 %")  # the wrong words are selected, so they go
    assert not line.wrong.isVisible()
    qtbot.keyClick(line.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: on_screen(opened) == 30, timeout=PATIENCE_MS)
    assert line not in opened.slot.lines


def repeated(window: MainWindow, key: Qt.Key, *, again: bool) -> None:
    """What the window hears before a key's shortcut acts."""
    event = QKeyEvent(QEvent.Type.ShortcutOverride, key, Qt.KeyboardModifier.NoModifier, "", again)
    QApplication.sendEvent(window.current_stage(), event)


def test_a_held_key_waits_for_the_picture_and_taps_all_count(
    opened: MainWindow, qtbot: QtBot
) -> None:
    seen: list[int] = []
    opened.services.player.shown.connect(lambda shown: seen.append(shown.index))
    repeated(opened, Qt.Key.Key_Right, again=False)
    opened.keys.trigger("frame_on")
    repeated(opened, Qt.Key.Key_Right, again=True)
    for _ in range(20):  # repeats while the first picture is still on its way
        opened.keys.trigger("frame_on")
    qtbot.waitUntil(lambda: on_screen(opened) == 1, timeout=PATIENCE_MS)
    qtbot.wait(100)
    assert seen == [1]
    for wanted in range(2, 8):
        opened.keys.trigger("frame_on")
        qtbot.waitUntil(lambda w=wanted: on_screen(opened) == w, timeout=PATIENCE_MS)
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    repeated(opened, Qt.Key.Key_Left, again=False)
    for _ in range(5):
        opened.keys.trigger("frame_back")
    qtbot.waitUntil(lambda: on_screen(opened) == 2, timeout=PATIENCE_MS)


def test_adjusting_changes_what_is_seen_and_nothing_else(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    go_to(opened, qtbot, 12)
    session, stage = opened.services.session, opened.review.stage
    assert session.frame is not None
    exact = session.frame.rgb.copy()
    opened.show_adjusting()
    opened.adjusting.sliders["brightness"].setValue(30)
    opened.adjusting.sliders["sharpen"].setValue(50)
    wanted = Adjustment(brightness=30, sharpen=50).apply(exact)
    qtbot.waitUntil(lambda: np.array_equal(shown(stage._image), wanted), timeout=PATIENCE_MS)
    assert stage.chips == ("Adjusted for the eye: brightness +30, sharpen 50",)
    assert np.array_equal(session.frame.rgb, exact)
    assert np.array_equal(shown(stage.snapshot(with_overlay=False)), exact)
    go_to(opened, qtbot, 13)  # a frame that arrives is adjusted on its way
    assert session.frame is not None
    assert np.array_equal(
        shown(stage._image), Adjustment(brightness=30, sharpen=50).apply(session.frame.rgb)
    )
    assert number_of(session.frame.rgb) == 13
    press(opened, qtbot, Qt.Key.Key_Escape)
    assert not opened.adjusting.isVisible()
    opened.keys.trigger("adjust_reset")
    assert stage.chips == ()
    assert np.array_equal(shown(stage._image), session.frame.rgb)


def shown(image: QImage | None) -> np.ndarray:
    """The pixels of an image, RGB."""
    assert image is not None
    made = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(made.constBits(), np.uint8).reshape(made.height(), -1)
    return rows[:, : made.width() * 3].reshape(made.height(), made.width(), 3).copy()


def test_an_adjustment_is_a_table() -> None:
    assert Adjustment().is_neutral
    assert np.array_equal(Adjustment().table(), np.arange(256))
    brighter = Adjustment(brightness=20).table().astype(int)
    assert (brighter[:200] - np.arange(200) == 51).all()
    steep = Adjustment(contrast=100).table().astype(int)
    assert (steep[0], steep[128], steep[255]) == (0, 129, 255)
    assert Adjustment(gamma=100).table()[32] == round(255 * (32 / 255) ** (1 / 3))
    flat = np.full((8, 8, 3), 90, np.uint8)
    assert np.array_equal(Adjustment(sharpen=100).apply(flat), flat)
    with pytest.raises(ValueError, match="sharpen"):
        Adjustment(sharpen=-1)


def test_snapshots_are_exact_or_bear_the_research_mark(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    go_to(opened, qtbot, 17)
    stage, session = opened.review.stage, opened.services.session
    assert session.frame is not None
    assert session.case is not None
    save_snapshot(stage, session, tmp_path, with_overlay=False)
    save_snapshot(stage, session, tmp_path)
    name = f"case-{session.case.case_id}-frame-17"
    bare = QImage(str(tmp_path / f"{name}-plain.png"))
    marked = QImage(str(tmp_path / f"{name}.png"))
    assert np.array_equal(shown(bare), session.frame.rgb)
    assert number_of(shown(bare)) == 17
    assert (marked.width(), marked.height()) == (320, 180)
    changed = (shown(marked) != session.frame.rgb).any(axis=2)
    assert changed[150:, :160].any()
    assert not changed[:150].any()
    for image in (bare, marked):
        assert image.text("Frame") == "17"
        assert image.text("Pts").startswith(str(session.frame.pts))
        assert image.text("Time") == "0:00:00.68"
        assert image.text("Description") == "Research and education only"
        assert "clip" not in " ".join(image.text(k) for k in image.textKeys()).lower()


def test_s_and_shift_s_save(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "picture_folder", lambda: tmp_path)
    press(opened, qtbot, Qt.Key.Key_S)
    press(opened, qtbot, Qt.Key.Key_S, SHIFT)
    assert len(list(tmp_path.glob("*.png"))) == 2
    press(opened, qtbot, Qt.Key.Key_C, CTRL)
    assert "frame 0, pts 0 in 1/" in QGuiApplication.clipboard().text()


def test_one_pixel_on_one_pixel_and_back(opened: MainWindow, qtbot: QtBot) -> None:
    stage = opened.review.stage
    opened.keys.trigger("pixels")
    assert stage.pixel_scale() * stage.devicePixelRatioF() == pytest.approx(1.0)
    assert stage.image_rect().center().x() == pytest.approx(stage.rect().center().x(), abs=1)
    opened.keys.trigger("pixels")
    assert stage.zoom == 1.0
    for _ in range(8):
        opened.keys.trigger("zoom_in")
    zoom, centre = stage.zoom, QPointF(stage._centre)
    opened.keys.trigger("pan_right")
    assert stage._centre.x() > centre.x()
    go_to(opened, qtbot, 3)
    assert stage.zoom == zoom  # kept from frame to frame
    pinch = QNativeGestureEvent(
        Qt.NativeGestureType.ZoomNativeGesture,
        QPointingDevice.primaryPointingDevice(),
        2,
        QPointF(100, 100),
        QPointF(100, 100),
        QPointF(100, 100),
        0.1,
        QPointF(),
    )
    QApplication.sendEvent(stage, pinch)
    assert stage.zoom == pytest.approx(zoom * 1.1)


def test_the_menus_offer_what_the_keys_do(opened: MainWindow, qtbot: QtBot) -> None:
    stage, ribbon = opened.review.stage, opened.review.ribbon
    stage.customContextMenuRequested.emit(QPoint(50, 50))
    menu = opened.review.findChild(QMenu)
    assert menu is not None
    texts = [a.text() for a in menu.actions()]
    assert "Snapshot of the picture alone\tShift+S" in texts
    menu.close()
    qtbot.waitUntil(lambda: opened.review.findChild(QMenu) is None, timeout=PATIENCE_MS)
    ribbon.customContextMenuRequested.emit(QPoint(50, 20))
    menu = opened.review.findChild(QMenu)
    assert menu is not None
    next(a for a in menu.actions() if a.text().startswith("The stretch begins")).trigger()
    assert opened.services.loop.first == 0
    menu.close()


def test_a_stretch_outlives_the_case_s_new_name_and_not_its_opening(
    opened: MainWindow, qtbot: QtBot
) -> None:
    loop, session = opened.services.loop, opened.services.session
    mark(opened, qtbot, 20, 30)
    opened.keys.trigger("loop")
    assert session.case is not None
    opened.services.cases.rename(session.case.case_id, "Another name")
    qtbot.waitUntil(lambda: session.case.title == "Another name", timeout=PATIENCE_MS)
    assert (loop.stretch, loop.on) == ((20, 30), True)
    opened.keys.trigger("stop")
    with qtbot.waitSignal(session.case_opened, timeout=20_000):
        opened.services.cases.open_case(session.case.case_id)
    qtbot.waitUntil(lambda: not loop.on, timeout=PATIENCE_MS)
    assert opened.services.player.state.loop is None
    assert opened.review.stage.chips[0].startswith("Marked")
