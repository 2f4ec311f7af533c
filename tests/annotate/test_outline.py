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
