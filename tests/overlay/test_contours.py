"""Masks and polygons say the same pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.core.mask import Mask
from app.overlay import contours, contours_of, mask_from_polygon

PLANES = hnp.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24)))


@given(PLANES)
def test_exact_contours_come_back_as_the_same_pixels(plane: np.ndarray) -> None:
    mask = Mask.from_full(plane)
    height, width = plane.shape
    assert mask_from_polygon(contours(mask), width, height) == mask


@given(st.lists(PLANES, max_size=4), st.sampled_from((0.0, 0.5)))
def test_contours_of_several_masks_are_those_of_each(planes: list[np.ndarray], by: float) -> None:
    masks = [Mask.from_full(p) for p in planes]
    together = contours_of(masks, by)
    assert len(together) == len(masks)
    for mask, rings in zip(masks, together, strict=True):
        for ring, alone in zip(rings, contours(mask, by), strict=True):
            assert np.array_equal(ring, alone)


@given(PLANES)
def test_no_point_of_an_exact_ring_lies_on_a_straight_line(plane: np.ndarray) -> None:
    for ring in contours(Mask.from_full(plane)):
        steps = np.roll(ring, -1, axis=0) - ring
        upright = steps[:, 0] == 0
        assert (upright != (steps[:, 1] == 0)).all()
        assert (upright != np.roll(upright, 1)).all()


@given(PLANES)
def test_rings_enclose_the_area_of_the_pixels(plane: np.ndarray) -> None:
    rings = contours(Mask.from_full(plane))
    # Outer rings and holes turn opposite ways, so that their signed areas add up.
    signed = [
        float(np.sum(r[:, 0] * np.roll(r[:, 1], -1) - r[:, 1] * np.roll(r[:, 0], -1))) / 2
        for r in rings
    ]
    assert abs(abs(sum(signed)) - plane.sum()) < 1e-3


@given(st.integers(0, 10_000), st.integers(20, 90))
def test_simplified_outlines_of_smooth_shapes_keep_98_per_cent(seed: int, radius: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radii = radius * rng.uniform(0.7, 1.0, 24)
    points = np.stack([120 + radii * np.cos(angles), 110 + radii * np.sin(angles)], 1)
    plane = np.zeros((220, 240), np.uint8)
    cv2.fillPoly(plane, [points.astype(np.int32)], 1)
    mask = Mask.from_full(cv2.GaussianBlur(plane * 255, (0, 0), 2) > 127)
    rings = contours(mask, tolerance_px=0.5)
    assert mask_from_polygon(rings, 240, 220).iou(mask) >= 0.98
    assert sum(len(r) for r in rings) < sum(len(r) for r in contours(mask))


def test_holes_and_islands_in_holes_survive() -> None:
    plane = np.zeros((60, 60), bool)
    plane[5:55, 5:55] = True
    plane[15:45, 15:45] = False
    plane[25:35, 25:35] = True
    mask = Mask.from_full(plane)
    rings = contours(mask, tolerance_px=0.5)
    assert len(rings) == 3
    assert mask_from_polygon(rings, 60, 60) == mask


def test_a_polygon_beyond_the_raster_is_cut_off() -> None:
    ring = np.array([[-10, -10], [5, -10], [5, 100], [-10, 100]], np.float32)
    mask = mask_from_polygon([ring], 20, 10)
    assert mask.box == (0, 0, 5, 10)
    assert mask.area_px == 50
    outside = np.array([[30, 30], [40, 30], [35, 40]], np.float32)
    assert mask_from_polygon([outside], 20, 10).area_px == 0


def test_points_that_are_not_numbers_are_refused() -> None:
    ring = np.array([[0, 0], [5, np.nan], [5, 5]], np.float32)
    with pytest.raises(ValueError, match="finite"):
        mask_from_polygon([ring], 20, 10)


def test_fewer_than_three_points_enclose_nothing() -> None:
    assert mask_from_polygon([np.zeros((2, 2), np.float32)], 20, 10).area_px == 0
    assert contours(Mask.empty(20, 10)) == ()
