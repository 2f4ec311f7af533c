"""The specimen bag: crumpled film, in the texture of a real one. Pure functions."""

import functools

import cv2
import numpy as np

from app.learning.phantom import material, noise
from app.learning.phantom.instruments import Instrument, Part, mip

# The one still with a bag large enough to take its texture: its "ignore" polygon.
TEXTURE_FROM = "00015-23925-frame-77316"


def specimen_bag(rng: np.random.Generator, size_px: float) -> Instrument:
    """A bag about `size_px` across; its pose's tip is its middle."""
    side = max(int(size_px), 24)
    outline = _outline(rng, side)
    film = _film(rng, side)
    folds = np.abs(noise.patch(rng, side, side, grain=0.28) - 0.5) * 2.4
    creases = np.clip(1 - 7 * folds, 0, 1)
    u = np.linspace(-1, 1, side, dtype=np.float32)
    lean = rng.uniform(-0.35, 0.35, 2)
    light = np.clip(
        1 + lean[0] * u + lean[1] * u[:, None] - 0.3 * (u**2 + u[:, None] ** 2), 0.3, 1.4
    )
    colour = film * light[..., None] * (0.55 + 0.8 * folds[..., None]) + 0.2 * creases[..., None]
    inner = cv2.erode(outline, np.ones((3, 3)), iterations=max(side // 60, 1))
    rim = np.clip(outline - inner, 0, 1)
    colour = colour * (1 + 0.12 * rim[..., None])
    thick = np.clip(0.72 + 0.5 * noise.patch(rng, side, side, grain=0.2), 0, 0.97)
    opacity = outline * np.maximum(thick, 0.9 * rim)
    colour = np.clip(colour, 0, 1) * opacity[..., None]
    rgba = np.round(np.dstack([colour, opacity]) * 255).astype(np.uint8)
    part = Part(levels=mip(rgba), pivot=(side / 2, side / 2))
    return Instrument(key="specimen_bag", parts=(part,), reach=0.0, width=float(side))


@functools.cache
def _texture() -> np.ndarray:
    """The inside of the real bag, float32 RGB 0..1."""
    still = material.still_named(TEXTURE_FROM)
    polygon = next(p for p in still.polygons if p.key == "ignore")
    inside = cv2.erode(material.polygon_mask(polygon.points), np.ones((9, 9), np.uint8)) > 0
    inside &= material.view_mask(still.view, material.MATERIAL_SIZE) > 127
    x0, y0, x1, y1 = _largest_box(inside)
    return material.picture(TEXTURE_FROM)[y0:y1, x0:x1].astype(np.float32) / 255


def _largest_box(inside: np.ndarray) -> tuple[int, int, int, int]:
    total = cv2.integral(inside.astype(np.uint8))
    ys, xs = np.nonzero(inside)
    best = (0, 0, 0, 0, 0)
    for x0 in range(xs.min(), xs.max(), 6):
        for y0 in range(ys.min(), ys.max(), 6):
            for width in range(24, 260, 12):
                height = int(width * 0.9)
                x1, y1 = x0 + width, y0 + height
                if x1 >= inside.shape[1] or y1 >= inside.shape[0]:
                    break
                filled = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
                if filled < width * height:
                    break
                best = max(best, (width * height, x0, y0, x1, y1))
    return best[1:]


def _film(rng: np.random.Generator, side: int) -> np.ndarray:
    texture = _texture()
    height, width = texture.shape[:2]
    angle, scale = rng.uniform(0, 2 * np.pi), side / (min(height, width) * rng.uniform(0.8, 1.6))
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.array([[c, -s], [s, c]])
    shift = np.array([side / 2, side / 2]) - turn @ (rng.uniform(0.3, 0.7, 2) * [width, height])
    matrix = np.column_stack([turn, shift])
    film = cv2.warpAffine(texture, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    tint = np.float32(rng.uniform(0.85, 1.1, 3)) * np.float32(rng.uniform(0.85, 1.15))
    return film * tint


def _outline(rng: np.random.Generator, side: int) -> np.ndarray:
    """An irregular outline with soft corners, longer than wide."""
    count = 40
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    wobble = noise.line(rng, count, 13) + noise.line(rng, count, 6)
    blend = np.clip(np.minimum(np.arange(count), count - 1 - np.arange(count)) / 5, 0, 1)
    away = 0.4 + 0.09 * (wobble - 1) * blend
    squash = rng.uniform(0.5, 0.9)
    points = np.column_stack([np.cos(angles) * away, np.sin(angles) * away * squash])
    turn = rng.uniform(0, np.pi)
    c, s = np.cos(turn), np.sin(turn)
    points = points @ np.array([[c, s], [-s, c]])
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [((points + 0.5) * side * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), max(side / 200, 0.5))
