"""A marked stretch is saved from the window: exact, with outlines, stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.annotate import masks
from app.core.mask import Mask
from app.ui.clip_line import ClipLine, ClipProgress
from app.ui.main_window import MainWindow
from app.ui.message_slot import MessageLine
from app.video import open_video
from tests.helpers.clips import number_of
from tests.ui.conftest import on_screen

PATIENCE_MS = 20_000


def mark(window: MainWindow, qtbot: QtBot, first: int, last: int) -> None:
    """Mark a stretch."""
    for index, act in ((first, "mark_first"), (last, "mark_last")):
        window.services.player.player.seek_index(index)
        qtbot.waitUntil(lambda i=index: on_screen(window) == i, timeout=PATIENCE_MS)
        window.keys.trigger(act)


def asked(window: MainWindow) -> ClipLine:
    """The line that asks how the clip is saved."""
    window.keys.trigger("clip")
    (line,) = [x for x in window.slot.lines if isinstance(x, ClipLine)]
    return line


def said(window: MainWindow) -> str:
    """The newest message."""
    return [x for x in window.slot.lines if isinstance(x, MessageLine)][-1].message.text


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user wants the clip."""
    path = tmp_path / "out.mp4"

    def choose(dialog: QFileDialog) -> int:
        (proposed,) = dialog.selectedFiles()
        assert Path(proposed).name.startswith("case-0001-frames-")
        assert dialog.acceptMode() == QFileDialog.AcceptMode.AcceptSave
        dialog.selectFile(str(path.with_suffix("")))
        # The dialog itself names the file whole, and so asks before it is replaced.
        assert dialog.selectedFiles() == [str(path)]
        assert not dialog.testOption(QFileDialog.Option.DontConfirmOverwrite)
        return int(QFileDialog.DialogCode.Accepted)

    monkeypatch.setattr(QFileDialog, "exec", choose)
    return path


def test_nothing_marked_is_said(opened: MainWindow, qtbot: QtBot) -> None:
    opened.keys.trigger("clip")
    assert "Mark a stretch first" in said(opened)


def test_exactly_the_marked_frames(opened: MainWindow, qtbot: QtBot, out: Path) -> None:
    mark(opened, qtbot, 17, 33)
    line = asked(opened)
    assert "17 frames" in line.accessibleName()
    assert not line.overlay.isEnabled()  # there are no outlines
    assert not line.sound.isEnabled()  # and there is no sound
    with qtbot.waitSignal(opened.services.clips.finished, timeout=PATIENCE_MS):
        qtbot.keyClick(line.save, Qt.Key.Key_Return)
    assert "17 frames, encoded anew" in said(opened)
    with open_video(out, trusted=True) as found:
        assert [number_of(f.rgb) for f in found.frames()] == list(range(17, 34))
    assert not any(isinstance(x, ClipProgress | ClipLine) for x in opened.slot.lines)


def test_a_clip_takes_no_recordings_place(
    opened: MainWindow, qtbot: QtBot, tmp_path: Path, out: Path
) -> None:
    services = opened.services
    case = services.session.case
    assert case is not None
    out.write_bytes(b"another recording")
    other = replace(case.assets[0], asset_id="other", path=str(out))
    services.library.writer.create_case("Other", case.procedure, (other,)).result()
    mark(opened, qtbot, 17, 33)
    line = asked(opened)
    with qtbot.waitSignal(services.clips.finished, timeout=PATIENCE_MS):
        line.save.click()
    assert "is a recording of case 0002" in said(opened)
    assert out.read_bytes() == b"another recording"


def test_copied_without_loss_from_keyframe_to_keyframe(
    opened: MainWindow, qtbot: QtBot, out: Path
) -> None:
    mark(opened, qtbot, 17, 33)
    line = asked(opened)
    line.manner.setCurrentIndex(1)
    with qtbot.waitSignal(opened.services.clips.finished, timeout=PATIENCE_MS):
        line.save.click()
    assert "copied without loss" in said(opened)
    with open_video(out, trusted=True) as found:
        numbers = [number_of(f.rgb) for f in found.frames()]
    assert numbers[0] == 15
    assert numbers[-1] >= 33


def test_outlines_are_burnt_in_with_the_research_line(
    opened: MainWindow, qtbot: QtBot, out: Path
) -> None:
    opened.services.player.player.seek_index(20)
    qtbot.waitUntil(lambda: on_screen(opened) == 20, timeout=PATIENCE_MS)
    session = opened.services.session
    assert session.case is not None
    assert session.identity is not None
    plane = np.zeros((180, 320), bool)
    plane[80:140, 200:280] = True
    session.commit(
        masks.draw(
            session.case.case_id, session.identity, "hook", Mask.from_full(plane), session.taxonomy
        )
    )
    qtbot.waitUntil(lambda: session.unsaved == 0, timeout=PATIENCE_MS)
    opened.services.playback.set_dial(0)  # a clip with outlines has them whatever is on screen
    mark(opened, qtbot, 15, 29)
    line = asked(opened)
    line.overlay.setChecked(True)
    assert not line.manner.isEnabled()
    with qtbot.waitSignal(opened.services.clips.finished, timeout=PATIENCE_MS):
        line.save.click()
    assert session.asset is not None
    with open_video(out, trusted=True) as found, open_video(session.asset.path) as source:
        for index, edge_is_drawn in ((20, True), (25, False)):
            burnt = found.frame(index - 15).rgb.astype(int)
            changed = np.abs(burnt - source.frame(index).rgb).max(axis=2) > 70
            assert changed[78:142, 196:204].any() == edge_is_drawn
            assert changed[160:, :120].mean() > 0.02


def test_stopping_leaves_nothing(opened: MainWindow, qtbot: QtBot, out: Path) -> None:
    mark(opened, qtbot, 1, 58)
    clips = opened.services.clips
    line = asked(opened)
    with qtbot.waitSignal(clips.finished, timeout=PATIENCE_MS):
        line.save.click()
        clips.stop()
    assert "nothing was written" in said(opened)
    assert list(out.parent.glob("*.mp4")) == []


def test_closing_the_window_stops_a_clip(opened: MainWindow, qtbot: QtBot, out: Path) -> None:
    mark(opened, qtbot, 1, 58)
    asked(opened).save.click()
    opened.close()
    assert [p.name for p in out.parent.glob("*.mp4")] in ([], ["out.mp4"])
    assert not list(out.parent.glob(".*part*"))
