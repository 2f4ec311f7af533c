"""A decoded frame made into a network's input, and the geometry to come back from it.

Runs on the thread that owns the device. The picture stays uint8 until the device has it: a
resized 1080p frame is 0.7 MB as bytes and 2.8 MB as floats (specs: preprocessing, measured).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core import validate

SIZE_MULTIPLE_PX = 32
PAD_GREY = 114
_ALIASING_SCALE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Where the frame lies in the network's input.

    A frame pixel (x, y) lies at ``(x * scale_x + left_px, y * scale_y + top_px)``, both counted
    from the outer edge of the first pixel.

    Attributes:
        frame_width_px, frame_height_px: the raster.
        input_width_px, input_height_px: the network's input, multiples of 32.
        scale_x, scale_y: input pixels per frame pixel.
        left_px, top_px: padding before the picture.
    """

    frame_width_px: int
    frame_height_px: int
    input_width_px: int
    input_height_px: int
    scale_x: float
    scale_y: float
    left_px: int
    top_px: int

    def __post_init__(self) -> None:
        validate.positive("Fit.scale_x", self.scale_x)
        validate.positive("Fit.scale_y", self.scale_y)

    @property
    def picture_width_px(self) -> int:
        """Width of the picture inside the padding."""
        return round(self.frame_width_px * self.scale_x)

    @property
    def picture_height_px(self) -> int:
        """Height of the picture inside the padding."""
        return round(self.frame_height_px * self.scale_y)


def letterbox(frame_width_px: int, frame_height_px: int, box_px: tuple[int, int]) -> Fit:
    """The frame fitted into ``box_px``, centred, padded only up to multiples of 32.

    A 16:9 frame in a square input is 44 % padding, so the input follows the frame instead.

    Args:
        frame_width_px, frame_height_px: the raster.
        box_px: largest width and height of the input, as the card says.
    """
    scale = min(box_px[0] / frame_width_px, box_px[1] / frame_height_px)
    width, height = max(1, round(frame_width_px * scale)), max(1, round(frame_height_px * scale))
    input_width, input_height = _rounded_up(width), _rounded_up(height)
    return Fit(
        frame_width_px=frame_width_px,
        frame_height_px=frame_height_px,
        input_width_px=input_width,
        input_height_px=input_height,
        scale_x=width / frame_width_px,
        scale_y=height / frame_height_px,
        left_px=(input_width - width) // 2,
        top_px=(input_height - height) // 2,
    )


def fit_frame(
    rgb: NDArray[np.uint8], fit: Fit, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """The frame resized and padded.

    Args:
        rgb: uint8 (H, W, 3) of the size that ``fit`` names.
        fit: the geometry.
        out: uint8 (input height, input width, 3) from an earlier call with the same geometry;
            its padding is kept.

    Returns:
        uint8 (input height, input width, 3).
    """
    if out is None:
        out = np.full((fit.input_height_px, fit.input_width_px, 3), PAD_GREY, np.uint8)
    width, height = fit.picture_width_px, fit.picture_height_px
    view = out[fit.top_px : fit.top_px + height, fit.left_px : fit.left_px + width]
    view[:] = resized(rgb, width, height)
    return out


def resized(rgb: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """The picture at another size; averaged where a bilinear look-up would alias.

    Returns:
        uint8 (height_px, width_px, 3).
    """
    aliases = width_px < _ALIASING_SCALE * rgb.shape[1]
    method = cv2.INTER_AREA if aliases else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width_px, height_px), interpolation=method), np.uint8)


def _rounded_up(size_px: int) -> int:
    return -(-size_px // SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX
