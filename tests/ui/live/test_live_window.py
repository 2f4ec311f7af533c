"""Watching live in the real window: picture, outlines, marks, phases, looking back, the case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QFontMetrics, QImage
from PySide6.QtWidgets import QAbstractButton
from pytestqt.qtbot import QtBot

from app.core.prediction import LIVE
from app.store import Library
from app.ui import theme
from app.ui.live.phase_picker import PhaseButton
from app.ui.live.stage import LiveStage
from app.ui.live.workspace import Banner
from app.ui.main_window import MainWindow
from app.ui.services import Services
from app.ui.settings import Settings
from tests.ui.live.conftest import WAIT_MS, answer, control_of, record, shown_number, watch
from tests.ui.test_layout import clipped, overlapping


def test_the_outlines_of_a_live_picture_are_painted(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    assert live.live is not None
    stage = live.live.stage
    qtbot.waitUntil(lambda: _outline_pixels(stage) > 50, timeout=WAIT_MS)
    assert control.screen.overlay_age_ms is not None
    qtbot.waitUntil(lambda: stage.view.overlay.startswith("Overlay"), timeout=WAIT_MS)
    assert "demo" in stage.view.caution.lower()
    # While H is held nothing lies over the tissue.
    qtbot.keyPress(stage, Qt.Key.Key_H)
    assert _outline_pixels(stage) == 0
    qtbot.keyRelease(stage, Qt.Key.Key_H)
    banner = live.live.findChild(Banner)
    assert banner is not None
    assert banner.isVisible()
    assert banner.findChildren(QAbstractButton) == []


def test_a_recording_becomes_a_case_that_opens_with_all_that_was_said(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    record(live, qtbot)
    assert live.live is not None
    stage, notes, library = live.live.stage, control.notes, live.services.library
    assert notes is not None
    qtbot.waitUntil(lambda: _live_ms(live) > 1000, timeout=WAIT_MS)
    qtbot.keyClick(stage, Qt.Key.Key_F13)
    qtbot.waitUntil(lambda: bool(notes.marks), timeout=WAIT_MS)
    assert stage.view.toast is not None
    assert stage.view.toast.text.startswith("Marked")
    seen_pts = control.screen.shown.pts  # type: ignore[union-attr]
    qtbot.keyClick(stage, Qt.Key.Key_2)
    qtbot.waitUntil(lambda: notes.timeline is not None, timeout=WAIT_MS)
    assert notes.timeline is not None
    begun = notes.timeline.segments[0].start_pts
    # The hand needs 400 ms: the phase began that much before the picture on screen.
    assert seen_pts - 36_000 <= begun <= control.screen.shown.pts - 36_000  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: stage.view.phase_human, timeout=WAIT_MS)
    # A hand in a glove touches the phase instead, a second later.
    before_ms = _live_ms(live)
    qtbot.waitUntil(lambda: _live_ms(live) > before_ms + 1000, timeout=WAIT_MS)
    live.live.phase.click()
    picker = live.live.picker
    assert picker.isVisible()
    clip_and_cut = next(b for b in picker.findChildren(PhaseButton) if b.text() == "Clip and cut")
    clip_and_cut.click()
    assert not picker.isVisible()
    qtbot.waitUntil(lambda: len(notes.timeline.segments) == 2, timeout=WAIT_MS)
    # A short press does not end it; two seconds do.
    live.live.record.hold_ms = 200
    qtbot.mousePress(live.live.record, Qt.MouseButton.LeftButton)
    qtbot.mouseRelease(live.live.record, Qt.MouseButton.LeftButton)
    assert control.is_recording
    qtbot.keyPress(stage, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: control.stopping or not control.is_recording, timeout=WAIT_MS)
    qtbot.keyRelease(stage, Qt.Key.Key_R)
    done = live.live.done_plate
    qtbot.waitUntil(lambda: done.isVisible() and done.button.isEnabled(), timeout=WAIT_MS)
    assert control.case is not None
    with qtbot.waitSignal(live.services.session.frame_shown, timeout=WAIT_MS):
        done.button.click()
    assert live.workspace == "review"
    session = live.services.session
    assert session.case is not None
    assert session.asset is not None
    assert session.work is not None
    assert session.asset.path.endswith(".mp4")
    assert [b.frame for b in session.work.bookmarks] == [m.bookmark.frame for m in notes.marks]
    assert session.human_timeline is not None
    calot, clip = session.human_timeline.segments
    assert calot.start_pts == begun
    assert session.shown_taxonomy.phase_name(clip.phase) == "Clip and cut"
    assert session.human_timeline.segments[-1].end_pts == session.asset.end_pts
    runs = library.predictions(session.case.case_id).runs(session.asset.asset_id)
    assert {r.task for r in runs} == {"instance-segmentation", "phase-recognition"}
    assert all(r.finished and r.settings[LIVE] for r in runs)
    qtbot.waitUntil(lambda: session.model is not None, timeout=WAIT_MS)


def test_looking_back_while_the_recording_goes_on(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    record(live, qtbot)
    assert live.live is not None
    stage, page, notes = live.live.stage, live.live, control.notes
    assert notes is not None
    qtbot.waitUntil(lambda: _live_ms(live) > 3500, timeout=WAIT_MS)
    page.strip.seek.emit(1000.0)
    qtbot.waitUntil(lambda: _shown_ms(live) == 1000.0, timeout=WAIT_MS)
    # What came before Record was pressed is recorded too, from the first frame on.
    assert shown_number(live) == 15
    assert page.plate.isVisible()
    assert page.plate.words.text().startswith("Paused, ")
    frozen = shown_number(live)
    qtbot.wait(300)
    assert shown_number(live) == frozen
    qtbot.keyClick(stage, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: _shown_ms(live) > 1200.0, timeout=WAIT_MS)
    assert page.plate.words.text().startswith("You are watching ")
    assert control.is_recording
    before = control.recording.frames  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: control.recording.frames > before, timeout=WAIT_MS)  # type: ignore[union-attr]
    page.plate.button.click()
    assert not control.screen.behind
    assert not page.plate.isVisible()
    qtbot.waitUntil(lambda: shown_number(live) > frozen + 30, timeout=WAIT_MS)


def test_leaving_or_closing_while_recording_asks_and_loses_nothing(
    live: MainWindow, qtbot: QtBot, live_clip: Path, own_library: Path
) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    record(live, qtbot)
    control.mark()
    notes = control.notes
    qtbot.waitUntil(lambda: bool(notes and notes.marks), timeout=WAIT_MS)
    asked = answer("Go on recording")
    live.show_workspace("library")
    assert asked == ["A recording is running. End it?"]
    assert live.workspace == "live"
    assert control.is_recording
    asked = answer("Go on recording")
    live.open_files([live_clip])
    assert asked, "another recording would take its place"
    assert live.workspace == "live"
    assert live.services.session.case is None
    assert len(live.services.library.cases()) == 1
    asked = answer("Go on recording")
    assert not live.close()
    assert asked
    assert live.isVisible()
    asked = answer("End it and close")
    assert live.close()
    assert asked
    # The next start completes it: the case is there with its mark, as a plain MP4.
    with Library.open(own_library, ballast_bytes=1 << 16) as library:
        (case,) = library.cases()
        (mark,) = library.bookmarks(case.assets[0].asset_id)
    assert notes is not None
    assert mark == notes.marks[0].bookmark
    services = Services(Library.open(own_library, ballast_bytes=1 << 16), Settings())
    said: list[str] = []
    services.said.connect(lambda message: said.append(message.text))
    path = services.library.cases
    qtbot.waitUntil(lambda: path()[0].assets[0].path.endswith(".mp4"), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: bool(said), timeout=WAIT_MS)
    services.close()
    assert case.case_id in said[0]


def test_a_machine_that_is_too_slow_says_so_and_shows_phases_alone(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    live.services.settings.set(live_limit_ms=1)
    control = watch(live, qtbot, f"file:{live_clip}")
    assert live.live is not None
    stage = live.live.stage
    qtbot.waitUntil(lambda: stage.view.overlay == "Phases alone", timeout=WAIT_MS)
    assert "behind on this computer" in stage.view.overlay_detail
    assert _outline_pixels(stage) == 0
    qtbot.waitUntil(lambda: control.models.phase is not None, timeout=WAIT_MS)


def test_a_recorded_analysis_gives_way_and_goes_on_afterwards(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    services = live.services
    live.show_workspace("library")
    with qtbot.waitSignal(services.session.frame_shown, timeout=WAIT_MS):
        live.open_files([live_clip])
    services.analysis.start()
    qtbot.waitUntil(lambda: services.analysis.running, timeout=WAIT_MS)
    live.show_workspace("live")
    watch(live, qtbot, f"file:{live_clip}")
    qtbot.waitUntil(lambda: not services.analysis.running, timeout=WAIT_MS)
    assert live.status.work.text() == "The analysis waits while a picture is live"
    live.show_workspace("library")
    qtbot.waitUntil(lambda: services.analysis.running, timeout=WAIT_MS)
    assert control_of(live).session is None


def test_nothing_is_cut_off_or_overlaps_in_the_smallest_window(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    live.resize(1180, 680)
    problems = [*clipped(live), *overlapping(live)]
    control = watch(live, qtbot, f"file:{live_clip}")
    record(live, qtbot)
    qtbot.waitUntil(lambda: _live_ms(live) > 1500, timeout=WAIT_MS)
    control.mark()
    control.look_by(-1000)
    qtbot.waitUntil(lambda: control.screen.behind, timeout=WAIT_MS)
    problems += [*clipped(live), *overlapping(live)]
    assert problems == []
    # Names of phases take two lines where they have to.
    control.choose_phase()
    assert live.live is not None
    for button in live.live.picker.findChildren(PhaseButton):
        metrics = QFontMetrics(theme.font("touch"))
        room, flags = QRect(0, 0, button.width() - 8, 1000), int(Qt.TextFlag.TextWordWrap)
        taken = metrics.boundingRect(room, flags, button.text())
        assert taken.width() <= room.width(), button.text()
        assert taken.height() <= 48, button.text()


def _outline_pixels(stage: LiveStage) -> int:
    """Pixels of the painted picture that bear a colour of the outlines."""
    image = stage.grab(stage.image_rect().toRect()).toImage()
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint32) & 0xFFFFFF
    colours = [c.rgb() & 0xFFFFFF for c in theme.outlines()]
    return int(np.isin(pixels, colours).sum())


def _live_ms(window: MainWindow) -> float:
    control = control_of(window)
    assert control.notes is not None
    assert control.screen.live is not None
    return control.notes.ms(control.screen.live.pts)


def _shown_ms(window: MainWindow) -> float:
    control = control_of(window)
    assert control.notes is not None
    assert control.screen.shown is not None
    return control.notes.ms(control.screen.shown.pts)
