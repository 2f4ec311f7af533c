"""How likely the model makes the phase of a live picture, beside the phase's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QImage, QRegion
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

import models
from app.core.taxonomy import find_taxonomy
from app.inference.cards import find_model
from app.ui.live.stage import LiveStage, LiveView
from app.ui.main_window import MainWindow
from models.card import ModelClass
from tests.ui.live.conftest import WAIT_MS, watch

KEYS = ("calot_triangle_dissection", "clipping_cutting", "gallbladder_dissection")


def test_it_is_what_the_newest_look_said_of_the_phase_that_is_shown(
    live: MainWindow, qtbot: QtBot, live_clip: Path, own_library: Path
) -> None:
    card = find_model("phases", own_library)
    named = replace(card, classes=tuple(ModelClass(key=k, name=k) for k in KEYS))
    models.save_model(models.load_model(card), named, own_library / "models")
    control = watch(live, qtbot, f"file:{live_clip}")
    assert live.live is not None
    stage = live.live.stage
    said: dict[int, tuple[float, ...]] = {}
    control.models.named.connect(lambda a: said.update({a.phase.pts: a.phase.probabilities}))
    qtbot.waitUntil(lambda: bool(said) and stage.view.phase_likely is not None, timeout=WAIT_MS)
    view, known = stage.view, control.models.likely
    assert view.phase is not None
    assert known is not None
    assert known[0] == said[known[1]][KEYS.index(control.models.phase or "")]
    percent = f"{100 * (view.phase_likely or 0):.0f} %"
    assert stage.accessibleDescription().startswith(f"{view.phase.name} {percent}")

    control.models.likely = (known[0], known[1] - 90_000 * 60)
    assert control._showing._likely(view.phase, human=False) is None, "a minute old"
    control.models.likely = known
    assert control._showing._likely(view.phase, human=True) is None
    other = next(p for p in control.taxonomy.phases if p.key != control.models.phase)
    assert control._showing._likely(other, human=False) is None


@pytest.mark.usefixtures("dressed")
def test_it_is_written_quietly_and_stands_still(qtbot: QtBot) -> None:
    """Another number of two digits changes nothing but its digits' pixels."""
    stage = LiveStage()
    qtbot.addWidget(stage)
    stage.resize(900, 500)
    phase = find_taxonomy("cholecystectomy").phase(KEYS[0])
    assert phase is not None

    def drawn(likely: float | None) -> np.ndarray:
        stage.show_view(LiveView(phase=phase, phase_likely=likely))
        image = QImage(stage.size(), QImage.Format.Format_RGB888)
        stage.render(image, QPoint(), QRegion(), QWidget.RenderFlag.DrawWindowBackground)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(500, image.bytesPerLine())
        return rows[:, :2700].reshape(500, 900, 3).astype(int)

    def columns(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
        changed = np.flatnonzero(np.abs(a - b).sum(2).any(0))
        return int(changed[0]), int(changed[-1])

    none, low, high = drawn(None), drawn(0.47), drawn(0.834)
    first, last = columns(none, high)
    assert columns(none, low) == pytest.approx((first, last), abs=2)
    assert columns(low, high)[1] < last - 4  # the sign stays where it is
    name = columns(drawn(None), np.zeros_like(none) + none[-1, -1])
    assert first > name[1]
    assert stage.accessibleDescription() == "Calot triangle"
    drawn(0.834)
    assert stage.accessibleDescription() == "Calot triangle 83 %"
