"""Half precision only where a real frame shows that it is faster and says the same.

Runs on the thread that owns the device (specs: precision guard).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from app.core.prediction import Instance
from models.training.config import native_bf16

SCORE_TOLERANCE = 0.02
MASK_IOU = 0.97
_ROUNDS = 5
_WORTH_SHARE = 0.9


def half_type(device: torch.device) -> torch.dtype | None:
    """The 16-bit type that the device computes natively, None without one."""
    if device.type in ("cuda", "cpu") and native_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type in ("cuda", "mps") else None


def is_telling(found: Sequence[Instance], threshold: float) -> bool:
    """Whether half precision must find something where full precision found this."""
    return any((i.score or 0) >= threshold + SCORE_TOLERANCE for i in found)


def agrees(full: Sequence[Instance], half: Sequence[Instance], threshold: float) -> bool:
    """Whether half precision finds the same instances as full precision in one frame.

    Same class, masks that overlap by `MASK_IOU`, scores within `SCORE_TOLERANCE`. What scores
    within the tolerance of the threshold may come or go: no rounding leaves a threshold alone.

    Args:
        full, half: what was found, in the frame's raster.
        threshold: least score of an instance.
    """
    sure = threshold + SCORE_TOLERANCE
    left = list(half)
    for one in full:
        alike = [(one.mask.iou(o.mask), at) for at, o in enumerate(left) if o.label == one.label]
        overlap, at = max(alike, default=(0.0, -1))
        if overlap >= MASK_IOU:
            if abs((one.score or 0) - (left.pop(at).score or 0)) > SCORE_TOLERANCE:
                return False
        elif (one.score or 0) >= sure:
            return False
    return all((other.score or 0) < sure for other in left)


def faster(half: Callable[[], object], full: Callable[[], object]) -> bool:
    """Whether ``half`` takes at most nine tenths of the time of ``full``, best of five each."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(_ROUNDS):
        for place, work in enumerate((half, full)):
            start = time.perf_counter()
            work()
            times[place].append(time.perf_counter() - start)
    return min(times[0]) < _WORTH_SHARE * min(times[1])
