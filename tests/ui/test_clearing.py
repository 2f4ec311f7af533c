"""Smoke cleared for the view: what is seen changes, what is stored and exported never does.

The model in these tests makes every picture a tenth of the range darker: its answer is known.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

import models
from app.ui.adjust import Adjustment
from app.ui.clearing import CLEARED
from app.ui.clips import ClipOrder
from app.ui.main_window import MainWindow
from app.ui.pictures import save_snapshot
from app.ui.stage_menu import LOOK, PICTURE, open_menu
from app.video import open_video
from tests.helpers.dimming import DIMMER, dimming_model
from tests.ui.test_moving import go_to, said, shown

PATIENCE_MS = 30_000


@pytest.fixture(autouse=True)
def model(own_library: Path) -> None:
    """It is installed in the library."""
    dimming_model(own_library / "models")


def is_dimmed(seen: np.ndarray, rgb: np.ndarray) -> bool:
    """By a veil of the very picture; it is off at the edges of this clip's numbers alone."""
    return bool(np.abs(seen - np.clip(rgb - DIMMER, 0, 255)).mean() < 0.9)


def is_about_dimmed(seen: np.ndarray, rgb: np.ndarray) -> bool:
    """By a veil: nearer to what the model says than to what was recorded."""
    wanted = np.clip(rgb - DIMMER, 0, 255)
    return bool(np.abs(seen - wanted).mean() < 0.35 * np.abs(rgb - wanted).mean())


def switched_on(window: MainWindow, qtbot: QtBot) -> np.ndarray:
    """Turn it on by its key over a frame that stands still; the frame's own pixels."""
    frame = window.services.session.frame
    assert frame is not None
    exact = frame.rgb.copy()
    window.keys.trigger("clear_smoke")
    stage = window.current_stage()
    qtbot.waitUntil(lambda: is_dimmed(shown(stage._image), exact), timeout=PATIENCE_MS)
    return exact


def exported(window: MainWindow, qtbot: QtBot, folder: Path) -> tuple[bytes, np.ndarray]:
    """A bare snapshot's bytes, and the frames of a clip of the open case.

    The same pictures encoded twice do not always give the same bytes.
    """
    services = window.services
    folder.mkdir()
    told = save_snapshot(window.current_stage(), services.session, folder, with_overlay=False)
    assert told is not None
    assert told.text.endswith("as recorded.")
    assert services.session.case is not None
    assert services.session.asset is not None
    with qtbot.waitSignal(services.clips.finished, timeout=PATIENCE_MS):
        services.clips.save(
            ClipOrder(
                case=services.session.case,
                asset=services.session.asset,
                first=0,
                last=5,
                path=folder / "clip.mp4",
            )
        )
    with open_video(folder / "clip.mp4", trusted=True) as clip:
        frames = np.stack([clip.frame(i).rgb for i in range(len(clip))]).astype(int)
    (snapshot,) = folder.glob("*.png")
    return snapshot.read_bytes(), frames


def test_the_picture_changes_for_the_eye_and_nothing_else_does(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    go_to(opened, qtbot, 12)
    session, stage = opened.services.session, opened.review.stage
    snapshot, clip = exported(opened, qtbot, tmp_path / "off")
    before = shown(stage.grab().toImage())
    exact = switched_on(opened, qtbot)
    assert stage.chips[0].startswith(CLEARED)
    assert shown(stage.grab().toImage()).mean() < before.mean() - 1
    assert session.frame is not None
    assert session.asset is not None
    assert np.array_equal(session.frame.rgb, exact)
    with open_video(Path(session.asset.path), trusted=True) as source:
        assert np.array_equal(source.frame(12).rgb, exact)
    again, clip_again = exported(opened, qtbot, tmp_path / "on")
    assert again == snapshot
    assert len(clip_again) == len(clip) == 6
    assert np.abs(clip_again - clip).mean() < 0.2
    opened.keys.trigger("clear_smoke")
    assert stage.chips == ()
    assert np.array_equal(shown(stage._image), exact)
    assert np.array_equal(shown(stage.grab().toImage()), before)


def test_frames_that_play_and_frames_one_goes_to_are_cleared(
    opened: MainWindow, qtbot: QtBot
) -> None:
    switched_on(opened, qtbot)
    session, stage, player = opened.services.session, opened.review.stage, opened.services.player
    lifted: list[bool] = []

    def look() -> None:
        assert session.frame is not None
        lifted.append(is_about_dimmed(shown(stage._image), session.frame.rgb))

    opened.services.playback.time_changed.connect(lambda *_: look())
    player.player.set_loop(0, 20)  # however slow this machine is, it plays on
    player.player.play()
    qtbot.waitUntil(lambda: sum(lifted) > 3, timeout=PATIENCE_MS)
    player.player.pause()
    player.player.set_loop(0, None)
    for index in (20, 21, 7):
        go_to(opened, qtbot, index)
        assert session.frame is not None
        rgb = session.frame.rgb
        qtbot.waitUntil(lambda r=rgb: is_dimmed(shown(stage._image), r), timeout=PATIENCE_MS)
    assert stage.chips[0].startswith(CLEARED)


def test_it_goes_with_the_adjustments_and_as_recorded_ends_both(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    exact = switched_on(opened, qtbot)
    stage = opened.review.stage
    brighter = Adjustment(brightness=20)
    opened.show_adjusting()
    assert opened.adjusting.smoke.isChecked()
    opened.adjusting.sliders["brightness"].setValue(20)
    cleared = np.clip(exact.astype(float) - DIMMER, 0, 255).round().astype(np.uint8)
    wanted = brighter.apply(cleared).astype(int)
    qtbot.waitUntil(lambda: np.abs(shown(stage._image) - wanted).mean() < 1.2, timeout=PATIENCE_MS)
    told = save_snapshot(stage, opened.services.session, tmp_path, as_shown=True)
    assert told is not None
    assert CLEARED in told.text
    (path,) = tmp_path.glob("*-as-shown.png")
    saved = QImage(str(path))
    assert saved.text("Pixels").startswith(f"as shown: {CLEARED}")
    assert "Adjusted for the eye" in saved.text("Pixels")
    # Away from the words that say so, it is what was on screen.
    assert np.array_equal(shown(saved)[60:150], shown(stage._image)[60:150])
    opened.keys.trigger("adjust_reset")
    assert stage.chips == ()
    assert not opened.adjusting.smoke.isChecked()
    assert np.array_equal(shown(stage._image), exact)


def test_annotate_shows_it_too_and_its_mouse_menu_offers_it(
    opened: MainWindow, qtbot: QtBot
) -> None:
    exact = switched_on(opened, qtbot)
    opened.show_workspace("annotate")
    canvas = opened.current_stage()
    assert canvas is not opened.review.stage
    qtbot.waitUntil(lambda: is_dimmed(shown(canvas._image), exact), timeout=PATIENCE_MS)
    assert canvas.chips[0].startswith(CLEARED)
    menu = open_menu(opened, opened.keys, QPoint(0, 0), PICTURE, LOOK)
    texts = [a.text() for a in menu.actions()]
    assert "Clear smoke from the view, or not\tCtrl+H" in texts
    assert any(t.startswith("Snapshot as shown") for t in texts)
    menu.close()


def test_a_scene_that_another_follows_is_not_cleared_by_the_first_ones_smoke(
    opened: MainWindow, qtbot: QtBot
) -> None:
    exact = switched_on(opened, qtbot)
    clearing = opened.services.clearing
    assert clearing.of_arriving(exact) is not None
    assert clearing.covers
    assert clearing.of_arriving(255 - exact) is None
    assert not clearing.covers
    assert "Clearing" in clearing.words()


def test_without_a_model_one_sentence_says_so_and_it_stays_off(
    opened: MainWindow, qtbot: QtBot, own_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.card, "BUNDLED_MODELS", own_library / "none")
    (own_library / "models" / "dimming" / "card.toml").unlink()
    clearing = opened.services.clearing
    opened.keys.trigger("clear_smoke")
    qtbot.waitUntil(lambda: not clearing.is_on, timeout=PATIENCE_MS)
    assert said(opened) == (
        "No model that clears smoke is installed; import one with “trocar models import FOLDER”."
    )
    assert opened.review.stage.chips == ()


def test_the_thread_ends_with_the_window_and_with_the_switch(
    opened: MainWindow, qtbot: QtBot
) -> None:
    def runs() -> bool:
        return any(t.name == "trocar-smoke" for t in threading.enumerate())

    assert not runs()
    switched_on(opened, qtbot)
    assert runs()
    opened.keys.trigger("clear_smoke")
    qtbot.waitUntil(lambda: not runs(), timeout=PATIENCE_MS)
    opened.keys.trigger("clear_smoke")  # and closed before the model is even loaded
    opened.close()
    assert not runs()
