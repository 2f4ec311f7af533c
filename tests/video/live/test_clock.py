"""Times of a live recording rise strictly and tell the true length of every gap."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from app.video.live.clock import START_PTS, LiveClock

MS = Fraction(1, 1000)
STEP_MS = 40


def test_within_a_connection_the_source_says_the_time() -> None:
    clock = LiveClock()
    clock.connected()
    times = [clock.stamp(7000 + STEP_MS * i, 7000 + STEP_MS * i, MS, 50.0 + i) for i in range(4)]
    assert [t[0] for t in times] == [START_PTS + 3600 * i for i in range(4)]
    assert all(gap is None for _, _, gap in times)


def test_a_reconnect_leaves_a_gap_as_long_as_the_wall_clock_says() -> None:
    clock = LiveClock()
    clock.connected()
    for i in range(25):
        clock.stamp(STEP_MS * i, STEP_MS * i, MS, 100.0 + STEP_MS * i / 1000)
    clock.connected()
    # The source was restarted: its clock begins anew, 12.5 s after the first picture.
    pts, dts, gap = clock.stamp(0, 0, MS, 112.5)
    assert pts == dts == START_PTS + 12.5 * 90_000
    assert gap is not None
    assert gap.end_pts == pts
    assert abs(gap.length_s - (12.5 - 1.0)) < 0.001


def test_a_clock_that_jumps_while_pictures_go_on_leaves_no_gap() -> None:
    clock = LiveClock()
    clock.connected()
    last = 0
    for i in range(50):
        source = STEP_MS * i + (86_400_000 if i >= 25 else 0) - (40_000_000 if i >= 40 else 0)
        pts, _, gap = clock.stamp(source, source, MS, 100.0 + STEP_MS * i / 1000)
        assert gap is None
        assert pts - last == 3600 or i == 0
        last = pts


def test_a_stall_of_one_connection_is_a_gap() -> None:
    clock = LiveClock()
    clock.connected()
    clock.stamp(0, 0, MS, 10.0)
    clock.stamp(40, 40, MS, 10.04)
    pts, _, gap = clock.stamp(5080, 5080, MS, 15.08)
    assert gap is not None
    assert abs(gap.length_s - 5.0) < 0.001
    assert pts == START_PTS + 5.08 * 90_000


def test_b_frames_keep_their_order_and_decode_times_may_be_missing() -> None:
    clock = LiveClock()
    clock.connected()
    shown = [0, 160, 80, 40, 120]
    stamped = [clock.stamp(t, None, MS, 1.0) for t in shown]
    assert [p - START_PTS for p, _, _ in stamped] == [90 * t for t in shown]
    decode = [d for _, d, _ in stamped]
    assert decode == sorted(set(decode))


_PACKET = st.tuples(
    st.one_of(st.none(), st.integers(-(2**40), 2**40)),
    st.one_of(st.none(), st.integers(-(2**40), 2**40)),
    st.floats(0, 30),
    st.booleans(),
)


@given(st.lists(_PACKET, max_size=60), st.booleans())
def test_whatever_comes_times_rise(
    packets: list[tuple[int | None, int | None, float, bool]], wall: bool
) -> None:
    clock = LiveClock(follows_wall=wall)
    now_s, seen, last_dts = 5.0, set(), -1
    for pts, dts, waited_s, again in packets:
        now_s += waited_s
        if again:
            clock.connected()
        new_pts, new_dts, gap = clock.stamp(pts, dts, MS, now_s)
        assert new_dts > last_dts
        assert new_pts >= new_dts
        assert new_pts not in seen
        assert gap is None or gap.length_s > 0
        last_dts = new_dts
        seen.add(new_pts)
