"""Outlines corrected in the real window, by mouse and by key, and found again after a restart."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from app.core.correction import Verdict
from app.store import Library
from app.ui.ask import GoToLine
from app.ui.case_cards import CARD_ROLE
from app.ui.main_window import MainWindow
from app.ui.services import Services
from app.ui.settings import Settings
from tests.ui.annotate.conftest import HEIGHT, WIDTH, Desk, said, square
from tests.ui.conftest import on_screen

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier


def _undo(desk: Desk) -> None:
    desk.press(Qt.Key.Key_Z, CTRL)
    desk.wait_saved()


def _redo(desk: Desk) -> None:
    desk.press(Qt.Key.Key_Z, CTRL, SHIFT)
    desk.wait_saved()


def _start_again(desk: Desk) -> None:
    """Take everything back and stand on the first frame with nothing selected."""
    desk.annotate.set_locked("")
    while _history(desk):
        desk.window.services.session.undo()
        desk.wait_saved()
    desk.annotate.canvas.set_tool("tool_select")
    desk.annotate.canvas.pointer = None
    desk.annotate.editor.select(None)
    desk.annotate.editor.label = "instrument"
    desk.go_to(0)
    desk.qtbot.waitUntil(
        lambda: desk.shown == [("grasper", "model"), ("hook", "model")], timeout=10_000
    )


def test_the_models_outlines_are_drawn_and_selected_and_escape_leaves_step_by_step(
    desk: Desk,
) -> None:
    assert desk.shown == [("grasper", "model"), ("hook", "model")]
    desk.click(60, 80)
    selected = desk.annotate.editor.selected
    assert selected is not None
    assert selected.label == "grasper"
    picture = desk.canvas.grab().toImage()
    lines = desk.annotate.canvas.colour_of(selected)
    along = [picture.pixelColor(desk.at(x, 60)) for x in range(45, 85)]
    assert all(_near(c, lines) for c in along)
    desk.click(300, 20)
    assert desk.annotate.editor.selected is None
    _start_again(desk)
    desk.click(60, 80)
    desk.press(Qt.Key.Key_G)
    desk.click(230, 20)
    desk.click(280, 20)
    desk.press(Qt.Key.Key_Backspace)
    desk.press(Qt.Key.Key_Escape)
    assert desk.annotate.canvas.tool.id == "tool_polygon"
    desk.press(Qt.Key.Key_Escape)
    assert desk.annotate.canvas.tool.id == "tool_select"
    desk.press(Qt.Key.Key_Escape)
    assert desk.annotate.editor.selected is None
    assert _history(desk) == []


def test_brush_and_eraser_change_the_selected_outline_one_step_per_stroke(desk: Desk) -> None:
    desk.click(60, 80)
    desk.press(Qt.Key.Key_B)
    desk.annotate.canvas.brush_px = 20
    desk.drag((85, 85), (100, 85), (120, 85))
    assert desk.shown[0] == ("grasper", "corrected")
    mask = desk.annotate.editor.instances[0].mask
    before = said(0)[0].mask.full()
    now = mask.full()
    assert (now & before).sum() == before.sum()
    assert now[85, 124]
    assert not now[85, 134]
    desk.wait_saved()
    assert desk.window.services.library.undo_title(_case(desk)) == "Add to grasper"
    _undo(desk)
    assert desk.shown == [("grasper", "model"), ("hook", "model")]
    _redo(desk)
    assert np.array_equal(desk.annotate.editor.instances[0].mask.full(), now)
    _start_again(desk)
    desk.click(60, 80)
    desk.press(Qt.Key.Key_E)
    desk.annotate.canvas.brush_px = 10
    desk.drag((45, 70), (60, 70))
    assert not desk.annotate.editor.instances[0].mask.contains(50, 70)
    desk.press(Qt.Key.Key_B)
    desk.drag((45, 100), (60, 100), alt=True)
    mask = desk.annotate.editor.instances[0].mask
    assert not mask.contains(50, 100)
    assert mask.contains(80, 100)
    assert len(_history(desk)) == 2
    _start_again(desk)
    desk.click(60, 80)
    desk.press(Qt.Key.Key_E)
    desk.annotate.canvas.brush_px = 200
    desk.drag((60, 80), (62, 80))
    assert desk.shown == [("hook", "model")]
    assert _stored(desk)[0].verdict is Verdict.REJECTED


def test_corners_are_moved_by_mouse_and_by_keyboard(desk: Desk) -> None:
    desk.click(60, 80)
    desk.drag((90, 110), (100, 118), (110, 125))
    instance = desk.annotate.editor.instances[0]
    assert desk.shown[0] == ("grasper", "corrected")
    now, before = instance.mask.full(), said(0)[0].mask.full()
    assert now[120, 103]
    assert np.array_equal(now[:60], before[:60])
    assert (now & before).sum() == before.sum()
    _start_again(desk)
    desk.press(Qt.Key.Key_Tab)
    assert desk.annotate.editor.selected is not None
    desk.press(Qt.Key.Key_C)
    assert "Corner 1 of 4" in desk.canvas.accessibleDescription()
    area = desk.annotate.editor.selected.mask.area_px
    for _ in range(2):
        desk.press(Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier, SHIFT)
    assert desk.annotate.editor.selected.mask.area_px != area
    assert len(_history(desk)) == 2


def test_the_line_gives_a_new_corner_and_corners_go(desk: Desk) -> None:
    select = desk.annotate.canvas.select_tool
    desk.click(60, 80)
    before = said(0)[0].mask.full()
    desk.click(65, 60)
    assert desk.shown[0] == ("grasper", "model")
    assert desk.annotate.editor.selected is not None
    assert select.corner is None
    desk.drag((65, 60), (65, 50), (65, 40))
    now = desk.annotate.editor.instances[0].mask.full()
    assert desk.shown[0] == ("grasper", "corrected")
    assert now[45, 65]
    assert (now & before).sum() == before.sum()
    assert select.corner is not None
    desk.press(Qt.Key.Key_Backspace)
    assert not desk.annotate.editor.instances[0].mask.full()[45, 65]
    _undo(desk)
    desk.qtbot.mouseClick(desk.canvas, Qt.MouseButton.LeftButton, ALT, desk.at(65, 40))
    assert not desk.annotate.editor.instances[0].mask.full()[45, 65]
    assert _history(desk)[-2:] == ["Move a corner of grasper", "Remove a corner of grasper"]
    assert desk.window.services.player.state.speed == 1.0


def test_the_pointer_says_what_a_press_would_do(desk: Desk) -> None:
    desk.click(60, 80)
    for at, shape in (
        ((65, 60), Qt.CursorShape.CrossCursor),
        ((40, 60), Qt.CursorShape.SizeAllCursor),
        ((65, 85), Qt.CursorShape.ArrowCursor),
    ):
        desk.qtbot.mouseMove(desk.canvas, desk.at(*at))
        desk.qtbot.waitUntil(lambda shape=shape: desk.canvas.cursor().shape() == shape)
    desk.press(Qt.Key.Key_B)
    desk.qtbot.keyPress(desk.canvas, Qt.Key.Key_Space)
    assert desk.canvas.cursor().shape() == Qt.CursorShape.OpenHandCursor
    desk.drag((60, 80), (90, 80))
    desk.qtbot.keyRelease(desk.canvas, Qt.Key.Key_Space)
    assert desk.canvas.cursor().shape() == Qt.CursorShape.BlankCursor
    assert not desk.window.services.player.state.playing


def test_new_outlines_by_polygon_by_brush_and_by_keyboard_alone(desk: Desk) -> None:
    desk.press(Qt.Key.Key_6, CTRL)
    desk.press(Qt.Key.Key_G)
    for x, y in ((230, 20), (280, 20), (280, 60)):
        desk.click(x, y)
    desk.press(Qt.Key.Key_Return)
    assert desk.shown[0] == ("clipper", "drawn")
    drawn = desk.annotate.editor.instances[0].mask
    assert drawn.contains(270, 30)
    assert not drawn.contains(240, 50)
    assert drawn.area_px == pytest.approx(1000, abs=60)
    assert desk.annotate.editor.selected is desk.annotate.editor.instances[0]
    _start_again(desk)
    desk.press(Qt.Key.Key_B)
    desk.annotate.canvas.brush_px = 12
    desk.drag((250, 30), (290, 30))
    desk.drag((250, 30), (250, 50))
    assert desk.shown[0] == ("instrument", "drawn")
    assert len([s for s in desk.shown if s[1] == "drawn"]) == 1
    assert desk.annotate.editor.instances[0].mask.contains(250, 48)
    _start_again(desk)
    desk.press(Qt.Key.Key_B)
    desk.annotate.canvas.brush_px = 20
    alt = Qt.KeyboardModifier.AltModifier
    for _ in range(6):
        desk.press(Qt.Key.Key_Up, alt, SHIFT)
    desk.press(Qt.Key.Key_P)
    assert desk.shown[0] == ("instrument", "drawn")
    assert desk.annotate.editor.instances[0].mask.contains(160, 30)


def test_relabelling_one_frame_and_the_whole_track(desk: Desk) -> None:
    desk.click(60, 80)
    combo = desk.annotate.details.classes
    assert combo.currentText() == "Grasper"
    combo.setCurrentIndex(combo.findData("bipolar"))
    combo.activated.emit(combo.currentIndex())
    assert desk.shown[0] == ("bipolar", "corrected")
    desk.press(Qt.Key.Key_4, CTRL)
    assert desk.shown[0] == ("hook", "corrected")
    assert desk.annotate.details.classes.currentText() == "Hook"
    _start_again(desk)
    desk.click(190, 100)
    desk.annotate.editor.relabel_track("scissors")
    desk.qtbot.waitUntil(lambda: ("scissors", "corrected") in desk.shown, timeout=10_000)
    desk.wait_saved()
    assert len(_stored(desk)) == 40
    assert len(_history(desk)) == 1


def test_accepting_rejecting_and_marking_the_frame_complete(desk: Desk) -> None:
    desk.press(Qt.Key.Key_N)
    desk.press(Qt.Key.Key_A)
    assert ("grasper", "accepted") in desk.shown
    selected = desk.annotate.editor.selected
    assert selected is not None
    assert selected.label == "hook"
    desk.press(Qt.Key.Key_X)
    assert desk.shown == [("grasper", "accepted")]
    desk.wait_saved()
    _undo(desk)
    assert ("hook", "model") in desk.shown
    _start_again(desk)
    desk.press(Qt.Key.Key_A, SHIFT)
    assert [v for _, v in desk.shown] == ["accepted", "accepted"]
    desk.press(Qt.Key.Key_Return, CTRL)
    assert desk.annotate.details.complete.isChecked()
    desk.wait_saved()
    assert desk.window.services.library.reviewed_frames(_asset(desk))
    desk.annotate.details.complete.click()
    desk.wait_saved()
    assert not desk.window.services.library.reviewed_frames(_asset(desk))


def test_deleting_here_from_here_on_and_on_the_whole_track(desk: Desk) -> None:
    desk.go_to(10)
    desk.click(75, 80)
    desk.press(Qt.Key.Key_D)
    assert desk.annotate.choice.isVisible()
    assert desk.shown == [("grasper", "model"), ("hook", "model")]
    desk.press(Qt.Key.Key_Escape)
    assert not desk.annotate.choice.isVisible()
    desk.press(Qt.Key.Key_D)
    desk.press(Qt.Key.Key_D)
    assert desk.shown == [("hook", "model")]
    desk.go_to(11)
    assert len(desk.shown) == 2
    _start_again(desk)
    desk.go_to(30)
    desk.click(95, 80)
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.qtbot.waitUntil(lambda: desk.shown == [("hook", "model")], timeout=10_000)
    desk.wait_saved()
    assert len(_stored(desk)) == 30
    desk.go_to(29)
    assert len(desk.shown) == 2
    _start_again(desk)
    desk.go_to(10)
    desk.click(75, 80)
    desk.press(Qt.Key.Key_D)
    desk.annotate.choice.buttons["outline_delete_track"].click()
    desk.qtbot.waitUntil(lambda: desk.shown == [("hook", "model")], timeout=10_000)
    desk.wait_saved()
    assert len(_history(desk)) == 1
    assert len(_stored(desk)) == 60
    desk.go_to(50)
    assert desk.shown == []
    _undo(desk)
    desk.qtbot.waitUntil(lambda: desk.shown == [("grasper", "model")], timeout=10_000)
    assert _stored(desk) == ()


def test_the_brush_taken_again_begins_a_new_outline(desk: Desk) -> None:
    desk.click(60, 80)
    desk.press(Qt.Key.Key_B)
    desk.annotate.canvas.brush_px = 20
    desk.press(Qt.Key.Key_B)
    assert "painting a new outline" in desk.annotate.canvas.tool.hint()
    desk.drag((250, 30), (280, 30))
    assert ("grasper", "model") in desk.shown
    assert len(desk.shown) == 3


def test_words_on_the_picture_give_way_to_the_pointer(desk: Desk) -> None:
    canvas = desk.annotate.canvas

    def plate() -> bytes:
        image = canvas.grab(QRect(20, 16, 60, 26)).toImage()  # owns the bits that are copied
        return bytes(image.constBits())

    def pointed(at: QPoint) -> bytes:
        for i in range(20):  # until the picture has come and the pointer was seen
            desk.qtbot.mouseMove(canvas, at + QPoint(i % 2, 0))
            desk.qtbot.wait(20)
        return plate()

    shown = pointed(canvas.rect().center())
    assert pointed(QPoint(40, 28)) != shown
    assert pointed(canvas.rect().center()) == shown


def test_the_question_goes_with_the_outline_it_was_asked_about(desk: Desk) -> None:
    choice = desk.annotate.choice
    desk.click(60, 80)
    desk.press(Qt.Key.Key_D)
    desk.press(Qt.Key.Key_Tab)
    assert not choice.isVisible()
    desk.press(Qt.Key.Key_D)
    desk.press(Qt.Key.Key_5, CTRL)
    assert not choice.isVisible()
    desk.press(Qt.Key.Key_D)
    desk.go_to(12)
    assert not choice.isVisible()
    desk.press(Qt.Key.Key_D)
    assert choice.isVisible()
    assert len(desk.shown) == 2


def test_the_frames_with_own_work_are_a_key_apart(desk: Desk) -> None:
    heard = []
    desk.window.services.said.connect(heard.append)
    for index in (10, 30):
        desk.go_to(index)
        desk.press(Qt.Key.Key_A, SHIFT)
    desk.press(Qt.Key.Key_N)
    assert "left to decide" in heard[-1].text
    desk.press(Qt.Key.Key_PageUp, CTRL)
    desk.qtbot.waitUntil(lambda: on_screen(desk.window) == 10, timeout=10_000)
    desk.press(Qt.Key.Key_PageUp, CTRL)
    assert heard[-1].text == "No frame before this one has outlines of yours."
    desk.go_to(20)
    desk.press(Qt.Key.Key_PageDown, CTRL)
    desk.qtbot.waitUntil(lambda: on_screen(desk.window) == 30, timeout=10_000)


def test_the_list_of_cases_counts_along(desk: Desk) -> None:
    def count() -> int:
        cases = desk.annotate.cases.view.model()
        return cases.index(0, 0).data(CARD_ROLE).case.corrections

    before = count()
    desk.press(Qt.Key.Key_A, SHIFT)
    desk.qtbot.waitUntil(lambda: count() > before, timeout=10_000)


def test_the_selection_follows_the_object_and_undo_shows_its_frame(desk: Desk) -> None:
    desk.click(190, 100)
    desk.go_to(12)
    selected = desk.annotate.editor.selected
    assert selected is not None
    assert selected.label == "hook"
    desk.go_to(45)
    assert desk.annotate.editor.selected is None
    desk.go_to(20)
    assert desk.annotate.editor.selected is not None
    _start_again(desk)
    desk.go_to(20)
    desk.click(80, 80)
    desk.press(Qt.Key.Key_A)
    desk.wait_saved()
    desk.go_to(3)
    _undo(desk)
    session = desk.window.services.session
    desk.qtbot.waitUntil(lambda: session.frame.index == 20, timeout=10_000)


def test_holding_keys_and_a_locked_case(desk: Desk) -> None:
    desk.click(60, 80)
    with_outlines = desk.canvas.grab().toImage()
    desk.qtbot.keyPress(desk.canvas, Qt.Key.Key_H)
    without = desk.canvas.grab().toImage()
    point = desk.at(60, 60)
    colour = desk.annotate.canvas.colour_of(desk.annotate.editor.selected)
    assert _near(with_outlines.pixelColor(point), colour)
    assert not _near(without.pixelColor(point), colour)
    desk.qtbot.keyRelease(desk.canvas, Qt.Key.Key_H)
    assert _near(desk.canvas.grab().toImage().pixelColor(point), colour)
    _start_again(desk)
    heard = []
    desk.annotate.editor.said.connect(lambda m: heard.append(m.text))
    desk.annotate.set_locked("This library is open for reading.")
    desk.click(60, 80)
    desk.press(Qt.Key.Key_A)
    desk.press(Qt.Key.Key_B)
    desk.drag((85, 85), (120, 85))
    assert heard == ["This library is open for reading."]
    assert _history(desk) == []
    assert not desk.annotate.details.delete.isEnabled()
    _start_again(desk)
    desk.annotate.canvas.zoom_by(3)
    player = desk.window.services.player
    before = desk.annotate.canvas.image_rect()
    desk.qtbot.keyPress(desk.canvas, Qt.Key.Key_Space)
    desk.drag((160, 90), (170, 95))
    desk.qtbot.keyRelease(desk.canvas, Qt.Key.Key_Space)
    assert desk.annotate.canvas.image_rect() != before
    assert not player.state.playing
    desk.qtbot.keyClick(desk.canvas, Qt.Key.Key_Space)
    desk.qtbot.waitUntil(lambda: player.state.playing, timeout=5_000)
    desk.qtbot.mouseClick(desk.canvas, Qt.MouseButton.LeftButton, pos=desk.at(160, 90))
    desk.qtbot.waitUntil(lambda: not player.state.playing, timeout=5_000)


def test_a_frame_is_gone_to_although_g_is_the_polygon(desk: Desk) -> None:
    assert desk.window.keys.hint("go_to") == "Ctrl+G", "what is told first works everywhere"
    desk.press(Qt.Key.Key_G, Qt.KeyboardModifier.ControlModifier)
    line = desk.window.slot.lines[-1]
    assert isinstance(line, GoToLine)
    desk.qtbot.keyClicks(line.field, "frame 7")
    desk.qtbot.keyClick(line.field, Qt.Key.Key_Return)
    desk.qtbot.waitUntil(lambda: on_screen(desk.window) == 7, timeout=10_000)


def test_a_later_run_does_not_bring_back_what_was_rejected(desk: Desk) -> None:
    desk.click(60, 80)
    desk.press(Qt.Key.Key_X)
    desk.click(190, 100)
    desk.press(Qt.Key.Key_A)
    desk.wait_saved()
    strip = desk.annotate.details.strip
    desk.qtbot.waitUntil(strip.isVisible)
    session, services = desk.window.services.session, desk.window.services
    store = services.library.predictions(_case(desk))
    run = store.start_run(
        asset=session.asset,
        model="squares-2",
        task="instance-segmentation",
        weights_sha256="1",
        classes=("grasper", "hook"),
        settings={},
        sample_every=1,
        frames_expected=1,
    )
    from app.core.prediction import FramePrediction, Instance

    again = Instance(label="grasper", mask=square(43, 62, 50), score=0.95)
    other = Instance(label="grasper", mask=square(250, 10, 30), score=0.5)
    pts = session.frame.pts
    store.put_frames(run.run_id, [FramePrediction(pts=pts, index=0, instances=(again, other))])
    store.finish(run.run_id)
    with desk.qtbot.waitSignal(session.model_changed, timeout=10_000):
        services.cases.refresh_predictions()
    services.playback.refresh_view()
    desk.qtbot.waitUntil(
        lambda: {s.label for s in desk.annotate.editor.instances} == {"grasper", "hook"},
        timeout=10_000,
    )
    assert [s.mask for s in desk.annotate.editor.instances if s.label == "grasper"] == [other.mask]
    assert desk.annotate.editor.selected is not None
    assert desk.annotate.editor.selected.label == "hook"
    desk.qtbot.waitUntil(lambda: not strip.isVisible())


def test_everything_is_there_after_closing_and_opening(desk: Desk, qtbot: QtBot) -> None:
    desk.click(60, 80)
    desk.press(Qt.Key.Key_B)
    desk.annotate.canvas.brush_px = 20
    desk.drag((85, 85), (120, 85))
    desk.press(Qt.Key.Key_G)
    for x, y in ((230, 20), (280, 20), (280, 60)):
        desk.click(x, y)
    desk.press(Qt.Key.Key_Return)
    desk.wait_saved()
    case, asset, folder = _case(desk), _asset(desk), desk.window.services.library.folder
    kept = {a.annotation_id: a for a in _stored(desk)}
    assert len(kept) == 2
    desk.window.close()
    with Library.open(folder, ballast_bytes=1 << 16) as library:
        assert {a.annotation_id: a for a in _read(library, asset)} == kept
        library.writer.undo(case).result()
        assert len(_read(library, asset)) == 1
        library.writer.redo(case).result()
        assert {a.annotation_id: a for a in _read(library, asset)} == kept


def test_an_undo_right_after_opening_says_saved(desk: Desk, qtbot: QtBot) -> None:
    desk.press(Qt.Key.Key_A, SHIFT)
    desk.wait_saved()
    case, folder = _case(desk), desk.window.services.library.folder
    desk.window.close()
    again = MainWindow(Services(Library.open(folder, ballast_bytes=1 << 16), Settings()))
    try:
        again.show()
        again.services.cases.open_case(case)
        qtbot.waitUntil(lambda: on_screen(again) is not None, timeout=10_000)
        again.keys.trigger("undo")
        qtbot.waitUntil(lambda: again.services.session.unsaved == 0, timeout=10_000)
        assert again.top.saved.text() == "Saved"
    finally:
        again.close()
        again.deleteLater()


def _near(one: QColor, other: QColor) -> bool:
    """The colours are alike but for the line's soft edge."""
    pairs = zip(one.getRgb()[:3], other.getRgb()[:3], strict=True)
    return max(abs(a - b) for a, b in pairs) < 90


def _case(desk: Desk) -> str:
    case = desk.window.services.session.case
    assert case is not None
    return case.case_id


def _asset(desk: Desk) -> str:
    asset = desk.window.services.session.asset
    assert asset is not None
    return asset.asset_id


def _read(library: Library, asset_id: str) -> tuple:
    return tuple(library.annotations(asset_id))


def _stored(desk: Desk) -> tuple:
    desk.wait_saved()
    found = _read(desk.window.services.library, _asset(desk))
    assert all((a.mask.width_px, a.mask.height_px) == (WIDTH, HEIGHT) for a in found)
    return found


def _history(desk: Desk) -> list[str]:
    desk.wait_saved()
    entries = desk.window.services.library.corrections(_case(desk))
    return [e.title for e in entries if e.in_force and e.title != "Change the procedure"]


def test_a_track_of_a_later_run_is_another_object_than_its_number_of_an_earlier_run(
    desk: Desk,
) -> None:
    desk.go_to(1)
    desk.click(60, 80)
    desk.press(Qt.Key.Key_A)
    desk.wait_saved()
    session, services = desk.window.services.session, desk.window.services
    (accepted,) = _stored(desk)
    assert accepted.track == 1
    store = services.library.predictions(_case(desk))
    run = store.start_run(
        asset=session.asset,
        model="squares-2",
        task="instance-segmentation",
        weights_sha256="1",
        classes=("grasper", "hook"),
        settings={},
        sample_every=1,
        frames_expected=3,
    )
    from app.core.prediction import FramePrediction, Instance

    step = (session.asset.end_pts - session.asset.start_pts) // 60
    stranger = Instance(label="hook", mask=square(250, 10, 30), score=0.9, track=1)
    grasper = Instance(label="grasper", mask=square(43, 62, 50), score=0.9, track=7)
    frames = [
        FramePrediction(
            pts=session.asset.start_pts + i * step, index=i, instances=(stranger, grasper)
        )
        for i in range(3)
    ]
    store.put_frames(run.run_id, frames)
    store.finish(run.run_id)
    with desk.qtbot.waitSignal(session.model_changed, timeout=10_000):
        services.cases.refresh_predictions()
    services.playback.refresh_view()
    editor = desk.annotate.editor
    masks = [accepted.mask, stranger.mask]
    desk.qtbot.waitUntil(lambda: [s.mask for s in editor.instances] == masks, timeout=10_000)
    desk.click(260, 20)
    editor.delete_track(from_here=False)
    desk.qtbot.waitUntil(lambda: desk.shown == [("grasper", "accepted")], timeout=10_000)
    stored = _stored(desk)
    assert [a for a in stored if a.source.run_id != run.run_id] == [accepted]
    assert [a.verdict for a in stored if a.source.run_id == run.run_id] == [Verdict.REJECTED] * 3

    desk.go_to(2)
    desk.click(60, 80)
    assert editor.selected.track == 7
    editor.relabel_track("scissors")
    desk.qtbot.waitUntil(lambda: desk.shown == [("scissors", "corrected")], timeout=10_000)
    desk.go_to(1)
    assert desk.shown == [("grasper", "accepted")]


def test_workspaces_have_the_same_keys_here_and_the_sheet_lists_no_other(desk: Desk) -> None:
    keys = desk.window.keys
    review = next(a for a in keys.actions if a.id == "workspace_review")
    desk.click(60, 80)
    assert keys.keys_here(review) == ("Alt+2",)
    desk.press(Qt.Key.Key_2, CTRL)  # the second class, as the sheet says
    assert desk.annotate.editor.selected is not None
    assert desk.window.workspace == "annotate"
    desk.press(Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    assert desk.window.workspace == "review"
    assert keys.keys_here(review) == ("Alt+2", "Ctrl+2")
    desk.wait_saved()
