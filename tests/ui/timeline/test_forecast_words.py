"""What is foreseen, in words."""

from __future__ import annotations

import pytest

from app.core.forecast import Forecast
from app.core.taxonomy import find_taxonomy
from app.ui.timeline.forecast import left_words, next_words


@pytest.mark.parametrize(
    ("left_min", "said"),
    [
        ((8, 12, 19), "Operation: about 12 min left (8 to 19)"),
        ((12, 12, 12), "Operation: about 12 min left"),
        ((0.2, 0.4, 0.9), "Operation: less than a minute left"),
        ((0.2, 0.4, 3.1), "Operation: about 1 min left (0 to 3)"),
    ],
)
def test_the_time_left_in_words(left_min: tuple[float, float, float], said: str) -> None:
    assert left_words(left_min) == said


@pytest.mark.parametrize(
    ("following", "next_min", "within_min", "said"),
    [
        ("clipping_cutting", 14.2, None, "Clip and cut in about 14 min"),
        ("clipping_cutting", 0.4, None, "Clip and cut within a minute"),
        ("clipping_cutting", None, None, "Clip and cut next"),
        (None, None, None, "The operation's end is next"),
        (None, None, 2.0, "No other phase for 2 min"),
    ],
)
def test_what_follows_in_words(
    following: str | None, next_min: float | None, within_min: float | None, said: str
) -> None:
    forecast = Forecast(
        pts=0, ahead=(), following=following, probability=0.9, next_min=next_min,
        left_min=(8, 12, 19), classes=(), within_min=within_min,
    )  # fmt: skip
    assert next_words(forecast, find_taxonomy("cholecystectomy")) == said
