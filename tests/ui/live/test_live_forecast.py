"""What comes next is written below the phase of a live picture, by a real network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot

from app.core.forecast import Ahead, Forecast
from app.core.taxonomy import find_taxonomy
from app.ui.main_window import MainWindow
from app.ui.timeline.forecast import short_words
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

    def told(phase: str | None, **changed: object) -> Forecast | None:
        """Beside a phase, once the newest forecast is this one."""
        assert control.screen.live is not None
        control.models.forecast = replace(
            seen,
            pts=control.screen.live.pts,
            classes=tuple(p.key for p in find_taxonomy("cholecystectomy").phases),
            **changed,
        )
        return control._showing._foreseen(phase)

    def written() -> bool:
        said = told(None, ahead=(), following=None)
        control._showing.refresh()
        return said is not None and stage.view.phase_lines[-2:] == short_words(
            said, control.taxonomy
        )

    qtbot.waitUntil(written, timeout=WAIT_MS)
    assert "Operation: " in stage.view.phase_lines[-1]
    assert stage.view.foreseen == stage.accessibleDescription() == stage.tip_at(QPointF(40, 40))
    assert stage.tip_at(QPointF(stage.rect().center())) == ""
    running = (Ahead(phase="gallbladder_packaging", from_min=0, to_min=1),)
    assert told("gallbladder_packaging", ahead=running, following=None)
    assert told("preparation", ahead=running, following=None) is None, "it would contradict"
    assert told("gallbladder_packaging", ahead=running, following="gallbladder_packaging") is None
    control.taxonomy = find_taxonomy("bench_suturing")
    assert told(None, ahead=(), following=None) is None, "another operation was chosen"
