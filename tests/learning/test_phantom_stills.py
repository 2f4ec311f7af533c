"""Training pictures: the same by seed, masks exact, nothing of the held-out operations."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from app.core.resources import resources_dir
from app.learning.phantom import TOOLS, PhantomStills, effects, material
from app.learning.phantom.compose import Look, Placed, place_on, random_look
from app.learning.phantom.cutouts import cutouts
from app.learning.phantom.instruments import Pose
from app.learning.phantom.rendered import MAKERS
from app.learning.phantom.stills import entry_pose

SIZE_PX = (160, 96)
HELD_OUT = ("00001", "00010")
FULL_VIEW = (80.0, 48.0, 160.0)


@pytest.fixture(scope="module")
def samples():
    stills = PhantomStills(4, SIZE_PX)
    return [stills.sample(i) for i in range(36)]


def test_a_sample_depends_on_seed_and_index_alone(samples) -> None:
    again = PhantomStills(4, SIZE_PX)
    for index in (17, 3, 31):
        first, second = samples[index], again.sample(index)
        assert first.rgb.tobytes() == second.rgb.tobytes()
        assert first.ignore.tobytes() == second.ignore.tobytes()
        assert [i.key for i in first.instances] == [i.key for i in second.instances]
        for one, other in zip(first.instances, second.instances, strict=True):
            assert np.array_equal(one.mask, other.mask)
    other_seed = PhantomStills(5, SIZE_PX).sample(17)
    assert other_seed.rgb.tobytes() != samples[17].rgb.tobytes()
    assert samples[3].rgb.tobytes() != samples[17].rgb.tobytes()


def test_shapes_types_and_presence(samples) -> None:
    for sample in samples:
        assert sample.rgb.shape == (96, 160, 3)
        assert sample.rgb.dtype == np.uint8
        assert sample.ignore.shape == (96, 160)
        assert sample.ignore.dtype == bool
        keys = [i.key for i in sample.instances]
        assert sample.presence.tolist() == [tool in keys for tool in TOOLS]
        for instance in sample.instances:
            assert instance.mask.shape == (96, 160)
            assert instance.mask.dtype == bool
            assert instance.mask.any()
            assert instance.key in {*TOOLS, "instrument"}


def test_instances_and_ignore_never_share_a_pixel(samples) -> None:
    for sample in samples:
        taken = sample.ignore.astype(int)
        for instance in sample.instances:
            taken = taken + instance.mask
        assert taken.max() <= 1


def test_the_recipe_mixes_what_it_should() -> None:
    stills = PhantomStills(9, (64, 36))
    counts = [len(stills.sample(i).instances) for i in range(160)]
    shares = np.bincount(np.minimum(counts, 3), minlength=4) / len(counts)
    assert 0.05 < shares[0] < 0.25
    assert shares[1] > 0.25
    assert shares[2] > 0.2
    assert 0.02 < shares[3] < 0.25


@pytest.mark.parametrize("key", sorted(MAKERS))
def test_a_rendered_mask_is_where_it_was_drawn(key: str) -> None:
    rng = np.random.default_rng(3)
    instrument = MAKERS[key](rng, 14.0, 220.0)
    _assert_exact(
        [Placed(instrument=instrument, pose=_pose(0.4, opening=0.7), look=random_look(rng))]
    )


def test_masks_of_overlapping_instruments_are_what_shows_of_each() -> None:
    rng = np.random.default_rng(8)
    placed = [
        Placed(instrument=cutouts()[number], pose=_pose(angle, scale=0.2))
        for number, angle in ((2, 0.3), (5, 2.6))
    ]
    placed.append(Placed(instrument=MAKERS["hook"](rng, 12.0, 200.0), pose=_pose(-1.9)))
    masks = _assert_exact(placed)
    assert not (masks[0] & masks[1]).any()
    assert not ((masks[0] | masks[1]) & masks[2]).any()


def _pose(angle: float, scale: float = 1.0, opening: float = 0.0) -> Pose:
    return Pose(tip=(84.0, 50.0), angle=angle, scale=scale, opening=opening)


def _assert_exact(placed: list[Placed]) -> list[np.ndarray]:
    """Over black and over white, opacity is what does not change; it must agree with the masks."""
    bare = [replace(p, look=_without_shadow(p.look)) for p in placed]
    black = np.zeros((96, 160, 3), np.float32)
    white = np.ones((96, 160, 3), np.float32)
    masks = place_on(black, bare, FULL_VIEW)
    again = place_on(white, bare, FULL_VIEW)
    opacity = 1 - (white - black).mean(axis=2)
    together = np.logical_or.reduce(masks)
    assert together.any()
    # Where two soft edges cross, each may be half and both together more.
    assert not (together & (opacity < 0.5)).any()
    assert (together ^ (opacity > 0.5)).sum() <= 0.02 * together.sum() * (len(placed) > 1)
    for one, other in zip(masks, again, strict=True):
        assert np.array_equal(one, other)
    return masks


def _without_shadow(look: Look) -> Look:
    return Look(gain=look.gain, tint=look.tint, cover=look.cover, cover_seed=look.cover_seed)


def test_instruments_enter_from_the_rim() -> None:
    rng = np.random.default_rng(2)
    size = (96, 160)
    view = (82.0, 47.0, 66.0)
    inside = np.zeros(size, np.uint8)
    cv2.circle(inside, (82, 47), 66, 1, -1)
    rim = cv2.erode(inside, np.ones((7, 7), np.uint8), borderValue=0) == 0
    for number in range(60):
        tip, angle = entry_pose(rng, view, size)
        if number % 2:
            instrument, scale = cutouts()[number % len(cutouts())], 160 / 960
        else:
            maker = MAKERS[sorted(MAKERS)[number // 2 % len(MAKERS)]]
            instrument, scale = maker(rng, 10.0, 1.05 * np.hypot(*size)), 1.0
        placed = Placed(instrument=instrument, pose=Pose(tip=tip, angle=angle, scale=scale))
        mask = place_on(np.zeros((*size, 3), np.float32), [placed], view)[0] & (inside > 0)
        assert (mask & rim).any(), f"{instrument.key} {number} ends in mid-view"


def test_most_pasted_instruments_are_real() -> None:
    assert len(cutouts()) >= 40
    keys = [c.key for c in cutouts()]
    assert {"grasper", "hook", "irrigator", "instrument"} == set(keys)


def test_nothing_of_the_held_out_operations_is_in_the_resources() -> None:
    folder = resources_dir() / "phantom"
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert not [p.name for p in files if p.name.startswith(HELD_OUT)]
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))["stills"]
    assert {e["name"] for e in index} == {p.stem for p in (folder / "stills").iterdir()}
    for path in (folder / "labels").iterdir():
        assert json.loads(path.read_text(encoding="utf-8"))["imagePath"].startswith(path.stem)
    assert sum(p.stat().st_size for p in files) <= 12 * 2**20


def test_every_still_is_readable_and_its_view_lies_on_it() -> None:
    for still in material.stills():
        assert material.picture(still.name).shape == (540, 960, 3)
        x, y, radius = still.view
        assert 0 < x < 960
        assert 0 < y < 540
        assert 280 < radius <= 960
        tissue = material.view_mask(still.view, (540, 960)) > 127
        if still.use != "hard":
            beside = material.picture(still.name)[:460][~tissue[:460]]
            assert beside.size == 0 or beside.mean() < 16
        assert still.use in {"clean", "labelled", "zoned", "hard"}
        assert bool(still.polygons) == (still.use in {"labelled", "zoned"})


def test_an_organ_is_pale_lies_in_one_place_and_is_no_instrument() -> None:
    tissue = np.zeros((108, 192, 3), np.float32) + np.float32([0.6, 0.3, 0.25])
    changed = []
    for seed in range(12):
        frame = tissue.copy()
        effects.organ_on(frame, np.random.default_rng(seed))
        assert 0 <= frame.min() <= frame.max() <= 1
        moved = np.abs(frame - tissue).max(axis=2) > 0.02
        changed.append(moved.mean())
        inside = frame[np.abs(frame - tissue).max(axis=2) > 0.1]
        colourful = (inside.max(axis=1) - inside.min(axis=1)) / inside.max(axis=1)
        assert np.median(colourful) < 0.75 * (0.6 - 0.25) / 0.6
    assert min(changed) > 0.02
    assert max(changed) < 0.75


def test_some_instruments_have_only_just_come_in() -> None:
    rng = np.random.default_rng(4)
    view, size = (96.0, 54.0, 90.0), (108, 192)
    depths = []
    for _ in range(200):
        (x, y), _angle = entry_pose(rng, view, size)
        depths.append(min(x, y, size[1] - x, size[0] - y) / size[1])
    assert 0.05 < np.mean(np.array(depths) < 0.1) < 0.6
    assert np.median(depths) > 0.1
