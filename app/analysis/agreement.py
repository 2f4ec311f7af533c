"""How far a model's phases agree with a human's, with the field's figures. Any thread."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from app.core.case import Asset
from app.core.timeline import Timeline
from models.metrics.phases import PhaseMetrics, phase_metrics


def agreement(human: Timeline, model: Timeline, asset: Asset) -> PhaseMetrics | None:
    """Figures of the model, the human's word taken as the truth, once a second.

    Seconds that the human left without a phase do not count; where the model has none, it is
    wrong. None where the human named nothing.
    """
    seconds = range(int(asset.duration_ms // 1000) + 1)
    moments = [asset.start_pts + round(Fraction(s) / asset.time_base) for s in seconds]
    said = [(human.phase_at(pts), model.phase_at(pts)) for pts in moments]
    known = [pair for pair in said if pair[0] is not None]
    if not known:
        return None
    # None, where the model says nothing, comes last and is never true.
    keys = sorted({key for pair in known for key in pair if key is not None})
    truth, guess = (
        np.array([keys.index(key) if key is not None else len(keys) for key in side], np.int64)
        for side in zip(*known, strict=True)
    )
    return phase_metrics([truth], [guess], [*keys, ""])


def figures(found: PhaseMetrics) -> tuple[tuple[str, str], ...]:
    """The figures in words, for a report."""
    shown = {
        "Accuracy": found.pooled["accuracy"],
        "Jaccard, mean of the phases": found.pooled["jaccard"],
        "F1, mean of the phases": found.pooled["f1"],
        "Order of the segments (edit score)": found.edit,
        "Segments found, half overlapping (F1@50)": found.f1_at["50"],
    }
    return tuple((name, f"{value:.1f} %") for name, value in shown.items())
