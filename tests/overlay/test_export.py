"""Pictures that leave Trocar bear the research mark."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.overlay import (
    Dial,
    OverlayStyle,
    blended,
    compose,
    picture_with_overlay,
    with_research_mark,
)
from tests.overlay.conftest import block


@pytest.mark.parametrize("size", [(1920, 1080), (854, 480), (320, 240), (90, 60)])
def test_the_mark_is_in_the_lower_left_corner(size: tuple[int, int], style: OverlayStyle) -> None:
    grey = np.full((size[1], size[0], 3), 120, np.uint8)
    marked = with_research_mark(grey, style)
    changed = (marked != grey).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.min() > size[1] * 0.7
    assert columns.min() < size[0] * 0.1
    assert (marked[changed].min(axis=1) > 180).sum() > 20, "the letters are not there"
    assert (grey == 120).all(), "the picture handed in was changed"


def test_blending_follows_the_premultiplied_rule(style: OverlayStyle) -> None:
    rgb = np.random.default_rng(3).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    overlay = compose([block(40, 30, 120, 90)], (160, 120), replace(style, dial=Dial.FILL))
    alpha = overlay[..., 3:].astype(float) / 255
    expected = rgb * (1 - alpha) + overlay[..., 2::-1]
    assert np.abs(blended(rgb, overlay) - expected).max() <= 1


def test_an_empty_overlay_leaves_the_picture(style: OverlayStyle) -> None:
    rgb = np.full((120, 160, 3), 77, np.uint8)
    assert (blended(rgb, np.zeros((120, 160, 4), np.uint8)) == rgb).all()


def test_a_picture_with_overlay_has_both(style: OverlayStyle) -> None:
    rgb = np.full((480, 640, 3), 77, np.uint8)
    out = picture_with_overlay(rgb, [block(200, 100, 400, 200, (640, 480))], style)
    assert (out[100] != 77).any()
    assert (out[440:, :200] != 77).any()
