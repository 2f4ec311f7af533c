"""Masks hold exactly their pixels: in regions, in stored form, against each other."""

from __future__ import annotations

import struct
import zlib
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.mask import MAX_PIXELS, Mask
from tests.core.strategies import loose_masks, planes


@given(planes())
def test_a_plane_comes_back(plane: np.ndarray) -> None:
    mask = Mask.from_full(plane)
    assert np.array_equal(mask.full(), plane)
    assert mask.area_px == plane.sum()


@given(loose_masks())
def test_tightening_keeps_the_pixels_and_leaves_no_empty_edge(mask: Mask) -> None:
    tight = mask.tightened()
    assert np.array_equal(tight.full(), mask.full())
    assert tight == mask
    assert hash(tight) == hash(mask)
    if tight.area_px:
        bits = tight.bits
        assert bits[0].any()
        assert bits[-1].any()
        assert bits[:, 0].any()
        assert bits[:, -1].any()
    else:
        assert tight.bits.shape == (0, 0)


@given(loose_masks())
def test_stored_form_comes_back_with_its_region(mask: Mask) -> None:
    again = Mask.from_bytes(mask.to_bytes())
    assert again == mask
    assert again.box == mask.box
    assert again.bits.dtype == np.bool_


@given(loose_masks())
def test_masks_of_libraries_with_plain_run_lengths_are_read(mask: Mask) -> None:
    h, w = mask.bits.shape
    lengths = [len(list(run)) for _, run in groupby(mask.bits.ravel())]
    if mask.bits.size and mask.bits.flat[0]:
        lengths.insert(0, 0)
    head = struct.pack("<6I", mask.width_px, mask.height_px, mask.x_px, mask.y_px, w, h)
    again = Mask.from_bytes(head + zlib.compress(np.array(lengths, "<u4").tobytes(), 1))
    assert again == mask
    assert again.box == mask.box


@given(loose_masks(), st.data())
def test_contains_agrees_with_the_plane(mask: Mask, data: st.DataObject) -> None:
    x = data.draw(st.integers(-2, mask.width_px + 1))
    y = data.draw(st.integers(-2, mask.height_px + 1))
    inside = 0 <= x < mask.width_px and 0 <= y < mask.height_px
    expected = inside and bool(mask.full()[y, x])
    assert mask.contains(x + 0.5, y + 0.5) == expected
    assert mask.contains(x, y) == expected


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    a = draw(planes())
    b = draw(st.one_of(st.just(a), st.just(~a), planes().map(lambda p: np.resize(p, a.shape))))
    return a, b


@given(_pairs())
def test_overlap_agrees_with_planes(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    one, two = Mask.from_full(a), Mask.from_full(b)
    both, either = int((a & b).sum()), int((a | b).sum())
    assert one.intersection_px(two) == two.intersection_px(one) == both
    assert one.iou(two) == (both / either if either else 1.0)
    assert (one == two) == np.array_equal(a, b)


def test_masks_of_different_rasters_do_not_compare() -> None:
    with pytest.raises(ValueError, match="raster"):
        Mask.empty(4, 4).intersection_px(Mask.empty(5, 4))


@given(loose_masks(), st.data())
def test_damaged_bytes_are_refused_or_read_as_a_mask(mask: Mask, data: st.DataObject) -> None:
    raw = bytearray(mask.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    del raw[data.draw(st.integers(0, len(raw))) :]
    try:
        read = Mask.from_bytes(bytes(raw))
    except ValueError:
        return
    assert read.width_px * read.height_px <= MAX_PIXELS


@pytest.mark.parametrize(
    "runs",
    [
        np.array([3, 4], "<u4"),
        np.array([0, 2**32 - 1], "<u4"),
        np.array([2**31, 2**31, 9], "<u4"),
        np.zeros(0, "<u4"),
        np.zeros(1_000_000, "<u4"),
    ],
)
def test_runs_that_do_not_fill_the_region_are_refused(runs: np.ndarray) -> None:
    head = struct.pack("<6I", 10, 10, 0, 0, 3, 3)
    with pytest.raises(ValueError, match="runs"):
        Mask.from_bytes(head + zlib.compress(runs.tobytes()))
    as_changes = struct.pack("<6I", 10 | 1 << 31, 10, 0, 0, 3, 3)
    with pytest.raises(ValueError, match="runs"):
        Mask.from_bytes(as_changes + zlib.compress(runs.tobytes()))


def test_runs_that_fall_below_nothing_are_refused() -> None:
    head = struct.pack("<6I", 10 | 1 << 31, 10, 0, 0, 3, 3)
    runs = np.array([5, 3, -7, 0], "<i4")  # lengths 5, 3, -2, 3
    with pytest.raises(ValueError, match="runs"):
        Mask.from_bytes(head + zlib.compress(runs.tobytes()))


def test_a_region_outside_the_raster_is_refused() -> None:
    bits = np.ones((3, 3), bool)
    with pytest.raises(ValueError, match="inside 4 x 4"):
        Mask(width_px=4, height_px=4, x_px=2, y_px=0, bits=bits)
    with pytest.raises(ValueError, match="pixels in the raster"):
        Mask.empty(MAX_PIXELS, 2)
    head = struct.pack("<6I", 10, 10, 9, 0, 3, 3)
    with pytest.raises(ValueError, match="inside"):
        Mask.from_bytes(head + zlib.compress(np.array([9], "<u4").tobytes()))
