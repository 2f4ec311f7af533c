"""A network's raw detections filtered: scores first, boxes for what is left, the distinct ones.

Runs on the thread that owns the device. ``masks.py`` makes the masks of those that stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core import validate
from app.core.mask import Mask
from app.core.prediction import Instance
from models import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which raw detections become instances.

    Attributes:
        score_threshold: lowest score, 0 to 1.
        overlap_threshold: boxes that overlap a better one by more (IoU) are dropped.
        class_agnostic: a box suppresses boxes of other classes too.
        max_instances: at most so many per frame, best first.
        max_candidates: at most so many boxes are compared.
        min_part_share: connected parts smaller than this share of the picture are dropped, and
            with its last part the instance; 0 keeps all.
        box_fade: logits that a mask loses per prototype cell beyond its box, so that it ends
            round where a box is too short; 0 cuts it off at the box, as published.
    """

    score_threshold: float = 0.25
    overlap_threshold: float = 0.7
    class_agnostic: bool = False
    max_instances: int = 30
    max_candidates: int = 1000
    min_part_share: float = 0.0
    box_fade: float = 0.0

    def __post_init__(self) -> None:
        validate.in_range("Rules.score_threshold", self.score_threshold, 0.0, 1.0)
        validate.in_range("Rules.overlap_threshold", self.overlap_threshold, 0.0, 1.0)
        validate.in_range("Rules.min_part_share", self.min_part_share, 0.0, 1.0)
        validate.in_range("Rules.box_fade", self.box_fade, 0.0, 1000.0)
        validate.positive("Rules.max_instances", self.max_instances)
        validate.positive("Rules.max_candidates", self.max_candidates)


def rules_of(card: ModelCard) -> Rules:
    """The card's thresholds; what it does not name is as in ``Rules``."""
    named = card.thresholds
    plain = Rules()
    return Rules(
        score_threshold=named.get("score", plain.score_threshold),
        overlap_threshold=named.get("overlap", plain.overlap_threshold),
        class_agnostic=bool(named.get("class_agnostic", plain.class_agnostic)),
        max_instances=int(named.get("max_instances", plain.max_instances)),
        min_part_share=named.get("min_part_share", plain.min_part_share),
        box_fade=named.get("box_fade", plain.box_fade),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Anchors worth decoding, best first.

    Attributes:
        anchors: int64 (N,), places among the network's anchors.
        classes: int64 (N,).
        scores: float32 (N,), 0 to 1.
    """

    anchors: NDArray[np.int64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]


def find_candidates(class_logits: NDArray[np.float32], rules: Rules) -> Candidates:
    """The anchors whose best class passes the score threshold.

    Args:
        class_logits: float32 (A, K).
        rules: thresholds.
    """
    best = class_logits.max(axis=1)
    anchors = np.flatnonzero(best >= _logit(rules.score_threshold))
    order = np.argsort(-best[anchors], kind="stable")[: rules.max_candidates]
    anchors = anchors[order]
    scores = 1.0 / (1.0 + np.exp(-best[anchors].astype(np.float64)))
    return Candidates(
        anchors=anchors,
        classes=class_logits[anchors].argmax(axis=1),
        scores=scores.astype(np.float32),
    )


def decode_boxes(
    bins: NDArray[np.float32], centres_px: NDArray[np.float32], strides_px: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Boxes of some anchors from their distance bins (generalised focal loss, Li et al. 2020).

    Args:
        bins: float32 (N, 4 * R), logits of the sides left, top, right, bottom.
        centres_px: float32 (N, 2), x and y in input pixels.
        strides_px: float32 (N,).

    Returns:
        float32 (N, 4), x0 y0 x1 y1 in input pixels, not clipped.
    """
    count = bins.shape[1] // 4
    # One column per side: a maximum along short rows costs twenty times as much (measured).
    weights = np.ascontiguousarray(bins.reshape(-1, count).T)
    weights -= weights.max(axis=0)
    np.exp(weights, out=weights)
    values = np.arange(count, dtype=np.float32)
    distances = (values @ weights / weights.sum(axis=0)).reshape(-1, 4) * strides_px[:, None]
    return np.concatenate((centres_px - distances[:, :2], centres_px + distances[:, 2:]), axis=1)


def keep_distinct(
    boxes: NDArray[np.float32], candidates: Candidates, rules: Rules
) -> NDArray[np.int64]:
    """Non-maximum suppression.

    Args:
        boxes: float32 (N, 4), x0 y0 x1 y1.
        candidates: the N candidates, best first.
        rules: thresholds.

    Returns:
        int64 places of the boxes that stay, best first.
    """
    if not len(boxes):
        return np.empty(0, np.int64)
    # OpenCV keeps classes apart by moving them, which is right for what is not negative alone.
    corners = boxes[:, :2] - boxes[:, :2].min(axis=0)
    corners_and_sizes = np.concatenate((corners, boxes[:, 2:] - boxes[:, :2]), axis=1)
    groups = np.zeros_like(candidates.classes) if rules.class_agnostic else candidates.classes
    # OpenCV reads lists three times as fast as arrays (measured).
    kept = cv2.dnn.NMSBoxesBatched(
        corners_and_sizes.tolist(),
        candidates.scores.tolist(),
        groups.tolist(),
        0.0,
        rules.overlap_threshold,
    )
    return np.sort(np.asarray(kept, np.int64).ravel())[: rules.max_instances]


def instances_of(
    masks: Sequence[Mask], candidates: Candidates, kept: NDArray[np.int64], classes: Sequence[str]
) -> tuple[Instance, ...]:
    """Instances, highest score first, without those whose mask came out empty."""
    return tuple(
        Instance(
            label=classes[int(candidates.classes[i])],
            mask=mask,
            score=float(candidates.scores[i]),
        )
        for mask, i in zip(masks, kept, strict=True)
        if mask.bits.size
    )


def _logit(probability: float) -> float:
    if probability <= 0 or probability >= 1:
        return math.copysign(math.inf, probability - 0.5)
    return math.log(probability / (1 - probability))
