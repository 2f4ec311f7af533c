"""Trainings outlive the window that started them; another one finds, pauses, goes on with them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.learning import run_log
from app.learning.run_view import (
    Asked,
    RunView,
    ask_to_finish,
    end_process,
    read_run,
    trained_now,
)
from app.store import Library
from app.store.files import write_json
from app.ui.closing import LET_IT_GO_ON, PAUSE_IT, STAY
from app.ui.main_window import MainWindow
from app.ui.teaching import Teaching
from models import find_card
from tests.helpers.asked_to_close import press, when_asked
from tests.helpers.phantom_case import make_case, phantom_clip
from tests.helpers.tiny_outliner import tiny_outliner

PATIENCE_MS = 600_000


@pytest.fixture
def asked(own_library: Path, tmp_path: Path) -> Asked:
    """A lesson that takes longer than any test."""
    with Library.open(own_library, ballast_bytes=4096) as library:
        case = make_case(library, phantom_clip(tmp_path))
    tiny_outliner(own_library / "models")
    return Asked(cases=(case.case_id,), base="base", steps=50_000, held_out_every=4)


@pytest.fixture
def runs(own_library: Path) -> Iterator[Path]:
    """The library's runs; what still trains there ends with the test."""
    yield own_library / "runs"
    for folder in (own_library / "runs").glob("*"):
        if (number := trained_now(folder)) is not None:
            end_process(number)


def learning(teaching: Teaching, qtbot: QtBot) -> None:
    """Wait until it learns."""
    with qtbot.waitSignal(
        teaching.progressed,
        timeout=PATIENCE_MS,
        check_params_cb=lambda words, share: words.startswith("Learning") and share > 0,
    ):
        pass


def pause(teaching: Teaching, qtbot: QtBot) -> RunView:
    """Pause it; the run that can be gone on with."""
    with qtbot.waitSignal(teaching.stopped, timeout=PATIENCE_MS):
        teaching.pause()
    qtbot.waitUntil(lambda: bool(teaching.unfinished), timeout=PATIENCE_MS)
    (left,) = teaching.unfinished
    return left


def test_a_training_outlives_its_window_and_the_next_one_finds_it(
    dressed: QApplication, qtbot: QtBot, own_library: Path, runs: Path, asked: Asked
) -> None:
    first = Teaching(own_library, runs)
    first.start("mine", asked)
    learning(first, qtbot)
    first.close()
    before = read_run(runs / "mine")
    assert before.runs
    second = Teaching(own_library, runs)
    second.look()
    learning(second, qtbot)
    assert (second.running, second.name) == (True, "mine")
    left = pause(second, qtbot)
    assert (left.state, left.asked, second.taken) == ("cancelled", asked, {"mine"})
    assert left.step >= before.step > 0
    second.close()


@pytest.mark.long
def test_a_paused_training_goes_on_by_what_it_wrote_down(
    dressed: QApplication, qtbot: QtBot, own_library: Path, runs: Path, asked: Asked
) -> None:
    teaching = Teaching(own_library, runs)
    teaching.start("mine", asked)
    learning(teaching, qtbot)
    left = pause(teaching, qtbot)
    teaching.go_on(left)
    learning(teaching, qtbot)
    assert read_run(runs / "mine").step >= left.step
    with qtbot.waitSignal(teaching.taught, timeout=PATIENCE_MS) as taught:
        ask_to_finish(runs / "mine")
    assert taught.args[0]["model"] == "mine"
    assert find_card("mine", own_library / "models").parent == "base"
    qtbot.waitUntil(lambda: not teaching.unfinished, timeout=PATIENCE_MS)
    teaching.close()


@pytest.fixture
def elsewhere(window: MainWindow) -> Iterator[subprocess.Popen[bytes]]:
    """A fine-tune ``mine`` that another process reads for; the window has found it."""
    folder = window.services.library.runs_folder / "mine"
    folder.mkdir(parents=True)
    lesson = {"cases": ["0099"], "base": "lmsf-a-demo", "held_out_every": 4, "steps": 300}
    write_json(folder / "lesson.json", lesson)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        run_log.begin(folder, doing="Reading the recordings, 2 of 5")
        note = json.loads((folder / "process.json").read_text())
        write_json(folder / "process.json", {**note, "pid": child.pid})
        yield child
        child.terminate()


def found(window: MainWindow, qtbot: QtBot) -> Teaching:
    teaching = window.services.teaching
    teaching.look()
    qtbot.waitUntil(lambda: teaching.running, timeout=PATIENCE_MS)
    return teaching


def test_closing_asks_what_happens_to_the_training(
    window: MainWindow, qtbot: QtBot, elsewhere: subprocess.Popen[bytes]
) -> None:
    teaching = found(window, qtbot)
    assert window.slot.lines[-1].accessibleName().startswith("mine is still being taught.")
    with qtbot.waitSignal(teaching.progressed, timeout=PATIENCE_MS):
        window.sheets.show_teaching()
    sheet = window.sheets.teach
    assert sheet.how.text() == "mine begins with lmsf-a-demo and learns from case 0099."
    assert sheet.words.text() == "mine: reading the recordings, 2 of 5"
    assert not sheet.fields.isVisible()
    asked = when_asked(press(STAY))
    window.close()
    assert asked == ["mine is being taught."]
    assert window.isVisible()
    when_asked(press(LET_IT_GO_ON))
    window.close()
    assert not window.isVisible()
    assert elsewhere.poll() is None
    assert trained_now(window.services.library.runs_folder / "mine") == elsewhere.pid


def test_paused_by_closing_it_is_paused_though_its_thread_is_busy(
    window: MainWindow, qtbot: QtBot, elsewhere: subprocess.Popen[bytes]
) -> None:
    teaching = found(window, qtbot)
    folder = window.services.library.runs_folder / "mine"
    teaching._work.run(lambda: time.sleep(1))  # closing drops what stands behind it
    when_asked(press(PAUSE_IT))
    window.close()
    assert not window.isVisible()
    assert elsewhere.wait(10) is not None
    left = read_run(folder)
    assert (left.state, left.can_go_on) == ("cancelled", True)


def test_a_training_that_is_read_for_is_paused_and_trainings_lets_it_go_on(
    window: MainWindow, qtbot: QtBot, elsewhere: subprocess.Popen[bytes]
) -> None:
    teaching = found(window, qtbot)
    window.keys.trigger("trainings")
    sheet = window.sheets.trainings
    qtbot.waitUntil(sheet.pause.isVisible, timeout=PATIENCE_MS)
    assert sheet.facts.text() == "Reading the recordings, 2 of 5"
    assert not sheet.stop.isVisible()
    assert not sheet.go_on.isVisible()
    with qtbot.waitSignal(teaching.stopped, timeout=PATIENCE_MS):
        sheet.pause.click()
    elsewhere.wait(60)
    qtbot.waitUntil(sheet.go_on.isEnabled, timeout=PATIENCE_MS)
    assert sheet.state.text() == "Paused, it can go on"
    with qtbot.waitSignal(teaching.failed, timeout=PATIENCE_MS):
        sheet.go_on.click()
        assert (teaching.running, teaching.name) == (True, "mine")
    qtbot.waitUntil(lambda: "no case 0099" in sheet.note.text(), timeout=PATIENCE_MS)
