"""Phase metrics against examples worked by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.phases import (
    edit_score,
    f1_at,
    frame_scores,
    phase_metrics,
    relaxed_scores,
    segments,
)

TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
SAID = np.array([0, 0, 0, 1, 1, 1, 0, 1, 1, 2, 2, 2])


def test_segments_edit_and_f1_by_hand() -> None:
    assert segments(SAID) == [(0, 0, 3), (1, 3, 6), (0, 6, 7), (1, 7, 9), (2, 9, 12)]
    # 0 1 0 1 2 against 0 1 2: two insertions of five.
    assert edit_score(TRUTH, SAID) == pytest.approx(60)
    # IoU with the best true run: 3/4, 2/5, nothing shared, 1/5 (run 1 taken), 3/4.
    assert f1_at([(TRUTH, SAID)], 0.10) == pytest.approx(100 * 2 * 3 / 8)
    assert f1_at([(TRUTH, SAID)], 0.25) == pytest.approx(100 * 2 * 3 / 8)
    assert f1_at([(TRUTH, SAID)], 0.50) == pytest.approx(100 * 2 * 2 / 8)


def test_frame_scores_by_hand() -> None:
    scores = frame_scores(TRUTH, SAID, 4)
    # Hits 3, 3, 3; predicted 4, 5, 3; true 4, 4, 4; phase 3 does not occur.
    assert scores[0, :3] == pytest.approx([75, 60, 100])
    assert scores[1, :3] == pytest.approx([75, 75, 75])
    assert scores[2, :3] == pytest.approx([60, 50, 75])
    assert scores[3, :3] == pytest.approx([75, 600 / 9, 600 / 7])
    assert np.isnan(scores[:, 3]).all()


def test_never_predicted_is_precision_zero() -> None:
    scores = frame_scores(np.array([0, 1]), np.array([0, 0]), 2)
    assert scores[:, 1].tolist() == [0, 0, 0, 0]


def test_relaxed_borders_by_hand() -> None:
    """Border of 2: frame 3 is early, frame 8 late, frame 6 late but too far in."""
    accuracy, scores = relaxed_scores(TRUTH, SAID, 3, border=2, mode="intended")
    assert accuracy == pytest.approx(100 * 11 / 12)
    # Phase 0: frames 0-3 and 6, all right but 6; phase 1: 3-8, all but 6; phase 2: 8-11.
    assert scores[2] == pytest.approx([100 * 4 / 5, 100 * 5 / 6, 100])
    assert scores[0] == pytest.approx([100, 100, 100])
    assert scores[1] == pytest.approx([100, 100, 100])
    accuracy, scores = relaxed_scores(TRUTH, SAID, 3, border=2, mode="matlab")
    # The slip: the early frame 3 is seen in the tail and forgiven at frame 1 instead.
    assert accuracy == pytest.approx(100 * 10 / 12)
    assert scores[2] == pytest.approx([100 * 3 / 5, 100 * 4 / 6, 100])
    assert scores[0, 2] == pytest.approx(100 * 4 / 3)


@pytest.mark.parametrize(
    ("phase", "said", "at", "forgiven"),
    [(3, 5, "end", True), (2, 4, "end", False), (5, 3, "start", True), (4, 2, "start", False)],
)
def test_two_phases_on_are_forgiven_only_late_in_cholec80(
    phase: int, said: int, at: str, forgiven: bool
) -> None:
    truth = np.full(20, phase)
    predicted = truth.copy()
    predicted[0 if at == "start" else -1] = said
    accuracy, _ = relaxed_scores(truth, predicted, 7, border=3, mode="intended")
    assert accuracy == pytest.approx(100 if forgiven else 95)


def test_the_two_ways_to_average_differ() -> None:
    short, long = np.array([0, 1]), np.array([0] * 6 + [1] * 4)
    metrics = phase_metrics([short, long], [short, np.zeros(10, int)], ["a", "b"])
    assert metrics.video_then_phase["accuracy"].mean == pytest.approx(80)
    assert metrics.video_then_phase["accuracy"].std == pytest.approx(40 / 2**0.5)
    assert metrics.pooled["accuracy"] == pytest.approx(100 * 8 / 12)
    assert metrics.video_then_phase["recall"].mean == pytest.approx((100 + 50) / 2)
    assert metrics.pooled["recall"] == pytest.approx((100 + 20) / 2)


def test_segments_go_on_over_what_nobody_labelled() -> None:
    """A second without a truth splits no segment, on neither side."""
    metrics = phase_metrics([np.array([0, 0, -1, 0, 1])], [np.array([0, 0, 1, 0, 1])], ["a", "b"])
    assert (metrics.edit, metrics.f1_at["50"]) == (100, 100)


def test_json_has_the_stable_keys_and_no_nan() -> None:
    out = phase_metrics([TRUTH], [SAID], ["a", "b", "c", "d"]).as_json(relaxed=True)
    assert json.loads(json.dumps(out, allow_nan=False)) == out
    assert set(out) == {
        "videos",
        "classes",
        "video_then_phase",
        "pooled",
        "relaxed_10s",
        "edit",
        "f1_at",
        "conventions",
    }
    named = set(out["relaxed_10s"]) | {"video_then_phase", "pooled", "edit", "f1_at"}
    assert set(out["conventions"]) == named
    plain = phase_metrics([TRUTH], [SAID], ["a", "b", "c", "d"]).as_json(relaxed=False)
    assert "relaxed_10s" not in plain
    assert set(plain["conventions"]) == named - {"matlab", "intended"}
    assert set(out["video_then_phase"]) == {"accuracy", "precision", "recall", "jaccard", "f1"}
    assert set(out["video_then_phase"]["f1"]) == {"mean", "std"}
    assert set(out["pooled"]) == {"accuracy", "precision", "recall", "jaccard", "f1"}
    assert set(out["relaxed_10s"]) == {"matlab", "intended"}
    assert set(out["relaxed_10s"]["matlab"]) == {"accuracy", "precision", "recall", "jaccard"}
    assert set(out["f1_at"]) == {"10", "25", "50"}


def test_unknown_frames_are_left_out() -> None:
    truth = np.concatenate((TRUTH, [-1, -1]))
    said = np.concatenate((SAID, [0, 2]))
    assert phase_metrics([truth], [said], "abc") == phase_metrics([TRUTH], [SAID], "abc")


@pytest.mark.parametrize(
    ("truth", "said", "says"),
    [
        ([0, 1], [0], "1 predicted"),
        ([-1, -1], [0, 0], "no labelled"),
        ([0, 1], [0, 2], "not one of"),
    ],
)
def test_unfit_input_is_refused(truth: list[int], said: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        phase_metrics([np.array(truth)], [np.array(said)], ["a", "b"])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_a_perfect_prediction_is_a_hundred_everywhere(labels: list[int]) -> None:
    video = np.array(labels)
    out = phase_metrics([video], [video], "abcdefg")
    figures = [s.mean for s in out.video_then_phase.values()]
    figures += [*out.pooled.values(), out.edit, *out.f1_at.values()]
    figures += [v for mode in out.relaxed_10s.values() for v in mode.values()]
    assert figures == pytest.approx([100.0] * len(figures))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60))
def test_figures_stay_in_range(pairs: list[tuple[int, int]]) -> None:
    truth, said = (np.array(side) for side in zip(*pairs, strict=True))
    out = phase_metrics([truth], [said], "abcdefg")
    plain, relaxed = out.video_then_phase["accuracy"].mean, out.relaxed_10s["intended"]["accuracy"]
    assert 0 <= plain <= relaxed + 1e-9 <= 100 + 1e-6
    assert out.f1_at["50"] <= out.f1_at["25"] <= out.f1_at["10"] <= 100
    assert 0 <= out.edit <= 100
