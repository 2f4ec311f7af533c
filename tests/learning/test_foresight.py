"""Courses to learn from, and what foreseeing is worth: worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from app.learning.courses import Donors, begun_late, fitted, phantom_labels, runs_of
from app.learning.foresight import (
    HORIZONS_MIN,
    ExpectedTimes,
    compared,
    errors_of,
    minutes_left,
    minutes_to,
)
from app.learning.phantom.script import PHASES, write_phases, write_procedure
from app.learning.recorded import Recorded

A, B, C = 0, 1, 2


def recorded(name: str, labels: list[int], channels: int = 2) -> Recorded:
    """Features that say which sample of which recording they are."""
    number = np.arange(len(labels), dtype=np.float16)
    other = np.full(len(labels), len(name), np.float16)
    return Recorded(
        name=name,
        features=np.stack([number, other], 1)[:, :channels],
        labels=np.array(labels, np.int64),
        probabilities=np.zeros((len(labels), 0), np.float32),
    )


@pytest.mark.parametrize(
    ("have", "wanted", "places"),
    [
        (4, 4, [0, 1, 2, 3]),
        (6, 4, [0, 1, 4, 5]),
        (5, 1, [0]),
        (1, 3, [0, 0, 0]),
        (3, 9, [0, 1, 2, 1, 0, 1, 2, 1, 2]),
    ],
)
def test_a_stretch_is_cut_or_played_to_and_fro(have: int, wanted: int, places: list[int]) -> None:
    assert fitted(have, wanted).tolist() == places


@pytest.mark.parametrize(("have", "wanted"), [(2, 500), (90, 1200), (90, 91), (90, 89), (90, 3)])
def test_a_stretch_begins_and_ends_as_it_was_recorded(have: int, wanted: int) -> None:
    places = fitted(have, wanted)
    assert len(places) == wanted
    assert (places[0], places[-1]) == (0, have - 1)
    assert (places.min(), places.max()) == (0, have - 1)
    if wanted >= have:
        assert np.unique(places).tolist() == list(range(have))


def test_a_course_wears_the_features_of_its_own_phases() -> None:
    one, two = recorded("a", [A, A, A, B, B]), recorded("bb", [A, A, C, C])
    donors = Donors([one, two])
    course = np.array([A, A, C, C, C, B], np.int64)
    rng = np.random.default_rng(0)
    for _ in range(20):
        got = donors.dressed(course, rng)
        assert got.labels.tolist() == course.tolist()
        for (number, who), label in zip(got.features.astype(int), got.labels, strict=True):
            donor = one if who == 1 else two
            assert donor.labels[number] == label
    unknown = donors.dressed(np.array([A, 5, 5, B], np.int64), rng)
    assert unknown.labels.tolist() == [A, B]
    assert donors.dressed(np.array([5, 6], np.int64), rng).labels.tolist() in (
        one.labels.tolist(),
        two.labels.tolist(),
    )


def test_a_course_that_is_begun_late_ends_as_before() -> None:
    whole = Donors([recorded("a", [A] * 30 + [B] * 30)]).whole(np.random.default_rng(1))
    late = begun_late(whole, np.random.default_rng(2), 10)
    assert 10 <= len(late.labels) < 60
    assert np.array_equal(late.features, whole.features[-len(late.labels) :])
    assert begun_late(whole, np.random.default_rng(2), 60) is whole


def test_the_phantoms_phases_without_the_rest_are_the_same() -> None:
    for seed in (3, 200_007):
        assert write_phases(seed) == write_procedure(seed).phases
    labels = phantom_labels(3, PHASES, 1.0)
    assert [PHASES[labels[a]] for a, _ in runs_of(labels)] == [s.name for s in write_phases(3)]
    assert len(labels) == write_procedure(3).seconds
    short = write_procedure(3, longest_phase_s=20)
    assert [s.name for s in short.phases] == [s.name for s in write_phases(3)]
    assert max(s.end_s - s.start_s for s in short.phases) == 20
    assert short.away == () or short.away[-1].end_s <= short.seconds


def test_expected_times_by_hand() -> None:
    """A lasts two or four minutes, B follows; one sample a minute."""
    courses = [np.array([A, A, B], np.int64), np.array([A, A, A, A, B], np.int64)]
    expected = ExpectedTimes(courses, 2, 1.0)
    now = np.array([A, A, A, A, A, B], np.int64)
    # After 0 minutes of A: B is 2 or 4 away; after 1: 1 or 3; then only the longer one is left.
    assert expected.cut(now, 10.0)[:, B].tolist() == [3, 2, 2, 1, 1, 0]
    assert expected.cut(now, 3.0)[:, B].tolist() == [2.5, 2, 2, 1, 1, 0]
    assert expected.plain(now, 10.0)[:, B].tolist() == [3, 2, 2, 1, 1, 0]
    assert expected.plain(now, 2.5)[:, B].tolist() == [2.5, 2, 2, 1, 1, 0]
    # A does not come back, and does not begin while it runs.
    assert expected.cut(now, 3.0)[:, A].tolist() == [0, 0, 0, 0, 0, 3]
    assert expected.plain(now, 3.0)[:, A].tolist() == [0, 0, 0, 0, 0, 3]
    assert expected.left(now).tolist() == [3, 2, 2, 1, 1, 0]
    # A phase that was never seen: nothing is expected.
    assert expected.cut(np.array([-1, A], np.int64), 3.0).tolist() == [[3, 3], [0, 2.5]]


def test_what_is_always_right_has_no_error_and_the_rest_stands_beside_it() -> None:
    truth = [np.repeat([A, B, C], [200, 100, 60]), np.repeat([A, C], [250, 80])]
    right = {h: [minutes_to(labels, 3, 60.0, 5.0) for labels in truth] for h in HORIZONS_MIN}
    for row in errors_of(truth, right, 3, 60.0).values():
        assert [v for v in row.values() if not np.isnan(v)] == [0.0] * 5
    assert minutes_left(truth[1], 60.0)[[0, -1]].tolist() == pytest.approx([329 / 60, 0])
    late = {h: [np.full_like(one, h) for one in right[h]] for h in HORIZONS_MIN}
    told = {"model": right, "late": late}
    rows = compared(truth, told, ExpectedTimes(truth, 3, 60.0), truth, 3, 60.0)
    assert rows["late"]["2"]["outside"] == 0 < rows["late"]["2"]["inside"]
    assert set(rows) == {
        "model",
        "late",
        "expected_cut",
        "expected_plain",
        "expected_of_recognised_cut",
        "expected_of_recognised_plain",
    }
    assert set(rows["model"]) == {"2", "3", "5"}
    assert rows["expected_cut"]["5"]["weighted"] > rows["model"]["5"]["weighted"] == 0
    assert rows["expected_of_recognised_cut"] == rows["expected_cut"]
