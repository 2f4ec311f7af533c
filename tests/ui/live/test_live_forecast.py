"""What comes next is written below the phase of a live picture, by a real network."""

from __future__ import annotations

from pathlib import Path

from pytestqt.qtbot import QtBot

from app.ui.main_window import MainWindow
from app.ui.timeline.forecast import left_words, next_words
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

    def written() -> bool:
        seen = control.models.forecast
        assert seen is not None
        said = next_words(seen, control.taxonomy), left_words(seen.left_min)
        return stage.view.phase_lines[-2:] == said

    qtbot.waitUntil(written, timeout=WAIT_MS)
    assert "left" in stage.view.phase_lines[-1]
