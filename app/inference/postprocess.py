"""A network's raw output made into instances whose masks lie in the frame's raster.

Runs on the thread that owns the device. Everything is done on what an instance covers: scores are
filtered before boxes are decoded, mask logits exist only at prototype resolution, and each region
is enlarged once, straight into frame pixels (specs: post-processing, measured).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core import validate
from app.core.mask import Mask
from app.core.prediction import Instance
from app.inference.preprocess import Fit
from models import ModelCard

PROTOTYPE_STRIDE_PX = 4
_OUTSIDE_LOGIT = -4.0
_SHIFT_TOLERANCE = 1 / 64


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
    """

    score_threshold: float = 0.25
    overlap_threshold: float = 0.7
    class_agnostic: bool = False
    max_instances: int = 30
    max_candidates: int = 1000
    min_part_share: float = 0.0

    def __post_init__(self) -> None:
        validate.in_range("Rules.score_threshold", self.score_threshold, 0.0, 1.0)
        validate.in_range("Rules.overlap_threshold", self.overlap_threshold, 0.0, 1.0)
        validate.in_range("Rules.min_part_share", self.min_part_share, 0.0, 1.0)
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
    corners_and_sizes = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
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


def masks_of(
    boxes: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    fit: Fit,
    min_part_share: float = 0.0,
) -> tuple[Mask, ...]:
    """Masks in the frame's raster, each cropped to its box; some may be empty.

    Args:
        boxes: float32 (N, 4) in input pixels.
        coefficients: float32 (N, P).
        prototypes: float32 (h, w, P) at a quarter of the input's size.
        fit: geometry of the input.
        min_part_share: see :class:`Rules`.
    """
    to_frame = np.array([fit.scale_x, fit.scale_y] * 2, np.float32)
    offset = np.array([fit.left_px, fit.top_px] * 2, np.float32)
    picture_cells = fit.picture_width_px * fit.picture_height_px / PROTOTYPE_STRIDE_PX**2
    limits = np.array([fit.frame_width_px, fit.frame_height_px] * 2, np.float32)
    regions = np.clip(np.rint((boxes - offset) / to_frame), 0, limits).astype(int).tolist()
    return tuple(
        _mask(region, vector, prototypes, fit, min_part_share * picture_cells)
        for region, vector in zip(regions, coefficients, strict=True)
    )


def _mask(
    region: Sequence[int],
    vector: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    fit: Fit,
    min_part_cells: float,
) -> Mask:
    x0, y0, x1, y1 = region
    if x0 >= x1 or y0 >= y1:
        return Mask.empty(fit.frame_width_px, fit.frame_height_px)
    step_x, step_y = fit.scale_x / PROTOTYPE_STRIDE_PX, fit.scale_y / PROTOTYPE_STRIDE_PX
    across = _span(x0, x1, step_x, fit.left_px / PROTOTYPE_STRIDE_PX, prototypes.shape[1])
    down = _span(y0, y1, step_y, fit.top_px / PROTOTYPE_STRIDE_PX, prototypes.shape[0])
    logits = prototypes[down.first : down.last, across.first : across.last] @ vector
    if min_part_cells > 0:
        _drop_small_parts(logits, min_part_cells)
    if max(abs(across.shift), abs(down.shift)) > _SHIFT_TOLERANCE:
        logits = cv2.warpAffine(
            logits,
            np.array([[1.0, 0.0, across.shift], [0.0, 1.0, down.shift]]),
            logits.shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    warped = cv2.resize(logits, None, fx=1 / step_x, fy=1 / step_y, interpolation=cv2.INTER_LINEAR)
    x, y = x0 - across.origin_px, y0 - down.origin_px
    inside = warped[y : y + y1 - y0, x : x + x1 - x0] > 0
    return _tight(np.ascontiguousarray(inside), x0, y0, fit)


class _Span(NamedTuple):
    """Prototype cells that one side of a region needs.

    Attributes:
        first, last: cells [first, last).
        origin_px: frame pixel at which the enlarged cells begin.
        shift: cells by which they must move for that pixel to be whole, at most half a frame
            pixel: a plain enlargement costs an eighth of a general warp (measured).
    """

    first: int
    last: int
    origin_px: int
    shift: float


def _span(start_px: int, end_px: int, step: float, padding: float, cells: int) -> _Span:
    first = max(0, int(start_px * step + padding) - 1)
    last = min(cells, int(end_px * step + padding) + 2)
    exact_px = (first - padding) / step
    origin_px = math.floor(exact_px + 0.5)
    return _Span(first, last, origin_px, (origin_px - exact_px) * step)


def _drop_small_parts(logits: NDArray[np.float32], min_cells: float) -> None:
    inside = (logits > 0).view(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < min_cells
    small[0] = False
    if small.any():
        logits[small[parts]] = _OUTSIDE_LOGIT


def _tight(bits: NDArray[np.bool_], x0: int, y0: int, fit: Fit) -> Mask:
    x, y, w, h = cv2.boundingRect(bits.view(np.uint8))
    if not w:
        return Mask.empty(fit.frame_width_px, fit.frame_height_px)
    return Mask(
        width_px=fit.frame_width_px,
        height_px=fit.frame_height_px,
        x_px=x0 + x,
        y_px=y0 + y,
        bits=np.ascontiguousarray(bits[y : y + h, x : x + w]),
    )


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
