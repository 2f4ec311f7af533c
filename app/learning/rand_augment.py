"""RandAugment and random erasing of clips: the same change in every frame.

Cubuk et al., "RandAugment" (2020), with operations whose strength grows with the magnitude; Zhong
et al., "Random Erasing" (2020). numpy and cv2 only; runs in the loader processes of training.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from app.learning.views import PAD_GREY

Rgb = NDArray[np.uint8]
Change = Callable[[Rgb], Rgb]
_MOST = 10.0
_SPREAD = 0.5


def rand_augment(count: int, magnitude: float, rng: np.random.Generator) -> Change:
    """Some changes after one another, drawn once for all frames of a clip.

    Args:
        count: of the changes; each is left out every other time.
        magnitude: of 10; each change's is normal around it with a spread of 0.5.
        rng: chooses.
    """
    chosen: list[Change] = []
    for number in rng.integers(len(OPERATIONS), size=count):
        strength = float(np.clip(rng.normal(magnitude, _SPREAD), 0, _MOST)) / _MOST
        sign = 1.0 if rng.random() < 0.5 else -1.0
        if rng.random() < 0.5:
            chosen.append(OPERATIONS[int(number)](strength, sign))

    def change(rgb: Rgb) -> Rgb:
        for one in chosen:
            rgb = one(rgb)
        return rgb

    return change


def erased(
    clip: NDArray[np.float32], probability: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A normalised clip (3, T, H, W) with, by chance, one rectangle of noise in all of its frames.

    It takes 2 to 33 % of the picture, its sides as 3 to 10 up to 10 to 3.
    """
    if rng.random() >= probability:
        return clip
    height, width = clip.shape[2:]
    area = rng.uniform(0.02, 1 / 3) * height * width
    aspect = float(np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3))))
    h = min(max(1, round(sqrt(area * aspect))), height)
    w = min(max(1, round(sqrt(area / aspect))), width)
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    clip = clip.copy()
    clip[:, :, top : top + h, left : left + w] = rng.standard_normal((3, 1, h, w), np.float32)
    return clip


def _blend(strength: float, sign: float, other: Callable[[Rgb], NDArray[np.float32]]) -> Change:
    """Away from, or towards, a picture that lacks something: by up to 0.9 of what it lacks."""
    factor = 1 + sign * 0.9 * strength

    def change(rgb: Rgb) -> Rgb:
        plain = other(rgb)
        return np.clip(plain + factor * (rgb - plain), 0, 255).astype(np.uint8)

    return change


def _warp(matrix: Callable[[int, int], list[list[float]]]) -> Change:
    def change(rgb: Rgb) -> Rgb:
        height, width = rgb.shape[:2]
        warped = cv2.warpAffine(
            rgb,
            np.array(matrix(width, height), np.float64),
            (width, height),
            borderValue=(PAD_GREY,) * 3,
        )
        return np.asarray(warped, np.uint8)

    return change


def _turned(degrees: float) -> Change:
    return _warp(
        lambda w, h: cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), degrees, 1).tolist()
    )


def _grey(rgb: Rgb) -> NDArray[np.float32]:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)


def _smooth(rgb: Rgb) -> NDArray[np.float32]:
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
    return cv2.filter2D(rgb, -1, kernel).astype(np.float32)


def _stretched(rgb: Rgb) -> Rgb:
    low, high = rgb.min((0, 1)).astype(np.float32), rgb.max((0, 1)).astype(np.float32)
    out = (rgb - low) * (255 / np.maximum(high - low, 1))
    return np.where(high > low, out, rgb).astype(np.uint8)


def _equalised(rgb: Rgb) -> Rgb:
    return np.stack([cv2.equalizeHist(np.ascontiguousarray(c)) for c in np.moveaxis(rgb, 2, 0)], 2)


def _solarised(rgb: Rgb, from_value: int) -> Rgb:
    return np.where(rgb < from_value, rgb, 255 - rgb).astype(np.uint8)


def _lifted(rgb: Rgb, by: int) -> Rgb:
    return np.where(rgb < 128, np.minimum(rgb.astype(int) + by, 255), rgb).astype(np.uint8)


OPERATIONS: tuple[Callable[[float, float], Change], ...] = (
    lambda _m, _s: _stretched,
    lambda _m, _s: _equalised,
    lambda _m, _s: lambda rgb: 255 - rgb,
    lambda m, s: _turned(30 * m * s),
    lambda m, _s: lambda rgb: rgb & np.uint8(0xFF << round(4 * m) & 0xFF),
    lambda m, _s: lambda rgb: _solarised(rgb, 256 - round(256 * m)),
    lambda m, _s: lambda rgb: _lifted(rgb, round(110 * m)),
    lambda m, s: _blend(m, s, _grey),
    lambda m, s: _blend(m, s, lambda rgb: _grey(rgb).mean(keepdims=True)),
    lambda m, s: _blend(m, s, lambda _rgb: np.zeros(1, np.float32)),
    lambda m, s: _blend(m, s, _smooth),
    lambda m, s: _warp(lambda _w, h: [[1, 0.3 * m * s, -0.15 * m * s * h], [0, 1, 0]]),
    lambda m, s: _warp(lambda w, _h: [[1, 0, 0], [0.3 * m * s, 1, -0.15 * m * s * w]]),
    lambda m, s: _warp(lambda w, _h: [[1, 0, 0.45 * m * s * w], [0, 1, 0]]),
    lambda m, s: _warp(lambda _w, h: [[1, 0, 0], [0, 1, 0.45 * m * s * h]]),
)
"""From a strength in 0 to 1 and a sign to a change: contrast and histogram stretched, inverted,
turned, fewer bits, solarised, dark parts lifted, colour, contrast, brightness, sharpness, sheared
and moved both ways."""
