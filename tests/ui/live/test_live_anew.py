"""Record, Stop, Record: of which operation the window and the second case say what was seen."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.core.prediction import ANTICIPATION, PHASES, SEGMENTATION
from app.inference import LiveAnswer, PhaseStream
from app.inference.cards import find_model
from app.inference.forecast_stream import ForecastStream
from app.ui.live.control import LiveControl
from app.ui.main_window import MainWindow
from app.video.record.room import DiskWatch
from tests.inference.conftest import save_reader
from tests.inference.test_live import CPU
from tests.ui.live.conftest import WAIT_MS, record, watch


def looked(control: LiveControl) -> list[LiveAnswer]:
    """Every look that the window takes in from now on."""
    answers: list[LiveAnswer] = []
    control.models.named.connect(answers.append)
    return answers


def stop(control: LiveControl, qtbot: QtBot) -> None:
    """End the recording; what was said is stored."""
    control.stop_recording()
    qtbot.waitUntil(lambda: not control.is_recording and not control.stopping, timeout=WAIT_MS)
    qtbot.waitUntil(control.models._storing.done, timeout=WAIT_MS)


def test_a_second_recording_is_another_operation(
    live: MainWindow, qtbot: QtBot, live_clip: Path, own_library: Path
) -> None:
    ahead = save_reader(own_library / "models", "supra", "phase-anticipation", layers=2, maps=4)
    control = watch(live, qtbot, f"file:{live_clip}")
    answers = looked(control)
    qtbot.waitUntil(lambda: len(answers) > 1, timeout=WAIT_MS)
    record(live, qtbot)
    # The first one goes on with what was seen before Record was pressed.
    assert control.models.stretches[0][0] <= answers[0].picture.pts
    qtbot.waitUntil(lambda: len(answers) > 3, timeout=WAIT_MS)
    assert {a.operation for a in answers} == {0}
    stop(control, qtbot)
    seen = len(answers)
    qtbot.waitUntil(lambda: len(answers) > seen, timeout=WAIT_MS)
    assert answers[-1].operation == 0, "nothing is forgotten before the next one begins"

    pressed = len(answers)
    control.record()
    assert control.models.phase is control.models.forecast is None
    qtbot.waitUntil(lambda: len(answers) > pressed + 3, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: control.models._runs is not None, timeout=WAIT_MS)
    second = [a for a in answers if a.operation == 1]
    assert answers[pressed:] == second
    assert control.models.stretches[0][0] == second[0].picture.pts
    stop(control, qtbot)

    assert control.case is not None
    store = live.services.library.predictions(control.case.case_id)
    runs = {r.task: r for r in store.runs(control.case.assets[0].asset_id)}
    begun = second[0].picture.pts
    # The seconds before it have outlines of this recording, and no phases of the one before.
    assert min(store.stored_pts(runs[SEGMENTATION].run_id)) < begun
    said = {p.pts: p.probabilities for p in store.phases(runs[PHASES].run_id)}
    foreseen = {f.pts: f.minutes_left for f in store.foreseen(runs[ANTICIPATION].run_id)}
    assert min(said) == min(foreseen) == begun
    eyes = PhaseStream(find_model("phases", own_library), CPU)
    foresees = ForecastStream(ahead, CPU)
    kept = [a.picture for a in second if a.picture.pts in said]
    assert len(kept) >= 3
    for picture in kept:
        expected = eyes.step(picture.rgb)
        assert said[picture.pts] == pytest.approx(expected.tolist(), abs=1e-3)
        assert eyes.features is not None
        left = foresees.step(eyes.features, picture.pts, 0).minutes_left
        assert foreseen[picture.pts] == pytest.approx(left, rel=1e-2)
    # The same picture at the end of the first operation would have said something else.
    continued = PhaseStream(find_model("phases", own_library), CPU)
    for answer in [a for a in answers if a.operation == 0] + second[:1]:
        told = continued.step(answer.picture.rgb)
    assert not np.allclose(told, said[begun], atol=1e-2)


def test_after_a_recording_that_stopped_by_itself_the_operation_goes_on(
    live: MainWindow, qtbot: QtBot, live_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = watch(live, qtbot, f"file:{live_clip}")
    answers = looked(control)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    record(live, qtbot)
    with monkeypatch.context() as patched:
        patched.setattr(DiskWatch, "look", full)
        qtbot.waitUntil(lambda: not control.is_recording, timeout=WAIT_MS)
    assert control.recording is not None
    assert control.recording.stopped_early
    qtbot.waitUntil(lambda: bool(answers), timeout=WAIT_MS)
    begun_pts = control.models.stretches[0][0]
    record(live, qtbot)
    seen = len(answers)
    qtbot.waitUntil(lambda: len(answers) > seen + 1, timeout=WAIT_MS)
    assert {a.operation for a in answers} == {0}
    assert control.models.stretches[0][0] == begun_pts
    stop(control, qtbot)
