"""A frame and its identity: (asset, stream, pts), never time times frame rate."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from app.core import validate


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FrameIdentity:
    """Which frame a label means, for life.

    Attributes:
        asset_id: the asset's id within its library.
        stream: index of the video stream in the container.
        pts: presentation timestamp in the asset's own time base.
    """

    asset_id: str
    stream: int
    pts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A decoded picture in the asset's raster.

    Attributes:
        rgb: uint8 (H, W, 3), stored pixels, rotated upright, y down, C-contiguous.
        pts: presentation timestamp in the stream's time base.
        index: 0-based display order among the presentable frames.
        time_ms: milliseconds from the first presentable frame.
        damaged: the decoder reported corrupt data.
    """

    rgb: NDArray[np.uint8]
    pts: int
    index: int
    time_ms: float
    damaged: bool = False

    def __post_init__(self) -> None:
        validate.array("Frame.rgb", self.rgb, 3, np.uint8)


def pts_to_ms(pts: int, start_pts: int, time_base: Fraction) -> float:
    """Milliseconds of ``pts`` after ``start_pts``."""
    return float((pts - start_pts) * time_base * 1000)


def ms_to_pts(time_ms: float, start_pts: int, time_base: Fraction) -> int:
    """The pts nearest to ``time_ms`` milliseconds after ``start_pts``."""
    return start_pts + round(Fraction(time_ms) / 1000 / time_base)
