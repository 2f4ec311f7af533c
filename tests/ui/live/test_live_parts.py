"""Parts of Live by themselves: words, what is remembered, buttons that are held, pedals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QImage, QKeyEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.correction import Bookmark, Change, Correction, HumanTimeline
from app.core.frame import Frame, FrameIdentity
from app.core.prediction import FramePrediction, PhasePrediction
from app.core.timeline import Segment, Timeline
from app.inference.live import LiveAnswer
from app.inference.live_pace import Pace
from app.store import Library
from app.ui import theme
from app.ui.clearing import CLEARED
from app.ui.live import words
from app.ui.live.answers import AnswerDrawer
from app.ui.live.bridge import LiveBridge
from app.ui.live.buttons import RecordButton
from app.ui.live.chooser import SourceChooser, without_credentials
from app.ui.live.notes import LiveNotes
from app.ui.live.stage import LiveStage, LiveView
from app.ui.main_window import MainWindow
from app.ui.osd import MARGIN
from app.ui.services import Services
from app.ui.session import READ_ONLY
from app.ui.settings import Settings
from app.ui.widgets import Button
from app.video.live.state import LiveFrame, LiveState, LiveStatus
from tests.helpers.dimming import dimming_model
from tests.ui.live.conftest import WAIT_MS, control_of, watch
from tests.ui.test_clearing import is_about_dimmed
from tests.ui.test_moving import shown


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("rtsp://user:secret@10.0.0.2:554/ch1", "rtsp://10.0.0.2:554/ch1"),
        ("rtsp://u:p%40ss@cam/s?token=abc&transport=udp", "rtsp://cam/s?transport=udp"),
        ("rtmp://0.0.0.0:1935/live/key?listen=1", "rtmp://0.0.0.0:1935/live?listen=1"),
        ("rtmp://cdn/live/key", "rtmp://cdn/live"),
        ("rtsp://cam/user=a&password=b", ""),
        ("http://cam/video?password=x", "http://cam/video"),
        ("device:Card: HDMI#1920x1080@60", "device:Card: HDMI#1920x1080@60"),
        ("file:/clips/a@b.mp4", "file:/clips/a@b.mp4"),
    ],
)
def test_no_password_is_remembered(typed: str, kept: str) -> None:
    assert without_credentials(typed) == kept


def test_a_stream_key_is_typed_again(dressed: QApplication, tmp_path: Path) -> None:
    chooser = SourceChooser(Settings(tmp_path))
    chosen: list[str] = []
    chooser.chosen.connect(chosen.append)
    chooser.remember("rtmp://cdn/live/sesame")
    chooser.remember("rtsp://tower/password=sesame")
    (row,) = (b for b in chooser.findChildren(Button) if b.text() == "Type its key")
    row.click()
    assert (chooser.address.text(), chosen) == ("rtmp://cdn/live/", [])
    assert "sesame" not in (tmp_path / "settings.json").read_text()
    chooser.deleteLater()


def test_what_is_said_of_the_outlines() -> None:
    def said(pace: Pace, age_ms: float | None, *, hidden: bool = False) -> tuple[str, str, str]:
        return words.outlines(pace, age_ms, hidden=hidden, has_outlines=True, limit_ms=250)

    pace = Pace(age_ms=60, compute_ms=40, keep_ms=140)
    assert said(pace, 74.4) == ("Overlay 74 ms old", "osd_ok", "hidden above 250 ms")
    assert said(pace, 160)[:2] == ("Overlay 160 ms old", "osd_warn")
    assert said(pace, 1310, hidden=True)[0] == "Overlay hidden, 1.3 s old"
    slow = Pace(age_ms=400, compute_ms=380, helps=False)
    assert said(slow, 300)[0] == "Phases alone"
    assert "0.8 s behind" in said(slow, 300)[2]
    assert said(Pace(), None)[0] == "Outlines are being prepared"


def test_what_is_said_of_the_signal() -> None:
    def said(status: LiveStatus, attempts: int = 0, *, recording: bool = True) -> tuple[str, ...]:
        state = LiveState(status=status, sentence="Tower is live.", attempts=attempts)
        return words.signal(state, 12.2, recording=recording)

    assert said(LiveStatus.LIVE)[1] == ""
    _, title, detail, tone = said(LiveStatus.RECONNECTING, 4)
    assert (title, tone) == ("No signal for 12 s", "osd_warn")
    assert detail == "Trying again, attempt 4. The recording goes on and marks the gap."
    assert said(LiveStatus.LOST, recording=False)[2] == "Trying again."
    assert said(LiveStatus.FAILED)[2] == "Tower is live."


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (22_800.0, "room for 6 h 20 more"), (480.0, "Disk almost full: 8 min left")],
)
def test_how_much_longer_the_disk_lasts(seconds: float | None, said: str) -> None:
    assert words.room(seconds) == said


def test_sizes_on_disk() -> None:
    assert [words.size(n) for n in (0, 4_000_000, 11_400_000_000)] == ["0 MB", "4 MB", "11.4 GB"]


def test_an_open_phase_goes_on_and_undo_takes_marks_and_phases_back() -> None:
    notes = LiveNotes(90_000)
    frame = FrameIdentity(asset_id="a", stream=0, pts=180_000)
    mark = Bookmark(frame=frame, note="")
    notes.add_mark(mark, 540_000, QImage())
    assert notes.spans() == ((1000.0, 5000.0),)
    assert notes.rows()[0].detail == "0:05, 4 s before"
    line = Timeline(
        start_pts=90_000,
        end_pts=360_000,
        segments=(Segment(start_pts=180_000, end_pts=360_000, phase="p"),),
    )
    notes.timeline = line
    assert notes.stretches(900_000)[0].end_ms == 9000.0
    before = HumanTimeline(asset_id="a", timeline=line)
    step = Change(object_id="timeline:a", before=before, after=None)
    notes.apply(Correction(case_id="1", title="t", changes=(step,)))
    assert notes.stretches(900_000) == ()
    step = Change(object_id="bookmark:a:0:180000", before=mark, after=None)
    notes.apply(Correction(case_id="1", title="t", changes=(step,)))
    assert notes.marks == []


def test_stop_has_to_be_held_and_fills_meanwhile(qtbot: QtBot, dressed: object) -> None:
    button = RecordButton("R")
    qtbot.addWidget(button)
    button.show()
    heard: list[str] = []
    button.started.connect(lambda: heard.append("started"))
    button.stopped.connect(lambda: heard.append("stopped"))
    button.let_go.connect(lambda: heard.append("let go"))
    button.hold_ms = 60_000  # however slow this machine is, it is not held for so long
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert heard == ["started"]
    button.set_recording(recording=True)
    assert button.accessibleName() == "Stop"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert heard == ["started", "let go"]
    qtbot.keyPress(button, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: button.share() > 0)
    assert heard == ["started", "let go"]
    button.hold_ms = 1
    qtbot.waitUntil(lambda: heard[-1] == "stopped")
    assert button.share() == 0.0
    qtbot.keyRelease(button, Qt.Key.Key_Space)
    assert heard == ["started", "let go", "stopped"]


@pytest.mark.parametrize("seen", [True, False], ids=["seen as repeats", "seen as presses"])
def test_a_key_that_repeats_is_held_all_the_while(
    qtbot: QtBot, dressed: QApplication, *, seen: bool
) -> None:
    button = RecordButton("R")
    qtbot.addWidget(button)
    button.show()
    heard: list[str] = []
    button.started.connect(lambda: button.set_recording(recording=True))
    button.stopped.connect(lambda: heard.append("stopped"))
    button.let_go.connect(lambda: heard.append("let go"))
    button.hold_ms = 400

    def send(kind: QEvent.Type, *, repeats: bool) -> None:
        plain = Qt.KeyboardModifier.NoModifier
        dressed.sendEvent(button, QKeyEvent(kind, Qt.Key.Key_Space, plain, " ", repeats))

    def hold_on() -> None:
        for _ in range(8):
            qtbot.wait(25)
            send(QEvent.Type.KeyRelease, repeats=seen)
            send(QEvent.Type.KeyPress, repeats=seen)

    # What begins a recording does not end it, however long the key stays down.
    send(QEvent.Type.KeyPress, repeats=False)
    hold_on()
    assert button.recording
    assert button.share() == 0.0
    send(QEvent.Type.KeyRelease, repeats=False)
    qtbot.wait(150)
    send(QEvent.Type.KeyPress, repeats=False)
    hold_on()
    assert button.share() > 0.4
    assert heard == []
    qtbot.waitUntil(lambda: bool(heard))
    assert heard == ["stopped"]
    send(QEvent.Type.KeyRelease, repeats=False)
    qtbot.wait(150)
    # A key that is let go too early stays let go.
    send(QEvent.Type.KeyPress, repeats=False)
    send(QEvent.Type.KeyRelease, repeats=False)
    qtbot.waitUntil(lambda: heard == ["stopped", "let go"])
    assert button.share() == 0.0


def test_a_pedal_is_any_key_that_has_no_other_meaning(live: MainWindow, qtbot: QtBot) -> None:
    control, pressed = control_of(live), []
    live.keys.bind("live_mark", lambda: pressed.append("mark"))
    settings = live.services.settings
    assert live.keys.set_pedals({"live_mark": "F20"}) == ""
    qtbot.keyClick(live, Qt.Key.Key_F20)
    assert pressed == ["mark"]
    problem = live.keys.set_pedals({"live_mark": "S"})
    assert "Snapshot" in problem
    # The old pedal no longer counts, and the key keeps its meaning.
    qtbot.keyClick(live, Qt.Key.Key_F20)
    assert pressed == ["mark"]
    settings.set(live_pedals={"live_mark": "F21"})
    control.set_pedals()
    qtbot.keyClick(live, Qt.Key.Key_F21)
    assert pressed == ["mark", "mark"]


def test_everything_to_choose_has_a_name_and_a_key_reaches_it(live: MainWindow) -> None:
    from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QSpinBox

    assert live.live is not None
    kinds = (QAbstractButton, QComboBox, QSpinBox)
    parts = [w for kind in kinds for w in live.live.findChildren(kind)]
    parts += [live.live.chooser.address]
    assert len(parts) > 15
    for part in parts:
        if isinstance(part, QAbstractButton) and isinstance(part.parent(), QLineEdit):
            continue
        assert part.accessibleName() or getattr(part, "text", str)(), part
        assert part.focusPolicy() & Qt.FocusPolicy.TabFocus, part.accessibleName()


@pytest.mark.parametrize("pale", [1.0, 0.1])
def test_all_words_about_outlines_have_a_plate_on_pale_tissue(
    qtbot: QtBot, dressed: object, pale: float
) -> None:
    stage = LiveStage()
    qtbot.addWidget(stage)
    stage.resize(1280, 500)
    stage.show()
    rgb = np.zeros((500, 1280, 3), np.uint8)
    rgb[: round(120 * pale)] = 225
    stage.set_frame(Frame(rgb=rgb, pts=0, index=0, time_ms=0.0))
    caution = "Phases, demo was made for laparoscopic cholecystectomy, not for this operation"
    late = "outlines would lie 2.4 s behind on this computer"
    stage.show_view(LiveView(overlay="Phases alone", overlay_detail=late, caution=caution))
    left = stage.width() - MARGIN - theme.text_px("body", caution)
    picture = stage.grab().toImage()
    behind = picture.pixelColor(round(left) - 4, MARGIN - 8)
    assert theme.contrast(theme.color("osd_warn"), behind) >= 4.5


def test_in_a_narrow_window_the_strip_keeps_its_room(live: MainWindow) -> None:
    page = live.live
    assert page is not None
    page.show_chooser(choosing=False)
    live.resize(1280, 800)
    QApplication.processEvents()
    assert page.strip.width() >= 560
    assert all(b.isVisible() and b.toolTip().startswith(b.text()) for b in page.buttons)
    live.resize(1680, 1050)
    QApplication.processEvents()
    assert page.mark.width() == page.record.width()


def test_no_message_lies_on_the_research_banner(live: MainWindow, qtbot: QtBot) -> None:
    assert live.live is not None
    assert live.live.banner.accessibleName().startswith("Research and education only. Do not use")
    live.live.chooser.chosen.emit("bogus://somewhere")
    qtbot.waitUntil(lambda: bool(live.slot.lines), timeout=10_000)
    banner = live.live.banner
    bottom = banner.mapTo(live, banner.rect().bottomLeft()).y()
    assert live.slot.y() > bottom
    assert control_of(live).session is None


def _frame(number: int) -> LiveFrame:
    rgb = np.full((4, 4, 3), number, np.uint8)
    return LiveFrame(rgb=rgb, pts=6000 * number, captured_s=0.0, number=number)


def _on_another_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work, name="test-decode")
    thread.start()
    thread.join()


def test_a_late_window_gets_the_newest_picture_alone(qtbot: QtBot) -> None:
    bridge = LiveBridge()
    shown: list[int] = []
    tapped: list[int] = []
    bridge.shown.connect(lambda frame: shown.append(frame.number))
    bridge.tap = lambda frame: tapped.append(frame.number)
    on_frame, _ = bridge.renew()
    _on_another_thread(lambda: [on_frame(_frame(n)) for n in range(5)])
    qtbot.waitUntil(lambda: bool(shown))
    assert shown == [4]
    assert tapped == [0, 1, 2, 3, 4]
    assert bridge.skipped == 4
    # Another source: what the old one still sends is not listened to.
    bridge.renew()
    _on_another_thread(lambda: on_frame(_frame(9)))
    QApplication.processEvents()
    assert shown == [4]
    assert bridge.skipped == 0


def test_a_late_window_gets_the_newest_outlines_and_every_phase(qtbot: QtBot) -> None:
    drawer = AnswerDrawer()
    drawn: list[int] = []
    named: list[int] = []
    drawer.drawn.connect(lambda one: drawn.append(one.answer.picture.number))
    drawer.named.connect(lambda answer: named.append(answer.picture.number))

    def answers() -> None:
        for number in range(6):
            frame = FramePrediction(pts=number, index=number, instances=())
            phase = PhasePrediction(pts=number, index=number, probabilities=(1.0,))
            drawer.take(
                LiveAnswer(
                    picture=_frame(number),
                    frame=frame if number < 5 else None,
                    phase=phase if number % 2 else None,
                    phase_now="a",
                    pace=Pace(),
                )
            )

    _on_another_thread(answers)
    qtbot.waitUntil(lambda: bool(drawn))
    assert drawn == [4]
    assert named == [1, 3, 5]


def test_a_library_that_somebody_else_writes_is_not_recorded_into(
    dressed: QApplication, qtbot: QtBot, own_library: Path
) -> None:
    with Library.open(own_library, ballast_bytes=1 << 16):
        window = MainWindow(Services(Library.open(own_library, mode="read"), Settings()))
        window.show()
        qtbot.waitExposed(window)
        window.show_workspace("live")
        assert window.live is not None
        window.live.chooser.chosen.emit("udp://127.0.0.1:1")
        assert any(READ_ONLY in line.accessibleName() for line in window.slot.lines)
        assert control_of(window).session is None
        window.close()
        window.deleteLater()
        dressed.processEvents()


def test_smoke_is_cleared_from_the_live_picture_and_from_what_lies_behind(
    live: MainWindow, qtbot: QtBot, live_clip: Path, own_library: Path
) -> None:
    dimming_model(own_library / "models")
    control = watch(live, qtbot, f"file:{live_clip}")
    assert live.live is not None
    stage, screen = live.live.stage, control.screen
    live.keys.trigger("live_clear_smoke")

    def is_cleared() -> bool:
        assert screen.shown is not None
        assert stage._image is not None
        return is_about_dimmed(shown(stage._image), screen.shown.rgb)

    qtbot.waitUntil(lambda: is_cleared() and CLEARED in str(stage.chips), timeout=WAIT_MS)
    control.pause()  # the picture stands still, without its smoke
    qtbot.waitUntil(lambda: screen.behind and is_cleared(), timeout=WAIT_MS)
    assert control.models.analysis is not None  # the models go on, on what was recorded
    assert screen.shown is not None
    stored = screen.shown.rgb.copy()
    live.keys.trigger("live_clear_smoke")
    assert stage.chips == ()
    assert not is_cleared()
    assert np.array_equal(screen.shown.rgb, stored)
