"""Tools, triplets, anticipation and PitVis against examples by hand and slow loops."""

from __future__ import annotations

from math import isnan, nan
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.anticipation import anticipation_errors
from models.metrics.average_precision import average_precision
from models.metrics.pitvis import instruments_score, steps_score
from models.metrics.tools import tool_metrics
from models.metrics.triplets import components, top_k, triplet_metrics


def slow_ap(truth: list[bool], scores: list[float]) -> float:
    """Precision at every distinct score, weighted by the recall that it adds."""
    if not any(truth):
        return nan
    total, before = 0.0, 0.0
    for level in sorted(set(scores), reverse=True):
        above = [t for t, s in zip(truth, scores, strict=True) if s >= level]
        recall = sum(above) / sum(truth)
        total += (recall - before) * sum(above) / len(above)
        before = recall
    return total


def test_average_precision_by_hand() -> None:
    # Best first: true, false, true. 1 x 1/2 + 2/3 x 1/2.
    assert average_precision(np.array([1, 0, 1], bool), np.array([0.9, 0.8, 0.7])) == (
        pytest.approx(5 / 6)
    )
    # All equal: one step, precision 2/3.
    assert average_precision(np.array([1, 0, 1], bool), np.zeros(3)) == pytest.approx(2 / 3)
    assert isnan(average_precision(np.zeros(3, bool), np.ones(3)))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40))
def test_average_precision_is_that_of_the_slow_loop(pairs: list[tuple[bool, int]]) -> None:
    truth, scores = ([p[side] for p in pairs] for side in (0, 1))
    ours = average_precision(np.array(truth, bool), np.array(scores, float))
    assert ours == pytest.approx(slow_ap(truth, scores), nan_ok=True)


def test_tools_pooled_and_by_video() -> None:
    made = np.random.default_rng(3)
    truth = [made.random((40, 3)) < 0.3, made.random((25, 3)) < 0.3]
    truth[0][:, 1] = False  # a tool that the first video never sees
    for video in truth:
        video[:, 2] = False  # and one that nobody sees
    scores = [made.random(t.shape).round(1) for t in truth]
    out = tool_metrics(truth, scores, ("hook", "clipper", "bag"))
    both = np.concatenate(truth), np.concatenate(scores)
    for c, name in enumerate(("hook", "clipper")):
        assert out.pooled[name] == pytest.approx(
            100 * slow_ap(both[0][:, c].tolist(), both[1][:, c].tolist())
        )
    assert out.per_video["clipper"] == pytest.approx(
        100 * slow_ap(truth[1][:, 1].tolist(), scores[1][:, 1].tolist())
    )
    assert isnan(out.pooled["bag"])
    assert out.mean_ap == pytest.approx(fmean([out.pooled["hook"], out.pooled["clipper"]]))


TRIPLETS = (
    ("hook", "dissect", "liver"),
    ("hook", "dissect", "gut"),
    ("grasper", "retract", "liver"),
    ("grasper", "null_verb", "null_target"),
)


def test_components_are_the_largest_of_their_triplets() -> None:
    assert components(TRIPLETS, (0,)) == [[0, 1], [2, 3]]
    assert components(TRIPLETS, (2,)) == [[0, 2], [1], [3]]
    made = np.random.default_rng(7)
    truth = [made.random((30, 4)) < 0.4 for _ in range(3)]
    scores = [made.random((30, 4)).round(1) for _ in range(3)]
    out = triplet_metrics(truth, scores, TRIPLETS, ks=(1, 2))
    per_class = []
    for group in ([0, 1], [2, 3]):
        found = [
            slow_ap(
                [any(row[g] for g in group) for row in t.tolist()],
                [max(row[g] for g in group) for row in s.tolist()],
            )
            for t, s in zip(truth, scores, strict=True)
        ]
        per_class.append(fmean(f for f in found if not isnan(f)))
    assert out.per_video["i"] == pytest.approx(100 * fmean(per_class))
    all_true, all_scores = np.concatenate(truth), np.concatenate(scores)
    pooled = [slow_ap(all_true[:, c].tolist(), all_scores[:, c].tolist()) for c in range(4)]
    assert out.pooled["ivt"] == pytest.approx(100 * fmean(pooled))
    without = triplet_metrics(truth, scores, TRIPLETS, ignore_null=True)
    assert without.pooled["ivt"] == pytest.approx(100 * fmean(pooled[:3]))
    assert without.pooled["iv"] == out.pooled["iv"]


def test_top_k_by_hand() -> None:
    truth = np.array([[1, 1, 0], [0, 0, 1]], bool)
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.3, 0.1]])
    assert top_k(truth, scores, 1) == pytest.approx(100 / 3)
    assert top_k(truth, scores, 2) == pytest.approx(100 / 3)
    assert top_k(truth, scores, 3) == pytest.approx(100)


def test_anticipation_by_hand() -> None:
    """Horizon 2: moments far off, within, just before, there, and never again."""
    truth = np.array([[5.0], [1.5], [0.5], [0.1], [0.0], [np.inf]])
    said = np.array([[1.0], [1.0], [0.25], [0.3], [1.9], [-1.0]])
    out = anticipation_errors([truth], [said], 2.0)
    assert out.inside == pytest.approx((0.5 + 0.25 + 0.2) / 3)
    assert out.outside == pytest.approx((1.0 + 0.0) / 2)
    assert out.weighted == pytest.approx((out.inside + out.outside) / 2)
    assert out.early == pytest.approx(0.2)
    # Expected, 0.2 < said < 1.8: the first four.
    assert out.expected == pytest.approx((1.0 + 0.5 + 0.25 + 0.2) / 4)


def test_anticipation_over_videos_and_then_classes_by_hand() -> None:
    """Errors within the horizon: 1 in the first video, 0.5 in the second; the second class 0.2."""
    truth = [np.array([[1.5, np.nan]]), np.array([[1.5, 1.0]])]
    said = [np.array([[0.5, 2.0]]), np.array([[1.0, 1.2]])]
    by_class = anticipation_errors(truth, said, 2.0, average="videos_then_classes")
    assert by_class.inside == pytest.approx(((1.0 + 0.5) / 2 + 0.2) / 2)
    assert anticipation_errors(truth, said, 2.0).inside == pytest.approx((1.0 + 0.5 + 0.2) / 3)
    assert by_class.outside == 0.0
    assert isnan(by_class.early)


def test_a_class_that_never_comes_counts_outside_alone() -> None:
    out = anticipation_errors([np.full((3, 1), np.nan)], [np.full((3, 1), 1.0)], 3.0)
    assert isnan(out.inside)
    assert out.weighted == out.outside == pytest.approx(2.0)
    with pytest.raises(ValueError, match="shape"):
        anticipation_errors([np.zeros((3, 1))], [np.zeros((2, 1))], 3.0)


def test_pitvis_by_hand() -> None:
    truth = np.array([-1, 1, 1, 2, 2, 11, 13])
    said = np.array([3, 1, 2, 2, 2, 11, 13])
    # Scored: 1 1 2 2 against 1 2 2 2; F1 2/3 and 4/5, the same order of segments.
    assert steps_score(truth, said) == pytest.approx(((2 / 3 + 4 / 5) / 2 + 1) / 2)
    assert isnan(steps_score(np.array([-1]), np.array([1])))
    slots = [{0, -2}, {16, 8}, {16, -2}, {-1, -2}]
    guess = [{0}, {16}, {8}, {0}]
    # 0: 2/3 (support 1), 16: 2/3 (support 2), 8: 0 (support 1).
    assert instruments_score(slots, guess) == pytest.approx((2 / 3 + 2 * 2 / 3 + 0) / 4)
    assert instruments_score(slots, slots) == 1
