"""A network's raw output made into instances: thresholds, suppression, masks in the frame.

Runs on the thread that owns the device; the same for every engine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.mask import Mask
from app.core.prediction import Instance
from app.inference.masks import PROTOTYPE_STRIDE_PX, masks_of
from app.inference.parts import parts_of
from app.inference.postprocess import (
    Candidates,
    Rules,
    decode_boxes,
    find_candidates,
    instances_of,
    keep_distinct,
)
from app.inference.preprocess import Fit
from models import ModelCard
from models.types import InstanceOutput, MapOutput

Output = InstanceOutput | MapOutput


class Found(NamedTuple):
    """What passed the threshold in one frame.

    Attributes:
        candidates: the N anchors, best first.
        boxes: float32 (N, 4), x0 y0 x1 y1 in input pixels.
        kept: int64, places among the N of what stays after suppression.
    """

    candidates: Candidates
    boxes: NDArray[np.float32]
    kept: NDArray[np.int64]


def found_in(output: InstanceOutput, rules: Rules) -> Found:
    """Candidates, their boxes, and which of them stay."""
    candidates = find_candidates(output.class_logits[0].T.float().cpu().numpy(), rules)
    boxes = boxes_at(output, candidates.anchors)
    return Found(candidates, boxes, keep_distinct(boxes, candidates, rules))


def instances_in(output: Output, fit: Fit, rules: Rules, card: ModelCard) -> tuple[Instance, ...]:
    """Instances of one frame, best first, masks in the frame's raster."""
    if isinstance(output, MapOutput):
        logits = output.logits[0, 0].float().cpu().numpy()
        return parts_of(logits, fit, rules, card.class_keys[0])
    candidates, boxes, kept = found_in(output, rules)
    if not candidates.anchors.size:
        return ()
    masks = masks_at(output, candidates.anchors[kept], boxes[kept], fit, rules)
    return instances_of(masks, candidates, kept, card.class_keys)


def masks_at(
    output: InstanceOutput,
    anchors: NDArray[np.int64],
    boxes: NDArray[np.float32],
    fit: Fit,
    rules: Rules,
) -> tuple[Mask, ...]:
    """Masks of some anchors, cut out by their boxes, in the frame's raster."""
    return tuple(
        masks_of(
            boxes,
            _rows(output.mask_coefficients, anchors),
            _prototypes(output),
            fit,
            min_part_share=rules.min_part_share,
            box_fade=rules.box_fade,
        )
    )


def boxes_at(output: InstanceOutput, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 (N, 4) in input pixels, inside the input as in training's evaluation."""
    if not anchors.size:
        return np.empty((0, 4), np.float32)
    places = torch.from_numpy(anchors).to(output.boxes.device)
    centres, strides = output.centres_px[places], output.strides_px[places]
    boxes = decode_boxes(_rows(output.boxes, anchors), centres.cpu().numpy(), strides.cpu().numpy())
    height, width = (side * PROTOTYPE_STRIDE_PX for side in output.prototypes.shape[2:])
    return boxes.clip(0, np.array([width, height, width, height], np.float32))


def _rows(values: torch.Tensor, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 (N, C): the columns of a (1, C, A) output at some anchors."""
    places = torch.from_numpy(anchors).to(values.device)
    return values[0].T[places].float().cpu().numpy()


def _prototypes(output: InstanceOutput) -> NDArray[np.float32]:
    """float32 (h, w, P), C-contiguous."""
    return np.ascontiguousarray(output.prototypes[0].permute(1, 2, 0).float().cpu().numpy())
