"""Prototypes become masks in the frame's raster, whatever the letterbox."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.mask import Mask
from app.inference.masks import masks_of
from app.inference.preprocess import Fit, letterbox

SIZES = st.tuples(st.integers(60, 700), st.integers(60, 700))


def reference_mask(logits: np.ndarray, box: np.ndarray, fit: Fit) -> np.ndarray:
    """Bilinear look-up of every frame pixel in float64, cropped to the box."""
    height, width = fit.frame_height_px, fit.frame_width_px
    x = ((np.arange(width) + 0.5) * fit.scale_x + fit.left_px) / 4 - 0.5
    y = ((np.arange(height) + 0.5) * fit.scale_y + fit.top_px) / 4 - 0.5
    x, y = x.clip(0, logits.shape[1] - 1), y.clip(0, logits.shape[0] - 1)
    u, v = x.astype(int).clip(0, logits.shape[1] - 2), y.astype(int).clip(0, logits.shape[0] - 2)
    fx, fy = x - u, (y - v)[:, None]
    top = logits[v][:, u] * (1 - fx) + logits[v][:, u + 1] * fx
    bottom = logits[v + 1][:, u] * (1 - fx) + logits[v + 1][:, u + 1] * fx
    inside = top * (1 - fy) + bottom * fy > 0
    x0, x1 = np.rint((box[[0, 2]] - fit.left_px) / fit.scale_x).clip(0, width).astype(int)
    y0, y1 = np.rint((box[[1, 3]] - fit.top_px) / fit.scale_y).clip(0, height).astype(int)
    crop = np.zeros_like(inside)
    crop[y0:y1, x0:x1] = True
    return inside & crop


def smooth_prototypes(fit: Fit, rng: np.random.Generator) -> np.ndarray:
    """Float32 (h, w, 3): two ramps and one, whose sum is a tilted plane with an edge."""
    rows, columns = fit.input_height_px // 4, fit.input_width_px // 4
    ramp_x = np.broadcast_to(np.arange(columns) - columns / 2, (rows, columns))
    ramp_y = np.broadcast_to((np.arange(rows) - rows / 2)[:, None], (rows, columns))
    return np.stack([ramp_x, ramp_y, np.ones((rows, columns))], 2).astype(np.float32)


@settings(max_examples=60)
@given(SIZES, st.integers(0, 10_000))
def test_masks_match_an_exact_bilinear_look_up(size: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    fit = letterbox(*size, (256, 160))
    prototypes = smooth_prototypes(fit, rng)
    corners = np.sort(rng.uniform(-20, 1.1, (2, 2)) * [fit.input_width_px, fit.input_height_px], 0)
    box = np.concatenate([corners[0].clip(-30), corners[1].clip(8)]).astype(np.float32)
    vector = rng.uniform(-1, 1, 3).astype(np.float32)
    (mask,) = masks_of(box[None], vector[None], prototypes, fit)
    expected = reference_mask((prototypes @ vector).astype(float), box, fit)
    wrong = np.count_nonzero(mask.full() != expected)
    # Pixels on the line itself may fall either way.
    assert wrong <= 1.5 * max(size), f"{wrong} of {expected.sum()} pixels differ"


def test_a_mask_in_a_1080p_frame_lies_where_the_network_saw_it() -> None:
    fit = letterbox(1920, 1080, (640, 384))
    assert (fit.input_width_px, fit.input_height_px, fit.top_px) == (640, 384, 12)
    prototypes = np.full((96, 160, 1), -1, np.float32)
    prototypes[20:40, 50:90] = 1
    boxes = np.array([[190, 70, 370, 170]], np.float32)
    (mask,) = masks_of(boxes, np.ones((1, 1), np.float32), prototypes, fit)
    plane = np.zeros((1080, 1920), bool)
    plane[(80 - 12) * 3 : (160 - 12) * 3, 200 * 3 : 360 * 3] = True
    assert mask.iou(Mask.from_full(plane)) > 0.995


def test_small_parts_are_dropped_and_large_ones_stay() -> None:
    fit = letterbox(640, 384, (640, 384))
    prototypes = np.full((96, 160, 1), -1, np.float32)
    prototypes[20:60, 20:60] = prototypes[20:40, 70:90] = prototypes[80:82, 100:102] = 1
    boxes, vector = np.array([[0, 0, 640, 384]], np.float32), np.ones((1, 1), np.float32)
    (whole,) = masks_of(boxes, vector, prototypes, fit)
    (mask,) = masks_of(boxes, vector, prototypes, fit, min_part_share=0.001)
    assert whole.contains(404, 324)
    assert not mask.contains(404, 324)
    assert mask.contains(320, 120)
    assert mask.contains(160, 160)
    (nothing,) = masks_of(boxes, vector, prototypes, fit, min_part_share=0.2)
    assert nothing.area_px == 0


def tongue(fit: Fit) -> np.ndarray:
    """Float32 (96, 160, 1): sure inside columns 20 to 70 of rows 40 to 56, and a spot apart."""
    prototypes = np.full((fit.input_height_px // 4, fit.input_width_px // 4, 1), -6, np.float32)
    prototypes[40:56, 20:70] = 6
    prototypes[44:50, 74:76] = 6
    return prototypes


def test_a_mask_ends_at_its_box_unless_it_may_fade() -> None:
    fit = letterbox(640, 384, (640, 384))
    box, one = np.array([[100, 140, 240, 240]], np.float32), np.ones((1, 1), np.float32)
    (cut,) = masks_of(box, one, tongue(fit), fit)
    assert cut.box == (100, 160, 240, 224)
    (faded,) = masks_of(box, one, tongue(fit), fit, box_fade=3.0)
    assert faded.box[1::2] == cut.box[1::2]
    # Six logits at three per cell reach two cells of four pixels beyond the box.
    assert faded.box[0] == pytest.approx(92, abs=2)
    assert faded.box[2] == pytest.approx(248, abs=2)
    assert faded.intersection_px(cut) == cut.area_px


def test_what_lies_beyond_a_box_stays_only_where_it_is_connected() -> None:
    fit = letterbox(640, 384, (640, 384))
    box, one = np.array([[100, 140, 284, 240]], np.float32), np.ones((1, 1), np.float32)
    wider = np.array([[100, 140, 304, 240]], np.float32)
    (faded,) = masks_of(box, one, tongue(fit), fit, box_fade=0.8)
    assert faded.box[2] == pytest.approx(280, abs=2)
    (wide,) = masks_of(wider, one, tongue(fit), fit, box_fade=0.8)
    assert wide.box[2] == pytest.approx(304, abs=2)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.5, 8))
def test_fading_changes_nothing_inside_a_box_and_ends_within_its_reach(
    seed: int, fade: float
) -> None:
    rng = np.random.default_rng(seed)
    fit = letterbox(640, 384, (640, 384))
    rough = 5 * rng.standard_normal((12, 20, 1)).astype(np.float32)
    prototypes = rough.repeat(8, axis=0).repeat(8, axis=1)
    low = rng.uniform(0, 200, 2)
    box = np.concatenate((low, low + rng.uniform(20, 180, 2))).astype(np.float32)[None]
    one = np.ones((1, 1), np.float32)
    (cut,) = masks_of(box, one, prototypes, fit)
    (faded,) = masks_of(box, one, prototypes, fit, box_fade=fade)
    x0, y0, x1, y1 = np.rint(box[0]).astype(int).tolist()
    core = np.s_[y0 + 6 : y1 - 6, x0 + 6 : x1 - 6]
    assert np.array_equal(faded.full()[core], cut.full()[core])
    reach_px = 4 * (float(rough.max()) / fade + 1)
    near = faded.full()
    near[max(0, int(y0 - reach_px)) : int(y1 + reach_px) + 1,
         max(0, int(x0 - reach_px)) : int(x1 + reach_px) + 1] = False  # fmt: skip
    assert not near.any()
