"""Metrics of phase recognition, frame by frame and segment by segment, conventions named.

Definitions: Cholec80's evaluation script (Twinanda et al. 2017; Funke et al. 2023 on its
conventions), segment metrics of Lea et al. 2017. Labels are int (T,) at one rate, 0-based in
the order of the workflow; frames whose truth is negative are left out everywhere, of segments too:
what is alike before and after such frames is one segment, in truth and prediction. Figures are
percentages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Mode = Literal["matlab", "intended"]
SCORES = ("precision", "recall", "jaccard", "f1")
CONVENTIONS = {
    "video_then_phase": "per video and phase, a phase absent from a video's truth left out; mean "
    "over videos, then mean and standard deviation over phases",
    "pooled": "all frames of all videos together, mean over the phases of the truth",
    "matlab": "ten seconds at borders forgiven as the published script does, slip included; "
    "shares may exceed 100",
    "intended": "ten seconds at borders forgiven as the script's authors describe",
    "edit": "100 - Levenshtein distance of the orders of segments, mean over videos; frames "
    "without a true label left out, and what is alike before and after them is one segment",
    "f1_at": "segments, as for edit, hit at that IoU, summed over videos",
}
"""What each figure is, by its name in ``PhaseMetrics.as_json``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A mean and its sample standard deviation (0 for a single value)."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseMetrics:
    """Metrics of a set of videos, percentages.

    Attributes:
        videos: how many.
        classes: phase keys.
        video_then_phase: accuracy over videos; the rest per video and phase, a phase absent
            from a video's truth left out, mean over videos, then mean and std over phases.
        pooled: all frames of all videos together, mean over phases of the truth.
        relaxed_10s: by mode, accuracy, precision, recall and jaccard with forgiven borders.
        edit: mean over videos, frames without a true label left out.
        f1_at: by overlap in percent, over all videos' segments, of the same frames.
    """

    videos: int
    classes: tuple[str, ...]
    video_then_phase: dict[str, Spread]
    pooled: dict[str, float]
    relaxed_10s: dict[str, dict[str, float]]
    edit: float
    f1_at: dict[str, float]

    def as_json(self, *, relaxed: bool) -> dict[str, Any]:
        """What `trocar metrics phases --json` prints, with the convention of each figure; None for
        what cannot be measured.

        Args:
            relaxed: with forgiven borders, which Cholec80's seven phases in their order alone have.
        """

        def clean(value: Any) -> Any:
            if isinstance(value, Spread):
                return {"mean": clean(value.mean), "std": clean(value.std)}
            if isinstance(value, dict):
                return {k: clean(v) for k, v in value.items()}
            if isinstance(value, float):
                return None if np.isnan(value) else round(value, 4)
            return value

        found = {
            "videos": self.videos,
            "classes": list(self.classes),
            "video_then_phase": clean(self.video_then_phase),
            "pooled": clean(self.pooled),
            **({"relaxed_10s": clean(self.relaxed_10s)} if relaxed else {}),
            "edit": clean(self.edit),
            "f1_at": clean(self.f1_at),
        }
        printed = {*found, *(self.relaxed_10s if relaxed else ())}
        return found | {"conventions": {k: v for k, v in CONVENTIONS.items() if k in printed}}


def phase_metrics(
    truth: Sequence[Labels],
    predicted: Sequence[Labels],
    classes: Sequence[str],
    *,
    frames_per_second: float = 1.0,
) -> PhaseMetrics:
    """Compares predictions with the truth, video by video.

    Args:
        truth: per video int (T,), negative where unknown.
        predicted: per video int (T,), of the same lengths.
        classes: phase keys by index.
        frames_per_second: rate of the labels, for the relaxed borders.

    Raises:
        ValueError: numbers of videos or lengths differ, nothing is labelled, or a label is
            not an index of `classes`.
    """
    pairs = [_known(t, p, len(classes)) for t, p in zip(truth, predicted, strict=True)]
    if not pairs or any(len(t) == 0 for t, _ in pairs):
        raise ValueError("a video has no labelled frame")
    per_video = np.stack([frame_scores(t, p, len(classes)) for t, p in pairs])
    accuracy = np.array([np.mean(t == p) * 100 for t, p in pairs])
    phases = _nan_mean(per_video)
    everything = [np.concatenate(side) for side in zip(*pairs, strict=True)]
    pooled = frame_scores(everything[0], everything[1], len(classes))
    spread = {"accuracy": _spread(accuracy)}
    spread |= {name: _spread(phases[i]) for i, name in enumerate(SCORES)}
    modes: tuple[Mode, ...] = ("matlab", "intended")
    return PhaseMetrics(
        videos=len(pairs),
        classes=tuple(classes),
        video_then_phase=spread,
        pooled={
            "accuracy": float(np.mean(everything[0] == everything[1]) * 100),
            **{name: _spread(pooled[i]).mean for i, name in enumerate(SCORES)},
        },
        relaxed_10s={m: _relaxed(pairs, len(classes), frames_per_second, m) for m in modes},
        edit=float(np.mean([edit_score(t, p) for t, p in pairs])),
        f1_at={str(at): f1_at(pairs, at / 100) for at in (10, 25, 50)},
    )


def frame_scores(truth: Labels, predicted: Labels, classes: int) -> NDArray[np.float64]:
    """Precision, recall, Jaccard and F1 per phase, (4, classes), in percent.

    A phase absent from the truth is nan throughout; one that is present and never predicted
    has precision 0.
    """
    both, said, true = (
        np.bincount(labels, minlength=classes)[:classes].astype(float)
        for labels in (truth[truth == predicted], predicted, truth)
    )
    sizes = np.stack((said, true, said + true - both, (said + true) / 2))
    out = both / np.where(sizes > 0, sizes, 1)
    out[:, true == 0] = np.nan
    return out * 100


def relaxed_scores(
    truth: Labels, predicted: Labels, classes: int, *, border: int, mode: Mode
) -> tuple[float, NDArray[np.float64]]:
    """Cholec80's relaxed metrics: near a border, its neighbour phase counts as right.

    In the first `border` frames of a true segment the phase before it (a late transition) is
    forgiven, in the last ones the phase after it (an early one). Of the seven phases of
    Cholec80, the fourth and fifth also forgive two phases on, the sixth and seventh two
    phases either way.

    Args:
        truth: int (T,), 0-based in workflow order.
        predicted: int (T,).
        classes: number of phases.
        border: frames forgiven; 10 s times the rate.
        mode: "matlab" repeats the published script, which by an indexing slip forgives early
            transitions in a segment's first frames and lets shares exceed 100; "intended"
            forgives in the last frames and stops at 100.

    Returns:
        Accuracy, and precision, recall and Jaccard per phase (3, classes), nan where the
        phase is absent from the truth; percent.
    """
    difference = predicted - truth
    right = difference == 0
    for phase, start, end in segments(truth):
        t = min(border, end - start)
        head = slice(start, start + t)
        tail = head if mode == "matlab" else slice(end - t, end)
        late = (-1, -2) if phase in (5, 6) else (-1,)
        early = (1, 2) if phase in (3, 4, 5, 6) else (1,)
        first = np.isin(difference[start : start + t], late)
        last = np.isin(difference[end - t : end], early)
        right[head] |= first
        right[tail] |= last
    out = np.full((3, classes), np.nan)
    for phase in np.unique(truth):
        said, true = predicted == phase, truth == phase
        hits = float(right[said | true].sum())
        sizes = said.sum(), true.sum(), (said | true).sum()
        out[:, phase] = [100 * hits / size if size else 0.0 for size in sizes]
    if mode == "intended":
        out = np.minimum(out, 100)
    return float(right.mean() * 100), out


def segments(labels: Labels) -> list[tuple[int, int, int]]:
    """Maximal runs of one label: (label, first frame, one past the last)."""
    if len(labels) == 0:
        return []
    cuts = np.flatnonzero(np.diff(labels)) + 1
    starts, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(labels)]
    return [(int(labels[s]), s, e) for s, e in zip(starts, ends, strict=True)]


def edit_score(truth: Labels, predicted: Labels) -> float:
    """100 x (1 - Levenshtein distance of the two orders of segments / the longer one)."""
    a, b = ([label for label, _, _ in segments(labels)] for labels in (truth, predicted))
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y)))
    return 100 * (1 - row[-1] / max(len(a), len(b), 1))


def f1_at(pairs: Sequence[tuple[Labels, Labels]], overlap: float) -> float:
    """Segment F1 of (truth, predicted) pairs, hits summed over the videos, in percent.

    A predicted segment is held against the true one of its label with the largest IoU, and is
    a hit where that IoU is at least `overlap` and the true one is still free.
    """
    hits = said = true = 0
    for truth, predicted in pairs:
        real, used = segments(truth), set[int]()
        guesses = segments(predicted)
        said, true = said + len(guesses), true + len(real)
        for label, start, end in guesses:
            best, at = 0.0, -1
            for i, (other, s, e) in enumerate(real):
                shared = min(end, e) - max(start, s)
                if other == label and shared > 0 and shared / (max(end, e) - min(start, s)) > best:
                    best, at = shared / (max(end, e) - min(start, s)), i
            if at >= 0 and best >= overlap and at not in used:
                used.add(at)
                hits += 1
    return 100 * 2 * hits / max(said + true, 1)


def _known(truth: Labels, predicted: Labels, classes: int) -> tuple[Labels, Labels]:
    """The frames with a true label, moved together: runs on both sides of others are joined."""
    if len(truth) != len(predicted):
        raise ValueError(f"{len(predicted)} predicted frames for {len(truth)} true ones")
    truth, predicted = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    kept = truth >= 0
    truth, predicted = truth[kept], predicted[kept]
    if len(truth) and (max(truth.max(), predicted.max()) >= classes or predicted.min() < 0):
        raise ValueError(f"a label is not one of the {classes} phases")
    return truth, predicted


def _relaxed(
    pairs: Sequence[tuple[Labels, Labels]], classes: int, rate: float, mode: Mode
) -> dict[str, float]:
    border = round(10 * rate)
    found = [relaxed_scores(t, p, classes, border=border, mode=mode) for t, p in pairs]
    phases = _nan_mean(np.stack([scores for _, scores in found]))
    return {
        "accuracy": float(np.mean([accuracy for accuracy, _ in found])),
        **{name: _spread(phases[i]).mean for i, name in enumerate(SCORES[:3])},
    }


def _nan_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis of what is known; nan where nothing is."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)


def _spread(values: NDArray[np.float64]) -> Spread:
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return Spread(mean=float("nan"), std=float("nan"))
    return Spread(mean=float(known.mean()), std=float(known.std(ddof=1)) if len(known) > 1 else 0.0)
