"""Activities and areas in the real window: chosen in the sheet, shown from one pass, put away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QApplication, QRadioButton
from pytestqt.qtbot import QtBot

from app.core.prediction import ACTIVITIES
from app.store import Library
from app.ui.main_window import MainWindow
from app.ui.services import Services
from app.ui.settings import Settings
from app.ui.timeline.speech import lane_lines, summary
from tests.inference.conftest import save_instruments
from tests.inference.test_areas import save_scenes
from tests.inference.test_scene_stream import save_stream

PATIENCE_MS = 90_000


@pytest.fixture
def window(dressed: QApplication, qtbot: QtBot, own_library: Path) -> Iterator[MainWindow]:
    """A window over a library with an instrument model and one of activities and areas."""
    (own_library / "models").mkdir(parents=True)
    save_instruments(own_library / "models")
    save_scenes(own_library / "models")
    settings = Settings()
    settings.set(models={"instance-segmentation": "tools"})
    made = MainWindow(Services(Library.open(own_library, ballast_bytes=1 << 16), settings))
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()
    made.deleteLater()


def test_it_is_chosen_shown_and_put_away(window: MainWindow, qtbot: QtBot, clip: Path) -> None:
    session, analysis = window.services.session, window.services.analysis
    window.open_files([clip])
    qtbot.waitUntil(lambda: analysis.running, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not analysis.running, timeout=PATIENCE_MS)
    assert ACTIVITIES not in analysis.in_use()
    assert session.model is not None
    assert session.model.scenes is None

    window.sheets.show_models()
    buttons = {b.text(): b for b in window.sheets.models.findChildren(QRadioButton)}
    assert buttons["None"].isChecked()
    buttons["Scenes"].click()
    assert analysis.in_use()[ACTIVITIES].name == "scenes"
    qtbot.waitUntil(
        lambda: (
            session.model is not None
            and session.model.scenes is not None
            and session.model.scenes.finished
        ),
        timeout=PATIENCE_MS,
    )
    window.sheets.close_open_one()
    qtbot.waitUntil(lambda: session.model.activity is not None, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: bool(window.services.playback._last.areas), timeout=PATIENCE_MS)
    last = window.services.playback._last
    assert {a.label for a in last.areas} <= {"tool", "bag"}
    assert last.raster is not None
    assert all(shown.source is not None for shown in session.instances)

    window.show_workspace("annotate")
    assert window.annotate is not None
    timeline = window.annotate.timeline
    data = timeline.data
    assert data is not None
    lane = next(lane for lane in data.rows if lane.key == "activity")
    assert lane.lines == (session.model.activity.segments,)
    row = next(r for r in timeline.scene().rows if r.label == "Activity")
    lines = lane_lines(lane, session.asset.start_pts, 0.5, data.words, data.time_ms)
    assert lines is not None
    assert lines[0] in ("Looking", "Working")
    assert "activity by the model" in summary(data)
    assert timeline.hit(QPointF(timeline.view.left_px + 5, row.top_px + 3)) is None

    analysis.choose(ACTIVITIES, "")
    qtbot.waitUntil(lambda: session.model.scenes is None, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not window.services.playback._last.areas, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not analysis.running, timeout=PATIENCE_MS)
    assert "Activity" not in {r.label for r in timeline.scene().rows}


def test_areas_of_an_endomamba_are_chosen_and_drawn(
    window: MainWindow, qtbot: QtBot, clip: Path, own_library: Path
) -> None:
    """It outlines areas alone, in the order of the recording."""
    save_stream(own_library / "models", "segmentation")
    session, analysis = window.services.session, window.services.analysis
    window.services.settings.set(models={ACTIVITIES: "stream"})
    window.open_files([clip])
    qtbot.waitUntil(
        lambda: (
            session.model is not None
            and session.model.scenes is not None
            and session.model.scenes.finished
        ),
        timeout=PATIENCE_MS,
    )
    assert analysis.in_use()[ACTIVITIES].name == "stream"
    assert session.model is not None
    assert session.model.activity is None
    qtbot.waitUntil(lambda: bool(window.services.playback._last.areas), timeout=PATIENCE_MS)
    assert {a.label for a in window.services.playback._last.areas} <= {"polyp", "bubbles"}
    assert window.services.playback._last.raster is not None
    window.sheets.show_models()
    buttons = {b.text(): b for b in window.sheets.models.findChildren(QRadioButton)}
    assert buttons["EndoMamba of width 16, areas"].isChecked()
