"""Overlays burnt into pictures that leave Trocar. Every one bears the research mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.resources import RESEARCH_USE_SHORT
from app.overlay.compose import compose
from app.overlay.labels import draw_plate, text_size
from app.overlay.shown import ShownInstance
from app.overlay.style import OverlayStyle

_TEXT_SHARE_OF_HEIGHT = 1 / 40
_SMALLEST_TEXT_PX = 11


def picture_with_overlay(
    rgb: NDArray[np.uint8], instances: Sequence[ShownInstance], style: OverlayStyle
) -> NDArray[np.uint8]:
    """A frame with its instances and the research mark, for snapshots, clips and reports.

    Returns:
        A new uint8 (H, W, 3).
    """
    height, width = rgb.shape[:2]
    return with_research_mark(blended(rgb, compose(instances, (width, height), style)), style)


def with_research_mark(rgb: NDArray[np.uint8], style: OverlayStyle) -> NDArray[np.uint8]:
    """The picture with "Research and education only" in its lower left corner.

    Returns:
        A new uint8 (H, W, 3).
    """
    height, width = rgb.shape[:2]
    text_px = max(_SMALLEST_TEXT_PX, round(height * _TEXT_SHARE_OF_HEIGHT))
    text_width, text_height = text_size(RESEARCH_USE_SHORT, text_px)
    padding = max(2, text_px // 3)
    room = width - 4 * padding
    if text_width > room > 0:
        text_px = max(6, text_px * room // text_width)
        text_width, text_height = text_size(RESEARCH_USE_SHORT, text_px)
    box = (
        padding,
        max(0, height - text_height - 3 * padding),
        padding + text_width + 2 * padding,
        height - padding,
    )
    layer = np.zeros((height, width, 4), np.uint8)
    draw_plate(layer, RESEARCH_USE_SHORT, box, replace(style, text_px=text_px), padding)
    return blended(rgb, layer)


def blended(rgb: NDArray[np.uint8], bgra: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A premultiplied overlay over a picture of the same size.

    Args:
        rgb: uint8 (H, W, 3).
        bgra: uint8 (H, W, 4), premultiplied.

    Returns:
        A new uint8 (H, W, 3); only the rectangle that the overlay covers is computed.
    """
    out = rgb.copy()
    x, y, w, h = cv2.boundingRect(bgra[..., 3])
    if not w:
        return out
    part = bgra[y : y + h, x : x + w]
    clear = cv2.merge([cv2.bitwise_not(part[..., 3])] * 3)
    under = cv2.multiply(out[y : y + h, x : x + w], clear, scale=1 / 255)
    out[y : y + h, x : x + w] = cv2.add(under, cv2.cvtColor(part, cv2.COLOR_BGRA2RGB))
    return out
