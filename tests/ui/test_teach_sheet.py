"""What a model can be taught with from the window, and what is said once it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from app.core.case import Case
from app.core.timeline import Segment, Timeline
from app.ui.case_cards import Card
from app.ui.main_window import MainWindow
from app.ui.teach_sheet import NO_PHASES_YET
from models.card import list_cards
from tests.helpers.coloured_cases import colour_case
from tests.helpers.human_work import asset


def test_figures_say_on_which_frames_they_were_measured(window: MainWindow) -> None:
    figures = {"model": "mine", "base": {"mAP50": 71.0}, "best": {"mAP50": 96.0}}

    def said(held_out: int) -> str:
        window.services.teaching.taught.emit({**figures, "held_out": held_out})
        return window.slot.lines[-1].accessibleName()

    assert "measured on 12 held-out frames." in said(12)
    assert "measured on 1 held-out frame." in said(1)
    assert "mAP50 71 % before, 96 % after, measured on the frames it learnt from" in said(0)


def offered(window: MainWindow, base: str) -> dict[str, bool]:
    """The cases offered to a model, and whether each is ticked."""
    sheet = window.sheets.teach
    sheet.base.setCurrentIndex(sheet.base.findData(base))
    return {case: box.isChecked() for case, box in sheet._boxes.items()}


def case_card(case_id: str, corrections: int, *phases: str, missing: bool = False) -> Card:
    recording = asset(f"asset-{case_id}")
    segments = tuple(
        Segment(start_pts=12_800 * i, end_pts=12_800 * (i + 1), phase=phase)
        for i, phase in enumerate(phases)
    )
    line = Timeline(start_pts=0, end_pts=recording.end_pts, segments=segments)
    case = Case(
        case_id=case_id,
        title="Operation",
        procedure="cholecystectomy",
        created_utc_ms=0,
        assets=(recording,),
        corrections=corrections,
    )
    return Card(case=case, picture=QImage(), human=line, missing=missing)


def test_a_phase_model_is_offered_the_cases_whose_phases_a_human_named(window: MainWindow) -> None:
    sheet = window.sheets.teach
    cards = [
        case_card("0001", 12),
        case_card("0002", 1, "preparation", "clipping_cutting", "preparation"),
        case_card("0003", 1, "preparation", missing=True),
        case_card("0004", 0, "preparation"),
    ]
    sheet.offer(list_cards(), cards, "0001")
    assert offered(window, "lmsf-a-demo") == {"0001": True, "0002": False, "0003": False}
    assert sheet._heading.text() == "Cases with corrections"
    for model in ("endomamba-demo", "ms-tcn-demo", "supra-demo"):
        assert offered(window, model) == {"0002": True, "0004": True}
        assert sheet.name.text() == f"{model}-2"
    assert sheet._heading.text() == "Cases with phases of yours"
    assert sheet._boxes["0002"].text().endswith("2 phases, 3 s")
    assert sheet.go.isEnabled()
    sheet.offer(list_cards(), cards[:1], "0001")
    assert offered(window, "endomamba-demo") == {}
    assert not sheet.go.isEnabled()
    assert sheet.words.text() == NO_PHASES_YET
    offered(window, "lmsf-a-demo")
    assert sheet.words.text() == ""
    # A model that outlines is none that names phases: what is asked for says which.
    asked: list[tuple[str, str]] = []
    sheet.use_asked.connect(lambda task, name: asked.append((task, name)))
    window.services.teaching.taught.emit({"model": "mine", "task": "phase-recognition"})
    sheet.use.click()
    assert asked == [("phase-recognition", "mine")]


@pytest.mark.long
def test_phases_are_taught_from_the_sheet_and_the_model_can_be_used(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, own_library: Path
) -> None:
    library = window.services.library
    for number in (1, 2):
        colour_case(library, tmp_path / "videos", number, (8, 9, 8))
    library.writer.flush()
    window.sheets.show_teaching()
    sheet = window.sheets.teach
    qtbot.waitUntil(lambda: len(offered(window, "endomamba-demo")) == 2, timeout=20_000)
    sheet.steps.setValue(2)
    with qtbot.waitSignal(window.services.teaching.taught, timeout=300_000):
        sheet.go.click()
        assert sheet.bar.isVisible()
    assert "endomamba-demo-2 is ready" in sheet.words.text()
    assert "accuracy" in sheet.words.text()
    assert (own_library / "models" / "endomamba-demo-2" / "card.toml").is_file()
    sheet.use.click()
    analysis = window.services.analysis
    qtbot.waitUntil(
        lambda: analysis.in_use()["phase-recognition"].name == "endomamba-demo-2", timeout=20_000
    )
