"""A forecast by hand: what follows in which order, what lies beyond the horizon, when it counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.core.forecast import Ahead, Forecast, forecast, forecast_at
from app.core.foreseen import HORIZON_MIN, NEXT_WITHIN_HORIZON, Foreseen
from app.core.prediction import ANTICIPATION, Run

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


def test_it_stands_beside_no_phase_that_it_does_not_see_or_foresees_itself() -> None:
    sees_a = ahead(_run(), _seen((0, 5, 2.5)))
    assert [sees_a.fits(phase) for phase in (None, "a", "b", "c")] == [True, True, False, False]
    sees_none = ahead(_run(), _seen((1, 5, 2.5)))
    assert [sees_none.fits(phase) for phase in ("a", "b", "c")] == [True, True, False]


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
