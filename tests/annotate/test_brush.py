"""The brush touches exactly the pixels within its radius, and nothing outside its rectangle."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from app.annotate.brush import Brush
from app.core.mask import Mask
from tests.core.strategies import loose_masks

points = st.tuples(st.floats(-10, 40, width=32), st.floats(-10, 40, width=32))


@given(loose_masks(), points, points, st.floats(0.5, 15, width=32), st.booleans())
def test_a_stroke_is_the_capsule_around_its_way(
    mask: Mask, start: tuple[float, float], end: tuple[float, float], radius: float, add: bool
) -> None:
    brush = Brush(mask)
    x0, y0, x1, y1 = brush.stroke(start, end, radius, add=add)
    before, after = mask.full(), brush.mask().full()
    ys, xs = np.mgrid[0 : mask.height_px, 0 : mask.width_px] + 0.5
    (ax, ay), (bx, by) = start, end
    length2 = (bx - ax) ** 2 + (by - ay) ** 2
    along = ((xs - ax) * (bx - ax) + (ys - ay) * (by - ay)) / length2 if length2 > 1e-9 else 0
    along = np.clip(along, 0, 1)
    distance = np.hypot(xs - ax - along * (bx - ax), ys - ay - along * (by - ay))
    sure_in, sure_out = distance < radius - 1e-3, distance > radius + 1e-3
    assert (after[sure_in] == add).all()
    assert (after[sure_out] == before[sure_out]).all()
    outside = np.ones_like(before)
    outside[y0:y1, x0:x1] = False
    assert (after[outside] == before[outside]).all()


@given(loose_masks(), st.lists(points, min_size=2, max_size=6), st.floats(0.5, 8, width=32))
@example(Mask.empty(1, 1), [(0.0, 0.0), (0.0, 1.1754943508222875e-38)], 1.0)
def test_painting_then_erasing_the_same_way_leaves_no_new_pixel(
    mask: Mask, way: list[tuple[float, float]], radius: float
) -> None:
    brush = Brush(mask)
    for add in (True, False):
        for start, end in itertools.pairwise(way):
            brush.stroke(start, end, radius, add=add)
    assert not (brush.mask().full() & ~mask.full()).any()


def test_one_click_of_the_smallest_brush_is_one_pixel() -> None:
    brush = Brush(Mask.empty(9, 7))
    brush.stroke((4.5, 3.5), (4.5, 3.5), 0.1, add=True)
    assert brush.mask().box == (4, 3, 5, 4)


def test_a_stroke_outside_the_picture_changes_nothing() -> None:
    brush = Brush(Mask.empty(9, 7))
    x0, _, x1, _ = brush.stroke((90, 3), (99, 3), 4, add=True)
    assert x0 == x1
    assert brush.mask() == Mask.empty(9, 7)
