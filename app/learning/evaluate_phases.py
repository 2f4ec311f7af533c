"""What a phase model is worth on whole phantom operations that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.core.prediction import PhasePrediction
from app.core.timeline import timeline_from_phases
from app.inference.phases import PhaseStream
from app.learning.phantom import PhantomVideo
from models.metrics.phases import phase_metrics

if TYPE_CHECKING:
    from models import ModelCard

SIZE_PX = (352, 198)


def phase_metrics_of(card: ModelCard, seeds: Sequence[int]) -> dict[str, Any]:
    """Metrics over the operations of the seeds, as ``metrics phases`` prints them.

    The top level holds the timeline as the window shows it (short flickers debounced); ``raw``
    the likeliest phase of every second.
    """
    truth, raw, shown = [], [], []
    stream = PhaseStream(card)
    for seed in seeds:
        stream.reset()
        labels, said = [], []
        for frame in PhantomVideo(seed, fps=1, size_px=SIZE_PX):
            probabilities = stream.step(frame.rgb)
            labels.append(card.class_keys.index(frame.phase))
            said.append(
                PhasePrediction(
                    pts=frame.index,
                    index=frame.index,
                    probabilities=tuple(float(p) for p in probabilities),
                )
            )
        truth.append(np.array(labels, np.int64))
        raw.append(np.array([int(np.argmax(p.probabilities)) for p in said], np.int64))
        shown.append(_debounced(said, card.class_keys))
    result: dict[str, Any] = phase_metrics(truth, shown, card.class_keys).as_json()
    plain = phase_metrics(truth, raw, card.class_keys).as_json()
    result["raw"] = {"pooled": plain["pooled"], "edit": plain["edit"]}
    return result


def _debounced(said: Sequence[PhasePrediction], classes: Sequence[str]) -> NDArray[np.int64]:
    timeline = timeline_from_phases(said, classes, 0, len(said))
    keys = [timeline.phase_at(p.pts) for p in said]
    return np.array([classes.index(k) if k is not None else 0 for k in keys], np.int64)
