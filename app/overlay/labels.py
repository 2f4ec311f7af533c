"""Names and confidences on small plates beside their instances. cv2's built-in typeface."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.mask import Mask
from app.overlay.shown import ShownInstance
from app.overlay.style import RGB, Dial, OverlayStyle

_WEIGHT = 500
Box = tuple[int, int, int, int]


@cache
def _typeface() -> cv2.FontFace:
    return cv2.FontFace("sans")


def draw_labels(
    bgra: NDArray[np.uint8], instances: Sequence[ShownInstance], style: OverlayStyle
) -> None:
    """Draw one plate per instance into a premultiplied overlay, avoiding those drawn before.

    Args:
        bgra: uint8 (H, W, 4), changed in place.
        instances: what was drawn, masks in any raster.
        style: colours, size, names; ``Dial.CONFIDENCE`` adds the score in per cent.
    """
    height, width = bgra.shape[:2]
    taken: list[Box] = []
    for instance in instances:
        text = label_text(instance, style)
        mask = instance.mask
        x, y = _top(mask)
        anchor = round(x * width / mask.width_px), round(y * height / mask.height_px)
        taken.append(_draw_plate(bgra, text, anchor, taken, style))


def _top(mask: Mask) -> tuple[float, float]:
    """The middle of the mask's highest row: a corner of its box may lie far from a slanted one."""
    rows = np.flatnonzero(mask.bits.any(axis=1))
    if not rows.size:
        return mask.x_px, mask.y_px
    columns = np.flatnonzero(mask.bits[rows[0]])
    return mask.x_px + float(columns.mean()), mask.y_px + float(rows[0])


def label_text(instance: ShownInstance, style: OverlayStyle) -> str:
    """The words on an instance's plate."""
    name = style.name(instance.label)
    if style.dial < Dial.CONFIDENCE or instance.score is None:
        return name
    return f"{name} {round(100 * instance.score)} %"


def text_size(text: str, text_px: int) -> tuple[int, int]:
    """Width and height of a line of text in pixels."""
    _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _typeface(), text_px, _WEIGHT)
    return int(width), round(text_px * 1.3)


def draw_plate(
    bgra: NDArray[np.uint8], text: str, box: Box, style: OverlayStyle, padding_px: int
) -> None:
    """Draw text on a plate that fills ``box`` (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = box
    region = bgra[max(y0, 0) : y1, max(x0, 0) : x1]
    region[:] = plate = premultiplied(style.plate, style.plate_alpha)
    baseline = y1 - padding_px - round(style.text_px * 0.28)
    colour = tuple(float(v) for v in premultiplied(style.text, 1.0))
    cv2.putText(
        bgra, text, (x0 + padding_px, baseline), colour, _typeface(), style.text_px, _WEIGHT
    )
    # The typeface's soft edges would let the picture shine through the plate.
    np.maximum(region[..., 3], plate[3], out=region[..., 3])


def premultiplied(rgb: RGB, alpha: float) -> NDArray[np.uint8]:
    """Blue, green, red, alpha, the colours scaled by alpha."""
    red, green, blue = rgb
    scaled = np.array([blue * alpha, green * alpha, red * alpha, 255 * alpha])
    return np.rint(scaled).astype(np.uint8)


def _draw_plate(
    bgra: NDArray[np.uint8],
    text: str,
    anchor: tuple[int, int],
    taken: Sequence[Box],
    style: OverlayStyle,
) -> Box:
    height, width = bgra.shape[:2]
    padding = max(2, style.text_px // 4)
    text_width, text_height = text_size(text, style.text_px)
    w, h = text_width + 2 * padding, text_height + 2 * padding
    x = min(max(0, anchor[0] - w // 2), max(0, width - w))
    y = anchor[1] - h - padding
    if y < 0:
        y = min(max(0, anchor[1] + padding), max(0, height - h))
    for other in sorted(taken, key=lambda b: b[1]):
        if x < other[2] and other[0] < x + w and y < other[3] and other[1] < y + h:
            y = other[3] + 1
    y = min(y, max(0, height - h))
    box = (x, y, x + w, y + h)
    draw_plate(bgra, text, box, style, padding)
    return box
