"""A network's one map made into instances: each connected part of what it marks is one.

Runs on the thread that owns the device.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.mask import Mask
from app.core.prediction import Instance
from app.inference.postprocess import Rules
from app.inference.preprocess import Fit


def parts_of(
    logits: NDArray[np.float32], fit: Fit, rules: Rules, label: str
) -> tuple[Instance, ...]:
    """Connected parts where the probability is above one half, in the frame's raster.

    The map is taken as it is: stretched to its own range, as some published test scripts do, it
    would mark something in every frame.

    Args:
        logits: float32 (input height, input width).
        fit: geometry of the input.
        rules: `score_threshold`, `min_part_share` and `max_instances` count.
        label: of every part.

    Returns:
        The surest first; a part's score is the mean probability of its pixels.
    """
    whole, size = in_frame(logits, fit), (fit.frame_width_px, fit.frame_height_px)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(
        (whole > 0).view(np.uint8), connectivity=8
    )
    least_px = max(1.0, rules.min_part_share * size[0] * size[1])
    found = []
    for number in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[number])
        if area < least_px:
            continue
        bits = parts[y : y + h, x : x + w] == number
        score = float(_probability(whole[y : y + h, x : x + w][bits]).mean())
        if score >= rules.score_threshold:
            mask = Mask(width_px=size[0], height_px=size[1], x_px=x, y_px=y, bits=bits)
            found.append(Instance(label=label, mask=mask, score=min(score, 1.0)))
    found.sort(key=lambda instance: -(instance.score or 0.0))
    return tuple(found[: rules.max_instances])


def in_frame(logits: NDArray[np.float32], fit: Fit) -> NDArray[np.float32]:
    """A map of the network's input as a map of the frame, float32 (H, W)."""
    height, width = fit.picture_height_px, fit.picture_width_px
    picture = logits[fit.top_px : fit.top_px + height, fit.left_px : fit.left_px + width]
    size = (fit.frame_width_px, fit.frame_height_px)
    whole = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.float32)


def probability_map(logits: NDArray[np.float32], fit: Fit) -> NDArray[np.float32]:
    """The probability of every pixel of the frame, float32 (H, W) in 0 to 1."""
    return _probability(in_frame(logits, fit)).astype(np.float32)


def _probability(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh(logits.astype(np.float64) / 2)  # exp would overflow below -709
