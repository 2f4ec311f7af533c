"""What a model foresees at a moment, put in order: which phases follow, when, until when.

Pure functions; any thread.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from app.core.foreseen import HORIZON_MIN, NEXT_WITHIN_HORIZON, Foreseen
from app.core.prediction import Run
from app.core.taxonomy import Taxonomy


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
            one does, the next is ``following``. Empty where the model foresees no times.
        following: the likeliest next phase, None for the end of the recording, or for none at all.
        within_min: where ``following`` is None and the model foresees no further than this: for so
            many minutes nothing else follows.
        probability: of that.
        next_min: minutes until then, None where it is not foreseen within the horizon.
        left_min: until the recording ends: the lowest of ten, the middle, the highest of ten.
        classes: keys of the phases that the model knows.
        goes_on_min: for so long the phase that runs goes on, as far as is foreseen; None without
            times.
    """

    pts: int
    ahead: tuple[Ahead, ...]
    following: str | None
    probability: float
    next_min: float | None
    left_min: tuple[float, float, float]
    classes: tuple[str, ...]
    goes_on_min: float | None = None
    within_min: float | None = None

    def beside(self, phase: str | None, taxonomy: Taxonomy) -> Forecast | None:
        """As it may stand beside what is shown; None where it may not.

        Who foresees may see another phase than who names it; what it expects then is of another
        operation than the one on screen. So is what a model expects that knows other phases.

        Args:
            phase: shown as the one that runs, if any.
            taxonomy: of the operation on screen.
        """
        if taxonomy.phases and not any(taxonomy.phase(key) for key in self.classes):
            return None
        if phase is None:
            return self
        running = next((a.phase for a in self.ahead if a.from_min == 0), None)
        if phase not in self.classes or phase == self.following or running not in (None, phase):
            return None
        if running is not None or not self.goes_on_min:
            return self
        now = Ahead(phase=phase, from_min=0.0, to_min=self.goes_on_min)
        return replace(self, ahead=(now, *self.ahead))


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
    horizon = float(settings.get(HORIZON_MIN, inf))
    best = max(range(len(seen.next_probabilities)), key=seen.next_probabilities.__getitem__)
    following = classes[best] if best < len(classes) else None
    until = seen.minutes_to[best] if best < len(seen.minutes_to) else horizon
    starts = sorted(
        (minutes, key)
        for minutes, key in zip(seen.minutes_to, classes, strict=False)
        if minutes < horizon and minutes <= max(end, seen.minutes_left[2])
    )
    # Who is next and when each begins are told apart, and may contradict each other: what would
    # begin before the likeliest next phase is left out, and all where that one is not in sight.
    after = (until, following) if following is not None and until < horizon else (inf, "")
    starts = [start for start in starts if start[0] == 0 or start >= after]
    goes_on = next((minutes for minutes, _ in starts if minutes > 0), None)
    if goes_on is None:
        goes_on = end if following is None else min(end, horizon)
    stops = [minutes for minutes, _ in starts[1:]]
    if starts:
        last = starts[-1][0]
        stops.append(max(end, last) if last > 0 else goes_on)
    return Forecast(
        pts=seen.pts,
        ahead=tuple(
            Ahead(phase=key, from_min=minutes, to_min=stop)
            for (minutes, key), stop in zip(starts, stops, strict=True)
            if stop > minutes
        ),
        following=following,
        probability=seen.next_probabilities[best],
        next_min=until if until < horizon else None,
        left_min=seen.minutes_left,
        classes=tuple(classes),
        goes_on_min=goes_on if seen.minutes_to else None,
        within_min=horizon if settings.get(NEXT_WITHIN_HORIZON) else None,
    )
