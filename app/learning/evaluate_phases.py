"""What a phase model is worth on whole phantom operations that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.core.course import Course, decode
from app.core.prediction import PhasePrediction
from app.core.taxonomy import in_cholec80_order
from app.core.timeline import agreed_samples, timeline_from_phases
from app.inference.phases import PhaseStream
from app.learning.phantom import PhantomVideo
from models.metrics.phases import phase_metrics

if TYPE_CHECKING:
    from models import ModelCard

SIZE_PX = (352, 198)
PER_SECOND = 1.0


def phase_metrics_of(card: ModelCard, seeds: Sequence[int]) -> dict[str, Any]:
    """Metrics over the operations of the seeds, as ``metrics phases`` prints them.

    The top level holds the timeline as the window shows it once all is analysed; ``so_far`` what
    the model's course makes of the seconds up to each one, as in a live case; ``raw`` the likeliest
    phase of every second by itself.
    """
    truth, answers = [], []
    stream = PhaseStream(card)
    for seed in seeds:
        stream.reset()
        labels, said = [], []
        for frame in PhantomVideo(seed, fps=PER_SECOND, size_px=SIZE_PX):
            labels.append(card.class_keys.index(frame.phase))
            said.append(stream.step(frame.rgb))
        truth.append(np.array(labels, np.int64))
        answers.append(np.array(said))
    return phase_figures(truth, answers, card.class_keys, stream.course, PER_SECOND)


def phase_figures(
    truth: Sequence[NDArray[np.int64]],
    answers: Sequence[NDArray[np.float64]],
    classes: Sequence[str],
    course: Course | None,
    per_second: float,
) -> dict[str, Any]:
    """Metrics of answers (T, K), so many a second, to recordings; see ``phase_metrics_of``."""
    whole = [shown(said, classes, course, per_second) for said in answers]
    ways = {"raw": [said.argmax(axis=1) for said in answers]}
    if course is not None:
        ways["so_far"] = [decode(course, said).so_far for said in answers]
    result = figures(truth, whole, classes, per_second)
    for name, found in ways.items():
        plain = figures(truth, found, classes, per_second)
        result[name] = {k: plain[k] for k in ("video_then_phase", "pooled", "edit")}
    return result


def figures(
    truth: Sequence[NDArray[np.int64]],
    named: Sequence[NDArray[np.int64]],
    classes: Sequence[str],
    per_second: float,
) -> dict[str, Any]:
    """What ``metrics phases`` prints of phases (T,), so many a second."""
    found = phase_metrics(truth, named, classes, frames_per_second=per_second)
    return found.as_json(relaxed=in_cholec80_order(classes))


def shown(
    answers: NDArray[np.float64], classes: Sequence[str], course: Course | None, per_second: float
) -> NDArray[np.int64]:
    """The timeline that the window makes of a whole recording's answers (T, K), so many a second,
    as (T,)."""
    if len(answers) < 2:
        return answers.argmax(axis=1)  # a single sample makes no timeline
    phases = [
        PhasePrediction(pts=i, index=i, probabilities=tuple(row.tolist()))
        for i, row in enumerate(answers)
    ]
    timeline = timeline_from_phases(
        phases, classes, 0, len(phases), min_samples=agreed_samples(per_second), course=course
    )
    # A timeline without a gap; str, so that a gap would be an error and not the first phase.
    keys = [str(timeline.phase_at(p.pts)) for p in phases]
    return np.array([classes.index(k) for k in keys], np.int64)
