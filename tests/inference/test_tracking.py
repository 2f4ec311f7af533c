"""An object keeps its number while it moves, hides and changes its name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.mask import Mask
from app.core.prediction import Instance
from app.inference.tracking import Tracker

STEP_MS = 40.0


def tool(x: float, y: float = 200, label: str = "grasper", size: tuple[int, int] = (90, 60)):
    """A slanted shaft-like instance in an 854 x 480 raster, cut at the raster's edge."""
    w, h = size
    bits = np.tri(h, w, k=w - h, dtype=bool)
    plane = np.zeros((480 + 2 * h, 854 + 2 * w), bool)
    left, top = round(x) + w, round(y) + h
    plane[top : top + h, left : left + w] = bits
    return Instance(label=label, mask=Mask.from_full(plane[h:-h, w:-w]), score=0.9)


def tracks(instances: tuple[Instance, ...]) -> list[int | None]:
    return [i.track for i in instances]


def test_two_tools_that_pass_each_other_keep_their_numbers() -> None:
    tracker = Tracker()
    for step in range(40):
        left, right = tool(100 + 10 * step), tool(500 - 10 * step, 230)
        assert tracks(tracker.update([left, right], step * STEP_MS)) == [1, 2]


def test_the_order_of_the_instances_does_not_matter() -> None:
    tracker = Tracker()
    tracker.update([tool(100), tool(400)], 0)
    assert tracks(tracker.update([tool(405), tool(103)], STEP_MS)) == [2, 1]


def test_a_short_gap_is_bridged_where_the_object_should_be_by_now() -> None:
    tracker = Tracker()
    for step in range(6):
        tracker.update([tool(100 + 8 * step)], step * STEP_MS)
    for step in range(6, 11):
        tracker.update([], step * STEP_MS)
    assert tracks(tracker.update([tool(100 + 8 * 11)], 11 * STEP_MS)) == [1]


def test_a_long_absence_ends_a_track() -> None:
    tracker = Tracker(max_gap_ms=1000)
    tracker.update([tool(100)], 0)
    assert tracks(tracker.update([tool(100)], 1001)) == [2]


def test_an_object_far_away_is_another_object() -> None:
    tracker = Tracker()
    tracker.update([tool(100)], 0)
    assert tracks(tracker.update([tool(600)], STEP_MS)) == [2]


def test_a_wavering_class_does_not_break_a_track() -> None:
    tracker = Tracker()
    tracker.update([tool(100, label="grasper")], 0)
    assert tracks(tracker.update([tool(102, label="hook")], STEP_MS)) == [1]


def test_the_right_class_wins_between_two_candidates() -> None:
    tracker = Tracker()
    tracker.update([tool(100, label="grasper"), tool(130, label="hook")], 0)
    both = [tool(113, label="hook"), tool(117, label="grasper")]
    assert tracks(tracker.update(both, STEP_MS)) == [2, 1]


@given(st.integers(0, 10_000), st.integers(1, 18))
def test_a_restored_tracker_goes_on_as_if_nothing_had_happened(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [
        [tool(*rng.uniform((-40, -20), (800, 440))) for _ in range(rng.integers(0, 5))]
        for _ in range(20)
    ]
    whole, before, after = Tracker(), Tracker(), Tracker()
    expected = [tracks(whole.update(f, i * STEP_MS)) for i, f in enumerate(frames)]
    for i in range(cut):
        before.update(frames[i], i * STEP_MS)
    after.restore(before.snapshot())
    got = [tracks(after.update(frames[i], i * STEP_MS)) for i in range(cut, 20)]
    assert got == expected[cut:]


def test_following_stored_frames_continues_their_numbers() -> None:
    first, second = Tracker(), Tracker()
    for step in range(5):
        numbered = first.update([tool(100 + 9 * step), tool(600)], step * STEP_MS)
        second.follow(numbered, step * STEP_MS)
    following = [tool(100 + 9 * 5), tool(600), tool(300, 30)]
    assert tracks(second.update(following, 5 * STEP_MS)) == [1, 2, 3]


def test_numbers_in_a_frame_are_never_shared() -> None:
    tracker = Tracker()
    tracker.update([tool(100)], 0)
    assert tracks(tracker.update([tool(100), tool(101), tool(99)], STEP_MS)) == [1, 2, 3]


def test_objects_seen_together_differ_by_the_five_colours_of_outlines() -> None:
    tracker = Tracker(max_gap_ms=1.5 * STEP_MS)
    stays, met = tool(700, 400), set()
    for step in range(12):
        first, second = tracks(tracker.update([stays, tool(40 + 400 * (step % 2))], step * STEP_MS))
        assert first == 1
        assert second is not None
        assert second % 5 != 1
        met.add(second)
    assert len(met) == 12


@pytest.mark.parametrize("state", [b"", b"{}", b"[]", b'{"format":9}', b'{"format":1,"next":1}'])
def test_what_is_not_a_state_is_refused(state: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Tracker().restore(state)
