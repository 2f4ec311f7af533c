"""Twenty ways in which pictures get worse, at five severities, to see what a model withstands.

After ImageNet-C (Hendrycks and Dietterich, 2019), with the severities of the specification of
segmentation models, section 2.3. Lengths are those of a picture 224 px high and grow with the
picture; noise is of single pixels. Frost, snow and spatter are drawn, not photographed. What is
true of a picture is not moved with it: ``elastic`` shifts borders by a few pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput

SEVERITIES = (1, 2, 3, 4, 5)
_LENGTHS_PX = 224

Picture = NDArray[np.float32]
Rng = np.random.Generator


def corrupt(name: str, severity: int, rgb: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """A picture made worse.

    Args:
        name: one of ``CORRUPTIONS``.
        severity: 1 to 5.
        rgb: uint8 (H, W, 3).
        seed: decides what is random; the same gives the same picture.

    Returns:
        uint8 (H, W, 3), a new one.

    Raises:
        BadInput: there is no such corruption or severity.
    """
    if name not in CORRUPTIONS:
        raise BadInput(f"There is no corruption {name}; there are {', '.join(CORRUPTIONS)}.")
    if severity not in SEVERITIES:
        raise BadInput(f"Severities are 1 to 5, not {severity}.")
    rng = np.random.default_rng((seed, severity, sum(name.encode())))
    worse = CORRUPTIONS[name](rgb.astype(np.float32) / 255, severity - 1, rng)
    return (np.clip(worse, 0, 1) * 255 + 0.5).astype(np.uint8)


def _px(picture: Picture, length: float) -> float:
    return length * min(picture.shape[:2]) / _LENGTHS_PX


def _gaussian_noise(x: Picture, s: int, rng: Rng) -> Picture:
    return x + rng.normal(0, (0.08, 0.12, 0.18, 0.26, 0.38)[s], x.shape).astype(np.float32)


def _shot_noise(x: Picture, s: int, rng: Rng) -> Picture:
    photons = (60, 25, 12, 5, 3)[s]
    return (rng.poisson(x * photons) / photons).astype(np.float32)


def _impulse_noise(x: Picture, s: int, rng: Rng) -> Picture:
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[s]
    drawn = rng.random(x.shape)
    return np.where(drawn < share / 2, 0, np.where(drawn < share, 1, x)).astype(np.float32)


def _speckle_noise(x: Picture, s: int, rng: Rng) -> Picture:
    return x * (1 + rng.normal(0, (0.15, 0.2, 0.35, 0.45, 0.6)[s], x.shape)).astype(np.float32)


def _blurred(x: Picture, sigma_px: float) -> Picture:
    return cv2.GaussianBlur(x, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)


def _gaussian_blur(x: Picture, s: int, _rng: Rng) -> Picture:
    return _blurred(x, _px(x, (1, 2, 3, 4, 6)[s]))


def _glass_blur(x: Picture, s: int, rng: Rng) -> Picture:
    sigma, reach, rounds = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[s]
    height, width = x.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    blur, far = _px(x, sigma), _px(x, reach)
    x = _blurred(x, blur)
    for _ in range(rounds):  # every pixel changes places with one nearby
        away = rng.uniform(-far, far, (2, height, width)).astype(np.float32)
        x = _looked_up(x, columns + away[1], rows + away[0], cv2.INTER_NEAREST)
    return _blurred(x, blur)


def _looked_up(x: Picture, columns: Picture, rows: Picture, how: int) -> Picture:
    return cv2.remap(x, columns, rows, how, borderMode=cv2.BORDER_REFLECT)


def _defocus_blur(x: Picture, s: int, _rng: Rng) -> Picture:
    radius, soft = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[s]
    reach = int(np.ceil(_px(x, radius)))
    y, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (y**2 + across**2 <= _px(x, radius) ** 2).astype(np.float32)
    disc = _blurred(disc / disc.sum(), _px(x, soft))
    return _filtered(x, disc)


def _filtered(x: Picture, kernel: Picture) -> Picture:
    return cv2.filter2D(x, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _motion_blur(x: Picture, s: int, rng: Rng) -> Picture:
    length, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[s]
    return _smeared(x, _px(x, length), _px(x, sigma), rng.uniform(-45, 45))


def _smeared(x: Picture, length_px: float, sigma_px: float, angle_deg: float) -> Picture:
    """Blurred along a line."""
    reach = max(1, int(length_px))
    kernel = np.zeros((2 * reach + 1,) * 2, np.float32)
    kernel[reach] = np.exp(-((np.arange(2 * reach + 1) - reach) ** 2) / (2 * sigma_px**2))
    turn = cv2.getRotationMatrix2D((reach, reach), angle_deg, 1.0)
    return _filtered(x, cv2.warpAffine(kernel, turn, kernel.shape[::-1]))


def _zoom_blur(x: Picture, s: int, _rng: Rng) -> Picture:
    last, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[s]
    height, width = x.shape[:2]
    zooms = np.arange(1, last, step)
    total = x.copy()
    for zoom in zooms:
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, float(zoom))
        total += cv2.warpAffine(x, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    return total / (len(zooms) + 1)


def _clouds(shape: tuple[int, ...], rng: Rng, decay: float) -> Picture:
    """Noise of all lengths, longer ones stronger, float32 (H, W) in 0 to 1."""
    height, width = shape[:2]
    total = np.zeros((height, width), np.float32)
    cells, strength = 2, 1.0
    while cells < 2 * max(height, width):
        small = rng.random((cells + 1, cells + 1)).astype(np.float32)
        side = max(height, width)
        large = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
        total += strength * large[:height, :width]
        cells, strength = 2 * cells, strength / decay
    return (total - total.min()) / max(float(total.max() - total.min()), 1e-6)


def _fog(x: Picture, s: int, rng: Rng) -> Picture:
    amount, decay = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[s]
    brightest = float(x.max())
    veil = amount * _clouds(x.shape, rng, decay)[..., None]
    return (x + veil) * brightest / (brightest + amount)


def _frost(x: Picture, s: int, rng: Rng) -> Picture:
    keep, ice = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[s]
    ridges = 1 - np.abs(2 * _clouds(x.shape, rng, 1.6) - 1)
    crystals = np.clip(ridges, 0, 1) ** 3 * _clouds(x.shape, rng, 2.0)
    tint = np.array([0.85, 0.95, 1.0], np.float32)
    return keep * x + ice * crystals[..., None] * tint


def _snow(x: Picture, s: int, rng: Rng) -> Picture:
    mean, spread, size, least, length, wide, keep = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[s]
    height, width = x.shape[:2]
    cells = (max(2, int(width / _px(x, size))), max(2, int(height / _px(x, size))))
    flakes = rng.normal(mean, spread, cells[::-1]).astype(np.float32)
    flakes = np.where(flakes < least, 0, np.clip(flakes, 0, 1)).astype(np.float32)
    large: Picture = cv2.resize(flakes, (width, height))
    falling = _smeared(large, _px(x, length), _px(x, wide), rng.uniform(45, 135))[..., None]
    grey = np.maximum(x, x.mean(2, keepdims=True) * 1.5 + 0.5)
    return keep * x + (1 - keep) * grey + falling + falling[::-1, ::-1]


def _spatter(x: Picture, s: int, rng: Rng) -> Picture:
    share, opaque = ((0.04, 0.4), (0.07, 0.5), (0.1, 0.6), (0.13, 0.8), (0.17, 0.9))[s]
    field = _blurred(rng.normal(0, 1, x.shape[:2]).astype(np.float32), _px(x, 3))
    level = np.quantile(field, 1 - share)
    drops = np.clip((field - level) / max(float(field.std()), 1e-6), 0, 0.4) / 0.4
    mist = _blurred(x, _px(x, 4))
    colour = np.array([0.55, 0.08, 0.06] if s > 2 else [0.75, 0.75, 0.75], np.float32)
    wet = (1 - opaque) * mist + opaque * colour
    return x + drops[..., None].astype(np.float32) * (wet - x)


def _contrast(x: Picture, s: int, _rng: Rng) -> Picture:
    mean = x.mean((0, 1), keepdims=True)
    return (x - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[s] + mean


def _in_hsv(x: Picture, change: Callable[[Picture], None]) -> Picture:
    hsv: Picture = cv2.cvtColor(x, cv2.COLOR_RGB2HSV)
    change(hsv)
    np.clip(hsv[..., 1:], 0, 1, out=hsv[..., 1:])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _brightness(x: Picture, s: int, _rng: Rng) -> Picture:
    def change(hsv: Picture) -> None:
        hsv[..., 2] += (0.1, 0.2, 0.3, 0.4, 0.5)[s]

    return _in_hsv(x, change)


def _saturate(x: Picture, s: int, _rng: Rng) -> Picture:
    factor, more = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))[s]

    def change(hsv: Picture) -> None:
        hsv[..., 1] = hsv[..., 1] * factor + more

    return _in_hsv(x, change)


def _jpeg(x: Picture, s: int, _rng: Rng) -> Picture:
    bgr = (np.clip(x[..., ::-1], 0, 1) * 255 + 0.5).astype(np.uint8)
    _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, (25, 18, 15, 10, 7)[s]))
    back = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(back, np.float32)[..., ::-1] / 255


def _pixelate(x: Picture, s: int, _rng: Rng) -> Picture:
    height, width = x.shape[:2]
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[s] * _LENGTHS_PX / max(_LENGTHS_PX, min(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def _elastic(x: Picture, s: int, rng: Rng) -> Picture:
    shift, smooth = ((1.0, 8), (1.5, 7), (2.0, 6), (2.5, 5), (3.5, 5))[s]
    height, width = x.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    away = []
    for _ in range(2):
        field = _blurred(rng.uniform(-1, 1, (height, width)).astype(np.float32), _px(x, smooth))
        away.append(field * _px(x, shift) / max(float(np.abs(field).max()), 1e-6))
    return _looked_up(x, columns + away[0], rows + away[1], cv2.INTER_LINEAR)


def _gamma(x: Picture, s: int, _rng: Rng) -> Picture:
    return np.clip(x, 0, 1) ** (1.6, 1.4, 1.2, 0.8, 0.6)[s]


CORRUPTIONS: dict[str, Callable[[Picture, int, Rng], Picture]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "speckle_noise": _speckle_noise,
    "gaussian_blur": _gaussian_blur,
    "glass_blur": _glass_blur,
    "defocus_blur": _defocus_blur,
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "fog": _fog,
    "frost": _frost,
    "snow": _snow,
    "spatter": _spatter,
    "contrast": _contrast,
    "brightness": _brightness,
    "saturate": _saturate,
    "jpeg": _jpeg,
    "pixelate": _pixelate,
    "elastic": _elastic,
    "gamma": _gamma,
}
"""Name -> what it does to float32 (H, W, 3) in 0 to 1, from a severity counted from 0."""
