"""What a model foresees at a moment, put in order: which phases follow, when, until when.

Pure functions; any thread.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.foreseen import HORIZON_MIN, NEXT_WITHIN_HORIZON, Foreseen
from app.core.prediction import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """One phase of the future, in minutes from now."""

    phase: str
    from_min: float
    to_min: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The future as seen from a moment.

    Attributes:
        pts: the moment that the model looked at.
        ahead: phases in the order in which they are expected; the first is the one that runs, where
            one does. Empty where the model foresees no times.
        following: the likeliest next phase, None for the end of the recording, or for none at all.
        within_min: where ``following`` is None and the model foresees no further than this: for so
            many minutes nothing else follows.
        probability: of that.
        next_min: minutes until then, None where it is not foreseen within the horizon.
        left_min: until the recording ends: the lowest of ten, the middle, the highest of ten.
    """

    pts: int
    ahead: tuple[Ahead, ...]
    following: str | None
    probability: float
    next_min: float | None
    left_min: tuple[float, float, float]
    within_min: float | None = None

    def fits(self, phase: str | None) -> bool:
        """Whether it may stand beside a phase that is shown as the one that runs.

        Who foresees may see another phase than who names it; what it expects then is of another
        operation than the one on screen.
        """
        if phase is None:
            return True
        running = next((a.phase for a in self.ahead if a.from_min == 0), phase)
        return running == phase != self.following


def forecast_at(run: Run, rows: Sequence[Foreseen], pts: int, reach_pts: int) -> Forecast | None:
    """What a run foresaw at a moment; None where it had not looked shortly before.

    Args:
        run: who foresaw.
        rows: what it foresaw, by pts.
        pts: the moment.
        reach_pts: how long a look counts.
    """
    place = bisect_right(rows, pts, key=lambda row: row.pts) - 1
    if place < 0 or pts - rows[place].pts > reach_pts:
        return None
    return forecast(run.classes, run.settings, rows[place])


def forecast(
    classes: Sequence[str], settings: Mapping[str, str | int | float | bool], seen: Foreseen
) -> Forecast:
    """Put in order what a model foresaw at one frame.

    Args:
        classes: keys of the phases, in the model's order.
        settings: of its run.
        seen: what it foresaw.
    """
    end = seen.minutes_left[1]
    horizon = float(settings.get(HORIZON_MIN, float("inf")))
    best = max(range(len(seen.next_probabilities)), key=seen.next_probabilities.__getitem__)
    starts = sorted(
        (minutes, key)
        for minutes, key in zip(seen.minutes_to, classes, strict=False)
        if minutes < horizon and minutes <= max(end, seen.minutes_left[2])
    )
    stops = [minutes for minutes, _ in starts[1:]]
    if starts:
        stops.append(max(end, starts[-1][0]))
    until = seen.minutes_to[best] if best < len(seen.minutes_to) else horizon
    return Forecast(
        pts=seen.pts,
        ahead=tuple(
            Ahead(phase=key, from_min=minutes, to_min=stop)
            for (minutes, key), stop in zip(starts, stops, strict=True)
            if stop > minutes
        ),
        following=classes[best] if best < len(classes) else None,
        probability=seen.next_probabilities[best],
        next_min=until if until < horizon else None,
        left_min=seen.minutes_left,
        within_min=horizon if settings.get(NEXT_WITHIN_HORIZON) else None,
    )
