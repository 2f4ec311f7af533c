"""What networks of frame features are worth on whole operations that they never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.course import decode
from app.core.foreseen import HORIZON_MIN
from app.inference.offline import Labelled, OfflinePhases
from app.inference.outlook import Outlook
from app.inference.phases import course_of
from app.learning.courses import Labels, phantom_labels
from app.learning.evaluate_phases import figures, shown
from app.learning.foresight import HORIZONS_MIN, ExpectedTimes, Told, compared, minutes_left
from app.learning.next_event import CommonestNext, event_figures, event_shares
from app.learning.recorded import Recorded
from models.metrics.anticipation import CONVENTIONS
from models.supra import anticipation_of, expected_minutes

if TYPE_CHECKING:
    from models import ModelCard

TRAINING_SEEDS = range(200_000, 201_000)
"""Some of the phantom procedures that the demo networks of features learn lengths and orders of."""

_SPREAD = (0, 2)
_TOGETHER = "all samples of all recordings together"


def training_courses(card: ModelCard) -> list[Labels]:
    """The courses of the phantom that the baseline learns from, as the demo networks do."""
    rate = card.frames_per_second or 1.0
    return [phantom_labels(seed, card.class_keys, rate) for seed in TRAINING_SEEDS]


def feature_metrics_of(
    card: ModelCard, encoder: ModelCard, recordings: Sequence[Recorded], courses: Sequence[Labels]
) -> dict[str, Any]:
    """Figures of a network that reads frame features, beside those of its encoder.

    The top level is as ``metrics phases`` prints it, of what the model says of each sample, and of
    a card with a course of the timeline that this makes; ``encoder`` is what the causal model that
    stored the features says by itself: ``raw`` each second, ``so_far`` with the seconds up to it,
    ``shown`` the timeline with all of them. ``anticipation`` is there for a model that foresees.

    Args:
        card: of the network.
        encoder: of the model whose features are read.
        recordings: held out.
        courses: labels of training procedures, for the baseline; without any it is left out.
    """
    network = OfflinePhases(card)
    said = [network.label(one.features) for one in recordings]
    truth = [one.labels for one in recordings]
    classes = card.class_keys
    per_second = card.frames_per_second or 1.0
    result: dict[str, Any] = {"videos": len(recordings), "classes": list(classes)}
    if said and said[0].probabilities is not None:
        answers = [_answers(one) for one in said]
        course = course_of(card)
        likeliest = [a.argmax(1) for a in answers]
        named = likeliest
        if course is not None:
            named = [shown(a, classes, course, per_second) for a in answers]
        result = figures(truth, named, classes, per_second)
        if course is not None:
            raw = figures(truth, likeliest, classes, per_second)
            result["raw"] = {"pooled": raw["pooled"], "edit": raw["edit"]}
    so_far = _of_encoder(result, encoder, recordings)
    if said and said[0].outlook is not None:
        horizon = float(network.describe()[HORIZON_MIN])
        result["anticipation"] = _foreseen(card, recordings, said, courses, so_far, horizon)
    return result


def _answers(one: Labelled) -> NDArray[np.float64]:
    assert one.probabilities is not None  # noqa: S101 - of one network all have them or none
    return one.probabilities


def _of_encoder(
    result: dict[str, Any], encoder: ModelCard, recordings: Sequence[Recorded]
) -> list[Labels]:
    """Adds what the encoder itself says; returns what it knows of the phases at each second."""
    if not all(one.probabilities.shape[1] for one in recordings):
        return []
    course, per_second = course_of(encoder), encoder.frames_per_second or 1.0
    answers = [one.probabilities.astype(np.float64) for one in recordings]
    ways = {"raw": [a.argmax(1) for a in answers]}
    if course is not None:
        ways["so_far"] = [decode(course, a).so_far for a in answers]
        ways["shown"] = [shown(a, encoder.class_keys, course, per_second) for a in answers]
    truth = [one.labels for one in recordings]
    result["encoder"] = {"model": encoder.name}
    for name, named in ways.items():
        found = figures(truth, named, encoder.class_keys, per_second)
        result["encoder"][name] = {"pooled": found["pooled"], "edit": found["edit"]}
    return ways.get("so_far", ways["raw"])


def _foreseen(
    card: ModelCard,
    recordings: Sequence[Recorded],
    said: Sequence[Labelled],
    courses: Sequence[Labels],
    so_far: Sequence[Labels],
    horizon_min: float,
) -> dict[str, Any]:
    """How right the next phase and event, the times to phases and the minutes left are."""
    classes, rate = len(card.classes), 60.0 * (card.frames_per_second or 1.0)
    truth = [one.labels for one in recordings]
    outlooks = [one.outlook for one in said if one.outlook is not None]
    left = [minutes_left(labels, rate) for labels in truth]
    errors = [np.abs(o.minutes_left[:, 1] - t) for o, t in zip(outlooks, left, strict=True)]
    low, high = _SPREAD
    within = [
        (o.minutes_left[:, low] <= t) & (t <= o.minutes_left[:, high])
        for o, t in zip(outlooks, left, strict=True)
    ]
    found: dict[str, Any] = {
        "left": {
            "mae_min": float(np.concatenate(errors).mean()),
        },
        "conventions": dict.fromkeys(("left", "next_accuracy", "next_event"), _TOGETHER),
    }
    if any((o.minutes_left[:, low] < o.minutes_left[:, high]).any() for o in outlooks):
        found["left"]["within_10_90"] = float(100 * np.concatenate(within).mean())
    events = {"model": event_figures(truth, [event_shares(o) for o in outlooks], rate, horizon_min)}
    times = all(o.minutes_to.shape[1] for o in outlooks)
    if times:
        found["next_accuracy"] = _next_accuracy(
            truth, [o.next_probabilities.argmax(1) for o in outlooks], classes, rate
        )
    if courses:
        expected = ExpectedTimes(courses, classes, rate)
        for name, known in (("expected", truth), ("expected_of_recognised", so_far)):
            plain = [np.abs(expected.left(k) - t) for k, t in zip(known, left, strict=bool(known))]
            if plain:
                found["left"][f"{name}_mae_min"] = float(np.concatenate(plain).mean())
        commonest = CommonestNext(courses, classes, rate, horizon_min)
        for name, known in (("commonest", truth), ("commonest_of_recognised", so_far)):
            shares = [commonest.shares(labels) for labels in known]
            if shares:
                events[name] = event_figures(truth, shares, rate, horizon_min)
        if times:
            told = told_times(outlooks, horizon_min)
            found["minutes"] = compared(truth, told, expected, so_far, classes, rate)
            found["conventions"]["minutes"] = CONVENTIONS["pairs"]
    return found | {"next_event": {"horizon_min": horizon_min} | events}


def told_times(outlooks: Sequence[Outlook], horizon_min: float) -> dict[str, Told]:
    """The ways in which a model tells times to phases: ``model`` the mean of the time cut at each
    horizon, as the baseline's is; ``shown`` the median, one number for all horizons."""
    shares = [torch.from_numpy(o.shares_of_times) for o in outlooks]
    means = {h: [expected_minutes(s, horizon_min, h).numpy() for s in shares] for h in HORIZONS_MIN}
    return {"model": means, "shown": {h: [o.minutes_to for o in outlooks] for h in HORIZONS_MIN}}


def _next_accuracy(
    truth: Sequence[Labels], named: Sequence[NDArray[np.int64]], classes: int, per_minute: float
) -> float:
    """Percent of samples whose following phase (or the end) was named, where it is known."""
    right = known = 0
    for labels, said in zip(truth, named, strict=True):
        follows = anticipation_of(
            labels, classes, horizon_min=1.0, frames_per_minute=per_minute
        ).next_phase
        right += int(((said == follows) & (follows >= 0)).sum())
        known += int((follows >= 0).sum())
    return 100.0 * right / max(known, 1)
