"""Half precision only where a real frame shows that it is faster and says the same.

Runs on the thread that owns the device (specs: precision guard).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.training.config import native_bf16

BOX_TOLERANCE_PX = 0.5
SCORE_TOLERANCE = 0.02
MASK_IOU = 0.97
_ROUNDS = 3
_WORTH_SHARE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detected:
    """What a network says at some anchors, and all its scores.

    Attributes:
        anchors: int64 (N,).
        scores: float32 (A,), the best class's score of every anchor.
        boxes: float32 (N, 4) in input pixels.
        masks: bool (h, w, N) at prototype resolution.
    """

    anchors: NDArray[np.int64]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    masks: NDArray[np.bool_]


def half_type(device: torch.device) -> torch.dtype | None:
    """The 16-bit type that the device computes natively, None without one."""
    if device.type in ("cuda", "cpu") and native_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type in ("cuda", "mps") else None


def agrees(full: Detected, half: Detected) -> bool:
    """Whether half precision says the same, by the tolerances of this module."""
    # "not at most" also refuses nan, which an overflow in half precision leaves behind.
    if not np.abs(full.scores - half.scores).max() <= SCORE_TOLERANCE:
        return False
    if not np.abs(full.boxes - half.boxes).max() <= BOX_TOLERANCE_PX:
        return False
    both = (full.masks & half.masks).sum(axis=(0, 1))
    either = (full.masks | half.masks).sum(axis=(0, 1))
    return bool((both >= MASK_IOU * either).all())


def faster(half: Callable[[], object], full: Callable[[], object]) -> bool:
    """Whether ``half`` takes at most nine tenths of the time of ``full``, best of three each."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(_ROUNDS):
        for place, work in enumerate((half, full)):
            start = time.perf_counter()
            work()
            times[place].append(time.perf_counter() - start)
    return min(times[0]) < _WORTH_SHARE * min(times[1])
