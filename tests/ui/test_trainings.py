"""The sheet of trainings: it follows what is written, compares runs, stops one, opens a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.learning import run_log
from app.learning.run_log import RunLog
from app.ui import theme
from app.ui.main_window import MainWindow
from app.ui.training.curves import Curves, Line, thinned, ticks, value_words
from app.ui.training.sheet import GO_ON_ELSEWHERE, NONE_YET, NOT_MEASURED, TrainingSheet
from models.training import Progress


def report(step: int, **metrics: float) -> Progress:
    return Progress(
        step=step,
        steps=100,
        loss=10 / step,
        parts={"box": 1 / step},
        learning_rate=1e-3,
        seconds=6.0 * step,
        metrics=metrics,
    )


def a_run(folder: Path, *, ended: str = "") -> RunLog:
    folder.mkdir(parents=True)
    plan = {"name": folder.name, "title": "A lesson", "task": "instance-segmentation"}
    (folder / "plan.json").write_text(json.dumps({**plan, "train": {"steps": 100}}))
    log = RunLog(folder, 0)
    run_log.begin(folder, "a card, bfloat16", "map50")
    if ended:
        run_log.end(folder, ended)
    return log


@pytest.fixture
def runs_folder(window: MainWindow) -> Path:
    return window.services.library.runs_folder


@pytest.fixture
def sheet(window: MainWindow, runs_folder: Path) -> Iterator[TrainingSheet]:
    """The sheet over a library with nothing in it yet, not open."""
    assert not runs_folder.exists()
    yield window.sheets.trainings
    window.services.trainings.follow(on=False)


def opened(window: MainWindow, sheet: TrainingSheet, qtbot: QtBot, count: int) -> None:
    window.keys.trigger("trainings")
    assert sheet.isVisible()
    qtbot.waitUntil(lambda: len(sheet._views) == count, timeout=20_000)


def test_without_a_run_it_says_how_to_get_one(
    window: MainWindow, sheet: TrainingSheet, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(window.services.trainings.listed, timeout=20_000):
        window.keys.trigger("trainings")
    assert sheet.empty.isVisible()
    assert sheet.empty.text() == NONE_YET
    assert not sheet.detail.isVisible()


def test_it_follows_a_run_that_goes_on(
    window: MainWindow, sheet: TrainingSheet, runs_folder: Path, qtbot: QtBot
) -> None:
    log = a_run(runs_folder / "mine")
    log.add(report(10))
    opened(window, sheet, qtbot, 1)
    assert sheet.state.text() == "Running"
    assert "10 of 100 batches" in sheet.facts.text()
    assert "about 9 min left" in sheet.facts.text()
    assert "a card, bfloat16" in sheet.facts.text()
    assert NOT_MEASURED in sheet.held_out.accessibleName()
    assert sheet.bar.value() == 100
    grey = [np.full((9, 16, 3), shade, np.uint8) for shade in (40, 90)]
    for step in (0, 20):
        log.put_samples(step, grey)
    log.put_samples(None, grey)
    log.add(report(20, map50=0.5, miou=0.25))
    log.add(report(30, map50=0.4, miou=0.5))
    qtbot.waitUntil(lambda: "30 of 100" in sheet.facts.text(), timeout=20_000)
    assert sheet.held_out.accessibleName() == "mAP 50, 0.4 after 30 batches, best 0.5 after 20"
    assert sheet.loss.accessibleName() == "Loss, 0.333 after 30 batches"
    qtbot.waitUntil(lambda: sheet.samples.thumbs[1][1]._image is not None, timeout=20_000)
    assert [w.text() for w in sheet.samples.words] == ["At the start", "Now", "True"]
    assert sheet.samples.thumbs[1][1].isVisible()
    assert not sheet.samples.thumbs[1][2].isVisible()
    sheet.figures.setCurrentIndex(sheet.figures.findData("held_out_miou"))
    sheet.figures.activated.emit(sheet.figures.currentIndex())
    assert "0.5 after 30 batches" in sheet.held_out.accessibleName()


def test_stop_asks_the_run_to_end_and_says_so(
    window: MainWindow, sheet: TrainingSheet, runs_folder: Path, qtbot: QtBot
) -> None:
    a_run(runs_folder / "mine").add(report(10))
    opened(window, sheet, qtbot, 1)
    sheet.stop.click()
    assert sheet.stop.text() == "Stopping"
    assert not sheet.stop.isEnabled()
    qtbot.waitUntil(lambda: (runs_folder / "mine" / "finish").exists(), timeout=20_000)
    run_log.end(runs_folder / "mine", "stopped")
    qtbot.waitUntil(lambda: sheet.state.text() == "Stopped, the best is kept", timeout=20_000)
    assert not sheet.stop.isVisible()


def test_runs_are_chosen_and_compared(
    window: MainWindow, sheet: TrainingSheet, runs_folder: Path, qtbot: QtBot
) -> None:
    for name, ended in (("first", "done"), ("second", "diverged")):
        log = a_run(runs_folder / name, ended=ended)
        log.add(report(10, map50=0.2))
        log.add(report(20, map50=0.3))
    opened(window, sheet, qtbot, 2)
    rows = {folder.name: row for folder, row in sheet._rows.items()}
    rows["first"].face.click()
    assert sheet.title.text() == "A lesson  first"
    assert "Done, best 0.3" in rows["first"].face.accessibleName()
    assert [line.name for line in sheet.loss._lines] == ["first"]
    rows["second"].eye.click()
    assert [line.name for line in sheet.loss._lines] == ["first", "second"]
    assert sheet.legend.accessibleName() == "Curves of first, second"
    rows["second"].face.click()
    assert [line.name for line in sheet.loss._lines] == ["second"]
    assert sheet.state.property("tone") == "error"


def test_a_folder_of_trocar_train_is_followed_too(
    window: MainWindow, sheet: TrainingSheet, tmp_path: Path, qtbot: QtBot
) -> None:
    a_run(tmp_path / "elsewhere", ended="done").add(report(10))
    opened(window, sheet, qtbot, 0)
    window.services.trainings.open(tmp_path / "elsewhere")
    qtbot.waitUntil(lambda: sheet.detail.isVisible(), timeout=20_000)
    assert sheet.title.text() == "A lesson  elsewhere"
    window.services.trainings.open(tmp_path)
    qtbot.waitUntil(sheet.note.isVisible, timeout=20_000)
    assert "is not the folder of a training run" in sheet.note.text()


def test_reading_ends_with_the_sheet(
    window: MainWindow, sheet: TrainingSheet, qtbot: QtBot
) -> None:
    opened(window, sheet, qtbot, 0)
    assert window.services.trainings._each.isActive()
    sheet.close_sheet()
    assert not window.services.trainings._each.isActive()


def test_the_teach_sheet_leads_to_the_curves(window: MainWindow, sheet: TrainingSheet) -> None:
    window.keys.trigger("teach")
    window.sheets.teach.curves.click()
    assert sheet.isVisible()
    assert not window.sheets.teach.isVisible()


def test_keys_lead_from_teaching_to_trainings_and_back(
    window: MainWindow, sheet: TrainingSheet, qtbot: QtBot
) -> None:
    teach = window.sheets.teach
    window.keys.trigger("teach")
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(teach, Qt.Key.Key_T, control | shift)
    assert (sheet.isVisible(), teach.isVisible()) == (True, False)
    qtbot.keyClick(sheet, Qt.Key.Key_T, control)
    assert (sheet.isVisible(), teach.isVisible()) == (False, True)


def test_why_a_run_failed_is_read_whole(
    window: MainWindow, sheet: TrainingSheet, runs_folder: Path, qtbot: QtBot
) -> None:
    a_run(runs_folder / "mine").add(report(10))
    why = "A card has too little free memory even for one picture at a time; close what uses it."
    run_log.fail(runs_folder / "mine", why)
    opened(window, sheet, qtbot, 1)
    assert sheet.state.text() == "Ended with an error, it can go on"
    assert sheet.why.text() == f"{why} {GO_ON_ELSEWHERE}"
    assert sheet.why.height() >= sheet.why.heightForWidth(sheet.why.width())
    assert not sheet.go_on.isVisible()


def test_a_curve_is_drawn_in_the_themes_colours(dressed: QApplication, qtbot: QtBot) -> None:
    chart = Curves("Loss", empty="Nothing yet.")
    qtbot.addWidget(chart)
    chart.resize(400, 220)
    points = tuple((step, 1 - step / 100) for step in range(1, 100))
    colours = []
    for lines in ([], [Line(name="mine", points=points, best=(99, 0.01))]):
        chart.show_lines(lines, 100)
        image = chart.grab().toImage()
        colours.append({image.pixel(x, y) for x in range(400) for y in range(0, 220, 2)})
    accent = theme.color("accent").rgb()
    assert [accent in found for found in colours] == [False, True]
    assert chart.accessibleName() == "Loss, 0.01 after 99 batches, best 0.01 after 99"


def test_ticks_are_round_and_hold_everything() -> None:
    assert ticks(0, 1) == [0, 0.5, 1]
    for low, high in ((0.2, 0.61), (-3.0, 14.0), (5.0, 5.0), (0, 0), (1e-6, 3e-6), (0, 12345)):
        found = ticks(low, high)
        assert found[0] <= low + 1e-12
        assert found[-1] >= high
        assert 2 <= len(found) <= 8
    assert [value_words(v) for v in (0.41234, 12.345, 1234.5)] == ["0.412", "12.3", "1234"]


def test_long_curves_are_thinned_to_what_can_be_seen() -> None:
    points = tuple((step, float(step)) for step in range(10_000))
    found = thinned(points, 100)
    assert len(found) <= 200
    assert found[0][1] == pytest.approx(24.5)
    assert thinned(points[:50], 100) == points[:50]
