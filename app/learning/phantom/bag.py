"""The specimen bag: crumpled, half transparent film with a rim. Pure functions."""

import cv2
import numpy as np

from app.learning.phantom import noise
from app.learning.phantom.instruments import Instrument, Part, mip


def specimen_bag(rng: np.random.Generator, size_px: float) -> Instrument:
    """A bag about `size_px` across; its pose's tip is its middle."""
    side = max(int(size_px), 24)
    outline = _outline(rng, side)
    opacity = outline * rng.uniform(0.72, 0.95)
    folds = np.abs(noise.patch(rng, side, side, grain=0.5) - 0.5) * 2
    fine = np.abs(noise.patch(rng, side, side, grain=1.1) - 0.5) * 2
    ridges = np.clip(1 - 5 * folds, 0, 1) + 0.5 * np.clip(1 - 6 * fine, 0, 1)
    rows = np.linspace(-1, 1, side, dtype=np.float32)
    round_light = np.clip(1.05 - 0.6 * (rows[None] ** 2 + rows[:, None] ** 2), 0.3, 1)
    base = np.float32(_film(rng)) * (round_light * (0.5 + 0.5 * folds))[..., None]
    glints = (noise.patch(rng, side, side, grain=1.8) > 0.8) * np.clip(ridges, 0, 1)
    colour = (
        base + 0.35 * ridges[..., None] + 0.7 * cv2.GaussianBlur(glints, (0, 0), 1.0)[..., None]
    )
    inner = cv2.erode(outline, np.ones((3, 3)), iterations=max(side // 40, 1))
    rim = np.clip(outline - inner, 0, 1)
    colour = colour + 0.25 * rim[..., None]
    opacity = np.maximum(opacity, 0.95 * rim)
    colour = np.clip(colour, 0, 1) * opacity[..., None]
    rgba = np.round(np.dstack([colour, opacity]) * 255).astype(np.uint8)
    part = Part(levels=mip(rgba), pivot=(side / 2, side / 2))
    return Instrument(key="specimen_bag", parts=(part,), reach=0.0, width=float(side))


def _outline(rng: np.random.Generator, side: int) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    wobble = noise.line(rng, 28, 9)
    wobble = 0.34 + 0.14 * (wobble + noise.line(rng, 28, 5)[::-1]) / 2 * 2
    squash = rng.uniform(0.55, 0.95)
    points = np.column_stack([np.cos(angles) * wobble, np.sin(angles) * wobble * squash])
    mask = np.zeros((side, side), np.uint8)
    pixels = ((points + 0.5) * side * 16).astype(np.int32)
    cv2.fillPoly(mask, [pixels], 255, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), max(side / 150, 0.5))


def _film(rng: np.random.Generator) -> tuple[float, float, float]:
    if rng.random() < 0.75:
        return rng.uniform(0.6, 0.85), rng.uniform(0.55, 0.72), rng.uniform(0.5, 0.66)
    return rng.uniform(0.3, 0.5), rng.uniform(0.45, 0.6), rng.uniform(0.5, 0.7)
