"""Phases keyed live: a timeline that grows, with the reaction time taken off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.core.timeline import Segment, Timeline
from app.live.annotations import grown, keyed, timeline_correction

S = 90_000


def _keys(*keys: tuple[float, str | None], reaction_s: float = 0.4) -> Timeline:
    line = None
    for now_s, phase in keys:
        now = int(now_s * S)
        line = keyed(line, phase, start_pts=S, at_pts=now - int(reaction_s * S), now_pts=now)
    assert line is not None
    return line


def test_a_phase_begins_a_reaction_time_before_the_key() -> None:
    line = _keys((10, "preparation"), (20, "dissection"))
    assert line.segments == (
        Segment(start_pts=int(9.6 * S), end_pts=int(19.6 * S), phase="preparation"),
        Segment(start_pts=int(19.6 * S), end_pts=20 * S, phase="dissection"),
    )
    assert line.end_pts == 20 * S
    assert grown(line, S, 60 * S).segments[-1].end_pts == 60 * S


def test_no_phase_ends_the_one_that_runs() -> None:
    line = _keys((10, "preparation"), (20, None))
    assert line.segments[-1].end_pts == int(19.6 * S)
    assert grown(line, S, 60 * S).segments == line.segments


def test_the_same_key_again_changes_nothing_but_the_end() -> None:
    line = _keys((10, "preparation"), (20, "preparation"))
    assert [(s.start_pts, s.end_pts) for s in line.segments] == [(int(9.6 * S), 20 * S)]


def test_a_phase_keyed_while_looking_back_leaves_what_was_keyed_later() -> None:
    line = _keys((10, "a"), (20, "b"), (30, None), (40, "c"), (50, "c"), (15, "d"), reaction_s=0)
    assert [(s.start_pts // S, s.end_pts // S, s.phase) for s in line.segments] == [
        (10, 15, "a"), (15, 20, "d"), (20, 30, "b"), (40, 50, "c"),
    ]  # fmt: skip
    assert grown(line, S, 60 * S).segments[-1].end_pts == 60 * S
    in_a_gap = keyed(line, "e", start_pts=S, at_pts=35 * S, now_pts=35 * S)
    assert in_a_gap.phase_at(39 * S) == "e"
    assert in_a_gap.segments[-1] == line.segments[-1]
    in_the_last = keyed(line, "f", start_pts=S, at_pts=45 * S, now_pts=45 * S)
    assert grown(in_the_last, S, 60 * S).phase_at(59 * S) == "f"


def test_a_key_at_the_very_beginning_begins_with_the_recording() -> None:
    line = _keys((1.1, "preparation"))
    assert line.segments[0].start_pts == line.start_pts == S


def test_a_recording_that_a_crash_cut_off_cuts_the_last_phase() -> None:
    line = _keys((10, "preparation"), (20, "dissection"))
    cut = grown(line, S, int(19.8 * S))
    assert cut.end_pts == cut.segments[-1].end_pts == int(19.8 * S)


def test_nothing_new_is_no_step() -> None:
    line = _keys((10, "preparation"))
    step = timeline_correction("0001", "a", None, line, "Begin a phase live")
    assert step is not None
    stored = step.changes[0].after
    assert timeline_correction("0001", "a", stored, line, "Again") is None  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from(["a", "b", None]), st.floats(0, 3)),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_is_pressed_the_last_key_holds(
    presses: list[tuple[float, str | None, float]],
) -> None:
    line, now_s = None, 1.0
    for waited_s, phase, reaction_s in presses:
        now_s += waited_s
        now = int(now_s * S)
        at = now - int(reaction_s * S)
        line = keyed(line, phase, start_pts=S, at_pts=at, now_pts=now)
        assert line.phase_at(line.end_pts - 1) == phase
        assert line.phase_at(max(at, S)) == phase
    assert line is not None
    assert grown(line, S, line.end_pts + S).phase_at(line.end_pts + S - 1) == presses[-1][1]
