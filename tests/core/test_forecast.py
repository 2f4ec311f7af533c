"""A forecast by hand: what follows in which order, what lies beyond the horizon, when it counts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.core.forecast import Ahead, Forecast, forecast, forecast_at
from app.core.foreseen import HORIZON_MIN, NEXT_WITHIN_HORIZON, Foreseen
from app.core.prediction import ANTICIPATION, Run
from app.core.taxonomy import Phase, Taxonomy, find_taxonomy

KEYS = ("a", "b", "c")


def _run(horizon: float = 5.0) -> Run:
    return Run(
        run_id=1,
        asset_id="x",
        model="m",
        task=ANTICIPATION,
        weights_sha256="",
        classes=KEYS,
        settings={HORIZON_MIN: horizon},
        sample_every=0,
        frames_expected=1,
    )


def ahead(run: Run, seen: Foreseen) -> Forecast:
    return forecast(run.classes, run.settings, seen)


def _seen(
    to: tuple[float, ...], left: tuple[float, float, float] = (8, 12, 19), pts: int = 100
) -> Foreseen:
    return Foreseen(
        pts=pts, index=0, next_probabilities=(0.1, 0.2, 0.6, 0.1), minutes_to=to, minutes_left=left
    )


def test_by_hand() -> None:
    found = ahead(_run(), _seen((0, 5, 2.5)))
    assert found.ahead == (
        Ahead(phase="a", from_min=0, to_min=2.5),
        Ahead(phase="c", from_min=2.5, to_min=12),
    )
    assert (found.following, found.probability, found.next_min) == ("c", 0.6, 2.5)
    assert found.left_min == (8, 12, 19)


def known(*keys: str) -> Taxonomy:
    phases = tuple(Phase(key=k, name=k, code=k, colour="#123456") for k in keys)
    return replace(find_taxonomy("unknown"), procedure="made_up", phases=phases)


def test_it_stands_beside_no_phase_that_it_does_not_see_or_foresees_itself() -> None:
    sees_a, ours = ahead(_run(), _seen((0, 5, 2.5))), known(*KEYS)
    for phase in (None, "a"):
        assert sees_a.beside(phase, ours) == sees_a
    for phase in ("b", "c", "of another operation"):
        assert sees_a.beside(phase, ours) is None
    assert sees_a.beside(None, known("x", "y")) is None, "another operation was chosen"
    assert sees_a.beside(None, find_taxonomy("unknown")) == sees_a


def test_the_phase_that_runs_goes_on_until_the_next_one() -> None:
    sees_none, ours = ahead(_run(), _seen((1, 5, 2.5))), known(*KEYS)
    assert [a.phase for a in sees_none.ahead] == ["c"]
    beside_b = sees_none.beside("b", ours)
    assert beside_b is not None
    assert beside_b.ahead[0] == Ahead(phase="b", from_min=0, to_min=2.5)
    assert beside_b.ahead[1:] == sees_none.ahead
    # The next one lies beyond the horizon, or is the end.
    far = ahead(_run(), _seen((5, 1, 5))).beside("b", ours)
    assert far is not None
    assert (far.following, far.ahead) == ("c", (Ahead(phase="b", from_min=0, to_min=5),))
    assert sees_none.beside("c", ours) is None


def test_what_would_begin_before_the_next_phase_is_left_out() -> None:
    found = ahead(_run(), _seen((0, 1, 2)))
    assert found.following == "c"
    assert [a.phase for a in found.ahead] == ["a", "c"]


def test_without_times_the_next_phase_is_named_alone() -> None:
    found = ahead(_run(), _seen(()))
    assert found.ahead == ()
    assert (found.following, found.next_min) == ("c", None)


def test_the_end_may_be_what_follows() -> None:
    seen = Foreseen(
        pts=0, index=0, next_probabilities=(0, 0, 0.1, 0.9), minutes_to=(5, 5, 0),
        minutes_left=(1, 1, 1),
    )  # fmt: skip
    found = ahead(_run(), seen)
    assert found.following is None
    assert found.ahead == (Ahead(phase="c", from_min=0, to_min=1),)
    assert found.within_min is None
    short = forecast(KEYS, {HORIZON_MIN: 2.0, NEXT_WITHIN_HORIZON: True}, seen)
    assert short.within_min == 2


def test_a_look_counts_for_a_while() -> None:
    rows = [_seen((0, 5, 5), pts=p) for p in (100, 125, 150)]

    def at(pts: int) -> int | None:
        found = forecast_at(_run(), rows, pts, 60)
        return None if found is None else found.pts

    assert [at(p) for p in (99, 100, 124, 125, 210, 211)] == [None, 100, 100, 125, 150, None]


times = st.floats(0, 10)


@given(st.tuples(times, times, times), st.lists(times, min_size=3, max_size=3).map(sorted))
def test_what_is_ahead_follows_without_a_gap(to: tuple[float, ...], left: list[float]) -> None:
    found = ahead(_run(9.0), _seen(to, tuple(left)))
    for one, two in zip(found.ahead, found.ahead[1:], strict=False):
        assert one.to_min == two.from_min
    assert all(a.from_min < a.to_min for a in found.ahead)
    assert all(a.from_min < 9 for a in found.ahead)
    first = next((a for a in found.ahead if a.from_min > 0), None)
    if first is not None and to[KEYS.index("c")] > 0:
        assert first.phase == found.following
        assert first.from_min == found.next_min == found.goes_on_min
