"""The networks on a live picture: newest wins, how old an outline may be, what is kept of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from app.core.errors import BadInput
from app.core.foreseen import HORIZON_MIN
from app.core.prediction import ANTICIPATION, LIVE, PHASES, SEGMENTATION
from app.core.recording import LIVE_TIME_BASE
from app.inference import AnalysisJob
from app.inference.device import DeviceChoice
from app.inference.forecast_stream import ForecastStream
from app.inference.live import LiveAnalysis, LiveAnswer
from app.inference.live_pace import RETRY_AFTER_S, PaceMeter
from app.inference.live_phase import LivePhase
from app.inference.live_runs import LiveRuns
from app.inference.offline import OfflinePhases
from app.inference.phases import PhaseStream
from app.store import Library
from app.video import describe_asset
from models.card import ModelCard
from tests.helpers.clips import RECIPES, make_clip
from tests.inference.conftest import save_reader

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shot:
    """A live frame."""

    rgb: np.ndarray
    pts: int
    captured_s: float
    number: int


def shot(number: int, seconds: float, seed: int | None = None) -> Shot:
    """Frame ``number`` at a moment of the recording, random as its number or ``seed`` says."""
    rng = np.random.default_rng(number if seed is None else seed)
    rgb = rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)
    pts = round(seconds / LIVE_TIME_BASE)
    return Shot(rgb=rgb, pts=pts, captured_s=time.monotonic(), number=number)


class Running:
    """An analysis on a thread of its own; ``look`` waits for the answer about a frame."""

    def __init__(self, *cards: ModelCard, limit_ms: float = 60_000.0) -> None:
        self.analysis = LiveAnalysis(cards, CPU, limit_ms=limit_ms, threads=1)
        self.answers: list[LiveAnswer] = []
        self.heard = threading.Condition()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="trocar-test-live")

    def _run(self) -> None:
        try:
            self.analysis.run(self._hear)
        except BadInput as error:
            self.error = error

    def _hear(self, answer: LiveAnswer) -> None:
        with self.heard:
            self.answers.append(answer)
            self.heard.notify()

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.analysis.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def look(self, picture: Shot) -> LiveAnswer:
        """Offer a frame and wait for its answer."""
        self.analysis.put(picture)
        with self.heard:
            assert self.heard.wait_for(
                lambda: self.answers and self.answers[-1].picture is picture, timeout=20
            )
        return self.answers[-1]


def test_outlines_have_tracks_and_phases_come_once_a_second(
    instruments: ModelCard, phases: ModelCard
) -> None:
    shots = [shot(i, 0.4 * i, seed=1) for i in range(8)]
    with Running(instruments, phases) as running:
        answers = [running.look(s) for s in shots]
    assert all(a.frame is not None and a.frame.instances for a in answers)
    first, second = answers[0].frame, answers[1].frame
    assert first is not None
    assert second is not None
    # The same picture twice: every object keeps its number.
    assert [i.track for i in first.instances] == [i.track for i in second.instances]
    assert all(i.track is not None for i in first.instances)
    # At 0, 1.2 and 2.0 s: looks do not drift away from whole seconds.
    assert [a.picture.number for a in answers if a.phase is not None] == [0, 3, 5]
    stream = PhaseStream(phases, CPU)
    for answer in (answers[0], answers[3], answers[5]):
        assert answer.phase is not None
        expected = stream.step(answer.picture.rgb)
        assert answer.phase.probabilities == pytest.approx(expected.tolist())
    assert answers[-1].phase_now in phases.class_keys


def test_the_newest_frame_wins(instruments: ModelCard) -> None:
    running = Running(instruments)
    shots = [shot(i, 0.1 * i) for i in range(5)]
    for one in shots:
        running.analysis.put(one)
    with running, running.heard:
        assert running.heard.wait_for(lambda: running.answers, timeout=20)
    assert [a.picture.number for a in running.answers] == [4]
    assert running.analysis.skipped == 4


def test_a_machine_that_is_too_slow_is_left_to_the_phases(
    instruments: ModelCard, phases: ModelCard
) -> None:
    with Running(instruments, phases, limit_ms=0.001) as running:
        answers = [running.look(shot(i, float(i))) for i in range(12)]
        assert not running.analysis.pace.helps
        assert running.analysis.pace.compute_ms > 0
        running.analysis.put(shot(99, 11.5))  # neither is due: nothing is answered
    assert answers[0].frame is not None
    assert answers[-1].frame is None
    assert answers[-1].phase is not None


def test_only_models_that_can_look_at_a_live_picture() -> None:
    with pytest.raises(BadInput, match="needs a model"):
        LiveAnalysis([], CPU)


def test_a_model_without_weights_ends_it_with_a_sentence(
    instruments: ModelCard, tmp_path: Path
) -> None:
    from dataclasses import replace

    broken = replace(instruments, folder=tmp_path)
    with Running(broken) as running:
        running.thread.join(20)
    assert isinstance(running.error, BadInput)


class TestPace:
    def test_an_outline_stays_for_its_age_and_one_late_answer(self) -> None:
        meter = PaceMeter(250.0)
        for _ in range(10):
            meter.note(60.0, 40.0)
        assert meter.pace.helps
        assert (meter.pace.age_ms, meter.pace.compute_ms) == (60.0, 40.0)
        assert meter.pace.keep_ms == 140.0

    def test_never_longer_than_the_limit(self) -> None:
        meter = PaceMeter(250.0)
        for _ in range(10):
            meter.note(130.0, 110.0)
        assert meter.pace.helps
        assert meter.pace.keep_ms == 250.0

    def test_the_first_ones_and_single_late_ones_say_nothing(self) -> None:
        meter = PaceMeter(250.0)
        for age in (5000.0, 3000.0, *[50.0] * 6, 900.0, *[50.0] * 6):
            assert meter.note(age, 40.0).helps
        assert meter.pace.age_ms == 50.0

    def test_too_slow_is_tried_again_after_a_while(self) -> None:
        now = [0.0]
        meter = PaceMeter(250.0, clock=lambda: now[0])
        for _ in range(8):
            meter.note(300.0, 280.0)
        assert not meter.pace.helps
        assert not meter.may_look()
        now[0] = RETRY_AFTER_S + 1
        assert meter.may_look()
        assert not meter.pace.helps  # until it is measured anew
        for _ in range(8):
            meter.note(40.0, 30.0)
        assert meter.pace.helps


@pytest.mark.parametrize(("per_second", "in_a_row"), [(1.0, 3), (2.0, 6), (0.2, 1)])
def test_without_a_course_a_phase_counts_after_three_seconds(
    per_second: float, in_a_row: int
) -> None:
    live = LivePhase(("a", "b"), None, per_second)
    b, a = [(0.1, 0.9)] * in_a_row, [(0.9, 0.1)] * (in_a_row - 1)
    said = [live.step(np.array(p)) for p in [(0.9, 0.1)] * 2 + b + a]
    assert said == ["a"] * (1 + in_a_row) + ["b"] * in_a_row


@pytest.mark.parametrize(("apart", "looks"), [(1, 3), (2, 2), (4, 2), (60, 2)])
def test_seconds_of_agreement_count_however_few_looks_there_are(apart: int, looks: int) -> None:
    """From the first look that says it on, at one answer a second and at one every few."""
    live = LivePhase(("a", "b"), None, 1.0)
    a, b = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    assert [live.step(a, apart) for _ in range(3)] == ["a"] * 3
    assert [live.step(b, apart) for _ in range(looks)] == ["a"] * (looks - 1) + ["b"]
    # One stray look changes nothing, however long nobody looked before.
    assert [live.step(a, 60), live.step(b, apart)] == ["b", "b"]


@pytest.fixture
def library(own_library: Path) -> Iterator[Library]:
    with Library.open(own_library, ballast_bytes=1 << 16) as opened:
        yield opened


def test_what_was_said_live_is_kept_and_a_whole_analysis_makes_its_own(
    library: Library, instruments: ModelCard, phases: ModelCard, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", RECIPES["h264-mp4"])
    asset = describe_asset(clip, "live1")
    case = library.writer.create_case("Live", "unknown", (asset,)).result()
    store = library.predictions(case.case_id)
    with Running(instruments, phases) as running:
        kept = LiveRuns(store, asset, running.analysis)
        answers = [running.look(shot(i, 0.5 * i)) for i in range(40)]
        for answer in answers:
            kept.keep(answer.frame, answer.phase)
        kept.finish().result(20)
        kept.keep(
            answers[0].frame, answers[0].phase
        )  # an answer that was on its way when the recording ended
    assert kept.problem is None
    runs = {r.task: r for r in store.runs(asset.asset_id)}
    assert all(r.finished and r.settings[LIVE] for r in runs.values())
    assert runs[SEGMENTATION].frames_expected == 40
    assert runs[PHASES].frames_expected == 20
    stored = store.frames(runs[SEGMENTATION].run_id, 0, 2**62)
    assert [f.pts for f in stored] == [a.picture.pts for a in answers]
    assert stored[7].instances[0].track == answers[7].frame.instances[0].track  # type: ignore[union-attr]
    AnalysisJob(library, case, [phases], device=CPU, threads=1).run()
    later = store.runs(asset.asset_id)[-1]
    assert later.run_id not in {r.run_id for r in runs.values()}
    assert LIVE not in later.settings


# The first operation, and what begins when another one does: asked for, by a clock that goes back,
# by hours in which nothing came.
BEGUN_ANEW = [(True, 7.4, 1), (False, 1.0, 1), (False, 7 * 3600.0, 1), (False, 3600.0, 0)]


@pytest.mark.parametrize(("asked", "begins_s", "operation"), BEGUN_ANEW)
def test_another_operation_begins_as_with_its_first_frame(
    instruments: ModelCard,
    phases: ModelCard,
    tmp_path: Path,
    asked: bool,
    begins_s: float,
    operation: int,
) -> None:
    # One phase after another, whatever the pictures show: what is carried is what tells the phase.
    onwards = {"start": [1.0, 0.0, 0.0], "seen": [0.4, 0.3, 0.3], "weight": 0.001}
    change = [[0.1, 0.9, 0.0], [0.0, 0.1, 0.9], [0.0, 0.0, 1.0]]
    card = replace(phases, course={**onwards, "change": change})
    ahead = save_reader(tmp_path, "supra", "phase-anticipation", layers=2, maps=4)
    first = [shot(i, float(i)) for i in range(2, 8)]
    second = [shot(20 + i, begins_s + i, seed=7 + i) for i in range(5)]
    with Running(instruments, card, ahead) as running:
        before = [running.look(s) for s in first]
        if asked:
            assert running.analysis.begin_anew() == operation
        after = [running.look(s) for s in second]
    begun, on = card.class_keys[0], card.class_keys[-1]
    assert (before[-1].phase_now, after[0].phase_now) == (on, begun if operation else on)
    assert [a.operation for a in before + after] == [0] * 6 + [operation] * 5
    # As fresh networks say it, or, where the operation goes on, such as saw the first frames too.
    eyes, foresees = PhaseStream(card, CPU), ForecastStream(ahead, CPU)
    follower = LivePhase(card.class_keys, eyes.course)
    expected = []
    for picture in second if operation else [*first, *second]:
        probabilities = eyes.step(picture.rgb)
        assert eyes.features is not None
        jump = begins_s - 7 if picture is second[0] and not operation else 1
        now = follower.step(probabilities, round(jump))
        expected.append((probabilities, now, foresees.step(eyes.features, picture.pts, 0)))
    for answer, (probabilities, now, foreseen) in zip(after, expected[-5:], strict=True):
        assert answer.phase is not None
        assert answer.phase.probabilities == pytest.approx(probabilities.tolist())
        assert answer.phase_now == now
        assert answer.foreseen is not None
        assert answer.foreseen.minutes_left == pytest.approx(foreseen.minutes_left)
        assert answer.foreseen.next_probabilities == pytest.approx(foreseen.next_probabilities)
    # What is in sight keeps its number: of a recording that holds the seconds before it too, one
    # number shall not be two objects.
    last, newest = before[-1].frame, after[0].frame
    assert last is not None
    assert newest is not None
    assert [i.track for i in newest.instances] == [i.track for i in last.instances] != []


def test_what_comes_next_is_foreseen_live_beside_the_phases(
    library: Library, phases: ModelCard, tmp_path: Path
) -> None:
    """Step by step the same as of the whole recording, and kept as a run of its own."""
    root = library.folder / "models"
    card = save_reader(root, "supra", "phase-anticipation", layers=2, maps=4)
    with pytest.raises(BadInput, match="needs a model for outlines or for phases"):
        LiveAnalysis([card])
    with pytest.raises(BadInput, match="does not look at a live picture"):
        LiveAnalysis([replace(card, features_of="eyes"), phases])
    asset = describe_asset(make_clip(tmp_path / "clip.mp4", RECIPES["h264-mp4"]), "live1")
    case = library.writer.create_case("Live", "unknown", (asset,)).result()
    store = library.predictions(case.case_id)
    stream, vectors = PhaseStream(phases, CPU), []
    with Running(phases, card) as running:
        kept = LiveRuns(store, asset, running.analysis)
        shots = [shot(i, float(i)) for i in range(7)]
        for picture in shots:
            answer = running.look(picture)
            kept.keep(answer.frame, answer.phase, answer.foreseen)
            stream.step(picture.rgb)
            vectors.append(stream.features)
        kept.finish().result(20)
    run = next(r for r in store.runs() if r.task == ANTICIPATION)
    assert (run.finished, run.frames_expected) == (True, 7)
    assert (run.settings[LIVE], run.settings[HORIZON_MIN]) == (True, 5.0)
    rows = store.foreseen(run.run_id)
    assert [r.pts for r in rows] == [s.pts for s in shots]
    whole = OfflinePhases(card, CPU).label(np.stack(vectors)).outlook
    assert whole is not None
    for row, expected in zip(rows, whole.rows([s.pts for s in shots], range(7)), strict=True):
        assert row.minutes_to == pytest.approx(expected.minutes_to, abs=1e-4)
        assert row.minutes_left == pytest.approx(expected.minutes_left, rel=1e-4)
        assert row.next_probabilities == pytest.approx(expected.next_probabilities, abs=1e-4)
