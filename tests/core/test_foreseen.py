"""What a model foresees refuses numbers that mean nothing."""

from __future__ import annotations

from math import nan
from typing import Any

import pytest

from app.core.foreseen import Foreseen

GOOD = {
    "pts": 0,
    "index": 0,
    "next_probabilities": (0.5, 0.5, 0.0),
    "minutes_to": (0.0, 3.0),
    "minutes_left": (1.0, 1.0, 2.0),
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"next_probabilities": ()}, "expected something"),
        ({"minutes_to": (1.0,)}, "expected 2 times or none, got 1"),
        ({"minutes_left": (1.0, 2.0)}, "expected 3, got 2"),
        ({"minutes_left": (2.0, 1.0, 3.0)}, "ascending"),
        ({"minutes_to": (nan, 1.0)}, "finite"),
        ({"minutes_left": (-1.0, 1.0, 3.0)}, "at least 0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(changes: dict[str, Any], sentence: str) -> None:
    Foreseen(**GOOD)
    with pytest.raises(ValueError, match=sentence):
        Foreseen(**{**GOOD, **changes})
