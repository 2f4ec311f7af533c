"""Whether another engine says what PyTorch says in full precision, tensor by tensor.

The one guard: of half precision, of int8, of other engines. Runs where the engine is examined
(``examining``), and once more on a frame of the user's own recording (``choice``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from app.core.prediction import Instance
from app.inference.outputs import Output, boxes_at, found_in, instances_in, masks_at
from app.inference.postprocess import Rules
from app.inference.preprocess import Fit
from models import ModelCard
from models.types import InstanceOutput, MapOutput

BOX_TOLERANCE_PX = 0.5
SCORE_TOLERANCE = 0.02
MASK_IOU = 0.97


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far an engine is from PyTorch in full precision, over one frame or several.

    Attributes:
        telling: the reference found something beyond doubt, so that the comparison means something.
        finite: no tensor holds nan or infinity.
        box_px: largest distance of a side of an instance's box, input pixels.
        score: largest difference of any score of any anchor; of a map, of its mean where it marks.
        mask_iou: least overlap of an instance's masks where the instance is beyond doubt.
        flips: anchors above the threshold whose class changed.
    """

    telling: bool = False
    finite: bool = True
    box_px: float = 0.0
    score: float = 0.0
    mask_iou: float = 1.0
    flips: int = 0

    def __or__(self, other: Difference) -> Difference:
        """The worse of both in everything."""
        return Difference(
            telling=self.telling or other.telling,
            finite=self.finite and other.finite,
            box_px=max(self.box_px, other.box_px),
            score=max(self.score, other.score),
            mask_iou=min(self.mask_iou, other.mask_iou),
            flips=self.flips + other.flips,
        )

    @property
    def passes(self) -> bool:
        """Whether the engine may be used."""
        return self.telling and not self.faults()

    @property
    def words(self) -> str:
        """The verdict as a sentence."""
        if faults := self.faults():
            return f"Refused: {', '.join(faults)}."
        if not self.telling:
            return "Not known: nothing was found in the pictures that could be compared."
        return (
            f"Passed: boxes within {self.box_px:.2f} px, scores within {self.score:.3f}, "
            f"masks overlap by {self.mask_iou:.3f} or more."
        )

    def faults(self) -> list[str]:
        """What is further away than it may be, in words."""
        if not self.finite:
            return ["it gives values that are not numbers"]
        found = []
        if self.box_px > BOX_TOLERANCE_PX:
            found.append(f"boxes differ by {self.box_px:.2f} px, {BOX_TOLERANCE_PX} are allowed")
        if self.score > SCORE_TOLERANCE:
            found.append(f"scores differ by {self.score:.3f}, {SCORE_TOLERANCE} are allowed")
        if self.mask_iou < MASK_IOU:
            found.append(f"masks overlap by {self.mask_iou:.3f}, {MASK_IOU} is needed")
        if self.flips:
            found.append("kinds are told apart otherwise")
        return found


def compare(
    reference: Output, other: Output, fit: Fit, rules: Rules, card: ModelCard
) -> Difference:
    """Compare the outputs for one frame, at the places where the reference found something.

    Which of two boxes over one thing is kept, and which crumb of a mask is dropped, hangs on the
    last digit; so the tensors are compared, not what the rules make of them.

    Args:
        reference: of PyTorch in full precision.
        other: of the engine.
        fit: geometry of the frame.
        rules, card: of the model.
    """
    found = instances_in(reference, fit, rules, card)
    telling = is_telling(found, rules.score_threshold)
    if not all(bool(torch.isfinite(part).all()) for part in other):
        return Difference(telling=telling, finite=False)
    if isinstance(reference, MapOutput) or isinstance(other, MapOutput):
        return _of_maps(reference, other, telling=telling)
    return _of_instances(reference, other, fit, rules, telling=telling)


def is_telling(found: Sequence[Instance], threshold: float) -> bool:
    """Whether an engine must find something where the reference found this."""
    return any((i.score or 0) >= threshold + SCORE_TOLERANCE for i in found)


def _of_instances(
    reference: InstanceOutput, other: InstanceOutput, fit: Fit, rules: Rules, *, telling: bool
) -> Difference:
    first, second = (o.class_logits[0].float().cpu().sigmoid().numpy() for o in (reference, other))
    candidates, boxes, kept = found_in(reference, rules)
    above, anchors = candidates.anchors, candidates.anchors[kept]
    moved = boxes_at(other, anchors)
    whole = replace(rules, min_part_share=0.0)
    masks = (
        masks_at(reference, anchors, boxes[kept], fit, whole),
        masks_at(other, anchors, moved, fit, whole),
    )
    sure = candidates.scores[kept] >= rules.score_threshold + SCORE_TOLERANCE
    overlaps = [a.iou(b) for a, b, s in zip(*masks, sure, strict=True) if s and a.area_px]
    return Difference(
        telling=telling,
        box_px=float(np.abs(boxes[kept] - moved).max(initial=0.0)),
        score=float(np.abs(first - second).max()),
        mask_iou=min(overlaps, default=1.0),
        flips=int((first[:, above].argmax(0) != second[:, above].argmax(0)).sum()),
    )


def _of_maps(reference: Output, other: Output, *, telling: bool) -> Difference:
    first, second = (o[0].float().cpu().sigmoid().numpy() for o in (reference, other))
    inside, also = first > 0.5, second > 0.5
    either = int((inside | also).sum())
    return Difference(
        telling=telling,
        score=abs(float(first[inside].mean() - second[inside].mean())) if inside.any() else 0.0,
        mask_iou=int((inside & also).sum()) / either if either else 1.0,
    )
