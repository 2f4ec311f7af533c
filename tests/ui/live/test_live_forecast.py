"""What comes next is written below the phase of a live picture, by a real network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytestqt.qtbot import QtBot

from app.core.forecast import Ahead
from app.ui.main_window import MainWindow
from tests.inference.conftest import save_reader
from tests.ui.live.conftest import WAIT_MS, watch


def test_what_is_foreseen_stands_below_the_phase(
    live: MainWindow, qtbot: QtBot, live_clip: Path, own_library: Path
) -> None:
    save_reader(own_library / "models", "supra", "phase-anticipation", layers=2, maps=4)
    control = watch(live, qtbot, f"file:{live_clip}")
    assert live.live is not None
    stage = live.live.stage
    qtbot.waitUntil(lambda: control.models.forecast is not None, timeout=WAIT_MS)

    seen = control.models.forecast
    assert seen is not None

    def told(phase: str | None, **changed: object) -> tuple[str, ...]:
        """Beside a phase, once the newest forecast is this one."""
        assert control.screen.live is not None
        control.models.forecast = replace(seen, pts=control.screen.live.pts, **changed)
        return control._showing._foreseen(phase)

    def written() -> bool:
        said = told(None, ahead=(), following=None)
        control._showing.refresh()
        return bool(said) and stage.view.phase_lines[-2:] == said

    qtbot.waitUntil(written, timeout=WAIT_MS)
    assert "left" in stage.view.phase_lines[-1]
    running = (Ahead(phase="bagging", from_min=0, to_min=1),)
    assert told("bagging", ahead=running, following=None)
    assert told("preparation", ahead=running, following=None) == (), "it would contradict"
    assert told("bagging", ahead=running, following="bagging") == ()
