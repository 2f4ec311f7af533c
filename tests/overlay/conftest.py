"""Styles and instances for overlay tests."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.mask import Mask
from app.overlay import OverlayStyle, ShownInstance

LIME, CYAN = (124, 255, 0), (0, 229, 255)


@pytest.fixture
def style() -> OverlayStyle:
    """Two outline colours on a black halo."""
    return OverlayStyle(
        outlines=(LIME, CYAN), halo=(0, 0, 0), text=(240, 240, 240), plate=(10, 10, 10)
    )


def block(
    x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (160, 120), **fields: object
) -> ShownInstance:
    """A rectangular instance in a raster of ``size``."""
    bits = np.ones((y1 - y0, x1 - x0), bool)
    mask = Mask(width_px=size[0], height_px=size[1], x_px=x0, y_px=y0, bits=bits)
    return ShownInstance(label="grasper", mask=mask, **fields)  # type: ignore[arg-type]
