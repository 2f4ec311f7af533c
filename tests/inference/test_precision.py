"""When half precision counts as saying the same: by the instances that come out."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.mask import Mask
from app.core.prediction import Instance
from app.inference.precision import agrees, is_telling

THRESHOLD = 0.15


def found(score: float, *, label: str = "hook", left: int = 10, width: int = 40) -> Instance:
    """A box of 40 rows and ``width`` columns."""
    plane = np.zeros((60, 200), bool)
    plane[10:50, left : left + width] = True
    return Instance(label=label, mask=Mask.from_full(plane), score=score)


@pytest.mark.parametrize(
    ("full", "half", "same"),
    [
        ([found(0.8)], [found(0.79)], True),
        ([found(0.8)], [found(0.77)], False),
        ([found(0.8)], [found(0.8, left=11)], False),
        ([found(0.8, width=100)], [found(0.8, width=99)], True),
        ([found(0.8)], [found(0.8, label="grasper")], False),
        ([found(0.8)], [], False),
        ([], [found(0.8)], False),
        ([found(0.8), found(0.16, left=90)], [found(0.8)], True),
        ([found(0.8)], [found(0.8), found(0.16, left=90)], True),
        ([found(0.8), found(0.16, left=90)], [found(0.8), found(0.16, left=120)], True),
        ([found(0.8), found(0.8)], [found(0.8)], False),
        ([found(0.8), found(0.5, left=90)], [found(0.5, left=90), found(0.8)], True),
    ],
)
def test_what_counts_as_the_same(full: list[Instance], half: list[Instance], same: bool) -> None:
    assert agrees(full, half, THRESHOLD) is same


def test_a_doubtful_frame_is_no_trial() -> None:
    assert not is_telling([], THRESHOLD)
    assert not is_telling([found(0.16)], THRESHOLD)
    assert is_telling([found(0.16), found(0.2)], THRESHOLD)
