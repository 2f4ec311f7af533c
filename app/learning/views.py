"""Training views: a labelled picture at the network's input size, augmented, with exact masks.

numpy and cv2 only; runs in the loader processes of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
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
        flip_vertical: mirror top and bottom half the time.
        hue, saturation, brightness: largest relative change (hue in OpenCV's 0-180).
        blur_px: largest Gaussian sigma.
        jpeg: lowest JPEG quality, half of the views are compressed; 95 and more for none.
        veil: how much of the light a grey veil, uneven as smoke or fog, takes at most, in half of
            the views; 0 for none.
        contrast: by how much contrast about the picture's mean is lowered at most, in half of them.
        mosaic: share of the views that show four pictures.
        mosaic_off_passes: last passes over the pictures without.

    Raises:
        BadInput: a value is out of range.
    """

    rotate_deg: float = 20.0
    scale: tuple[float, float] = (0.85, 1.4)
    shift: float = 0.1
    flip: bool = True
    flip_vertical: bool = False
    hue: float = 4.0
    saturation: float = 0.3
    brightness: float = 0.25
    blur_px: float = 1.2
    jpeg: int = 30
    veil: float = 0.0
    contrast: float = 0.0
    mosaic: float = 0.0
    mosaic_off_passes: int = 0

    def __post_init__(self) -> None:
        low, high = self.scale
        in_range = 0 <= self.rotate_deg <= 180 and 0.05 <= low <= high <= 20
        in_range &= min(self.hue, self.blur_px, self.mosaic_off_passes) >= 0 and self.hue <= 180
        shares = (self.shift, self.mosaic, self.saturation, self.brightness)
        shares += (self.veil, self.contrast)
        if not (in_range and all(0 <= s <= 1 for s in shares) and 0 <= self.jpeg <= 100):
            raise BadInput(
                "The recipe's data.augment has a value out of range: rotate_deg is 0 to 180, scale "
                "two numbers from 0.05 to 20 (smaller first), hue 0 to 180, jpeg 0 to 100, shift, "
                "mosaic, saturation, brightness, veil and contrast 0 to 1."
            )

    @classmethod
    def of(cls, said: object) -> Augmentation | None:
        """What a recipe's ``data.augment`` says: true, false for None, or a table of changes.

        Raises:
            BadInput: the table has a name that there is not, or a value of another kind.
        """
        if not isinstance(said, dict):
            return cls() if said else None
        try:
            return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in said.items()})
        except (TypeError, ValueError) as error:
            names = ", ".join(f.name for f in fields(cls))
            raise BadInput(
                f"The recipe's data.augment cannot be used; it takes {names}.", str(error)
            ) from error


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
    turn = _turn(size_px, how, rng)
    fit = _square(letterbox_matrix(width, height, *size_px))
    view = _warped(picture, (turn @ fit)[:2], size_px)
    return replace(view, rgb=photometric(view.rgb, how, rng))


def mosaic(
    pictures: Sequence[LabelledPicture],
    size_px: tuple[int, int],
    how: Augmentation,
    rng: np.random.Generator,
) -> View:
    """A random view of four pictures that meet in one corner (YOLOv4, YOLOv8).

    Each is as large as it would be alone; the corner lies anywhere in the middle half of a canvas
    of twice the size, and the view is of the canvas's middle, turned as one picture would be.
    Nothing of a picture shows beyond its own part.
    """
    width, height = size_px
    corner = rng.uniform(0.5, 1.5, 2) * size_px - np.array(size_px) / 2
    turn = _turn(size_px, how, rng)
    rgb = np.full((height, width, 3), PAD_GREY, np.uint8)
    free, ignore = np.ones((height, width), bool), np.zeros((height, width), bool)
    masks: list[NDArray[np.bool_]] = []
    labels: list[str] = []
    for number, picture in enumerate(pictures):
        rows, cols = picture.rgb.shape[:2]
        scale = min(width / cols, height / rows)
        x, y = corner - np.array([number % 2 == 0, number < 2]) * scale * (cols, rows)
        place = np.array([[scale, 0, x + scale / 2 - 0.5], [0, scale, y + scale / 2 - 0.5]])
        matrix = (turn @ _square(place))[:2]
        own = cv2.warpAffine(np.full((rows, cols), 255, np.uint8), matrix, size_px) > 127
        own &= free
        if not own.any():
            continue
        view = _warped(picture, matrix, size_px, cv2.BORDER_REPLICATE)
        rgb[own] = view.rgb[own]
        ignore |= view.ignore & own
        free &= ~own
        for mask, label in zip(view.masks, view.labels, strict=True):
            if (mask & own).any():
                masks.append(mask & own)
                labels.append(label)
    rgb = photometric(rgb, how, rng)
    return View(rgb=rgb, masks=tuple(masks), labels=tuple(labels), ignore=ignore)


def _turn(
    size_px: tuple[int, int], how: Augmentation, rng: np.random.Generator
) -> NDArray[np.float64]:
    """3 x 3 matrix of a random rotation, zoom, shift and mirroring about the view's centre."""
    width, height = size_px
    angle = rng.uniform(-how.rotate_deg, how.rotate_deg)
    zoom = rng.uniform(*how.scale)
    turn = _square(cv2.getRotationMatrix2D((width / 2, height / 2), angle, zoom))
    turn[0, 2] += rng.uniform(-how.shift, how.shift) * width
    turn[1, 2] += rng.uniform(-how.shift, how.shift) * height
    if how.flip and rng.random() < 0.5:
        turn = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ turn
    if how.flip_vertical and rng.random() < 0.5:
        turn = np.array([[1.0, 0, 0], [0, -1, height - 1], [0, 0, 1]]) @ turn
    return turn


def _square(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack((matrix, (0.0, 0.0, 1.0)))


def photometric(
    rgb: NDArray[np.uint8], how: Augmentation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Colour, blur and compression changes of a whole picture."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-how.hue, how.hue)) % 180
    hsv[..., 1] *= 1 + rng.uniform(-how.saturation, how.saturation)
    hsv[..., 2] *= 1 + rng.uniform(-how.brightness, how.brightness)
    out = cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
    if how.veil or how.contrast:
        out = _veiled(out, how, rng)
    sigma = rng.uniform(0, how.blur_px)
    if sigma > 0.3:
        out = cv2.GaussianBlur(out, (0, 0), sigma)
    if rng.random() < 0.5 and how.jpeg < 95:
        quality = int(rng.integers(how.jpeg, 95))
        _, data = cv2.imencode(".jpg", out, (cv2.IMWRITE_JPEG_QUALITY, quality))
        out = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(out.astype(np.uint8, copy=False))


def _veiled(
    rgb: NDArray[np.uint8], how: Augmentation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Less contrast, and a grey veil before it, each in half of the pictures."""
    out = rgb.astype(np.float32)
    if rng.random() < 0.5:
        mean = out.mean()
        out = mean + (out - mean) * np.float32(1 - rng.uniform(0, how.contrast))
    if rng.random() < 0.5:
        height, width = rgb.shape[:2]
        lumps = rng.random((4, 6), np.float32)
        density = cv2.resize(lumps, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
        density = np.clip(0.5 + density, 0.5, 1.0) * np.float32(rng.uniform(0, how.veil))
        out += density * (np.float32(255 * rng.uniform(0.5, 1.0)) - out)
    return np.clip(out, 0, 255).astype(np.uint8)


def _warped(
    picture: LabelledPicture,
    matrix: NDArray[np.float64],
    size_px: tuple[int, int],
    border: int = cv2.BORDER_CONSTANT,
) -> View:
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    rgb = picture.rgb
    if scale < 0.6:  # a plain bilinear warp would alias
        rgb = cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale)
    rgb = cv2.warpAffine(rgb, matrix, size_px, borderMode=border, borderValue=(PAD_GREY,) * 3)
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
