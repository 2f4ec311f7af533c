"""What can be typed to go somewhere, and what is said where it cannot be."""

from __future__ import annotations

import pytest

from app.core.errors import BadInput
from app.ui.moments import Here, parse_moment

HERE = Here(frames=50_000, duration_ms=2_000_000.0, index=1_000, time_ms=40_000.0)


@pytest.mark.parametrize(
    ("typed", "kind", "value"),
    [
        ("7:09", "ms", 429_000),
        (" 0:07:09.5 ", "ms", 429_500),
        ("7:09,5", "ms", 429_500),
        ("0", "frame", 0),
        ("12886", "frame", 12_886),
        ("12,886", "frame", 12_886),
        ("12 886", "frame", 12_886),
        ("frame 12886", "frame", 12_886),
        ("f49999", "frame", 49_999),
        ("95 s", "ms", 95_000),
        ("1.5 min", "ms", 90_000),
        ("0.5h", "ms", 1_800_000),
        ("50 %", "ms", 1_000_000),
        ("0%", "ms", 0),
        ("100%", "ms", 2_000_000),
        ("+10 s", "ms", 50_000),
        ("-10s", "ms", 30_000),
        ("\N{MINUS SIGN}0:30", "ms", 10_000),
        ("+1:00", "ms", 100_000),
        ("+5", "frame", 1_005),
        ("- 5 frames", "frame", 995),
    ],
)
def test_places(typed: str, kind: str, value: float) -> None:
    found = parse_moment(typed, HERE)
    assert found[0] == kind
    assert found[1] == pytest.approx(value)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Type where to go"),
        ("tomorrow", "is no place"),
        ("50000", "the frames 0 to 49,999"),
        ("-1001", "the frames 0 to 49,999"),
        ("40:00", "goes from 0:00 to 33:20.0"),
        ("-41 s", "goes from 0:00"),
        ("101 %", "0 to 100 %"),
        ("+10 %", "0 to 100 %"),
        ("1:75", "go to 59"),
        ("1.5:10", "go to 59"),
        ("1:2:3:4", "is no time"),
        ("1:", "is no time"),
        ("1:nan", "is no time"),
        ("1:inf", "is no time"),
        ("7.5", "for a time, type 7.5 s"),
        ("7 parsecs", "is no unit"),
        ("1e9", "is no place"),
        ("9" * 400 + ":00", "is no time"),
    ],
)
def test_refusals_are_one_sentence(typed: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_moment(typed, HERE)
    assert said in caught.value.user_message
    assert "\n" not in caught.value.user_message
    assert len(caught.value.user_message) < 120
