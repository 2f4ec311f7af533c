"""Metrics of action triplets after ivtmetrics (Nwoye and Padoy 2022): AP by component, top-K.

A component's truth and score are the largest of the triplets that share it. Percent; a class that
never occurs is absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.metrics.average_precision import Bools, Floats, mean_known, per_class

COMPONENTS: Mapping[str, tuple[int, ...]] = {
    "i": (0,), "v": (1,), "t": (2,), "iv": (0, 1), "it": (0, 2), "ivt": (0, 1, 2),
}  # fmt: skip
NULL_VERB = "null_verb"


@dataclass(frozen=True, slots=True, kw_only=True)
class TripletMetrics:
    """Figures of a set of videos, percent.

    Attributes:
        per_video: by component, AP of each video, mean over videos per class, mean over classes;
            what the authors recommend.
        pooled: by component, all frames of all videos together ("global").
        top_k: by K, share of true triplets among a frame's K best.
    """

    per_video: dict[str, float]
    pooled: dict[str, float]
    top_k: dict[str, float]


def triplet_metrics(
    truth: Sequence[Bools],
    scores: Sequence[Floats],
    triplets: Sequence[tuple[str, str, str]],
    *,
    ignore_null: bool = False,
    ks: Sequence[int] = (5, 10, 20),
) -> TripletMetrics:
    """Compares scores of triplets with the truth.

    Args:
        truth: per video (T, triplets).
        scores: per video (T, triplets), higher is surer.
        triplets: instrument, verb and target by column.
        ignore_null: leave out triplets without an action in ``ivt``.
        ks: of top-K.
    """
    per_video, pooled = {}, {}
    for name, places in COMPONENTS.items():
        groups = components(triplets, places)
        if name == "ivt" and ignore_null:
            groups = [g for g in groups if triplets[g[0]][1] != NULL_VERB]
        sides = [
            (_largest(t, groups), _largest(s, groups)) for t, s in zip(truth, scores, strict=True)
        ]
        videos = np.stack([per_class(t.astype(bool), s) for t, s in sides])
        per_video[name] = mean_known(
            np.array([mean_known(videos[:, c]) for c in range(videos.shape[1])])
        )
        together = [np.concatenate(side) for side in zip(*sides, strict=True)]
        pooled[name] = mean_known(per_class(together[0].astype(bool), together[1]))
    whole = np.concatenate(list(truth)), np.concatenate(list(scores))
    return TripletMetrics(
        per_video=per_video,
        pooled=pooled,
        top_k={str(k): top_k(*whole, k) for k in ks},
    )


def components(triplets: Sequence[tuple[str, str, str]], places: Sequence[int]) -> list[list[int]]:
    """Columns that share their words at ``places``, in order of first occurrence."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for column, words in enumerate(triplets):
        groups.setdefault(tuple(words[p] for p in places), []).append(column)
    return list(groups.values())


def top_k(truth: Bools, scores: Floats, k: int) -> float:
    """Of all true triplets, how many are among the ``k`` best of their frame; percent."""
    positives = int(truth.sum())
    if positives == 0:
        return float("nan")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return 100 * float(np.take_along_axis(truth, best, axis=1).sum()) / positives


def _largest(values: Floats | Bools, groups: Sequence[Sequence[int]]) -> Floats:
    return np.stack([values[:, list(g)].max(axis=1) for g in groups], axis=1).astype(np.float64)
