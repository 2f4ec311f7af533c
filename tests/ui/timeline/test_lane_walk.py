"""From piece to piece of a lane, and from lane to lane."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.core.differences import Difference
from app.core.taxonomy import find_taxonomy
from app.core.timeline import Segment
from app.ui.timeline.lane_walk import Piece, differing, pieces_of, stepped
from app.ui.timeline.lanes import LaneKind, lane_of, strip_lane

WORDS = find_taxonomy("cholecystectomy")
spans = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda x: (x[0], x[0] + x[1])),
    min_size=1,
    max_size=12,
    unique=True,
)


def time_ms(pts: int) -> float:
    return 1000.0 * pts


def pieces(found: list[tuple[int, int]]) -> tuple[Piece, ...]:
    segments = [Segment(start_pts=a, end_pts=b, phase="cut") for a, b in found]
    return pieces_of([lane_of("x", "X", LaneKind.COURSE, segments)], WORDS, time_ms)


@given(spans)
def test_every_piece_is_met_once_both_ways(found: list[tuple[int, int]]) -> None:
    some = pieces(found)
    at, met = stepped(some, None, 1, -1), []
    while at not in met:
        met.append(at)
        at = stepped(some, at, 1, -1)
    assert met == list(some), "overlapping ones too"
    back = [at]
    while (before := stepped(some, back[-1], -1, -1)) != back[-1]:
        back.append(before)
    assert back == list(reversed(some))


def test_where_a_walk_begins() -> None:
    some = one, two, three = pieces([(10, 20), (30, 40), (50, 60)])
    assert stepped(some, None, 1, 0) is one
    assert stepped(some, None, 1, 35) is two
    assert stepped(some, None, 1, 99) is three
    assert stepped(some, None, -1, 35) is two
    assert stepped(some, None, -1, 5) is one
    assert stepped(some, one, 0, 45) is three, "into another lane"
    assert stepped((), None, 1, 0) is None


def test_a_piece_that_is_gone_leaves_its_place() -> None:
    one, two, three = pieces([(10, 20), (30, 40), (50, 60)])
    assert stepped((one, three), two, 1, 0) is three
    assert stepped((one, three), two, -1, 0) is one


def test_tall_places_and_disagreements_have_words() -> None:
    bits = np.full(60, 0.9)
    bits[5:9] = bits[11] = 1.4
    bits[40] = 1.39
    strip = strip_lane(np.arange(60), bits)
    near, far = pieces_of([strip], WORDS, time_ms)
    assert (near.start_pts, near.end_pts) == (5, 12), "two seconds between them are none"
    assert near.lines == ("Very unsure", "0:05 to 0:12, 7.0 s")
    assert (far.start_pts, far.end_pts) == (40, 41)
    assert pieces_of([strip_lane(np.arange(60), np.full(60, 1.4))], WORDS, time_ms) == ()
    apart = Difference(
        start_pts=5, end_pts=9, one="preparation", other="clipping_cutting", is_human=False
    )
    (piece,) = differing((apart,), WORDS, time_ms)
    said = "Afterwards the model says Preparation, live Clip and cut"
    assert piece.lines[0] == said
