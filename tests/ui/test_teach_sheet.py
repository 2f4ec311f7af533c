"""What a model can be taught with from the window, and what is said once it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.core.case import Case
from app.exchange.labels.library import import_cases
from app.learning import run_log
from app.learning.teachable import Material, Teachable
from app.store import Library
from app.store.files import write_json
from app.ui.main_window import MainWindow
from app.ui.teach_cases import READING
from app.ui.teach_sheet import NO_PHASES_YET
from tests.helpers.coloured_cases import colour_case, label_files
from tests.helpers.phantom_case import make_case, phantom_clip


def test_figures_say_on_which_frames_they_were_measured(window: MainWindow) -> None:
    figures = {"model": "mine", "base": {"mAP50": 71.0}, "best": {"mAP50": 96.0}}

    def said(held_out: int) -> str:
        window.services.teaching.taught.emit({**figures, "held_out": held_out})
        return window.slot.lines[-1].accessibleName()

    assert "measured on 12 held-out frames." in said(12)
    assert "measured on 1 held-out frame." in said(1)
    assert "mAP50 71 % before, 96 % after, measured on the frames it learnt from" in said(0)


def offered(window: MainWindow, base: str, qtbot: QtBot) -> dict[str, bool]:
    """The cases offered to a model, the newest first, and whether each is ticked."""
    sheet = window.sheets.teach
    qtbot.waitUntil(lambda: sheet.base.findData(base) >= 0, timeout=20_000)
    sheet.base.setCurrentIndex(sheet.base.findData(base))
    qtbot.waitUntil(lambda: sheet.cases.heading.text() != READING, timeout=20_000)
    return dict(sheet.cases._ticked)


def label_only_case(library: Library, folder: Path, number: int) -> str:
    """A case of imported labels without a recording."""
    files = label_files(folder, number, np.repeat(np.arange(3), 5))
    return import_cases(library, files).cases[0].case_id


def test_only_cases_that_can_teach_the_model_are_listed_and_the_others_told(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    library = window.services.library
    outlined = make_case(library, phantom_clip(tmp_path / "phantom"), every=10).case_id
    phases = colour_case(library, tmp_path / "videos", 1, (4, 4, 4)).case_id
    bare = colour_case(library, tmp_path / "videos", 2, (4, 4), labelled_s=0).case_id
    alone = label_only_case(library, tmp_path / "labels", 3)
    gone = colour_case(library, tmp_path / "gone", 4, (4, 4))
    Path(gone.assets[0].path).unlink()
    window.sheets.show_teaching()
    sheet = window.sheets.teach
    assert sheet.cases.heading.text() == READING
    assert "No case" not in sheet.words.text()
    assert offered(window, "lmsf-a-demo", qtbot) == {outlined: True}
    assert sheet.cases.left_out.text() == "Not listed: 4 without corrected outlines."
    assert sheet.cases.list.item(0).text().endswith("4 frames")
    assert "300 batches of single pictures" in sheet.how.text()
    assert "Of 4 frames 1 are kept aside" in sheet.how.text()
    assert sheet.go.isEnabled()
    assert offered(window, "endomamba-demo", qtbot) == {phases: True, outlined: True}
    assert sheet.name.text() == "endomamba-demo-2"
    left = sheet.cases.left_out.text()
    assert "1 with labels alone, no recording" in left
    assert "1 without phases of yours" in left
    assert "1 whose recording is not where it was" in left
    assert " Operation " in sheet.cases.list.item(0).text()
    assert f"Kept aside to measure it: {outlined}." in sheet.how.text()
    assert bare not in sheet.cases._ticked
    assert alone not in sheet.cases._ticked
    assert offered(window, "ms-tcn-demo", qtbot) == {}
    assert sheet.cases.heading.text() == NO_PHASES_YET
    assert not sheet.go.isEnabled()


def test_cases_are_found_and_ticked_together(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    library = window.services.library
    numbers = [colour_case(library, tmp_path, n, (4, 4)).case_id for n in (1, 2, 3)]
    window.sheets.show_teaching()
    cases = window.sheets.teach.cases
    assert list(offered(window, "endomamba-demo", qtbot)) == numbers[::-1]
    cases.none.click()
    assert not cases.chosen
    cases.search.setText(f"operation {numbers[1]}")
    cases.all.click()
    cases.search.setText("")
    assert [m.case.case_id for m in cases.chosen] == [numbers[1]]
    cases.list.item(0).setCheckState(Qt.CheckState.Checked)
    window.sheets._offer_cases()
    qtbot.wait(50)
    qtbot.waitUntil(lambda: cases.list.count() == 3, timeout=20_000)
    assert [m.case.case_id for m in cases.chosen] == [numbers[2], numbers[1]]


def test_what_is_pressed_stays_in_sight_in_a_small_window(window: MainWindow, qtbot: QtBot) -> None:
    window.resize(1280, 800)
    window.sheets.show_teaching()
    sheet = window.sheets.teach
    assert offered(window, "endomamba-demo", qtbot) == {}
    names = [f"{n:04d}" for n in range(700, 0, -1)]
    able = tuple(
        Material(case=Case(case_id=n, title="Recording", created_utc_ms=0), phases=2, seconds=90)
        for n in names
    )
    sheet.cases.show_cases(Teachable(able=able), "Cases", names)
    sheet._say("A sentence that is long enough for two lines of the sheet. " * 3, "error")
    qtbot.wait(50)
    panel = sheet.panel.rect()
    for part in (sheet.go, sheet.curves, sheet.words, sheet.cases.search):
        corner = part.mapTo(sheet.panel, part.rect().bottomRight())
        assert panel.contains(corner), part
    assert sheet.words.height() >= sheet.words.heightForWidth(sheet.words.width())
    assert sheet.cases.list.verticalScrollBar().maximum() > 0


def test_a_taken_name_is_not_proposed_and_a_waiting_training_can_go_on(
    window: MainWindow, qtbot: QtBot
) -> None:
    folder = window.services.library.runs_folder / "endomamba-demo-2"
    folder.mkdir(parents=True)
    lesson = {"cases": ["0099"], "base": "endomamba-demo", "held_out_every": 4, "steps": 70}
    write_json(folder / "lesson.json", lesson)
    run_log.begin(folder)
    run_log.end(folder, "cancelled")
    window.sheets.show_teaching()
    sheet = window.sheets.teach
    offered(window, "endomamba-demo", qtbot)
    qtbot.waitUntil(lambda: sheet.name.text() == "endomamba-demo-3", timeout=20_000)
    assert sheet.go_on.isVisible()
    assert sheet.go_on.text() == "Go on with endomamba-demo-2"
    sheet.name.setText("endomamba-demo-2")
    sheet._start()
    assert not window.services.teaching.running
    assert "can go on with its own cases. Teach makes a new model, endomamba-demo-3" in (
        sheet.words.text()
    )


def test_which_model_is_used_says_its_task(window: MainWindow) -> None:
    sheet = window.sheets.teach
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
    qtbot.waitUntil(lambda: len(offered(window, "endomamba-demo", qtbot)) == 2, timeout=20_000)
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
