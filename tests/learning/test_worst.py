"""The worst pictures: which are kept, in what order, and that they show both views."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import EnvironmentProblem
from app.core.mask import Mask
from app.core.picture import LabelledPicture
from app.core.prediction import Instance
from app.learning.worst import Worst


def picture(name: str, **more: object) -> LabelledPicture:
    return LabelledPicture(name=name, group="g", rgb=np.full((96, 128, 3), 90, np.uint8), **more)  # type: ignore[arg-type]


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=9), st.integers(1, 4))
def test_the_lowest_scores_are_kept_and_of_equals_the_earlier(scores: list[float], n: int) -> None:
    worst = Worst(n)
    for place, score in enumerate(scores):
        worst.note(picture(str(place)), (), score)
    expected = sorted(range(len(scores)), key=lambda i: (scores[i], i))[:n]
    assert [look.name for look in worst.looks()] == [str(i) for i in expected]


def test_of_equals_the_one_with_more_in_it_is_worse() -> None:
    worst = Worst(1)
    for side in (20.0, 60.0, 40.0):
        worst.note(picture(str(side), boxes=(("hook", (0.0, 0.0, side, side)),)), (), 0.0)
    assert worst.looks()[0].name == "60.0"


def test_a_file_shows_what_is_labelled_beside_what_is_said(tmp_path: Path) -> None:
    plane = np.zeros((96, 128), bool)
    plane[30:60, 40:80] = True
    mask = Mask.from_full(plane)
    worst = Worst(1)
    labelled = picture("op/a frame", boxes=(("hook", (10.0, 10.0, 100.0, 80.0)),))
    worst.note(labelled, (Instance(label="hook", mask=mask, score=0.9),), 0.125)
    (row,) = worst.write(tmp_path / "worst")
    assert row == {"file": "01-op_a_frame.jpg", "picture": "op/a frame", "score": 12.5}
    rgb = cv2.imread(str(tmp_path / "worst" / "01-op_a_frame.jpg"))
    assert rgb.shape == (96, 256, 3)
    left, right = rgb[:, :128].astype(int), rgb[:, 128:].astype(int)
    assert abs(left[45, 60] - 90).max() < 12, "nothing is drawn inside a labelled box"
    assert abs(left[45, 10] - 90).max() > 40
    assert abs(right[45, 40] - 90).max() > 40
    assert abs(right[5, 120] - 90).max() < 12


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    worst = Worst(1)
    worst.note(picture("a"), (), 0.0)
    with pytest.raises(EnvironmentProblem, match="give another folder"):
        worst.write(tmp_path / "file")
