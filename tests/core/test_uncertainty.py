"""Entropy by hand, disagreement of sure runs, and the order in which doubts are looked at."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.prediction import PhasePrediction
from app.core.timeline import Segment, Timeline
from app.core.uncertainty import DOUBT_BITS, Uncertainty, doubts, strip_heights, uncertainty


def _said(*rows: tuple[float, ...], step: int = 25) -> list[PhasePrediction]:
    return [
        PhasePrediction(pts=i * step, index=i * step, probabilities=row)
        for i, row in enumerate(rows)
    ]


def test_bits_by_hand() -> None:
    found = uncertainty([(("a", "b", "c"), _said((1, 0, 0), (0.5, 0.5, 0), (1 / 3, 1 / 3, 1 / 3)))])
    assert found.pts.tolist() == [0, 25, 50]
    assert found.bits == pytest.approx([0, 1, log2(3)])


def test_two_that_are_sure_and_differ_are_a_bit_of_doubt() -> None:
    one = (("a", "b"), _said((1, 0), (1, 0)))
    two = (("b", "a"), _said((0, 1), (1, 0)))
    assert uncertainty([one, two]).bits == pytest.approx([0, 1]), "classes are matched by key"
    other = (("x", "y"), _said((1, 0), (1, 0)))
    assert uncertainty([one, other]).bits == pytest.approx([1, 1])


def test_a_run_that_has_not_come_so_far_does_not_count_there() -> None:
    one = (("a", "b"), _said(*[(1.0, 0.0)] * 10))
    two = (("a", "b"), _said(*[(0.0, 1.0)] * 3))
    bits = uncertainty([one, two]).bits
    assert bits[:3] == pytest.approx([1, 1, 1])
    assert bits[5:] == pytest.approx(np.zeros(5))


def test_nothing_is_known_of_nothing() -> None:
    assert uncertainty([]).bits.size == 0
    assert uncertainty([(("a",), [])]).bits.size == 0
    assert doubts(uncertainty([])) == ()


@given(
    st.lists(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), min_size=1, max_size=12),
    st.permutations(range(4)),
)
def test_bits_stay_in_bounds_and_do_not_depend_on_the_order_of_classes(
    rows: list[list[float]], order: list[int]
) -> None:
    shares = [tuple(v / sum(row) for v in row) for row in rows]
    keys = ("a", "b", "c", "d")
    bits = uncertainty([(keys, _said(*shares))]).bits
    assert (bits >= 0).all()
    assert (bits <= 2 + 1e-9).all()
    mixed = _said(*(tuple(row[i] for i in order) for row in shares))
    again = uncertainty([(tuple(keys[i] for i in order), mixed)]).bits
    assert again == pytest.approx(bits)


@given(st.lists(st.floats(0, 2.5), max_size=400), st.integers(0, 40), st.integers(0, 60))
def test_doubts_hold_every_open_sample_once_and_come_heaviest_first(
    bits: list[float], first: int, length: int
) -> None:
    found = Uncertainty(pts=10 * np.arange(len(bits)), bits=np.array(bits, np.float64))
    named = ()
    if length:
        named = (Segment(start_pts=10 * first, end_pts=10 * (first + length), phase="a"),)
    decided = Timeline(start_pts=0, end_pts=5000, segments=named)
    told = doubts(found, decided)
    heights = strip_heights(found.bits)
    torn = 2 * sum(v >= DOUBT_BITS for v in bits) > len(bits) and heights.max() >= 0.5
    open_ = [
        p
        for p, v, height in zip(found.pts.tolist(), bits, heights, strict=True)
        if v >= DOUBT_BITS and (height >= 0.5 or not torn) and decided.phase_at(p) is None
    ]
    inside = []
    for pts in open_:
        holders = [d for d in told if d.start_pts <= pts < d.end_pts]
        assert len(holders) <= 1
        inside += holders
        near = [p for p in open_ if abs(p - pts) <= 20]
        assert holders or len(near) < 5, "a stretch of some length is never left out"
    assert {d.start_pts for d in inside} == {d.start_pts for d in told}
    assert [d.weight for d in told] == sorted((d.weight for d in told), reverse=True)
    values = dict(zip(found.pts.tolist(), bits, strict=True))
    for d in told:
        held = [values[p] for p in open_ if d.start_pts <= p < d.end_pts]
        assert len(held) >= 3
        assert d.weight == pytest.approx(sum(held))
    assert all(d.bits >= DOUBT_BITS and d.end_pts - d.start_pts <= 10 * 720 for d in told)


def test_time_that_the_recording_lacks_is_in_no_doubt() -> None:
    pts = np.concatenate([np.arange(20), np.arange(900, 920), np.arange(950, 970)])
    told = doubts(Uncertainty(pts=pts, bits=np.full(pts.size, 2.0)))
    assert [(d.start_pts, d.end_pts) for d in told] == [(0, 20), (900, 920), (950, 970)]


def test_of_a_case_that_is_torn_throughout_the_worst_places_are_told() -> None:
    bits = np.full(120, 0.9)
    bits[5:9] = 1.6
    bits[60:70] = 1.5
    pts = np.arange(120)
    told = doubts(Uncertainty(pts=pts, bits=bits))
    assert [(d.start_pts, d.end_pts) for d in told] == [(60, 70), (5, 9)]
    # Nowhere worse than elsewhere: all of it.
    flat = doubts(Uncertainty(pts=pts, bits=np.full(120, 0.9)))
    assert [(d.start_pts, d.end_pts) for d in flat] == [(0, 120)]
