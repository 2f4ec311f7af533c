"""The real window over a real library: open, play, step, correct, undo, close, reopen."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QFileDialog,
    QLineEdit,
    QMessageBox,
    QStyleOptionButton,
)
from pytestqt.qtbot import QtBot

from app.annotate import masks, phases
from app.core.case import CaseState
from app.core.mask import Mask
from app.learning.run_view import Asked
from app.store import Library
from app.ui.first_run import WayIn
from app.ui.main_window import FRAME, MainWindow
from app.ui.services import Services
from app.ui.settings import Settings
from app.ui.timeline.data import timeline_data
from app.video import describe_asset
from tests.helpers.clips import RECIPES, make_clip, number_of
from tests.ui.conftest import on_screen

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_MS = 20_000


def number_on_stage(window: MainWindow) -> int:
    """The barcode of the picture that the stage would save."""
    frame = window.current_stage().frame
    assert frame is not None
    return number_of(frame.rgb)


def test_the_window_opens_without_the_heavy_libraries(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from app.ui.application import open_window; from app.store import Library;"
        "from app.ui.settings import Settings;"
        f"w = open_window(Library.open(Path({str(tmp_path / 'l')!r})), Settings(), []);"
        "w.show(); import PySide6.QtWidgets as q; q.QApplication.processEvents();"
        "print([m for m in ('torch', 'cv2', 'av', 'models') if m in sys.modules]); w.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip().endswith("[]"), done.stderr


def test_an_opened_recording_plays_at_once(window: MainWindow, qtbot: QtBot, clip: Path) -> None:
    window.open_files([clip])
    qtbot.waitUntil(lambda: (on_screen(window) or 0) >= 5, timeout=PATIENCE_MS)
    assert window.workspace == "review"
    assert window.services.player.state.playing
    assert window.review.transport.play.accessibleName() == "Pause"


def test_the_next_recording_plays_at_once_though_the_first_was_looped_backwards(
    opened: MainWindow, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    player, loop = opened.services.player, opened.services.loop
    loop.mark_first()
    player.player.seek_index(9)
    qtbot.waitUntil(lambda: on_screen(opened) == 9, timeout=PATIENCE_MS)
    loop.mark_last()
    loop.toggle()
    qtbot.waitUntil(lambda: player.state.loop == (0, 9), timeout=PATIENCE_MS)
    player.pause()
    player.player.set_speed(-2.0)
    qtbot.waitUntil(lambda: not player.state.playing, timeout=PATIENCE_MS)
    other = make_clip(tmp_path / "other.mkv", RECIPES["h264-mkv"])
    opened.open_files([other])
    qtbot.waitUntil(lambda: player.state.path == other, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: player.state.playing, timeout=PATIENCE_MS)
    assert player.state.speed == 1.0


def test_steps_show_the_exact_frames(opened: MainWindow, qtbot: QtBot) -> None:
    stage = opened.current_stage()
    for key, wanted in (
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_Right, 2),
        (Qt.Key.Key_Left, 1),
        (Qt.Key.Key_End, 59),
        (Qt.Key.Key_Home, 0),
    ):
        qtbot.keyClick(stage, key)
        qtbot.waitUntil(lambda n=wanted: on_screen(opened) == n, timeout=PATIENCE_MS)
        assert number_on_stage(opened) == wanted
    qtbot.keyClick(stage, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: on_screen(opened) == 10, timeout=PATIENCE_MS)


def test_a_click_on_the_ribbon_seeks(opened: MainWindow, qtbot: QtBot) -> None:
    ribbon = opened.review.ribbon
    at = QPoint(ribbon.width() // 2, 40)
    qtbot.mouseClick(ribbon, Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: on_screen(opened) == 30, timeout=PATIENCE_MS)
    assert abs(ribbon.time_at(at.x()) - 1200) < 20


def test_go_to_takes_times_and_frames(opened: MainWindow, qtbot: QtBot) -> None:
    opened.keys.trigger("go_to")
    line = opened.slot.lines[-1]
    field = line.findChild(QLineEdit)
    field.setText("later")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert opened.slot.lines
    field.setText("0:01.5")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: on_screen(opened) == 37, timeout=PATIENCE_MS)
    assert not opened.slot.lines or opened.slot.lines[-1] is not line


def test_a_dropped_file_becomes_a_case(window: MainWindow, qtbot: QtBot, clip: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(clip))])
    buttons, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, mime, buttons, none)
    window.dragEnterEvent(enter)
    assert enter.isAccepted()
    assert [line.accessibleName() for line in window.slot.lines] == [
        "Let go, and Trocar opens it where it lies."
    ]
    window.dragLeaveEvent(QDragLeaveEvent())
    assert not window.slot.lines
    window.dragEnterEvent(enter)
    drop = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, buttons, none)
    window.dropEvent(drop)
    assert not any("Let go" in line.accessibleName() for line in window.slot.lines)
    qtbot.waitUntil(lambda: on_screen(window) is not None, timeout=PATIENCE_MS)
    case = window.services.session.case
    assert case is not None
    assert clip.stem not in case.title


def test_another_case_opens_in_review_too(opened: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    other = make_clip(tmp_path / "other.mp4", replace(RECIPES["h264-mp4"], frames=40))
    opened.show_workspace("library")
    with qtbot.waitSignal(opened.services.cases.opened, timeout=PATIENCE_MS):
        opened.open_files([other])
    qtbot.waitUntil(lambda: (on_screen(opened) or 0) >= 2, timeout=PATIENCE_MS)
    assert opened.workspace == "review"
    qtbot.waitUntil(lambda: opened.library.model.rowCount() == 2, timeout=PATIENCE_MS)
    first = opened.services.library.cases()[0].case_id
    qtbot.waitUntil(
        lambda: all(not c.picture.isNull() for c in opened.library.model.cards), timeout=PATIENCE_MS
    )
    opened.show_workspace("library")
    with qtbot.waitSignal(opened.services.session.case_opened, timeout=PATIENCE_MS):
        opened.library.opened.emit(first)
    assert opened.review.stage.frame is None
    assert not opened.review.stage.image_size().isEmpty()
    assert opened.workspace == "review"


def test_an_empty_library_shows_the_demo_case_and_opens_it(
    window: MainWindow, qtbot: QtBot
) -> None:
    first = window.library.first_run
    assert first.picture is not None
    assert not first.picture.image.isNull()
    window.resize(900, 700)
    qtbot.waitUntil(lambda: first.picture is not None and not first.picture.isVisible())
    window.resize(1500, 950)
    qtbot.waitUntil(first.picture.isVisible)
    assert first.picture.phases[0][1] == 0.0
    assert first.picture.phases[-1][2] == 1.0
    with qtbot.waitSignal(window.services.cases.opened, timeout=PATIENCE_MS):
        qtbot.mouseClick(first.picture, Qt.MouseButton.LeftButton)
    assert window.services.session.case is not None
    assert window.services.session.case.title == "Demo case"
    window.services.player.pause()


def test_an_empty_library_offers_a_recorders_folder_and_a_live_picture(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def dialog(_parent: object, title: str, *_rest: object) -> str:
        asked.append(title)
        return ""

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", dialog)
    ways = {way.text(): way for way in window.library.first_run.findChildren(WayIn)}
    qtbot.mouseClick(ways["Open a folder or USB stick"], Qt.MouseButton.LeftButton)
    assert asked == ["Open a recorder's folder"]
    qtbot.mouseClick(ways["Watch a live picture"], Qt.MouseButton.LeftButton)
    assert window.workspace == "live"


def test_the_window_lies_on_the_screen(window: MainWindow) -> None:
    room = window.screen().availableSize()
    assert room.width() < 1680, "the offscreen screen is small"
    window.hide()
    window.appear()
    assert window.isMaximized()
    window.showNormal()
    window.setMinimumSize(1, 1)
    window.resize(room - FRAME)
    window.hide()
    window.appear()
    assert not window.isMaximized()


def test_a_window_of_a_larger_screen_comes_back_on_all_of_this_one(
    window: MainWindow, own_library: Path
) -> None:
    from app.ui.application import open_window

    settings = window.services.settings
    window.close()
    assert settings.values.geometry, "it was 1680 pixels wide"
    again = open_window(Library.open(own_library), settings, [])
    try:
        again.appear()
        assert again.isMaximized()
    finally:
        again.close()
        again.deleteLater()


def test_the_window_may_be_as_small_as_the_screen(window: MainWindow) -> None:
    room = window.screen().availableSize()
    assert window.minimumWidth() <= room.width()
    assert window.minimumHeight() <= room.height()
    window.showMaximized()
    hint = window.centralWidget().minimumSizeHint()
    assert hint.width() <= max(900, room.width())
    assert hint.height() <= 500


def test_a_key_that_changes_speed_or_overlay_shows_it(opened: MainWindow, qtbot: QtBot) -> None:
    plate = opened.review.transport
    for key, text in ((Qt.Key.Key_V, "Fill"), (Qt.Key.Key_BracketRight, "1.1×")):
        plate.hide()
        qtbot.keyClick(opened.current_stage(), key)
        qtbot.waitUntil(plate.isVisible, timeout=PATIENCE_MS)
        assert text in (plate.dial_word.text(), plate.speed.text())


def test_a_report_is_what_its_kind_says(
    opened: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def answer(name: str, kind: str) -> None:
        def get(_window: object, _title: str, start: str, _kinds: str) -> tuple[str, str]:
            asked.append(start)
            return str(tmp_path / name), kind

        monkeypatch.setattr(QFileDialog, "getSaveFileName", get)

    for name, kind, written in (
        ("a.html", "Report (*.html)", "a.html"),
        ("a.html", "PDF (*.pdf)", "a.pdf"),
        ("b", "Report (*.html)", "b.html"),
        ("c.pdf", "Report (*.html)", "c.pdf"),
    ):
        answer(name, kind)
        with qtbot.waitSignal(opened.services.cases.reported, timeout=PATIENCE_MS):
            opened.keys.trigger("report")
        is_pdf = (tmp_path / written).read_bytes().startswith(b"%PDF-")
        assert is_pdf is written.endswith("pdf")
    assert Path(asked[0]).is_absolute()
    assert Path(asked[0]).parent != Path.cwd()


def test_a_line_that_asked_gives_the_keys_back_to_the_picture(
    opened: MainWindow, qtbot: QtBot
) -> None:
    opened.activateWindow()
    stage, player = opened.review.stage, opened.services.player
    opened.services.cases.set_procedure("cholecystectomy")
    for action in ("go_to", "bookmark", "procedure"):
        opened.keys.trigger(action)
        line = opened.slot.lines[-1]
        qtbot.waitUntil(lambda x=line: x.isAncestorOf(opened.focusWidget()), timeout=PATIENCE_MS)
        if action == "procedure":
            use = next(b for b in line.findChildren(QAbstractButton) if b.text() == "Use")
            qtbot.mouseClick(use, Qt.MouseButton.LeftButton)
        else:
            field = line.findChild(QLineEdit)
            qtbot.keyClicks(field, "0:01")
            qtbot.keyClick(field, Qt.Key.Key_Return)
        assert opened.focusWidget() is stage
        playing = player.state.playing
        qtbot.keyClick(opened.focusWidget(), Qt.Key.Key_Space)
        qtbot.waitUntil(lambda p=playing: player.state.playing is not p, timeout=PATIENCE_MS)
        assert opened.workspace == "review"
        player.player.pause()


def test_the_same_file_opens_the_same_case(opened: MainWindow, qtbot: QtBot, clip: Path) -> None:
    first = opened.services.session.case
    with qtbot.waitSignal(opened.services.cases.opened, timeout=PATIENCE_MS):
        opened.open_files([clip])
    second = opened.services.session.case
    assert first is not None
    assert second is not None
    assert first.case_id == second.case_id
    assert len(opened.services.library.cases()) == 1


def test_the_same_file_opens_again_after_its_operation_was_named(
    opened: MainWindow, qtbot: QtBot, clip: Path
) -> None:
    session = opened.services.session
    opened.services.cases.set_procedure("cholecystectomy")
    case = session.case
    with qtbot.waitSignal(opened.services.cases.opened, timeout=PATIENCE_MS):
        opened.open_files([clip])
    assert case is not None
    assert session.case is not None
    assert session.case.case_id == case.case_id
    qtbot.waitUntil(lambda: session.case.procedure == "cholecystectomy", timeout=PATIENCE_MS)


def test_a_file_that_is_no_video_gets_one_sentence(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    bad = tmp_path / "notes.mp4"
    bad.write_text("not a video", encoding="utf-8")
    window.open_files([bad])

    def said() -> list[str]:
        # Where it takes a second, it is told that the file is being read.
        texts = [line.accessibleName() for line in window.slot.lines]
        return [t for t in texts if not t.startswith("Reading")]

    qtbot.waitUntil(lambda: bool(said()), timeout=PATIENCE_MS)
    assert said()[-1].count(".") >= 1
    assert not window.services.library.cases()
    assert window.workspace == "library", "an empty Review has no way on"
    window.keys.trigger("escape")
    assert not window.slot.lines


def test_a_case_that_cannot_be_opened_leaves_the_open_one_on_screen(
    opened: MainWindow, qtbot: QtBot
) -> None:
    before = stage_pixels(opened)
    opened.show_workspace("library")
    with qtbot.waitSignal(opened.services.cases.not_opened, timeout=PATIENCE_MS):
        opened.library.opened.emit("0999")
    assert opened.workspace == "review"
    assert on_screen(opened) == 0
    assert (stage_pixels(opened) == before).all()
    assert opened.slot.lines


def test_a_missing_recording_asks_for_it(
    opened: MainWindow, qtbot: QtBot, clip: Path, tmp_path: Path
) -> None:
    case = opened.services.session.case
    assert case is not None
    moved = tmp_path / "moved.mp4"
    asset = replace(case.assets[0], path=str(tmp_path / "gone.mp4"))
    opened.services.library.writer.update_asset(asset).result()
    opened.services.player.player.seek_index(40)
    qtbot.waitUntil(lambda: on_screen(opened) == 40, timeout=PATIENCE_MS)
    assert opened.review.stage.time_ms == 1600.0
    opened.services.cases.open_case(case.case_id)
    qtbot.waitUntil(lambda: opened.review.stage.time_ms == 0.0, timeout=PATIENCE_MS)
    qtbot.waitUntil(
        lambda: any("not where it was" in x.accessibleName() for x in opened.slot.lines),
        timeout=PATIENCE_MS,
    )
    player = opened.services.player
    qtbot.waitUntil(lambda: player.state.path is None, timeout=PATIENCE_MS)
    while opened.slot.close_newest():
        pass
    assert opened.review.stage.chips == ("The recording is not found",)
    opened.keys.trigger("play")
    assert "not where it was" in opened.slot.lines[-1].accessibleName()
    assert not player.state.playing
    opened.show_workspace("annotate")
    assert opened.annotate is not None
    assert not opened.annotate.details.accept.isEnabled()
    assert not opened.annotate.details.complete.isEnabled()
    moved.write_bytes(clip.read_bytes())
    with qtbot.waitSignal(opened.services.cases.opened, timeout=PATIENCE_MS):
        opened.services.cases.relink([moved])
    qtbot.waitUntil(lambda: on_screen(opened) is not None, timeout=PATIENCE_MS)
    assert opened.current_stage().chips == ()
    assert opened.services.session.asset is not None
    assert opened.services.session.asset.path == str(moved)


def test_the_procedure_is_asked_and_can_be_undone(opened: MainWindow, qtbot: QtBot) -> None:
    session = opened.services.session
    chooser = opened.slot.lines[-1]
    assert chooser.accessibleName() == "Which operation is this?"
    combo = chooser.combo
    combo.setCurrentIndex(combo.findData("cholecystectomy"))
    with qtbot.waitSignal(session.fields_changed, timeout=PATIENCE_MS):
        next(b for b in chooser.findChildren(QAbstractButton) if b.text() == "Use").click()
    qtbot.waitUntil(lambda: session.taxonomy.procedure == "cholecystectomy", timeout=PATIENCE_MS)
    assert opened.services.settings.values.procedure == "cholecystectomy"
    opened.keys.trigger("undo")
    qtbot.waitUntil(lambda: session.taxonomy.procedure == "unknown", timeout=PATIENCE_MS)


def square(window: MainWindow) -> Mask:
    asset = window.services.session.asset
    assert asset is not None
    plane = np.zeros((asset.height_px, asset.width_px), bool)
    plane[60:140, 100:220] = True
    return Mask.from_full(plane)


def draw(window: MainWindow) -> None:
    session = window.services.session
    assert session.case is not None
    assert session.identity is not None
    session.commit(
        masks.draw(session.case.case_id, session.identity, "hook", square(window), session.taxonomy)
    )


def stage_pixels(window: MainWindow) -> np.ndarray:
    image = (
        window.current_stage()
        .snapshot()
        .convertToFormat(window.current_stage().snapshot().Format.Format_RGB888)
    )
    data = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    return data[:, : image.width() * 3].copy()


def test_a_drawn_outline_shows_is_saved_undone_redone_and_there_again(
    opened: MainWindow, qtbot: QtBot, own_library: Path
) -> None:
    session = opened.services.session
    before = stage_pixels(opened)
    with qtbot.waitSignal(session.saved, timeout=PATIENCE_MS):
        draw(opened)
    qtbot.waitUntil(lambda: len(session.instances) == 1, timeout=PATIENCE_MS)
    assert (stage_pixels(opened) != before).mean() > 0.001
    assert opened.top.saved.text() == "Saved"
    assert session.case is not None
    assert session.case.state is CaseState.WORKING

    opened.keys.trigger("undo")
    qtbot.waitUntil(lambda: len(session.instances) == 0, timeout=PATIENCE_MS)
    assert not session.annotations
    opened.keys.trigger("redo")
    qtbot.waitUntil(lambda: len(session.instances) == 1, timeout=PATIENCE_MS)

    case_id = session.case.case_id
    opened.close()
    again = MainWindow(Services(Library.open(own_library, ballast_bytes=1 << 16), Settings()))
    try:
        again.show()
        again.services.cases.open_case(case_id)
        qtbot.waitUntil(lambda: on_screen(again) is not None, timeout=PATIENCE_MS)
        again.services.player.player.pause()
        again.services.player.player.seek_index(0)
        found = again.services.session
        qtbot.waitUntil(lambda: len(found.instances) == 1, timeout=PATIENCE_MS)
        assert found.instances[0].mask == square(again)
        again.keys.trigger("undo")
        qtbot.waitUntil(lambda: len(found.instances) == 0, timeout=PATIENCE_MS)
    finally:
        again.close()
        again.deleteLater()


def test_a_human_phase_stands_solid_on_the_ribbon(opened: MainWindow, qtbot: QtBot) -> None:
    session = opened.services.session
    opened.services.cases.set_procedure("cholecystectomy")
    qtbot.waitUntil(lambda: session.taxonomy.procedure == "cholecystectomy", timeout=PATIENCE_MS)
    assert session.case is not None
    assert session.asset is not None
    tiers = timeline_data(session.case.case_id, session.asset, session.taxonomy, you=None).tiers
    session.commit(phases.start_at(tiers, session.asset.start_pts, "preparation"))
    blocks = opened.review.ribbon.data.blocks
    assert [(b.segment.phase, b.human) for b in blocks] == [("preparation", True)]
    assert opened.review.stage.block is blocks[0]
    opened.keys.trigger("undo")
    qtbot.waitUntil(lambda: opened.review.ribbon.data.blocks == (), timeout=PATIENCE_MS)


def test_the_dial_goes_round_and_h_inverts(opened: MainWindow, qtbot: QtBot) -> None:
    draw(opened)
    session, stage = opened.services.session, opened.current_stage()
    qtbot.waitUntil(lambda: len(session.instances) == 1, timeout=PATIENCE_MS)
    outlined = stage_pixels(opened)
    qtbot.keyPress(stage, Qt.Key.Key_H)
    qtbot.waitUntil(lambda: (stage_pixels(opened) != outlined).any(), timeout=PATIENCE_MS)
    qtbot.keyRelease(stage, Qt.Key.Key_H)
    qtbot.waitUntil(lambda: not (stage_pixels(opened) != outlined).any(), timeout=PATIENCE_MS)
    words = []
    for _ in range(5):
        qtbot.keyClick(stage, Qt.Key.Key_V)
        words.append(opened.review.transport.dial_word.text())
    assert words == ["Fill", "Labels", "Confidence", "Nothing", "Outline"]
    assert opened.services.settings.values.overlay == "outline"


def test_deleting_asks_once_and_leaves_nothing(
    opened: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, clip: Path
) -> None:
    opened.show_workspace("library")
    qtbot.waitUntil(lambda: opened.library.model.rowCount() == 1, timeout=PATIENCE_MS)
    case = opened.services.library.cases()[0]
    opened.library.choose(case.case_id)
    asked = []

    def answer(button: str) -> None:
        def act(box: QMessageBox) -> int:
            asked.append(box.text())
            next(b for b in box.buttons() if b.text() == button).click()
            return 0

        monkeypatch.setattr(QMessageBox, "exec", act)

    answer("Keep")
    opened.keys.trigger("delete_case")
    assert opened.services.library.cases()
    answer("Delete")
    opened.keys.trigger("delete_case")
    qtbot.waitUntil(lambda: opened.library.model.rowCount() == 0, timeout=PATIENCE_MS)
    assert opened.services.library.cases() == ()
    assert len(asked) == 2
    assert clip.exists()


def test_search_and_filters_narrow_the_library(opened: MainWindow, qtbot: QtBot) -> None:
    opened.show_workspace("library")
    shown = opened.library.filter
    qtbot.waitUntil(lambda: shown.rowCount() == 1, timeout=PATIENCE_MS)
    opened.library.search.setText("0001")
    assert shown.rowCount() == 1
    opened.library.search.setText("nothing like it")
    assert shown.rowCount() == 0
    opened.library.search.clear()
    box = opened.library._boxes["done"][1]
    box.setChecked(True)
    assert shown.rowCount() == 0
    box.setChecked(False)
    assert shown.rowCount() == 1


def test_a_filter_without_room_ends_in_an_ellipsis(opened: MainWindow, qtbot: QtBot) -> None:
    _, box, number = opened.library._boxes["cholecystectomy"]
    opened.services.cases.set_procedure("cholecystectomy")
    opened.show_workspace("library")
    qtbot.waitUntil(number.isVisible, timeout=PATIENCE_MS)
    filters, line = opened.library.filters, box.parentWidget()
    option, pictures = QStyleOptionButton(), []
    for wide in (264, 180):
        filters.setFixedWidth(wide)
        qtbot.waitUntil(
            lambda: number.geometry().right() < line.width() == filters.width() - 32,
            timeout=PATIENCE_MS,
        )
        box.initStyleOption(option)
        pictures.append((option.text, box.grab().toImage()))
    assert pictures[0][0] == box.toolTip() == "Laparoscopic cholecystectomy"
    assert pictures[1][0].endswith("…")
    plain, elided = QCheckBox(box.text()), QCheckBox(pictures[1][0])
    for known in (plain, elided):
        qtbot.addWidget(known)
        known.resize(box.size())
    assert pictures[1][1] == elided.grab().toImage() != plain.grab().toImage()


def test_esc_goes_up_one_level_at_a_time(opened: MainWindow) -> None:
    opened.slot.clear("")
    while opened.slot.close_newest():
        pass
    opened.keys.trigger("keys")
    assert opened.sheets.keys.isVisible()
    opened.keys.trigger("escape")
    assert not opened.sheets.keys.isVisible()
    opened.keys.trigger("full_screen")
    assert opened.isFullScreen()
    opened.keys.trigger("escape")
    assert not opened.isFullScreen()


def test_full_screen_gives_a_maximised_window_back(opened: MainWindow, qtbot: QtBot) -> None:
    opened.showMaximized()
    for full in (True, False):
        opened.keys.trigger("full_screen")
        qtbot.waitUntil(lambda f=full: opened.isFullScreen() is f, timeout=PATIENCE_MS)
        assert opened.isMaximized()


def test_a_double_click_opens_a_case_once(opened: MainWindow, qtbot: QtBot) -> None:
    opened.show_workspace("library")
    view = opened.library.view
    qtbot.waitUntil(lambda: view.model().rowCount() == 1, timeout=PATIENCE_MS)
    times: list[str] = []
    opened.library.opened.connect(times.append)
    at = view.visualRect(view.model().index(0, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    with qtbot.waitSignal(opened.services.cases.opened, timeout=PATIENCE_MS):
        qtbot.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert len(times) == 1
    assert opened.workspace == "review"


def test_cards_leave_room_for_the_scroll_bar(opened: MainWindow, qtbot: QtBot) -> None:
    opened.show_workspace("library")
    view = opened.library.view
    view.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
    for width in (*range(1200, 1700, 50), 1000, 1200):
        opened.resize(width, 800)
        qtbot.waitUntil(lambda w=width: opened.width() == w, timeout=PATIENCE_MS)
        grid, room = view.gridSize().width(), view.viewport().width()
        assert room % grid < 40, "the cards fill the width"


def test_f6_visits_every_region(opened: MainWindow) -> None:
    opened.activateWindow()
    opened.review.transport.wake()
    visited = []
    for _ in range(8):
        opened.keys.trigger("next_region")
        focus = opened.focusWidget()
        assert focus is not None
        visited.append(focus)
    regions = (*opened.review.regions(), opened.top, opened.status)
    for region in regions:
        assert any(region is w or region.isAncestorOf(w) for w in visited), region.accessibleName()


def test_another_text_size_opens_the_window_again_where_it_was(
    opened: MainWindow, qtbot: QtBot, own_library: Path, tmp_path: Path
) -> None:
    """In a case's second recording, too."""
    session = opened.services.session
    assert session.asset is not None
    first = replace(session.asset, asset_id="first")
    second = describe_asset(make_clip(tmp_path / "two.mp4", RECIPES["h264-mp4-no-b"]), "second")
    writer = opened.services.library.writer
    case = writer.create_case("Two files", "unknown", (first, second)).result()
    opened._open_case(case.case_id, "second")
    qtbot.waitUntil(
        lambda: (
            session.asset is not None
            and session.asset.asset_id == "second"
            and on_screen(opened) == 0
        ),
        timeout=PATIENCE_MS,
    )
    opened.services.player.player.seek_index(20)
    qtbot.waitUntil(lambda: on_screen(opened) == 20, timeout=PATIENCE_MS)
    opened.sheets.settings._set_size(1.3)
    resume = opened.resume
    assert resume is not None
    assert (resume.index, resume.workspace, resume.asset_id) == (20, "review", "second")
    from app.ui.application import open_window

    again = open_window(Library.open(own_library), Settings(), [], resume=resume)
    try:
        again.show()
        qtbot.waitUntil(lambda: on_screen(again) == 20, timeout=PATIENCE_MS)
        shown = again.services.session.asset
        assert shown is not None
        assert shown.asset_id == "second"
        assert not again.services.player.state.playing
        assert again.top.height() > opened.top.height()
    finally:
        again.close()
        again.deleteLater()


def test_a_second_window_gets_its_sentence(opened: MainWindow, own_library: Path) -> None:
    from app.core.errors import Refused

    with pytest.raises(Refused) as caught:
        Library.open(own_library)
    assert caught.value.user_message.count(".") >= 1


def test_a_full_disk_is_said_and_its_end_too(opened: MainWindow) -> None:
    from app.core.errors import EnvironmentProblem

    session = opened.services.session
    session._waiting.emit(EnvironmentProblem("The disk is full; free some space.", "SQLITE_FULL"))
    assert "disk is full" in opened.slot.lines[-1].accessibleName()
    session._waiting.emit(None)
    texts = [x.accessibleName() for x in opened.slot.lines]
    assert any("saved now" in t for t in texts)
    assert not any("disk is full" in t for t in texts)


def test_a_case_shows_its_thumbnail_until_its_first_frame(opened: MainWindow, qtbot: QtBot) -> None:
    opened.show_workspace("library")
    model = opened.library.model
    qtbot.waitUntil(
        lambda: model.rowCount() == 1 and not model.cards[0].picture.isNull(), timeout=PATIENCE_MS
    )
    case_id = model.cards[0].case.case_id
    opened.library.choose(case_id)
    opened.keys.trigger("open_case")
    assert opened.review.stage.frame is None
    assert not opened.review.stage.image_size().isEmpty()
    qtbot.waitUntil(lambda: opened.review.stage.frame is not None, timeout=PATIENCE_MS)
    player = opened.services.player
    qtbot.waitUntil(lambda: player.state.playing, timeout=PATIENCE_MS)
    opened._open_case(case_id)
    assert not player.state.playing, "its pictures would take the place of the thumbnail"


def test_what_is_said_by_teaching_reaches_the_user(opened: MainWindow, qtbot: QtBot) -> None:
    teaching = opened.services.teaching
    asked = Asked(cases=("0001",), base="no-such-model", steps=1, held_out_every=4)
    with qtbot.waitSignal(teaching.failed, timeout=60_000) as failed:
        teaching.start("mine", asked)
        assert teaching.running
    assert "no-such-model" in failed.args[0]
    assert not teaching.running
    with qtbot.waitSignal(teaching.stopped, timeout=60_000):
        teaching.start("mine", asked)
        teaching.pause()
    assert not teaching.running


def test_a_snapshot_is_saved_with_the_mark(opened: MainWindow, tmp_path: Path) -> None:
    from PySide6.QtGui import QImage

    from app.ui.pictures import save_snapshot

    told = save_snapshot(opened.current_stage(), opened.services.session, tmp_path / "out")
    assert told is not None
    found = list((tmp_path / "out").glob("*.png"))
    assert [p.name for p in found] == ["case-0001-frame-0.png"]
    assert QImage(str(found[0])).size().width() == 320
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    told = save_snapshot(opened.current_stage(), opened.services.session, blocked / "in")
    assert told is not None
    assert "not saved" in told.text


def test_what_trocar_is_for_is_said_beside_the_picture_in_every_size(opened: MainWindow) -> None:
    words, stage = "Research and education only", opened.review.stage
    assert opened.status.use.isVisible()
    assert opened.status.use.text() == words
    opened.keys.trigger("full_screen")
    assert not opened.status.isVisible()
    opened.show_workspace("annotate")
    assert opened.annotate is not None
    for shown in (stage, opened.annotate.canvas):
        assert shown.height() - shown.fitted_rect().bottom() >= 20
    opened.keys.trigger("full_screen")
    assert stage.room().bottom() == stage.height()
