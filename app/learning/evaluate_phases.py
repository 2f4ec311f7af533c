"""What a phase model is worth on whole phantom operations that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.core.course import Course, decode
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

    The top level holds the timeline as the window shows it once all is analysed; ``so_far`` what
    the model's course makes of the seconds up to each one, as in a live case; ``raw`` the likeliest
    phase of every second by itself.
    """
    truth, whole, so_far, raw = [], [], [], []
    stream = PhaseStream(card)
    for seed in seeds:
        stream.reset()
        labels, said = [], []
        for frame in PhantomVideo(seed, fps=1, size_px=SIZE_PX):
            labels.append(card.class_keys.index(frame.phase))
            said.append(stream.step(frame.rgb))
        answers = np.array(said)
        truth.append(np.array(labels, np.int64))
        raw.append(answers.argmax(axis=1))
        whole.append(shown(answers, card.class_keys, stream.course))
        if stream.course is not None:
            so_far.append(decode(stream.course, answers).so_far)
    result: dict[str, Any] = phase_metrics(truth, whole, card.class_keys).as_json()
    for name, found in (("so_far", so_far), ("raw", raw)):
        if found:
            plain = phase_metrics(truth, found, card.class_keys).as_json()
            result[name] = {"pooled": plain["pooled"], "edit": plain["edit"]}
    return result


def shown(
    answers: NDArray[np.float64], classes: Sequence[str], course: Course | None
) -> NDArray[np.int64]:
    """The timeline that the window makes of a whole recording's answers (T, K), as (T,)."""
    phases = [
        PhasePrediction(pts=i, index=i, probabilities=tuple(row.tolist()))
        for i, row in enumerate(answers)
    ]
    timeline = timeline_from_phases(phases, classes, 0, len(phases), course=course)
    # A timeline without a gap; str, so that a gap would be an error and not the first phase.
    keys = [str(timeline.phase_at(p.pts)) for p in phases]
    return np.array([classes.index(k) for k in keys], np.int64)
