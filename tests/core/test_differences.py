"""Where tiers differ agrees with asking every moment, and nothing is told twice."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.core.differences import Difference, differences
from app.core.timeline import Segment, Timeline
from tests.core.strategies import timelines

some = st.none() | timelines()


def _at(line: Timeline | None, pts: int) -> str | None:
    return None if line is None else line.phase_at(pts)


@given(some, some, some)
def test_it_agrees_with_asking_every_moment(
    human: Timeline | None, model: Timeline | None, beside: Timeline | None
) -> None:
    found = differences(human, model, beside)
    told = {p: d for d in found for p in range(d.start_pts, d.end_pts)}
    for pts in range(-60, 300):
        one, other = _at(human, pts), _at(model, pts)
        is_human = one is not None
        if not is_human:
            one, other = other, _at(beside, pts)
        if one is None or other is None or one == other:
            assert pts not in told
        else:
            d = told[pts]
            assert (d.one, d.other, d.is_human) == (one, other, is_human)


@given(some, some, some)
def test_they_come_in_order_and_neighbours_differ(
    human: Timeline | None, model: Timeline | None, beside: Timeline | None
) -> None:
    found = differences(human, model, beside)
    assert all(d.start_pts < d.end_pts for d in found)
    for a, b in pairwise(found):
        assert a.end_pts <= b.start_pts
        same = (a.one, a.other, a.is_human) == (b.one, b.other, b.is_human)
        assert not (same and a.end_pts == b.start_pts)


@given(timelines())
def test_nobody_differs_from_oneself(line: Timeline) -> None:
    assert differences(line, line, line) == ()
    assert differences(None, line, line) == ()
    assert differences(line, None) == ()


def test_a_humans_word_hides_what_two_models_dispute() -> None:
    def line(*parts: tuple[int, int, str]) -> Timeline:
        kept = tuple(Segment(start_pts=a, end_pts=b, phase=p) for a, b, p in parts)
        return Timeline(start_pts=0, end_pts=100, segments=kept)

    found = differences(line((0, 40, "a")), line((0, 100, "a")), line((0, 60, "b"), (60, 90, "a")))
    only = Difference(start_pts=40, end_pts=60, one="a", other="b", is_human=False)
    assert found == (only,)
    assert differences(line((0, 60, "c")), line((0, 100, "a"))) == (
        Difference(start_pts=0, end_pts=60, one="c", other="a", is_human=True),
    )
