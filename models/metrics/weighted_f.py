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
    from it, half of the way every 5 px. Of several nearest true pixels the one in the nearest
    column counts, the left and the upper one first.

    Args:
        probability: float (H, W) in [0, 1], not stretched to its own range.
        truth: bool (H, W).

    Returns:
        nan where nothing is true: the measure asks about the foreground alone.
    """
    if not truth.any():
        return float("nan")
    error = np.abs(probability.astype(np.float64) - truth)
    distance, rows, columns = nearest(truth)
    smooth = cv2.GaussianBlur(
        error[rows, columns], (_WINDOW_PX, _WINDOW_PX), _SIGMA_PX, borderType=cv2.BORDER_CONSTANT
    )
    excused = np.where(truth, np.minimum(error, smooth), error)
    weight = np.where(truth, 1.0, 2 - np.exp2(-distance / _HALF_LIFE_PX))
    wrong = excused * weight
    missed = float(wrong[truth].sum())
    alarms = float(wrong[~truth].sum())
    area = int(truth.sum())
    right = area - missed
    recall = 1 - missed / area
    precision = right / max(right + alarms, 1e-12)
    return 2 * recall * precision / max(recall + precision, 1e-12)


def nearest(
    truth: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """The nearest true pixel of every pixel, exactly (OpenCV's labels are of an approximation).

    Args:
        truth: bool (H, W), true somewhere.

    Returns:
        Euclidean distance in pixels, and row and column of the nearest, each (H, W).
    """
    height, width = truth.shape
    row_of = _nearest_in_column(truth)
    reach = np.where(row_of < 0, np.inf, np.abs(row_of - np.arange(height)[:, None])) ** 2
    best = reach.copy()
    column = np.broadcast_to(np.arange(width), truth.shape).copy()
    for shift in range(1, width):
        if shift * shift >= best.max():
            break
        for to, origin in (
            (np.s_[:, shift:], np.s_[:, :-shift]),
            (np.s_[:, :-shift], np.s_[:, shift:]),
        ):
            through = reach[origin] + shift * shift
            closer = through < best[to]
            best[to][closer] = through[closer]
            at = np.nonzero(closer)[1]
            column[to][closer] = at + (shift if origin == np.s_[:, shift:] else 0)
    rows = np.take_along_axis(row_of, column, 1)
    return np.sqrt(best), rows, column


def _nearest_in_column(truth: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Row of the nearest true pixel of the same column, the upper of two; -1 where none is."""
    height = len(truth)
    at = np.arange(height)[:, None]
    above = np.maximum.accumulate(np.where(truth, at, -1), 0)
    below = np.minimum.accumulate(np.where(truth, at, 2 * height)[::-1], 0)[::-1]
    take_above = (above >= 0) & ((below == 2 * height) | (at - above <= below - at))
    return np.where(take_above, above, np.where(below == 2 * height, -1, below))
