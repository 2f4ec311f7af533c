"""Data sets before training: counted, split by operation, what two splits share said."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.core.mask import Mask
from app.core.picture import LabelledPicture, PictureEntry, Pictures
from app.core.prediction import Instance
from app.exchange.dataset import open_dataset
from app.learning.datasets import (
    Renamed,
    leaks,
    look_hash,
    near_pairs,
    split_by_group,
    survey,
    warnings_of,
)


def scene(seed: int) -> np.ndarray:
    """A smooth coloured picture, uint8 (60, 80, 3)."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(small, (80, 60), interpolation=cv2.INTER_CUBIC)


def picture(number: int, group: str, labels: tuple[str, ...] = ("polyp",)) -> LabelledPicture:
    plane = np.zeros((60, 80), bool)
    plane[10:20, 10:30] = True
    mask = Mask.from_full(plane)
    return LabelledPicture(
        name=f"p{number}",
        group=group,
        rgb=scene(number),
        instances=tuple(Instance(label=label, mask=mask) for label in labels),
    )


def entry(number: int, group: str) -> PictureEntry:
    return PictureEntry(name=f"p{number}", group=group, load=partial(picture, number, group))


@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=60).filter(lambda g: len(set(g)) > 1),
    st.floats(0.05, 0.9),
    st.integers(0, 99),
)
def test_no_operation_is_on_both_sides(groups: list[int], share: float, seed: int) -> None:
    pictures = Pictures([entry(n, str(g)) for n, g in enumerate(groups)])
    learn, held = split_by_group(pictures, share, seed)
    assert not {e.group for e in learn.entries} & {e.group for e in held.entries}
    assert sorted(e.name for e in (*learn.entries, *held.entries)) == sorted(
        e.name for e in pictures.entries
    )
    assert len(learn)
    assert len(held)
    assert split_by_group(pictures, share, seed)[1].entries == held.entries
    if len(set(groups) - {int(e.group) for e in held.entries}) > 1:
        assert len(held) >= share * len(pictures)


def test_one_operation_cannot_be_split() -> None:
    with pytest.raises(BadInput, match="one operation"):
        split_by_group(Pictures([entry(n, "a") for n in range(5)]), 0.2)


def test_a_survey_counts_what_there_is() -> None:
    pictures = [picture(0, "a", ("polyp", "polyp", "fold")), picture(1, "b", ())]
    seen: list[int] = []
    found = survey(pictures, seen.append)
    assert (found.labels, found.empty, seen) == ({"polyp": 2, "fold": 1}, 1, [1, 2])
    assert warnings_of(found, ["polyp"], {"polyp"}.__contains__) == [
        "Labels that are no class of the network are left out of its lesson: fold (1)."
    ]
    (missing,) = warnings_of(found, ["polyp", "fold", "ulcer"], lambda _: True)
    assert missing == "No picture shows ulcer, so the network cannot learn it."
    with pytest.raises(BadInput, match=r"is of a class .* ulcer \(polyp \(2\), fold \(1\)\)"):
        warnings_of(found, ["ulcer"], {"ulcer"}.__contains__)
    with pytest.raises(BadInput, match="There is no labelled picture"):
        survey([])
    (alone,) = warnings_of(survey(pictures[:1]), ["polyp"], lambda _: True)
    assert "single picture" in alone
    renamed = Renamed(pictures, {"fold": "polyp"})
    assert survey(renamed).labels == {"polyp": 3}
    assert len(renamed[:1]) == 1


def test_what_two_splits_share_is_said() -> None:
    learnt = survey([picture(n, f"op{n}") for n in range(6)])
    assert leaks(learnt, survey([picture(n, f"op{n}") for n in range(20, 24)])) == []
    (same,) = leaks(learnt, survey([picture(30, "op2"), picture(31, "new")]))
    assert same.startswith("1 of 2 pictures to measure on are of operations")
    assert "(op2)" in same
    again = picture(3, "new")
    _, data = cv2.imencode(
        ".jpg", cv2.resize(again.rgb, (200, 150)), [cv2.IMWRITE_JPEG_QUALITY, 60]
    )
    darker = (cv2.imdecode(data, cv2.IMREAD_COLOR) * 0.8).astype(np.uint8)
    copy = LabelledPicture(name="copy", group="new", rgb=darker)
    (near,) = leaks(learnt, survey([copy, picture(40, "other")]))
    assert near.startswith("Of 2 pictures to measure on, 1 nearly repeat one")
    assert "copy and p3" in near


def test_pictures_that_differ_have_hashes_that_do() -> None:
    hashes = np.stack([look_hash(scene(n)) for n in range(40)])
    assert near_pairs(hashes[:20], hashes[20:]) == []
    assert near_pairs(hashes, hashes[7:8])[0] == (7, 0)


def test_a_polyp_of_a_published_split_is_on_both_sides(shared_data: Path) -> None:
    """Kvasir-SEG as split by others: at least one polyp was filmed twice and is in both."""
    dataset = open_dataset(shared_data / "kvasir_seg")
    few = [e for e in dataset.pictures.entries if e.name.endswith(("/35", "/36", "/54", "/5"))]
    sides = (Pictures([e for e in few if e.split == s]) for s in ("train", "validation"))
    (said,) = leaks(*(survey(side) for side in sides))
    assert "(validation/54 and train/35)" in said
