"""Training views: masks follow their picture; targets say what the loss needs."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.mask import Mask
from app.core.picture import LabelledPicture
from app.core.prediction import Instance
from app.learning.collate import class_of, collate
from app.learning.views import Augmentation, View, augmented, fitted

SIZE_PX = (96, 64)


def bright_square(*, ignore: bool = False) -> LabelledPicture:
    """A white square on black, annotated as what it is."""
    rgb = np.zeros((120, 200, 3), np.uint8)
    rgb[40:80, 60:140] = 255
    mask = Mask.from_full(rgb[..., 0] > 0)
    zone = np.zeros((120, 200), bool)
    zone[:, :30] = True
    return LabelledPicture(
        name="square",
        group="one",
        rgb=rgb,
        instances=(Instance(label="hook", mask=mask),),
        ignore=Mask.from_full(zone) if ignore else None,
    )


def test_fitted_keeps_the_aspect() -> None:
    view = fitted(bright_square(), SIZE_PX)
    rows, cols = np.flatnonzero(view.masks[0].any(1)), np.flatnonzero(view.masks[0].any(0))
    assert (cols[-1] + 1 - cols[0]) / (rows[-1] + 1 - rows[0]) == pytest.approx(2, rel=0.1)
    lit = view.rgb[..., 0] > 140
    assert (lit & view.masks[0]).sum() / (lit | view.masks[0]).sum() > 0.85


@pytest.mark.parametrize("seed", range(8))
def test_the_mask_follows_the_picture(seed: int) -> None:
    still = Augmentation(hue=0, saturation=0, brightness=0, blur_px=0, jpeg=94)
    view = augmented(bright_square(), SIZE_PX, still, np.random.default_rng(seed))
    lit = view.rgb[..., 0] > 140
    assert (lit & view.masks[0]).sum() / (lit | view.masks[0]).sum() > 0.85


def test_same_seed_same_view() -> None:
    one, two = (
        augmented(bright_square(), SIZE_PX, Augmentation(), np.random.default_rng(3))
        for _ in range(2)
    )
    assert np.array_equal(one.rgb, two.rgb)
    assert np.array_equal(one.masks[0], two.masks[0])


def test_targets() -> None:
    with_zone = fitted(bright_square(ignore=True), SIZE_PX)
    nothing = View(
        rgb=np.zeros((64, 96, 3), np.uint8), masks=(), labels=(), ignore=np.zeros((64, 96), bool)
    )
    images, targets = collate([with_zone, nothing], ["instrument"])
    assert tuple(images.shape) == (2, 3, 64, 96)
    assert targets.valid.tolist() == [[True], [False]]
    x0, y0, x1, y1 = targets.boxes[0, 0].tolist()
    assert (x1 - x0) / (y1 - y0) == pytest.approx(2, rel=0.1)
    assert targets.masks[0, 0].sum() * 16 == pytest.approx(with_zone.masks[0].sum(), rel=0.25)
    assert targets.ignore is not None
    assert targets.ignore[0].any()
    assert not targets.ignore[1].any()


def test_kinds_that_the_model_does_not_tell_apart() -> None:
    assert class_of("hook", ["instrument"]) == 0
    assert class_of("hook", ["grasper", "hook"]) == 1
    assert class_of("specimen_bag", ["instrument"]) is None
    assert class_of("hook", ["grasper"]) is None


def test_a_bag_is_background_and_an_unknown_kind_is_left_out() -> None:
    base = fitted(bright_square(), SIZE_PX)
    bag = View(rgb=base.rgb, masks=base.masks, labels=("specimen_bag",), ignore=base.ignore)
    _, targets = collate([bag], ["instrument"])
    assert not targets.valid.any()
    assert targets.ignore is not None
    assert not targets.ignore.any()
    _, targets = collate([base], ["grasper"])
    assert targets.ignore is not None
    assert targets.ignore.any()


def test_what_is_too_small_to_learn_is_ignored_and_not_background() -> None:
    plane = np.zeros((64, 96), bool)
    plane[20:22, 30:33] = True
    picture = LabelledPicture(
        name="p",
        group="g",
        rgb=np.zeros((64, 96, 3), np.uint8),
        instances=(Instance(label="grasper", mask=Mask.from_full(plane)),),
    )
    _, targets = collate([fitted(picture, (96, 64))], ["instrument"])
    assert not targets.valid.any()
    assert targets.ignore is not None
    assert targets.ignore[0].nonzero().tolist() == [[5, 7]]
