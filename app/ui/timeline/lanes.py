"""What lies beside the phases, as plain values: one lane for each thing that is told. No Qt.

Made on the thread that reads the case; Review's lanes and Annotate's timeline draw the same ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import heappush, heapreplace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.core.labels import LabelRow
from app.core.taxonomy import Taxonomy
from app.core.timeline import Segment, Timeline
from app.core.tools import ToolsTold, steady
from app.core.uncertainty import strip_heights
from app.store.predictions import Presence

MOST_LINES = 6
LIVE_TIER, WHOLE_TIER = "Model, live", "Model, afterwards"
TOOL, TOLD = "tool ", "told "
INTERVALS = frozenset({"out_of_body", "severe_index"})
"""Labels of time that stands apart from the operation's steps; drawn hatched."""


class Source(StrEnum):
    """How an instrument's lane is known; stands in its name, from the surest down."""

    LABELS = "labels"
    OUTLINED = "outlined"
    TOLD = "told"


class LaneKind(StrEnum):
    """How a lane is drawn, in the order from top to bottom."""

    PHASES = "phases"
    STRIP = "strip"
    COURSE = "course"
    INTERVAL = "interval"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lane:
    """One lane.

    Attributes:
        key: stable; under it is stored whether the lane is folded.
        name: words at its left; of an instrument its key, which the taxonomy names.
        kind: how it is drawn.
        lines: segments in order of time, in as many lines as it takes that none overlap.
        strip: float64 (N, 2), pts and value from 0 to 1: of a strip its height, of phases how sure
            they are, of an instrument that was told how likely it is in the picture.
        bits: float64 (N,), of the strip of uncertainty what its heights stand for.
        by: who says so, in words.
        source: how an instrument is known, None of other lanes.
    """

    key: str
    name: str
    kind: LaneKind
    lines: tuple[tuple[Segment, ...], ...] = ()
    strip: NDArray[np.float64] | None = None
    bits: NDArray[np.float64] | None = None
    by: str = "by the model"
    source: Source | None = None

    def at(self, pts: float, line: int = 0) -> Segment | None:
        """The segment at a moment on one of its lines."""
        some = self.lines[line] if line < len(self.lines) else ()
        place = bisect_right(some, pts, key=lambda s: s.start_pts) - 1
        return some[place] if place >= 0 and pts < some[place].end_pts else None


def levels_of(spans: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The line of each span, so that none lies over another; as few lines as there can be.

    Args:
        spans: [start, end), by start.
    """
    free: list[tuple[int, int]] = []
    out = []
    for start, end in spans:
        if free and free[0][0] <= start:
            level = free[0][1]
            heapreplace(free, (end, level))
        else:
            level = len(free)
            heappush(free, (end, level))
        out.append(level)
    return tuple(out)


def lane_of(
    key: str, name: str, kind: LaneKind, segments: Iterable[Segment], by: str = "by the model"
) -> Lane:
    """A lane of segments that may overlap; what needs a line beyond ``MOST_LINES`` is left out."""
    ordered = sorted(segments, key=lambda s: (s.start_pts, s.end_pts))
    levels = levels_of([(s.start_pts, s.end_pts) for s in ordered])
    lines: list[list[Segment]] = [[] for _ in range(min(MOST_LINES, max(levels, default=0) + 1))]
    for segment, level in zip(ordered, levels, strict=True):
        if level < len(lines):
            lines[level].append(segment)
    return Lane(key=key, name=name, kind=kind, lines=tuple(map(tuple, lines)), by=by)


def label_lanes(rows: Sequence[LabelRow], by: str = "imported") -> tuple[Lane, ...]:
    """Lanes of imported labels: steps and the like, instruments, intervals.

    Args:
        rows: of the labels.
        by: whose labels they are, in words.
    """
    out = []
    for row in rows:
        keys = {s.phase for s in row.segments}
        if not keys:
            continue
        kind = LaneKind.COURSE if len(keys) > 1 else LaneKind.TOOL
        if keys <= INTERVALS:
            kind = LaneKind.INTERVAL
        lane = lane_of(f"label {row.name}", row.name, kind, row.segments, by)
        source = Source.LABELS if kind is LaneKind.TOOL else None
        out.append(replace(lane, source=source))
    return tuple(out)


def activity_lane(activity: Timeline) -> Lane:
    """The lane of what a model says goes on."""
    return lane_of("activity", "Activity", LaneKind.COURSE, activity.segments)


def phases_lane(
    timeline: Timeline, confidence: Sequence[tuple[int, float]], *, is_offline: bool
) -> Lane:
    """The lane of the tier beside the model's, with how sure it is."""
    name = WHOLE_TIER if is_offline else LIVE_TIER
    by = "by the model that knew the whole recording" if is_offline else "by the model as it went"
    lane = lane_of("beside", name, LaneKind.PHASES, timeline.segments, by)
    return replace(lane, strip=np.array(confidence, np.float64).reshape(-1, 2))


def strip_lane(pts: NDArray[np.int64], bits: NDArray[np.float64]) -> Lane:
    """The lane of uncertainty: its heights compare moments of this case with each other."""
    values = strip_heights(bits)
    return Lane(
        key="unsure",
        name="Uncertain",
        kind=LaneKind.STRIP,
        strip=np.stack([pts.astype(np.float64), values], axis=1),
        bits=bits,
    )


def tool_lanes(presence: Presence, asset: Asset, share: float = 0.5) -> tuple[Lane, ...]:
    """A lane for each class of instrument that was seen, in whole seconds.

    Args:
        presence: what a run counted per second.
        asset: whose time it is.
        share: of the frames looked at in a second, how many must hold the class.
    """
    out = []
    seen = presence.present >= np.maximum(1, share * presence.looked_at)[:, None]
    for column, key in enumerate(presence.classes):
        on = np.flatnonzero(np.diff(np.concatenate(([0], seen[:, column], [0]))))
        spans = (
            (
                max(asset.pts(a * 1000.0), asset.start_pts),
                min(asset.pts(b * 1000.0), asset.end_pts),
            )
            for a, b in on.reshape(-1, 2).tolist()
        )
        line = tuple(Segment(start_pts=a, end_pts=b, phase=key) for a, b in spans if a < b)
        if line:
            lane = Lane(key=f"{TOOL}{key}", name=key, kind=LaneKind.TOOL, lines=(line,))
            out.append(replace(lane, by="outlined by the model", source=Source.OUTLINED))
    return tuple(out)


def told_lanes(told: ToolsTold, asset: Asset, model: str) -> tuple[Lane, ...]:
    """A lane for each tool that a model told to be there, as ``app.core.tools.steady`` shows it.

    Args:
        told: what a run said.
        asset: whose time it is.
        model: its name.
    """
    out = []
    shown, ends = steady(told, asset.time_base), told.ends
    for column, key in enumerate(told.keys):
        on = np.flatnonzero(np.diff(np.concatenate(([0], shown[:, column], [0])))).reshape(-1, 2)
        # Frames that follow one another in the list may have a gap of the recording between them.
        spans = (
            (int(told.pts[a]), min(int(ends[b - 1]), asset.end_pts))
            for first, after in on.tolist()
            for a, b in _unbroken(told, first, after)
        )
        line = tuple(Segment(start_pts=a, end_pts=b, phase=key) for a, b in spans if a < b)
        if line:
            likely = told.probabilities[:, column].astype(np.float64)
            lane = Lane(
                key=f"{TOLD}{key}",
                name=key,
                kind=LaneKind.TOOL,
                lines=(line,),
                strip=np.stack([told.pts.astype(np.float64), likely], axis=1),
                by=f"told by {model}, not outlined",
                source=Source.TOLD,
            )
            out.append(lane)
    return tuple(out)


def _unbroken(told: ToolsTold, first: int, after: int) -> list[tuple[int, int]]:
    """Frames [first, after) where no gap lies between."""
    gaps = told.ends[first : after - 1] != told.pts[first + 1 : after]
    cuts = [first, *(first + 1 + np.flatnonzero(gaps)).tolist(), after]
    return list(pairwise(cuts))


def named_lanes(lanes: Iterable[Lane], taxonomy: Taxonomy) -> tuple[Lane, ...]:
    """Lanes in the order in which they are shown, with the taxonomy's names of instruments.

    Those of one instrument stand together; each says how it is known.
    """
    kinds, sources = list(LaneKind), list(Source)
    usual = [i.key for i in taxonomy.instruments]

    def place(lane: Lane) -> tuple[int, int, str, int]:
        if lane.source is None:
            return kinds.index(lane.kind), 0, "", 0
        key = instrument_of(lane)
        known = usual.index(key) if key in usual else len(usual)
        return kinds.index(lane.kind), known, key, sources.index(lane.source)

    return tuple(_named(lane, taxonomy) for lane in sorted(lanes, key=place))


def surest_last(lanes: Iterable[Lane]) -> list[Lane]:
    """Lanes that share a row in the order in which they are drawn: what a model tells never covers
    what it outlined, nor that what somebody labelled."""
    sources = list(Source)
    return sorted(lanes, key=lambda x: -sources.index(x.source) if x.source is not None else 0)


def instrument_of(lane: Lane) -> str:
    """The key of a lane's instrument."""
    return next((s.phase for line in lane.lines for s in line), lane.name)


def _named(lane: Lane, taxonomy: Taxonomy) -> Lane:
    if lane.source is None:
        return lane
    key = instrument_of(lane)
    is_own = lane.source is not Source.LABELS or any(i.key == key for i in taxonomy.instruments)
    name = taxonomy.instrument_name(key) if is_own else lane.name
    return replace(lane, name=f"{name}, {lane.source}")


def segment_name(lane: Lane, segment: Segment, taxonomy: Taxonomy) -> str:
    """The words for what a segment of a lane says."""
    if lane.kind is LaneKind.PHASES:
        return taxonomy.phase_name(segment.phase)
    return course_name(segment.phase) if lane.kind is LaneKind.COURSE else lane.name


def course_name(key: str) -> str:
    """The words for a step's or an activity's key."""
    return key.replace("_", " ").capitalize()
