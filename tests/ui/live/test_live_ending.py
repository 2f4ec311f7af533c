"""How a live session ends where the library can save nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import EnvironmentProblem
from app.live.recording import LiveRecording
from app.ui.main_window import MainWindow
from tests.ui.live.conftest import WAIT_MS, control_of, record, watch


def test_closing_gives_the_library_a_limit_before_it_waits_for_the_session(
    live: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, writer = control_of(live), live.services.library.writer
    give_up, close, calls = writer.give_up, control.close, []
    monkeypatch.setattr(writer, "give_up", lambda s: (calls.append("give up"), give_up(s)))
    monkeypatch.setattr(control, "close", lambda: (calls.append("session"), close()))
    assert live.close()
    assert calls == ["give up", "session"]


def test_a_file_that_the_library_could_not_take_is_not_called_nothing(
    live: MainWindow, qtbot: QtBot, live_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    record(live, qtbot)
    end = LiveRecording.end

    def refused(recording: LiveRecording) -> None:
        end(recording)
        raise EnvironmentProblem("It was recorded, but the library could not take it.")

    said: list[str] = []
    toasts: list[str] = []
    control.said.connect(lambda message: said.append(message.text))
    monkeypatch.setattr(LiveRecording, "end", refused)
    monkeypatch.setattr(control._showing, "toast", lambda words, *_: toasts.append(words))
    control.stop_recording()
    qtbot.waitUntil(lambda: not control.stopping, timeout=WAIT_MS)
    assert "It was recorded, but the library could not take it." in said
    assert "Nothing was recorded" not in toasts
