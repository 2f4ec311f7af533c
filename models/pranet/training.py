"""PraNet's multi-scale training: every batch is learnt at three sizes, one update each.

Source: specification section 3 (scales 0.75, 1, 1.25; sides rounded to multiples of 32). Runs in a
training process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch.nn.functional as F
from torch import Tensor

from models.types import MapTargets

SCALES = (0.75, 1.0, 1.25)
_STEP_PX = 32

MapBatches = Callable[[int], Iterator[tuple[Tensor, MapTargets]]]


def scaled_side(side_px: int, scale: float) -> int:
    """A side of the input at another scale, a multiple of 32 and at least 32."""
    return max(round(side_px * scale / _STEP_PX), 1) * _STEP_PX


def at_scales(batches: MapBatches, scales: tuple[float, ...] = SCALES) -> MapBatches:
    """Batches at every scale in turn; a step of the training loop is one of them.

    Args:
        batches: gives the iterator of (images, targets) from a batch on.
        scales: of both sides.

    Returns:
        The same for the training loop, counted in steps: `len(scales)` for each batch, so that a
        resumed run goes on in the middle of one.
    """

    def start(first: int) -> Iterator[tuple[Tensor, MapTargets]]:
        number, done = divmod(first, len(scales))
        for images, targets in batches(number):
            for scale in scales[done:]:
                yield rescaled(images, targets, scale)
            done = 0

    return start


def rescaled(images: Tensor, targets: MapTargets, scale: float) -> tuple[Tensor, MapTargets]:
    """A batch at another scale; masks become soft at their borders, as in the published code."""
    height, width = images.shape[2:]
    size = (scaled_side(height, scale), scaled_side(width, scale))
    if size == (height, width):
        return images, targets
    ignore = targets.ignore
    if ignore is not None:
        ignore = F.interpolate(ignore.float(), size=size, mode="nearest") > 0
    return _resized(images, size), MapTargets(masks=_resized(targets.masks, size), ignore=ignore)


def _resized(planes: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(planes, size=size, mode="bilinear", align_corners=True)
