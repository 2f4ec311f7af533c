"""Corners: a moved one bends its own stretch; the rest of the mask stays to the pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.annotate.outline import Outline
from app.core.mask import Mask
from tests.core.strategies import planes


def _square() -> Mask:
    plane = np.zeros((60, 80), bool)
    plane[10:50, 20:60] = True
    return Mask.from_full(plane)


def test_a_square_has_four_corners_and_one_moves_alone() -> None:
    outline = Outline(_square(), 5)
    assert sorted(outline.position(c) for c in outline.corners) == [
        (20.0, 10.0),
        (20.0, 50.0),
        (60.0, 10.0),
        (60.0, 50.0),
    ]
    corner = outline.nearest(62, 51, 8)
    assert corner is not None
    moved = outline.mask_of(outline.moved(corner, 75, 58)).full()
    assert moved[55, 70]
    assert moved[12, 22]
    before = _square().full()
    assert (moved[:10] == before[:10]).all()
    assert (moved | ~before).all()
    assert outline.nearest(70, 60, 8) is None


@settings(max_examples=60)
@given(planes(30), st.floats(1, 20))
def test_a_corner_put_back_where_it_was_changes_nothing(plane: np.ndarray, spacing: float) -> None:
    mask = Mask.from_full(plane)
    outline = Outline(mask, spacing)
    assert outline.mask_of(outline.rings) == mask
    for place, corner in enumerate(outline.corners):
        x, y = outline.position(corner)
        assert outline.mask_of(outline.moved(place, x, y)) == mask


@settings(max_examples=60)
@given(planes(30), st.floats(1, 20), st.floats(0, 30), st.floats(0, 30))
def test_a_new_corner_on_the_line_changes_nothing_until_it_moves(
    plane: np.ndarray, spacing: float, x: float, y: float
) -> None:
    mask = Mask.from_full(plane)
    outline = Outline(mask, spacing)
    found = outline.inserted(x, y, 1e9)
    if found is None:
        assert not outline.rings
        return
    more, place = found
    assert more.mask_of(more.rings) == mask
    assert len(more.corners) == len(outline.corners) + 1
    near = [outline.position(c) for c in outline.corners]
    assert [p for i, c in enumerate(more.corners) if (p := more.position(c)) and i != place] == near
    assert len(Outline(mask, spacing).rings[0]) == len(outline.rings[0])


def test_a_corner_comes_where_the_line_is_and_goes_with_a_straight_one() -> None:
    outline = Outline(_square(), 5)
    assert outline.inserted(40, 30, 8) is None
    found = outline.inserted(41, 12, 8)
    assert found is not None
    more, place = found
    assert more.position(more.corners[place]) == (41.0, 10.0)
    pulled = more.mask_of(more.moved(place, 41, 2)).full()
    assert pulled[5, 41]
    assert pulled[30, 30]
    assert not pulled[5, 25]
    at = outline.nearest(20, 10, 1)
    assert at is not None
    cut = outline.mask_of(outline.removed(at)).full()
    assert not cut[12, 22]
    assert cut[45, 50]
    assert cut.sum() == 820


def test_removing_from_a_triangle_takes_the_island_away() -> None:
    plane = _square().full()
    plane[2:4, 70:72] = True
    island = Outline(Mask.from_full(plane), 100)
    at = island.nearest(71, 3, 3)
    assert at is not None
    assert island.mask_of(island.removed(at)) == _square()


def test_corners_of_a_smooth_shape_keep_their_distance() -> None:
    ys, xs = np.mgrid[0:400, 0:600]
    mask = Mask.from_full((xs - 300) ** 2 / 4 + (ys - 200) ** 2 < 120**2)
    outline = Outline(mask, 14)
    points = np.array([outline.position(c) for c in outline.corners])
    assert len(points) >= 12
    gaps = np.hypot(*(points - np.roll(points, 1, axis=0)).T)
    assert gaps.min() >= 14


def test_moving_a_corner_leaves_distant_pixels_alone() -> None:
    ys, xs = np.mgrid[0:400, 0:600]
    mask = Mask.from_full((xs - 300) ** 2 / 4 + (ys - 200) ** 2 < 120**2)
    outline = Outline(mask, 14)
    place = outline.nearest(540, 200, 30)
    assert place is not None
    x, y = outline.position(outline.corners[place])
    moved = outline.mask_of(outline.moved(place, x + 30, y)).full()
    assert (moved[:, :300] == mask.full()[:, :300]).all()
    assert moved.sum() > mask.area_px
