"""The course of an operation: decoding a model's answers."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.course import Course, Follower, decode
from app.core.prediction import COURSE, LIVE, PhasePrediction, Run
from app.core.timeline import timeline_of_run

FORWARD = Course(
    start=(0.9, 0.1, 0.0),
    change=((0.95, 0.05, 0.0), (0.0, 0.95, 0.05), (0.0, 0.0, 1.0)),
    seen=(0.3, 0.4, 0.3),
    weight=0.5,
)


def answers(keys: list[int], sure: float) -> np.ndarray:
    rest = (1 - sure) / 2
    return np.array([[sure if k == c else rest for c in range(3)] for k in keys])


def score(course: Course, rows: np.ndarray, path: tuple[int, ...]) -> float:
    evidence = course.weight * (np.log(rows + 1e-9) - np.log(np.array(course.seen) + 1e-9))
    total = np.log(course.start[path[0]] + 1e-9) + evidence[0, path[0]]
    for i, (a, b) in enumerate(itertools.pairwise(path), start=1):
        total += np.log(course.change[a][b] + 1e-9) + evidence[i, b]
    return float(total)


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1)), min_size=1,
                max_size=6))  # fmt: skip
def test_the_whole_is_the_best_of_all_sequences(values: list[tuple[float, float, float]]) -> None:
    rows = np.array(values)
    rows /= rows.sum(axis=1, keepdims=True)
    found = decode(FORWARD, rows)
    best = max(score(FORWARD, rows, p) for p in itertools.product(range(3), repeat=len(rows)))
    assert score(FORWARD, rows, tuple(found.whole.tolist())) == pytest.approx(best)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=12), st.data())
def test_what_is_known_so_far_needs_no_later_sample(keys: list[int], data: st.DataObject) -> None:
    rows = answers(keys, 0.7)
    end = data.draw(st.integers(1, len(keys)))
    assert decode(FORWARD, rows[:end]).whole[-1] == decode(FORWARD, rows).so_far[end - 1]


def test_flicker_and_a_phase_out_of_order_are_smoothed_away() -> None:
    keys = [0] * 40 + [2] * 3 + [0] * 40 + [1] * 60 + [0] * 4 + [1] * 30 + [2] * 80
    found = decode(FORWARD, answers(keys, 0.7)).whole
    assert [k for k, _ in itertools.groupby(found.tolist())] == [0, 1, 2]
    assert abs(int(np.argmax(found == 1)) - 83) <= 3


def test_missing_samples_count_as_time_that_passed() -> None:
    rows = answers([0, 0, 1, 1], 0.6)
    near = decode(FORWARD, rows).whole
    far = decode(FORWARD, rows, np.array([1, 300, 1])).whole
    assert near.tolist() != far.tolist()
    assert far[0] == 0
    assert far[-1] != 0


@pytest.mark.parametrize(
    "changed",
    [
        {"weight": 0.0},
        {"weight": 1.5},
        {"start": [0.5, 0.5]},
        {"seen": [0.9, 0.4, 0.3]},
        {"change": [[1.0, 0.0, 0.0]]},
        {"change": 3},
        {"start": None},
    ],
)
def test_values_that_make_no_course(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Course"):
        Course.from_values(FORWARD.as_values() | changed)


def test_text_keeps_the_course_and_other_text_is_refused() -> None:
    assert Course.from_text(FORWARD.as_text()) == FORWARD
    with pytest.raises(ValueError, match="object"):
        Course.from_text("[1]")
    with pytest.raises(ValueError, match="answers of 2"):
        decode(FORWARD, np.full((4, 2), 0.5))


def test_a_run_shows_its_models_course() -> None:
    rows = answers([0] * 20 + [1] * 6 + [0] * 20, 0.6)
    phases = [
        PhasePrediction(pts=i, index=i, probabilities=tuple(r.tolist())) for i, r in enumerate(rows)
    ]
    plain = Run(
        run_id=1,
        asset_id="a",
        model="m",
        task="phase-recognition",
        weights_sha256="",
        classes=("a", "b", "c"),
        settings={},
        sample_every=0,
        frames_expected=46,
    )
    knows = replace(plain, settings={COURSE: FORWARD.as_text()})
    assert [s.phase for s in timeline_of_run(plain, phases, 0, 46).segments] == ["a", "b", "a"]
    assert [s.phase for s in timeline_of_run(knows, phases, 0, 46).segments] == ["a"]
    # Without a course three seconds count, however many samples they are.
    fast = replace(plain, settings={"frames_per_second": 2.0})
    for length, shown in ((6, ["a", "b", "a"]), (5, ["a"])):
        rows = answers([0] * 20 + [1] * length + [0] * (26 - length), 0.6)
        said = [
            replace(p, probabilities=tuple(r.tolist())) for p, r in zip(phases, rows, strict=True)
        ]
        assert [s.phase for s in timeline_of_run(fast, said, 0, 46).segments] == shown


@pytest.mark.parametrize(("settings", "shown"), [({LIVE: True}, ["a", "b", "a"]), ({}, ["a"])])
def test_of_a_slow_live_run_seconds_count_and_not_looks(
    settings: dict[str, bool], shown: list[str]
) -> None:
    """One look every four seconds: two that agree hold for four, one alone is a flicker."""
    said = [0] * 5 + [1] * 2 + [0] * 3 + [2] + [0] * 4
    phases = [
        PhasePrediction(pts=i * 4 * 90_000, index=i, probabilities=tuple(row.tolist()))
        for i, row in enumerate(answers(said, 0.6))
    ]
    run = Run(
        run_id=1,
        asset_id="a",
        model="m",
        task="phase-recognition",
        weights_sha256="",
        classes=("a", "b", "c"),
        settings={"frames_per_second": 1.0, **settings},
        sample_every=0,
        frames_expected=15,
    )
    end_pts = 60 * 90_000
    assert [s.phase for s in timeline_of_run(run, phases, 0, end_pts).segments] == shown
    # A course is of seconds as well: from one look to the next it goes on by four.
    knows = replace(run, settings={**run.settings, COURSE: FORWARD.as_text()})
    rows = answers([0] * 5 + [1] * 3 + [2] * 7, 0.6)
    later = [replace(p, probabilities=tuple(r.tolist())) for p, r in zip(phases, rows, strict=True)]
    line = timeline_of_run(knows, later, 0, end_pts)
    assert [s.phase for s in line.segments] == (["a", "b", "c"] if settings else ["a"])


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=30),
    st.floats(0.4, 0.95),
)
def test_one_step_at_a_time_says_what_is_known_so_far(
    samples: list[tuple[int, int]], sure: float
) -> None:
    rows = answers([key for key, _ in samples], sure)
    steps = np.array([s for _, s in samples[1:]], np.int64)
    follower = Follower(FORWARD)
    got = [follower.step(row, s) for row, (_, s) in zip(rows, samples, strict=True)]
    assert got == decode(FORWARD, rows, steps).so_far.tolist()


def test_a_course_of_other_phases_is_not_followed() -> None:
    with pytest.raises(ValueError, match="of 3 phases"):
        Follower(FORWARD).step(np.array([0.5, 0.5]))
