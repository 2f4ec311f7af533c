"""Brush and eraser: a working copy of one mask on which strokes touch their own rectangle only.

Runs on the GUI thread while the pointer moves; a step costs the pixels under the brush.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.core.mask import Mask

Box = tuple[int, int, int, int]

# A shorter way is a point: its square does not divide in single precision.
_POINT_PX2 = 1e-9


class Brush:
    """A mask being painted.

    Attributes:
        plane: uint8 (H, W) of the raster, 1 inside; for drawing the working state, read only.
    """

    def __init__(self, mask: Mask) -> None:
        self.plane: NDArray[np.uint8] = mask.full().astype(np.uint8)
        self._box: Box = mask.box

    def stroke(
        self,
        start_px: tuple[float, float],
        end_px: tuple[float, float],
        radius_px: float,
        *,
        add: bool,
    ) -> Box:
        """Paint a round brush from one point of the raster to another.

        A pixel is touched when its centre lies within ``radius_px`` of the way.

        Args:
            start_px, end_px: (x, y) in raster pixels; may lie outside.
            radius_px: half the brush's width; at least the pixel under the point is touched.
            add: True paints, False erases.

        Returns:
            The rectangle (x0, y0, x1, y1) that may have changed, x1 and y1 exclusive; empty
            outside the raster.
        """
        radius_px = max(radius_px, 0.5)
        (ax, ay), (bx, by) = start_px, end_px
        height, width = self.plane.shape
        x0 = _clip(np.floor(min(ax, bx) - radius_px), width)
        y0 = _clip(np.floor(min(ay, by) - radius_px), height)
        x1 = _clip(np.ceil(max(ax, bx) + radius_px) + 1, width)
        y1 = _clip(np.ceil(max(ay, by) + radius_px) + 1, height)
        if x0 >= x1 or y0 >= y1:
            return x0, y0, x0, y0
        xs = np.arange(x0, x1, dtype=np.float32) + 0.5 - ax
        ys = np.arange(y0, y1, dtype=np.float32)[:, None] + 0.5 - ay
        dx, dy = bx - ax, by - ay
        length2 = dx * dx + dy * dy
        is_point = length2 < _POINT_PX2
        along = 0.0 if is_point else np.clip((xs * dx + ys * dy) / length2, 0.0, 1.0)
        near = (xs - along * dx) ** 2 + (ys - along * dy) ** 2 <= radius_px**2
        self.plane[y0:y1, x0:x1][near] = add
        self._box = _union(self._box, (x0, y0, x1, y1))
        return x0, y0, x1, y1

    def mask(self) -> Mask:
        """The mask as painted so far, tight."""
        height, width = self.plane.shape
        x0, y0, x1, y1 = self._box
        return Mask(
            width_px=width,
            height_px=height,
            x_px=x0,
            y_px=y0,
            bits=self.plane[y0:y1, x0:x1].astype(bool),
        ).tightened()


def _clip(value: float, high: int) -> int:
    return int(min(max(value, 0), high))


def _union(a: Box, b: Box) -> Box:
    if a[0] >= a[2] or a[1] >= a[3]:
        return b
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
