"""The weighted F-measure: errors count less beside what is right, and more far from the truth.

Source: Margolin, Zelnik-Manor and Tal, "How to evaluate foreground maps?", CVPR 2014.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_WINDOW_PX = 7
_SIGMA_PX = 5.0
_HALF_LIFE_PX = 5.0


def weighted_f(probability: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """The weighted F-measure with beta 1, in [0, 1].

    An error of the foreground may be excused by its surroundings (7 x 7 Gaussian, sigma 5,
    nothing beyond the picture); one of the background weighs 1 beside the truth and up to 2 far
    from it, half of the way every 5 px. Of several nearest true pixels the upper one counts, of
    those the left one.

    Args:
        probability: float (H, W) in [0, 1], not stretched to its own range.
        truth: bool (H, W).

    Returns:
        nan where nothing is true: the measure asks about the foreground alone.
    """
    if not truth.any():
        return float("nan")
    error = np.abs(probability.astype(np.float64) - truth)
    smooth = cv2.GaussianBlur(
        _carried_out(error, truth),
        (_WINDOW_PX, _WINDOW_PX),
        _SIGMA_PX,
        borderType=cv2.BORDER_CONSTANT,
    )
    excused = np.where(truth, np.minimum(error, smooth), error)
    away = cv2.distanceTransform((~truth).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    wrong = excused * np.where(truth, 1.0, 2 - np.exp2(-away.astype(np.float64) / _HALF_LIFE_PX))
    missed = float(wrong[truth].sum())
    alarms = float(wrong[~truth].sum())
    area = int(truth.sum())
    right = area - missed
    recall = 1 - missed / area
    precision = right / max(right + alarms, 1e-12)
    return 2 * recall * precision / max(recall + precision, 1e-12)


def _carried_out(error: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The error of the nearest true pixel, as far out as the smoothing of true pixels reaches.

    Beyond the truth's own rim the background's errors would be smoothed into it.
    """
    reach = _WINDOW_PX // 2
    # A pixel of a true one's window has a true one no farther than the window's corner.
    steps = [
        (y * y + x * x, y, x)
        for y in range(-reach - 1, reach + 2)
        for x in range(-reach - 1, reach + 2)
        if y * y + x * x <= 2 * reach * reach
    ]
    edge = reach + 1
    inside, wide = np.pad(truth, edge), np.pad(error, edge)
    out, known = error.copy(), truth.copy()
    height, width = truth.shape
    for _, y, x in sorted(steps)[1:]:
        rows, columns = slice(edge + y, edge + y + height), slice(edge + x, edge + x + width)
        reached = inside[rows, columns] & ~known
        out[reached] = wide[rows, columns][reached]
        known |= reached
    return out
