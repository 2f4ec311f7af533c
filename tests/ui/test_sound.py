"""Sound in the window: off at first, one sentence when it goes on, its reasons, tracks and lane."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from app.core.errors import EnvironmentProblem
from app.ui.main_window import MainWindow
from app.ui.sound import NO_SOUND, NOT_OPEN, ON, RecordingSound
from app.ui.timeline.geometry import Kind
from app.video.sound import playing as engine_module
from tests.helpers.sound import PacedSink, beeping_clip
from tests.ui.conftest import on_screen

PATIENCE_MS = 20_000


@pytest.fixture(scope="module")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds that beep."""
    return beeping_clip(tmp_path_factory.mktemp("ui-sound") / "beeps.mp4", 3.0)


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> PacedSink:
    """What stands in for the loudspeaker."""
    made = PacedSink()
    monkeypatch.setattr(engine_module.Sound.__init__, "__kwdefaults__", {
        **engine_module.Sound.__init__.__kwdefaults__, "open_sink": lambda: made,
    })  # fmt: skip
    return made


def opened(window: MainWindow, qtbot: QtBot, clip: Path) -> RecordingSound:
    """The window with a clip open and paused; its sound is known."""
    sound = window.services.sound
    session = window.services.session
    window.open_files([clip])

    def known() -> bool:
        of_it = session.asset is not None and Path(session.asset.path).name == clip.name
        return of_it and session.frame is not None and sound.why_not != NOT_OPEN

    qtbot.waitUntil(known, timeout=PATIENCE_MS)
    window.services.player.player.pause()
    window.services.player.player.seek_index(0)
    qtbot.waitUntil(lambda: on_screen(window) == 0, timeout=PATIENCE_MS)
    return sound


def said(window: MainWindow) -> list[str]:
    """Everything that the window says from now on."""
    words: list[str] = []
    window.services.said.connect(lambda message: words.append(message.text))
    return words


def test_it_is_off_until_somebody_turns_it_on_and_says_so_once(
    window: MainWindow, qtbot: QtBot, beeps: Path, sink: PacedSink
) -> None:
    sound, control = opened(window, qtbot, beeps), window.review.transport.volume
    words = said(window)
    assert not sound.is_on
    assert not [t for t in threading.enumerate() if t.name == "trocar-sound"]
    assert control.button.accessibleName() == "Sound, off"
    assert control.slider.value() == 0
    window.services.player.player.play()
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(window.review.stage, Qt.Key.Key_M, both)
    assert sound.is_on
    assert words == [ON]
    assert control.button.accessibleName() == "Sound, on"
    assert control.slider.accessibleName() == "Volume, 100 %"
    qtbot.waitUntil(lambda: any(np.abs(s).max() > 0.3 for _, s in sink.heard), timeout=PATIENCE_MS)
    control.button.click()
    control.button.click()
    assert sound.is_on
    assert words == [ON]
    control.slider.setValue(0)
    assert not sound.is_on
    control.slider.setValue(10)
    assert sound.is_on
    assert sound.volume == 0.5


def test_without_sound_the_control_is_grey_and_says_why(
    window: MainWindow, qtbot: QtBot, clip: Path
) -> None:
    control, words = window.review.transport.volume, said(window)
    assert not control.button.isEnabled()
    assert control.button.toolTip() == NOT_OPEN
    sound = opened(window, qtbot, clip)
    assert sound.why_not == NO_SOUND
    assert not control.button.isEnabled()
    assert not control.slider.isEnabled()
    assert control.button.toolTip() == NO_SOUND
    window.keys.trigger("sound")
    assert not sound.is_on
    assert words[-1] == f"{NO_SOUND}."
    window.show_workspace("annotate")
    assert window.annotate is not None
    assert _row(window) is None
    assert sound.waveform is None


def test_without_a_loudspeaker_one_sentence_says_why_and_it_is_off(
    window: MainWindow, qtbot: QtBot, beeps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise EnvironmentProblem("There is no loudspeaker.")

    monkeypatch.setattr(engine_module.Sound.__init__, "__kwdefaults__", {
        **engine_module.Sound.__init__.__kwdefaults__, "open_sink": none,
    })  # fmt: skip
    sound, words = opened(window, qtbot, beeps), said(window)
    window.services.player.player.play()
    sound.toggle()
    qtbot.waitUntil(lambda: "There is no loudspeaker." in words, timeout=PATIENCE_MS)
    assert not sound.is_on
    assert window.review.transport.volume.button.accessibleName() == "Sound, off"


def test_another_case_keeps_the_choice_and_plays_its_own_sound(
    window: MainWindow, qtbot: QtBot, beeps: Path, clip: Path, sink: PacedSink
) -> None:
    sound = opened(window, qtbot, beeps)
    sound.toggle()
    opened(window, qtbot, clip)
    assert sound.is_on
    heard = len(sink.heard)
    window.services.player.player.play()
    qtbot.waitUntil(lambda: (on_screen(window) or 0) > 20, timeout=PATIENCE_MS)
    assert not any(np.abs(s).max() > 0.01 for _, s in sink.heard[heard:])


def test_of_several_tracks_one_is_chosen(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, sink: PacedSink
) -> None:
    sound = opened(window, qtbot, beeping_clip(tmp_path / "two.mp4", 3.0, tracks=2))
    control = window.review.transport.volume
    assert len(sound.tracks) == 2
    assert "2 tracks" in control.button.toolTip()
    sound.toggle()
    menu = control.open_menu()
    assert menu is not None
    switch, _, first, second = menu.actions()
    assert switch.text() == "Turn the sound off\tCtrl+Shift+M"
    assert first.isChecked()
    assert not second.isChecked()
    second.trigger()
    menu.close()
    assert sound.choice == 1
    window.services.player.player.play()
    qtbot.waitUntil(lambda: len(sink.heard) > 40, timeout=PATIENCE_MS)
    assert not any(np.abs(s).max() > 0.3 for _, s in sink.heard)


def _row(window: MainWindow):
    scene = window.annotate.timeline.scene()
    return next((r for r in scene.rows if r.kind is Kind.SOUND), None)


def test_the_lane_shows_where_it_is_loud_folds_and_is_kept(
    window: MainWindow, qtbot: QtBot, beeps: Path, own_library: Path
) -> None:
    sound = opened(window, qtbot, beeps)
    assert sound.waveform is None  # nobody asked yet: Review has no lane
    window.show_workspace("annotate")
    timeline = window.annotate.timeline
    qtbot.waitUntil(lambda: bool(sound.waveform and sound.waveform.is_whole), timeout=PATIENCE_MS)
    row = _row(window)
    assert row is not None
    picture = timeline.grab().toImage()
    view, asset = timeline.view, window.services.session.asset
    ratio = picture.devicePixelRatio()

    def height_at(ms: float) -> int:
        x = round(view.x(asset.pts(ms)) * ratio)
        top, bottom = (round(y * ratio) for y in (row.top_px + 2, row.top_px + row.height_px - 1))
        ground = picture.pixelColor(2, bottom - 2)
        return sum(picture.pixelColor(x, y) != ground for y in range(top, bottom))

    assert height_at(1020) > 25
    assert 1 <= height_at(1500) <= 2
    timeline.fold(Kind.SOUND, folded=True)
    assert _row(window).height_px < row.height_px
    kept = list((own_library / "cache").glob("*.peaks"))
    assert len(kept) == 1
    window.services.cases.delete(window.services.session.case.case_id)
    qtbot.waitUntil(lambda: not kept[0].exists(), timeout=PATIENCE_MS)


def test_the_lane_has_a_menu(
    window: MainWindow, qtbot: QtBot, beeps: Path, sink: PacedSink
) -> None:
    sound = opened(window, qtbot, beeps)
    window.show_workspace("annotate")
    qtbot.waitUntil(lambda: sound.waveform is not None, timeout=PATIENCE_MS)
    row, timeline = _row(window), window.annotate.timeline
    at = QPoint(400, int(row.top_px + row.height_px / 2))
    reason = QContextMenuEvent.Reason.Mouse
    timeline.contextMenuEvent(QContextMenuEvent(reason, at, timeline.mapToGlobal(at)))
    menu = next(m for m in window.annotate.findChildren(QMenu) if m.accessibleName() == "Sound")
    assert menu.actions()[0].text() == "Turn the sound on\tCtrl+Shift+M"
    menu.actions()[0].trigger()
    assert sound.is_on
    menu.close()
