"""Metrics of maps: values by hand, and slow loops written after the papers beside the fast code."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.metrics.maps import MapBook, map_metrics, overlap, s_measure, threshold_curves
from models.metrics.weighted_f import weighted_f

Array = NDArray[np.float64]


def half(rows: int = 4, columns: int = 4) -> NDArray[np.bool_]:
    truth = np.zeros((rows, columns), bool)
    truth[:, : columns // 2] = True
    return truth


def test_a_perfect_map() -> None:
    truth = np.zeros((40, 50), bool)
    truth[10:25, 12:30] = True
    got = map_metrics([(truth.astype(np.float32), truth)])
    assert (got.images, got.mdice, got.miou, got.mae) == (1, 1.0, 1.0, 0.0)
    assert got.weighted_f == pytest.approx(1)
    assert got.s_measure == pytest.approx(1)
    assert got.e_measure_max == pytest.approx(1)
    # At threshold 0 everything is found; at the other 255 exactly the truth.
    share = truth.mean()
    assert got.mdice_256 == pytest.approx((255 + 2 * share / (1 + share)) / 256)
    assert got.as_json()["mdice"] == 100.0


def test_mae_dice_and_iou_by_hand() -> None:
    """Truth: the left half of 4 x 4. Said: 0.6 on the upper half, 0.2 below."""
    said = np.full((4, 4), 0.2)
    said[:2] = 0.6
    got = map_metrics([(said, half())])
    assert got.mae == pytest.approx((4 * 0.4 + 4 * 0.8 + 4 * 0.6 + 4 * 0.2) / 16)
    assert (got.mdice, got.miou) == pytest.approx((0.5, 1 / 3))
    # 52 thresholds (0 to 51/255) find all, 102 (to 153/255) the upper half, 102 nothing.
    assert got.mdice_256 == pytest.approx((52 * 2 / 3 + 102 * 0.5) / 256)
    assert got.miou_256 == pytest.approx((52 * 0.5 + 102 / 3) / 256)
    # Upper half against left half: means 1/2, every product +-1/4, so 1 or 0 by pixel.
    assert got.e_measure_max == pytest.approx(0.5)


def test_s_measure_by_hand() -> None:
    """A map of one half everywhere: the object part alone speaks, the regions have no structure."""
    objects = 2 * 0.5 / (0.25 + 1)
    # The centre splits 4 x 4 at column 2, row 2: every region is constant in both, counted as 1.
    regions = 1.0
    assert s_measure(np.full((4, 4), 0.5), half()) == pytest.approx(0.5 * objects + 0.5 * regions)
    assert s_measure(np.full((4, 4), 0.3), np.zeros((4, 4), bool)) == pytest.approx(0.7)
    assert s_measure(np.full((4, 4), 0.3), np.ones((4, 4), bool)) == pytest.approx(0.3)


def test_weighted_f_by_hand() -> None:
    """One true pixel in a row, found, and a false alarm three pixels off."""
    truth = np.zeros((1, 9), bool)
    truth[0, 2] = True
    said = truth.astype(float)
    said[0, 5] = 1.0
    alarm = 2 - exp(log(0.5) / 5 * 3)
    precision = 1 / (1 + alarm)
    assert weighted_f(said, truth) == pytest.approx(2 * precision / (1 + precision))
    assert np.isnan(weighted_f(said, np.zeros((1, 9), bool)))


def test_pictures_without_foreground_have_their_convention() -> None:
    nothing, blank = np.zeros((8, 8), bool), np.zeros((8, 8))
    assert overlap(nothing, nothing) == (1.0, 1.0)
    got = map_metrics([(blank, nothing), (half(8, 8).astype(float), half(8, 8))])
    assert (got.mdice, got.weighted_f) == (1.0, 1.0)
    only = map_metrics([(blank, nothing)])
    assert np.isnan(only.weighted_f)
    assert only.as_json()["weighted_f"] is None
    assert map_metrics([]).images == 0
    assert "0.5" in map_metrics([]).as_json()["convention"]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="a map of"):
        MapBook().add(np.zeros((4, 5)), half())
    with pytest.raises(ValueError, match="lies in"):
        MapBook().add(np.full((4, 4), 1.5), half())


def slow_nearest(truth: NDArray[np.bool_], y: int, x: int) -> tuple[float, tuple[int, int]]:
    """Distance and place of the nearest true pixel; the upper, then the left one of several."""
    at = min((((y - r) ** 2 + (x - c) ** 2, r, c) for r, c in np.argwhere(truth)))
    return sqrt(at[0]), (int(at[1]), int(at[2]))


def slow_e_measure(said: Array, truth: NDArray[np.bool_], level: float) -> float:
    found = said >= level - 1e-9
    if truth.all() or not truth.any():
        return float(np.mean(found == truth))
    total = 0.0
    for f, t in zip(found.ravel(), truth.ravel(), strict=True):
        a, b = f - found.mean(), t - truth.mean()
        total += (2 * a * b / (a * a + b * b) + 1) ** 2 / 4
    return total / truth.size


def slow_s_measure(said: Array, truth: NDArray[np.bool_]) -> float:
    def objects(values: list[float]) -> float:
        mean = sum(values) / len(values)
        free = max(len(values) - 1, 1)
        spread = sqrt(sum((v - mean) ** 2 for v in values) / free)
        return 2 * mean / (mean**2 + 1 + spread)

    height, width = truth.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    inside = [p for p in places if truth[p]]
    share = len(inside) / len(places)
    score = 0.5 * share * objects([said[p] for p in inside])
    score += 0.5 * (1 - share) * objects([1 - said[p] for p in places if not truth[p]])
    middle = [int(sum(p[i] for p in inside) / len(inside) + 1.5) for i in (0, 1)]
    for low in (True, False):
        for left in (True, False):
            part = [p for p in places if (p[0] < middle[0]) == low and (p[1] < middle[1]) == left]
            if not part:
                continue
            a, b = [said[p] for p in part], [float(truth[p]) for p in part]
            x, y, free = sum(a) / len(a), sum(b) / len(b), max(len(a) - 1, 1)
            both = sum((u - x) * (v - y) for u, v in zip(a, b, strict=True)) / free
            spread = sum((u - x) ** 2 for u in a) / free + sum((v - y) ** 2 for v in b) / free
            top, bottom = 4 * x * y * both, (x * x + y * y) * spread
            alike = top / bottom if top else float(bottom == 0)
            score += 0.5 * alike * len(part) / len(places)
    return max(0.0, score)


@st.composite
def map_and_truth(draw: st.DrawFn) -> tuple[Array, NDArray[np.bool_]]:
    height, width = draw(st.integers(2, 9)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    truth = rng.random((height, width)) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    truth[0, 0], truth[-1, -1] = True, False
    return rng.integers(0, 256, (height, width)) / 255, truth


@settings(max_examples=40)
@given(map_and_truth())
def test_the_fast_code_says_what_the_slow_loops_say(
    given_: tuple[Array, NDArray[np.bool_]],
) -> None:
    said, truth = given_
    assert s_measure(said, truth) == pytest.approx(slow_s_measure(said, truth), abs=1e-6)
    dice, iou, alignment = threshold_curves(said, truth)
    for level in (0, 1, 100, 128, 254, 255):
        found = said >= level / 255 - 1e-9
        assert (dice[level], iou[level]) == pytest.approx(overlap(found, truth))
        expected = slow_e_measure(said, truth, level / 255)
        assert alignment[level] == pytest.approx(expected, abs=1e-6)


@settings(max_examples=20)
@given(map_and_truth())
def test_weighted_f_beside_a_slow_loop(given_: tuple[Array, NDArray[np.bool_]]) -> None:
    said, truth = given_
    height, width = truth.shape
    near = {p: slow_nearest(truth, *p) for p in np.ndindex(height, width)}
    error = np.abs(said - truth)
    kernel = np.array([[exp(-(i * i + j * j) / 50) for j in range(-3, 4)] for i in range(-3, 4)])
    kernel /= kernel.sum()
    hits = alarms = 0.0
    for y in range(height):
        for x in range(width):
            if not truth[y, x]:
                alarms += error[y, x] * (2 - 0.5 ** (near[y, x][0] / 5))
                continue
            around = 0.0
            for i in range(-3, 4):
                for j in range(-3, 4):
                    if 0 <= y + i < height and 0 <= x + j < width:
                        around += kernel[i + 3, j + 3] * error[near[y + i, x + j][1]]
            hits += 1 - min(error[y, x], around)
    recall, precision = hits / truth.sum(), hits / (hits + alarms)
    expected = 2 * recall * precision / (recall + precision)
    assert weighted_f(said, truth) == pytest.approx(expected, abs=1e-6)
