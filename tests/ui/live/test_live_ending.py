"""How a live session ends where the library can save nothing."""

from __future__ import annotations

import pytest

from app.ui.main_window import MainWindow
from tests.ui.live.conftest import control_of


def test_closing_gives_the_library_a_limit_before_it_waits_for_the_session(
    live: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, writer = control_of(live), live.services.library.writer
    give_up, close, calls = writer.give_up, control.close, []
    monkeypatch.setattr(writer, "give_up", lambda s: (calls.append("give up"), give_up(s)))
    monkeypatch.setattr(control, "close", lambda: (calls.append("session"), close()))
    assert live.close()
    assert calls == ["give up", "session"]
