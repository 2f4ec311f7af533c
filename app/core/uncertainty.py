"""How uncertain models are of the phase, and which stretches to look at first. Any thread.

The measure is the entropy of the mean of the runs' probabilities (Lakshminarayanan et al. 2017,
"Simple and scalable predictive uncertainty estimation using deep ensembles"): it grows where one
run is torn and where runs that are sure of themselves contradict each other. One bit: torn between
two phases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.core.prediction import PhasePrediction
from app.core.timeline import Timeline

DOUBT_BITS = 0.75
"""From here on a moment is worth a look: a phase of four fifths against one other has 0.72."""

STRIP_FULL_SHARE = 0.97
STRIP_LEAST_BITS = 0.5
_JOIN_SAMPLES = 5
_SHORTEST_SAMPLES = 3
_LONGEST_SAMPLES = 120


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Uncertainty:
    """How torn the runs are, per sample.

    Attributes:
        pts: int64 (N,), ascending.
        bits: float64 (N,), from 0 to the logarithm of the number of phases.
    """

    pts: NDArray[np.int64]
    bits: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A stretch [start_pts, end_pts) of which the runs are uncertain.

    Attributes:
        bits: the mean over the stretch.
        weight: bits times samples; what comes first weighs most.
    """

    start_pts: int
    end_pts: int
    bits: float
    weight: float


def uncertainty(
    runs: Sequence[tuple[Sequence[str], Sequence[PhasePrediction]]],
) -> Uncertainty:
    """How torn some runs over one recording are at the samples of the first.

    Another run says at a sample what it said at its nearest one, where that is within two steps of
    the first; classes are matched by key.

    Args:
        runs: class keys and answers in order of pts, the run on screen first.
    """
    if not runs or not runs[0][1]:
        return Uncertainty(pts=np.zeros(0, np.int64), bits=np.zeros(0))
    keys = sorted({key for classes, _ in runs for key in classes})
    pts = np.array([p.pts for p in runs[0][1]], np.int64)
    step = float(np.median(np.diff(pts))) if pts.size > 1 else 1.0
    total, count = np.zeros((pts.size, len(keys))), np.zeros((pts.size, 1))
    for classes, said in runs:
        if not said:
            continue
        columns = [keys.index(key) for key in classes]
        own = np.array([p.pts for p in said], np.int64)
        values = np.array([p.probabilities for p in said])
        nearest = _nearest(own, pts)
        reached = np.abs(own[nearest] - pts) <= 2 * step
        total[np.ix_(reached, columns)] += values[nearest[reached]]
        count[reached] += 1
    mean = total / np.maximum(count, 1)
    mean /= np.maximum(mean.sum(axis=1, keepdims=True), 1e-12)
    logs = np.log2(mean, out=np.zeros_like(mean), where=mean > 0)
    return Uncertainty(pts=pts, bits=np.maximum(-(mean * logs).sum(axis=1), 0.0))


def _nearest(own: NDArray[np.int64], pts: NDArray[np.int64]) -> NDArray[np.int64]:
    after = np.searchsorted(own, pts).clip(0, own.size - 1)
    before = (after - 1).clip(0)
    closer = np.abs(own[before] - pts) <= np.abs(own[after] - pts)
    return np.where(closer, before, after)


def strip_heights(bits: NDArray[np.float64]) -> NDArray[np.float64]:
    """How uncertain each moment is beside the others of its case, 0 to 1; from half it is tall.

    The middle of the case is the foot, and all that ``STRIP_FULL_SHARE`` of it lie below is as tall
    as can be: models that are torn throughout would be so everywhere, and the worst places could
    not be seen. Less than ``STRIP_LEAST_BITS`` more than the middle, and what is below a doubt, is
    not made tall.

    Args:
        bits: float64 (N,).
    """
    low, high = np.quantile(bits, (0.5, STRIP_FULL_SHARE)) if bits.size else (0.0, 1.0)
    high = max(float(high), float(low) + STRIP_LEAST_BITS, DOUBT_BITS)
    return ((bits - low) / (high - low)).clip(0, 1)


def doubts(found: Uncertainty, decided: Timeline | None = None) -> tuple[Doubt, ...]:
    """Stretches to look at, the heaviest first.

    Samples of at least ``DOUBT_BITS`` make a stretch; of a case of which the runs are torn for the
    most part, only those where its strip is tall, if it is anywhere. Those with no more than five
    others between them are one, up to two minutes at a sample a second. Fewer than three make no
    stretch. Time without samples, where a recording has a gap, belongs to none.

    Args:
        found: of a recording.
        decided: the human tier: where a human named a phase nothing is left to ask.
    """
    open_ = found.bits >= DOUBT_BITS
    if 2 * open_.sum() > open_.size and (tall := strip_heights(found.bits) >= 0.5).any():
        open_ = tall & open_
    for segment in decided.segments if decided is not None else ():
        a, b = np.searchsorted(found.pts, (segment.start_pts, segment.end_pts))
        open_[a:b] = False
    places = np.flatnonzero(open_)
    if not places.size:
        return ()
    step = int(np.median(np.diff(found.pts))) if found.pts.size > 1 else 1
    near = _JOIN_SAMPLES + 1
    apart = (np.diff(places) > near) | (np.diff(found.pts[places]) > near * step)
    parts = [0, *(np.flatnonzero(apart) + 1).tolist(), places.size]
    # Summed at once: the window asks for what lies in ten hours while it draws.
    firsts = [i for a, b in pairwise(parts) for i in range(a, b, _LONGEST_SAMPLES)]
    sums = np.add.reduceat(found.bits[places], firsts).tolist()
    pts = found.pts[places].tolist()
    out = [
        Doubt(
            start_pts=pts[first],
            end_pts=pts[after - 1] + step,
            bits=weight / (after - first),
            weight=weight,
        )
        for (first, after), weight in zip(pairwise([*firsts, len(pts)]), sums, strict=True)
        if after - first >= _SHORTEST_SAMPLES
    ]
    return tuple(sorted(out, key=lambda d: (-d.weight, d.start_pts)))
