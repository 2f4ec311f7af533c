"""A timeline: ordered phase segments of one asset that do not overlap. Times are pts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.core import validate
from app.core.course import Course, decode
from app.core.prediction import LIVE, PhasePrediction, Run
from app.core.recording import LIVE_TIME_BASE

# A phase counts once it was said for so long (temporal-models, section 7).
AGREED_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One phase from ``start_pts`` up to, not including, ``end_pts``."""

    start_pts: int
    end_pts: int
    phase: str

    def __post_init__(self) -> None:
        validate.not_empty("Segment.phase", self.phase)
        if self.end_pts <= self.start_pts:
            raise ValueError(f"Segment: expected an end after {self.start_pts}, got {self.end_pts}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Phase segments within [start_pts, end_pts). Gaps are time without a phase.

    Every edit returns a new timeline; none merges neighbours of the same phase by itself, so
    that a split stays a split until somebody merges it.
    """

    start_pts: int
    end_pts: int
    segments: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        if self.end_pts <= self.start_pts:
            raise ValueError("Timeline: expected an end after its start")
        at = self.start_pts
        for segment in self.segments:
            if segment.start_pts < at:
                raise ValueError("Timeline: segments overlap or are out of order")
            at = segment.end_pts
        if at > self.end_pts:
            raise ValueError("Timeline: a segment ends after the timeline")

    def index_at(self, pts: int) -> int | None:
        """Index of the segment that contains ``pts``, None in a gap."""
        i = bisect_right(self.segments, pts, key=lambda s: s.start_pts) - 1
        return i if i >= 0 and pts < self.segments[i].end_pts else None

    def phase_at(self, pts: int) -> str | None:
        """Phase key at ``pts``, None in a gap."""
        i = self.index_at(pts)
        return None if i is None else self.segments[i].phase

    def painted(self, start_pts: int, end_pts: int, phase: str | None) -> Timeline:
        """``phase`` (None: nothing) over [start_pts, end_pts), whatever lay there before."""
        start, end = max(start_pts, self.start_pts), min(end_pts, self.end_pts)
        if start >= end:
            return self
        kept: list[Segment] = []
        for s in self.segments:
            if s.start_pts < start:
                kept.append(replace(s, end_pts=min(s.end_pts, start)))
            if s.end_pts > end:
                kept.append(replace(s, start_pts=max(s.start_pts, end)))
        if phase is not None:
            kept.append(Segment(start_pts=start, end_pts=end, phase=phase))
        return self._with(sorted(kept, key=lambda s: s.start_pts))

    def started(self, pts: int, phase: str) -> Timeline:
        """``phase`` begins at ``pts`` and replaces the rest of what was there.

        In a segment it takes the remainder of that segment; in a gap it runs to the next segment
        or to the end (labelling by digit while playing).
        """
        i = self.index_at(pts)
        if i is not None:
            return self.painted(pts, self.segments[i].end_pts, phase)
        later = [s.start_pts for s in self.segments if s.start_pts > pts]
        return self.painted(pts, later[0] if later else self.end_pts, phase)

    def split(self, pts: int) -> Timeline:
        """Cut the segment at ``pts`` in two; unchanged in a gap or on a boundary."""
        i = self.index_at(pts)
        if i is None or self.segments[i].start_pts == pts:
            return self
        s = self.segments[i]
        parts = [replace(s, end_pts=pts), replace(s, start_pts=pts)]
        return self._with([*self.segments[:i], *parts, *self.segments[i + 1 :]])

    def merged(self, i: int) -> Timeline:
        """Segment ``i`` swallows the next one, with any gap between them."""
        if not 0 <= i < len(self.segments) - 1:
            return self
        one = replace(self.segments[i], end_pts=self.segments[i + 1].end_pts)
        return self._with([*self.segments[:i], one, *self.segments[i + 2 :]])

    def relabelled(self, i: int, phase: str) -> Timeline:
        """Segment ``i`` with another phase."""
        return self._with(
            [replace(s, phase=phase) if k == i else s for k, s in enumerate(self.segments)]
        )

    def removed(self, i: int) -> Timeline:
        """Without segment ``i``: a gap stays."""
        return self._with([s for k, s in enumerate(self.segments) if k != i])

    def with_start(self, i: int, pts: int, min_length_pts: int = 1) -> Timeline:
        """Move the start of segment ``i``; a neighbour that touched it follows.

        The move stops ``min_length_pts`` short of swallowing either segment; one that is shorter
        already is not shortened further.
        """
        s = self.segments[i]
        before = self.segments[i - 1] if i else None
        touches = before is not None and before.end_pts == s.start_pts
        if before is None:
            low = self.start_pts
        else:
            low = before.start_pts + min_length_pts if touches else before.end_pts
        low = min(low, s.start_pts)
        high = max(s.end_pts - min_length_pts, s.start_pts)
        pts = max(low, min(pts, high))
        out = list(self.segments)
        out[i] = replace(s, start_pts=pts)
        if before is not None and touches:
            out[i - 1] = replace(before, end_pts=pts)
        return self._with(out)

    def with_end(self, i: int, pts: int, min_length_pts: int = 1) -> Timeline:
        """Move the end of segment ``i``; a neighbour that touched it follows."""
        s = self.segments[i]
        after = self.segments[i + 1] if i + 1 < len(self.segments) else None
        if after is not None and after.start_pts == s.end_pts:
            return self.with_start(i + 1, pts, min_length_pts)
        low = min(s.start_pts + min_length_pts, s.end_pts)
        high = self.end_pts if after is None else after.start_pts
        pts = max(low, min(pts, high))
        out = list(self.segments)
        out[i] = replace(s, end_pts=pts)
        return self._with(out)

    def boundaries(self) -> tuple[int, ...]:
        """Starts and ends of all segments, sorted, each once."""
        return tuple(sorted({p for s in self.segments for p in (s.start_pts, s.end_pts)}))

    def _with(self, segments: Sequence[Segment]) -> Timeline:
        return replace(self, segments=tuple(segments))


def timeline_of_run(
    run: Run, phases: Sequence[PhasePrediction], start_pts: int, end_pts: int
) -> Timeline:
    """The timeline of a run of a phase model; see ``timeline_from_phases``.

    Answers of a live run lie as far apart as its machine was slow, and seconds count there too.
    """
    per_second = float(run.settings.get("frames_per_second", 1.0))
    return timeline_from_phases(
        phases,
        run.classes,
        start_pts,
        end_pts,
        course=run.course,
        min_samples=agreed_samples(per_second),
        step_pts=round(1 / LIVE_TIME_BASE / per_second) if run.settings.get(LIVE) else None,
    )


def agreed_samples(per_second: float) -> int:
    """How many answers in a row make a phase count, live and recorded, at that many a second.

    Where fewer come, those count whose first and last lie as far apart.
    """
    return max(1, round(AGREED_S * per_second))


def timeline_from_phases(
    phases: Sequence[PhasePrediction],
    classes: Sequence[str],
    start_pts: int,
    end_pts: int,
    *,
    course: Course | None = None,
    min_samples: int = 3,
    step_pts: int | None = None,
) -> Timeline:
    """The model's timeline: the likeliest course of phases.

    Without a course it is the likeliest phase of each sample, debounced: a phase counts once it
    holds for ``min_samples`` samples in a row, and then from its first one; shorter runs belong to
    the phase before them. Where samples are missing for more than twice the usual step there is a
    gap; a single sample says nothing about its length. Samples outside the extent do not count:
    of a recording that runs the library knows only the beginning.

    Args:
        phases: in order of pts; as many probabilities as there are classes.
        classes: phase keys in the order of the probabilities.
        start_pts, end_pts: the asset's extent.
        course: how such operations go on, for a model that knows it.
        min_samples: shortest run that counts, without a course, in the model's own steps.
        step_pts: such a step; None where the samples lie as far apart as that.
    """
    empty = Timeline(start_pts=start_pts, end_pts=end_pts)
    phases = [p for p in phases if start_pts <= p.pts < end_pts]
    if len(phases) < 2:
        return empty
    pts = np.array([p.pts for p in phases], np.int64)
    probabilities = np.array([p.probabilities for p in phases])
    step = int(np.median(np.diff(pts)))
    cuts = np.flatnonzero(np.diff(pts) > 2 * step) + 1
    likeliest = None
    if course is not None:
        steps = np.rint(np.diff(pts) / (step_pts or step)).astype(np.int64)
        likeliest = decode(course, probabilities, steps).whole
    segments: list[Segment] = []
    for part in np.split(np.arange(pts.size), cuts):
        if likeliest is None:
            steps_in = (pts[part] - pts[part[0]]) / (step_pts or step)
            winners = _debounced(probabilities[part], steps_in, min_samples)
        else:
            winners = likeliest[part]
        changes = [0, *(np.flatnonzero(np.diff(winners)) + 1).tolist(), part.size]
        after = end_pts if part[-1] == pts.size - 1 and pts[-1] + 2 * step > end_pts else None
        last = after if after is not None else min(int(pts[part[-1]]) + step, end_pts)
        starts = [int(pts[part[i]]) for i in changes[:-1]]
        # Nobody looks at the time before the first sample: it is shorter than a step.
        if part[0] == 0 and starts[0] - start_pts < 2 * step:
            starts[0] = start_pts
        for i, (start, end) in enumerate(pairwise([*starts, last])):
            segments.append(
                Segment(start_pts=start, end_pts=end, phase=classes[winners[changes[i]]])
            )
    return replace(empty, segments=tuple(segments))


def _debounced(
    probabilities: NDArray[np.float64], steps_in: NDArray[np.float64], min_samples: int
) -> NDArray[np.int64]:
    """Class of each sample after runs shorter than ``min_samples`` went to what precedes them.

    Args:
        steps_in: (N,), steps from the first sample to each.
    """
    best = probabilities.argmax(axis=1)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(best)) + 1))
    lengths = np.diff(np.append(starts, best.size))
    spans = np.rint(steps_in[starts + lengths - 1] - steps_in[starts]) + 1
    held = np.flatnonzero(spans >= min_samples)
    if held.size == 0:
        return np.full(best.size, probabilities.mean(axis=0).argmax())
    place = np.searchsorted(held, np.arange(starts.size), side="right") - 1
    owner = held[np.maximum(place, 0)]
    return np.repeat(best[starts[owner]], lengths)
