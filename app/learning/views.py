"""Training views: a labelled picture at the network's input size, augmented, with exact masks.

numpy and cv2 only; runs in the loader processes of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.picture import LabelledPicture

MASK_STRIDE = 4
PAD_GREY = 114


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One training picture.

    Attributes:
        rgb: uint8 (H, W, 3), the network's input size.
        masks: bool (H, W) each, one per instance; they may overlap.
        labels: class key of each mask.
        ignore: bool (H, W), pixels about which nothing is known.
    """

    rgb: NDArray[np.uint8]
    masks: tuple[NDArray[np.bool_], ...]
    labels: tuple[str, ...]
    ignore: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far a view may stray from its picture.

    Attributes:
        rotate_deg: largest rotation either way.
        scale: smallest and largest zoom.
        shift: largest shift as share of the size.
        flip: mirror left and right half the time.
        hue, saturation, brightness: largest relative change (hue in OpenCV's 0-180).
        blur_px: largest Gaussian sigma.
        jpeg: lowest JPEG quality; half of the views are compressed.
    """

    rotate_deg: float = 20.0
    scale: tuple[float, float] = (0.85, 1.4)
    shift: float = 0.1
    flip: bool = True
    hue: float = 4.0
    saturation: float = 0.3
    brightness: float = 0.25
    blur_px: float = 1.2
    jpeg: int = 30


def letterbox_matrix(
    width_px: int, height_px: int, to_width_px: int, to_height_px: int
) -> NDArray[np.float64]:
    """2 x 3 matrix that fits a picture into the input size, centred, aspect kept."""
    scale = min(to_width_px / width_px, to_height_px / height_px)
    dx = (to_width_px - width_px * scale) / 2
    dy = (to_height_px - height_px * scale) / 2
    # Pixel centres map to pixel centres.
    return np.array([[scale, 0, dx + scale / 2 - 0.5], [0, scale, dy + scale / 2 - 0.5]])


def fitted(picture: LabelledPicture, size_px: tuple[int, int]) -> View:
    """The picture as evaluation sees it: letterboxed to (width, height), nothing else."""
    height, width = picture.rgb.shape[:2]
    return _warped(picture, letterbox_matrix(width, height, *size_px), size_px)


def augmented(
    picture: LabelledPicture,
    size_px: tuple[int, int],
    how: Augmentation,
    rng: np.random.Generator,
) -> View:
    """A random view of the picture at (width, height)."""
    height, width = picture.rgb.shape[:2]
    to_width, to_height = size_px
    angle = rng.uniform(-how.rotate_deg, how.rotate_deg)
    zoom = rng.uniform(*how.scale)
    turn = np.vstack(
        (cv2.getRotationMatrix2D((to_width / 2, to_height / 2), angle, zoom), (0, 0, 1))
    )
    turn[0, 2] += rng.uniform(-how.shift, how.shift) * to_width
    turn[1, 2] += rng.uniform(-how.shift, how.shift) * to_height
    if how.flip and rng.random() < 0.5:
        turn = np.array([[-1.0, 0, to_width - 1], [0, 1, 0], [0, 0, 1]]) @ turn
    fit = np.vstack((letterbox_matrix(width, height, *size_px), (0, 0, 1)))
    view = _warped(picture, (turn @ fit)[:2], size_px)
    return View(
        rgb=photometric(view.rgb, how, rng),
        masks=view.masks,
        labels=view.labels,
        ignore=view.ignore,
    )


def photometric(
    rgb: NDArray[np.uint8], how: Augmentation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Colour, blur and compression changes of a whole picture."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-how.hue, how.hue)) % 180
    hsv[..., 1] *= 1 + rng.uniform(-how.saturation, how.saturation)
    hsv[..., 2] *= 1 + rng.uniform(-how.brightness, how.brightness)
    out = cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
    sigma = rng.uniform(0, how.blur_px)
    if sigma > 0.3:
        out = cv2.GaussianBlur(out, (0, 0), sigma)
    if rng.random() < 0.5:
        quality = int(rng.integers(how.jpeg, 95))
        _, data = cv2.imencode(".jpg", out, (cv2.IMWRITE_JPEG_QUALITY, quality))
        out = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(out.astype(np.uint8, copy=False))


def _warped(
    picture: LabelledPicture, matrix: NDArray[np.float64], size_px: tuple[int, int]
) -> View:
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    rgb = picture.rgb
    if scale < 0.6:  # a plain bilinear warp would alias
        rgb = cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale)
    rgb = cv2.warpAffine(rgb, matrix, size_px, borderValue=(PAD_GREY,) * 3)
    masks, labels = [], []
    for instance in picture.instances:
        plane = instance.mask.full().astype(np.uint8) * 255
        mask = cv2.warpAffine(plane, matrix, size_px) > 127
        if mask.any():  # what is too small to learn is ignored later, not background
            masks.append(mask)
            labels.append(instance.label)
    ignore = np.zeros(size_px[::-1], bool)
    if picture.ignore is not None:
        plane = picture.ignore.full().astype(np.uint8) * 255
        ignore = cv2.warpAffine(plane, matrix, size_px) > 0
    return View(
        rgb=np.ascontiguousarray(rgb.astype(np.uint8, copy=False)),
        masks=tuple(masks),
        labels=tuple(labels),
        ignore=ignore,
    )
