"""The model's timeline from its probabilities: debounced, gapped where nothing was looked at."""

from __future__ import annotations

import math
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.prediction import PhasePrediction
from app.core.timeline import Segment, timeline_from_phases

CLASSES = ("a", "b", "c")


def _samples(letters: str, step: int = 10, start: int = 0) -> list[PhasePrediction]:
    return [
        PhasePrediction(
            pts=start + i * step,
            index=i,
            probabilities=tuple(0.8 if c == letter else 0.1 for c in CLASSES),
        )
        for i, letter in enumerate(letters)
    ]


def _said(letters: str, *, end: int | None = None, min_samples: int = 3) -> list[tuple]:
    timeline = timeline_from_phases(
        _samples(letters), CLASSES, 0, end or 10 * len(letters), min_samples=min_samples
    )
    return [(s.start_pts, s.end_pts, s.phase) for s in timeline.segments]


def test_runs_become_segments_over_the_whole_asset() -> None:
    assert _said("aaabbbbccc") == [(0, 30, "a"), (30, 70, "b"), (70, 100, "c")]


def test_flicker_belongs_to_what_came_before() -> None:
    assert _said("aaaabaaaccbcccc") == [(0, 110, "a"), (110, 150, "c")]


def test_flicker_at_the_beginning_belongs_to_what_comes_first() -> None:
    assert _said("bbaaaacaaa") == [(0, 100, "a")]


def test_where_nothing_holds_the_likeliest_overall_wins() -> None:
    assert _said("ababa") == [(0, 50, "a")]


def test_an_unfinished_analysis_ends_where_it_stands() -> None:
    assert _said("aaabbb", end=1000) == [(0, 30, "a"), (30, 60, "b")]


def test_missing_samples_leave_a_gap() -> None:
    phases = _samples("aaaa") + _samples("bbbb", start=200)
    timeline = timeline_from_phases(phases, CLASSES, -3, 245, min_samples=3)
    assert timeline.segments == (
        Segment(start_pts=-3, end_pts=40, phase="a"),
        Segment(start_pts=200, end_pts=245, phase="b"),
    )


def test_one_sample_says_nothing() -> None:
    assert _said("a") == []
    assert timeline_from_phases([], CLASSES, 0, 10).segments == ()


@pytest.mark.parametrize("end", [1, 15, 45])
def test_samples_past_the_end_do_not_count(end: int) -> None:
    timeline = timeline_from_phases(_samples("aaabbbccc"), CLASSES, 0, end, min_samples=3)
    assert all(s.end_pts <= end for s in timeline.segments)
    late = timeline_from_phases(_samples("aaaa", start=450_000), CLASSES, 0, end)
    assert late.segments == ()


@given(st.text("abc", min_size=2, max_size=60), st.integers(1, 8))
def test_every_segment_holds_and_no_two_neighbours_agree(letters: str, shortest: int) -> None:
    said = _said(letters, min_samples=shortest)
    assert said[0][0] == 0
    assert said[-1][1] == 10 * len(letters)
    assert all(one[1] == two[0] and one[2] != two[2] for one, two in pairwise(said))
    runs = [len(list(group)) for _, group in groupby(letters)]
    if max(runs) >= shortest:
        assert all(end - start >= 10 * shortest for start, end, _ in said)
    else:
        assert len(said) == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_answer_that_is_no_number_is_no_prediction(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        PhasePrediction(pts=0, index=0, probabilities=(0.5, bad))
