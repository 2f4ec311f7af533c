"""How like one picture is to another: PSNR and SSIM, as desmoking papers report them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and RGB channels together.

    Args:
        a, b: uint8 (H, W, 3); the peak is 255.

    Returns:
        Infinity for equal pictures.

    Raises:
        ValueError: the sizes differ.
    """
    _check(a, b)
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Structural similarity, the mean of the three channels.

    Wang et al. 2004: Gaussian window 11 x 11 of sigma 1.5, K1 0.01, K2 0.03, population
    (co)variances, only windows that lie wholly in the picture.

    Args:
        a, b: uint8 (H, W, 3), H and W at least 11.

    Raises:
        ValueError: the sizes differ, or a side is shorter than the window.
    """
    _check(a, b)
    if min(a.shape[:2]) < 11:
        raise ValueError(f"SSIM needs pictures of at least 11 x 11 px, got {a.shape[1::-1]}")

    def blurred(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return cv2.GaussianBlur(x, (11, 11), 1.5)[5:-5, 5:-5]  # type: ignore[return-value]

    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = blurred(x), blurred(y)
    own_x = blurred(x * x) - mean_x**2
    own_y = blurred(y * y) - mean_y**2
    shared = blurred(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float(np.mean(light * (2 * shared + c2) / (own_x + own_y + c2)))


def _check(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> None:
    if a.shape != b.shape:
        raise ValueError(f"the pictures are {a.shape[1::-1]} and {b.shape[1::-1]}")
