"""How a live session ends where the library can save nothing."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from app.core.errors import EnvironmentProblem
from app.inference import LiveAnalysis, LiveRuns
from app.live import LiveSession
from app.live.recording import LiveRecording
from app.ui.main_window import MainWindow
from tests.ui.live.conftest import WAIT_MS, answer, control_of, record, watch


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


def test_capture_and_recorder_end_before_what_looks_and_the_window_goes_on_meanwhile(
    live: MainWindow, qtbot: QtBot, live_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    record(live, qtbot)
    qtbot.waitUntil(lambda: control.models._runs is not None, timeout=WAIT_MS)
    steps: list[str] = []
    threads: set[str] = set()
    ticks: list[float] = []

    def close(session: LiveSession, **options: bool) -> None:
        threads.add(threading.current_thread().name)
        time.sleep(0.3)
        end_session(session, **options)
        steps.append("session")

    def finish(runs: LiveRuns) -> Future[None]:
        end_runs(runs).result()
        steps.append("runs")
        failed: Future[None] = Future()
        failed.set_exception(EnvironmentProblem("The library cannot be written."))
        return failed

    def stop(analysis: LiveAnalysis) -> None:
        steps.append("inference")
        end_analysis(analysis)

    end_session, end_runs, end_analysis = LiveSession.close, LiveRuns.finish, LiveAnalysis.stop
    end_overlay = live.services.overlay.close
    monkeypatch.setattr(LiveSession, "close", close)
    monkeypatch.setattr(LiveRuns, "finish", finish)
    monkeypatch.setattr(LiveAnalysis, "stop", stop)
    monkeypatch.setattr(
        live.services.overlay, "close", lambda: (steps.append("overlay"), end_overlay())
    )
    tick = QTimer()
    tick.timeout.connect(lambda: ticks.append(time.monotonic()))
    tick.start(20)
    answer("End it and close")
    assert live.close()
    tick.stop()
    first_seen = list(dict.fromkeys(steps))
    assert first_seen == ["session", "inference", "runs", "overlay"]
    assert threads == {"trocar-live-closing_0"}
    assert len(ticks) > 3
    assert not control.session


def test_a_source_that_is_open_only_after_live_was_left_is_let_go(
    live: MainWindow, qtbot: QtBot, live_clip: Path
) -> None:
    control, ready = control_of(live), threading.Event()
    live.services.settings.set(live_record_at_once=True)
    control._io.run(ready.wait)  # a driver that takes its time
    control.watch(f"file:{live_clip}")
    live.show_workspace("library")
    ready.set()
    opened: list[str] = []
    control._io.run(lambda: None, lambda _: opened.append("then"))
    qtbot.waitUntil(lambda: bool(opened) and not control._sessions, timeout=WAIT_MS)
    assert control.session is None
    assert not control.is_recording
    assert live.services.library.cases() == ()
