"""Timeline edits keep order and extent, touch only what they name, and stay within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.timeline import Segment, Timeline
from tests.core.strategies import PHASES, timelines


def _phases(timeline: Timeline) -> list[str | None]:
    return [timeline.phase_at(p) for p in range(timeline.start_pts, timeline.end_pts)]


def _line(*parts: tuple[int, int, str], end: int = 100) -> Timeline:
    segments = tuple(Segment(start_pts=a, end_pts=b, phase=p) for a, b, p in parts)
    return Timeline(start_pts=0, end_pts=end, segments=segments)


@given(timelines(), st.data())
def test_lookup_agrees_with_a_plain_search(timeline: Timeline, data: st.DataObject) -> None:
    pts = data.draw(st.integers(timeline.start_pts - 3, timeline.end_pts + 3))
    holders = [i for i, s in enumerate(timeline.segments) if s.start_pts <= pts < s.end_pts]
    assert timeline.index_at(pts) == (holders[0] if holders else None)


@given(timelines(), st.data())
def test_painting_changes_the_named_stretch_alone(timeline: Timeline, data: st.DataObject) -> None:
    a = data.draw(st.integers(timeline.start_pts - 3, timeline.end_pts + 3))
    b = data.draw(st.integers(timeline.start_pts - 3, timeline.end_pts + 3))
    phase = data.draw(st.sampled_from((None, *PHASES)))
    expected = [
        phase if a <= p < b else timeline.phase_at(p)
        for p in range(timeline.start_pts, timeline.end_pts)
    ]
    assert _phases(timeline.painted(a, b, phase)) == expected


@given(timelines(), st.data())
def test_starting_replaces_the_rest_of_what_was_there(
    timeline: Timeline, data: st.DataObject
) -> None:
    pts = data.draw(st.integers(timeline.start_pts, timeline.end_pts - 1))
    started = timeline.started(pts, "clip")
    here = timeline.index_at(pts)
    later = [s.start_pts for s in timeline.segments if s.start_pts > pts]
    if here is None:
        end = later[0] if later else timeline.end_pts
    else:
        end = timeline.segments[here].end_pts
    assert started == timeline.painted(pts, end, "clip")
    assert started.phase_at(pts) == "clip"


@given(timelines(), st.data())
def test_split_and_merge_are_each_others_reverse(timeline: Timeline, data: st.DataObject) -> None:
    pts = data.draw(st.integers(timeline.start_pts, timeline.end_pts - 1))
    cut = timeline.split(pts)
    assert _phases(cut) == _phases(timeline)
    if cut == timeline:
        i = timeline.index_at(pts)
        assert i is None or timeline.segments[i].start_pts == pts
    else:
        i = timeline.index_at(pts)
        assert i is not None
        assert len(cut.segments) == len(timeline.segments) + 1
        assert cut.merged(i) == timeline


@given(timelines(), st.data())
def test_a_moved_boundary_stays_between_its_neighbours(
    timeline: Timeline, data: st.DataObject
) -> None:
    if not timeline.segments:
        return
    i = data.draw(st.integers(0, len(timeline.segments) - 1))
    pts = data.draw(st.integers(timeline.start_pts - 9, timeline.end_pts + 9))
    shortest = data.draw(st.integers(1, 30))
    edge = data.draw(st.sampled_from(("start", "end")))
    move = timeline.with_start if edge == "start" else timeline.with_end
    moved = move(i, pts, shortest)
    assert [s.phase for s in moved.segments] == [s.phase for s in timeline.segments]
    for old, new in zip(timeline.segments, moved.segments, strict=True):
        shrunk = new.end_pts - new.start_pts
        assert shrunk >= min(shortest, old.end_pts - old.start_pts)
    untouched = {i, i - 1 if edge == "start" else i + 1}
    for k, (old, new) in enumerate(zip(timeline.segments, moved.segments, strict=True)):
        assert k in untouched or old == new
    at = getattr(moved.segments[i], f"{edge}_pts")
    was = getattr(timeline.segments[i], f"{edge}_pts")
    assert min(was, pts) <= at <= max(was, pts)


def test_a_touching_neighbour_follows_and_a_distant_one_stays() -> None:
    line = _line((0, 10, "a"), (10, 20, "b"), (30, 40, "c"))
    assert line.with_start(1, 14) == _line((0, 14, "a"), (14, 20, "b"), (30, 40, "c"))
    assert line.with_end(0, 14) == line.with_start(1, 14)
    assert line.with_end(1, 99) == _line((0, 10, "a"), (10, 30, "b"), (30, 40, "c"))
    assert line.with_start(2, 0) == _line((0, 10, "a"), (10, 20, "b"), (20, 40, "c"))
    assert line.with_start(1, -5, 3) == _line((0, 3, "a"), (3, 20, "b"), (30, 40, "c"))


def test_merging_swallows_the_gap() -> None:
    line = _line((0, 10, "a"), (15, 20, "b"))
    assert line.merged(0) == _line((0, 20, "a"))
    assert line.merged(1) == line
    assert line.merged(-1) == line


@pytest.mark.parametrize(
    "segments",
    [
        [(0, 10), (9, 12)],
        [(5, 9), (0, 3)],
        [(0, 101)],
        [(-1, 4)],
    ],
)
def test_overlapping_or_outlying_segments_are_refused(segments: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="Timeline"):
        _line(*[(a, b, "x") for a, b in segments])


def test_a_segment_needs_length_and_a_phase() -> None:
    with pytest.raises(ValueError, match="end after 5"):
        Segment(start_pts=5, end_pts=5, phase="a")
    with pytest.raises(ValueError, match="phase"):
        Segment(start_pts=5, end_pts=6, phase="")
