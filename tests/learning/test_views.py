"""Training views: masks follow their picture; targets say what the loss needs."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.core.mask import Mask
from app.core.picture import LabelledPicture
from app.core.prediction import Instance
from app.inference.preprocess import letterbox
from app.learning.collate import class_of, collate
from app.learning.instruments import PictureViews
from app.learning.views import Augmentation, View, augmented, fitted, mosaic, photometric

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


@pytest.mark.parametrize("size", [(1080, 720), (1920, 1080), (720, 576), (576, 720)])
@pytest.mark.parametrize("input_px", [(640, 640), (640, 384)])
def test_a_mask_goes_into_a_view_and_back_to_its_frame(
    size: tuple[int, int], input_px: tuple[int, int]
) -> None:
    """Back by the geometry that inference uses, which pads less but fits the frame the same."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    across, down = (x / width - 0.45) / 0.3, (y / height - 0.6) / 0.35
    plane = across**2 + down**2 < 1
    picture = LabelledPicture(
        name="p",
        group="g",
        rgb=np.zeros((height, width, 3), np.uint8),
        instances=(Instance(label="hook", mask=Mask.from_full(plane)),),
    )
    (mask,) = fitted(picture, input_px).masks
    fit = letterbox(width, height, input_px)
    wide, high = fit.picture_width_px, fit.picture_height_px
    top, left = (input_px[1] - high) // 2, (input_px[0] - wide) // 2
    seen = mask[top : top + high, left : left + wide].astype(np.float32)
    back = cv2.resize(seen, size, interpolation=cv2.INTER_LINEAR) > 0.5
    assert (back & plane).sum() / (back | plane).sum() > 0.99


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


STILL = Augmentation(
    hue=0, saturation=0, brightness=0, blur_px=0, jpeg=100, rotate_deg=0, scale=(0.5, 1.5),
    flip_vertical=True, mosaic=1.0,
)  # fmt: skip
SHAPES = ((90, 150), (120, 80), (64, 64), (200, 210))
BOXES = ((0.1, 0.15, 0.45, 0.5), (0.5, 0.55, 0.95, 0.9))
"""Of two instances, as shares of a picture: y0, x0, y1, x1."""


def four_pictures() -> list[LabelledPicture]:
    """Flat instances, each of a colour of its own, on black; the last rows are not known."""
    pictures = []
    for n, (height, width) in enumerate(SHAPES):
        rgb, found = np.zeros((height, width, 3), np.uint8), []
        for k, (y0, x0, y1, x1) in enumerate(BOXES):
            plane = np.zeros((height, width), bool)
            plane[int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)] = True
            rgb[plane] = (60 + 45 * n, 80 + 120 * k, 200)
            found.append(Instance(label=f"{n}{k}", mask=Mask.from_full(plane)))
        zone = np.zeros((height, width), bool)
        zone[-6:] = True
        pictures.append(
            LabelledPicture(
                name=str(n), group="g", rgb=rgb, instances=tuple(found), ignore=Mask.from_full(zone)
            )
        )
    return pictures


def shown(view: View, label: str) -> np.ndarray:
    """Where the view has the very colour of an instance."""
    colour = np.array((60 + 45 * int(label[0]), 80 + 120 * int(label[1]), 200))
    return (np.abs(view.rgb.astype(int) - colour) <= 12).all(2)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), turned=st.booleans())
def test_a_mosaic_keeps_every_instance_that_shows_and_no_other(seed: int, turned: bool) -> None:
    how = replace(STILL, rotate_deg=30.0) if turned else STILL
    view = mosaic(four_pictures(), (128, 96), how, np.random.default_rng(seed))
    assert view.rgb.shape == (96, 128, 3)
    assert len(view.masks) == len(view.labels) == len(set(view.labels)) <= 8
    total = sum((m.astype(int) for m in view.masks), np.zeros((96, 128), int))
    assert total.max(initial=0) <= 1, "pictures overlap"
    by_label = dict(zip(view.labels, view.masks, strict=True))
    for label in (i.label for p in four_pictures() for i in p.instances):
        visible, mask = shown(view, label), by_label.get(label, np.zeros((96, 128), bool))
        plane, around = mask.astype(np.uint8), np.ones((3, 3), np.uint8)
        near = cv2.dilate(plane, around) > 0
        inside = cv2.erode(plane, around, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
        assert not (visible & ~near).any(), f"{label} shows where its mask is not"
        assert not (inside & ~visible).any(), f"the mask of {label} lies where it does not show"
        assert mask.any() == (label in by_label)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_targets_of_a_mosaic_follow_its_masks(seed: int) -> None:
    view = mosaic(four_pictures(), (128, 96), STILL, np.random.default_rng(seed))
    classes = [f"{n}{k}" for n in range(4) for k in range(2)]
    _, targets = collate([view], classes)
    for row, (mask, label) in enumerate(zip(view.masks, view.labels, strict=True)):
        half = mask.reshape(24, 4, 32, 4).mean((1, 3)) >= 0.5
        assert bool(targets.valid[0, row]) == bool(half.any())
        if not half.any():
            continue
        y, x = np.nonzero(mask)
        box = [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert targets.boxes[0, row].tolist() == box
        assert classes[int(targets.classes[0, row])] == label
        assert np.array_equal(targets.masks[0, row].numpy(), half)


def test_a_mosaic_shows_pictures_at_the_size_they_have_alone() -> None:
    """With a zoom of 1 and no shift an instance that shows whole has its usual area."""
    how = replace(STILL, scale=(1.0, 1.0), shift=0.0)
    alone = {p.name: fitted(p, (128, 96)).masks for p in four_pictures()}
    whole = 0
    for seed in range(30):
        view = mosaic(four_pictures(), (128, 96), how, np.random.default_rng(seed))
        for mask, label in zip(view.masks, view.labels, strict=True):
            border = mask[0].any() | mask[-1].any() | mask[:, 0].any() | mask[:, -1].any()
            if not border:
                whole += 1
                usual = alone[label[0]][int(label[1])].sum()
                assert mask.sum() == pytest.approx(usual, rel=0.12)
    assert whole > 20


@pytest.mark.parametrize("size_px", [(160, 96), (96, 160)])
def test_rectangles_are_filled_as_squares_are(size_px: tuple[int, int]) -> None:
    seen = set()
    for seed in range(12):
        view = mosaic(four_pictures(), size_px, STILL, np.random.default_rng(seed))
        assert view.rgb.shape == (size_px[1], size_px[0], 3)
        seen |= {label[0] for label in view.labels}
    assert seen == {"0", "1", "2", "3"}


def flat(number: int) -> LabelledPicture:
    plane = np.ones((40, 60), bool)
    return LabelledPicture(
        name=str(number),
        group="g",
        rgb=np.full((40, 60, 3), 20 * number + 10, np.uint8),
        instances=(Instance(label=str(number), mask=Mask.from_full(plane)),),
    )


def test_the_last_passes_are_without_mosaic_and_a_number_decides_its_view() -> None:
    pictures, how = [flat(n) for n in range(6)], replace(STILL, mosaic_off_passes=2)
    make = PictureViews(pictures, (64, 64), 3, 0.0, how, views=30)
    counts = [len(set(make(n).labels)) for n in range(30)]
    assert max(counts[:18]) > 1
    assert sum(c > 1 for c in counts[:18]) > 9
    assert set(counts[18:]) == {1}
    again = PictureViews(pictures, (64, 64), 3, 0.0, how, views=30)
    for number in (17, 4, 25):
        one, two = make(number), again(number)
        assert np.array_equal(one.rgb, two.rgb)
        assert one.labels == two.labels
    single = PictureViews(pictures[:1], (64, 64), 3, 0.0, how, views=30)
    assert set(single(0).labels) == {"0"}


def test_the_shipped_recipes_draw_what_they_always_drew() -> None:
    """Another order of random draws would make the demo's weights unrepeatable."""
    how, used, by_hand = Augmentation(), np.random.default_rng(7), np.random.default_rng(7)
    augmented(bright_square(), SIZE_PX, how, used)
    for limit in (how.rotate_deg, None, how.shift, how.shift):
        by_hand.uniform(*(how.scale if limit is None else (-limit, limit)))
    by_hand.random()
    for limit in (how.hue, how.saturation, how.brightness):
        by_hand.uniform(-limit, limit)
    by_hand.uniform(0, how.blur_px)
    if by_hand.random() < 0.5:
        by_hand.integers(how.jpeg, 95)
    assert used.random() == by_hand.random()


def test_a_veil_and_little_contrast_lift_the_picture_towards_grey() -> None:
    plain = Augmentation(hue=0, saturation=0, brightness=0, blur_px=0, jpeg=95)
    picture = np.random.default_rng(1).integers(0, 120, (60, 96, 3), dtype=np.uint8)
    as_it_is = photometric(picture, plain, np.random.default_rng(0))
    for change, lightens in (({"veil": 0.9}, True), ({"contrast": 0.9}, False)):
        how = replace(plain, **change)
        views = [photometric(picture, how, np.random.default_rng(n)) for n in range(40)]
        changed = [v for v in views if not np.array_equal(v, as_it_is)]
        assert 10 <= len(changed) <= 30
        assert all(v.std() < as_it_is.std() + 1 for v in changed)
        lifted = np.mean([v.mean() for v in changed]) - as_it_is.mean()
        assert (lifted > 20) if lightens else abs(lifted) < 2
    with pytest.raises(BadInput, match="veil and contrast 0 to 1"):
        replace(plain, veil=1.1)


def test_a_recipe_says_how_far_views_stray() -> None:
    assert Augmentation.of(said=True) == Augmentation()
    assert Augmentation.of(said=False) is None
    some = Augmentation.of({"scale": [0.5, 1.5], "mosaic": 1.0})
    assert some is not None
    assert (some.scale, some.mosaic, some.jpeg) == ((0.5, 1.5), 1.0, 30)
    for wrong in ({"mosaik": 1.0}, {"scale": 2}, {"scale": [1]}, {"hue": "much"}):
        with pytest.raises(BadInput, match=r"data\.augment cannot be used; it takes rotate_deg"):
            Augmentation.of(wrong)
    for far in ({"mosaic": 1.5}, {"scale": [1.5, 0.5]}, {"jpeg": 101}, {"shift": -0.1}):
        with pytest.raises(BadInput, match="out of range"):
            Augmentation.of(far)
