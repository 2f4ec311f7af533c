"""What lies beside the phases, as plain values: one lane for each thing that is told. No Qt.

Made on the thread that reads the case; Review's lanes and Annotate's timeline draw the same ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import heappush, heapreplace

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.core.labels import LabelRow
from app.core.taxonomy import Taxonomy
from app.core.timeline import Segment, Timeline
from app.store.predictions import Presence

MOST_LINES = 6
LIVE_TIER, WHOLE_TIER = "Model, live", "Model, afterwards"
TOOL = "tool "
STRIP_BITS = 2.5
INTERVALS = frozenset({"out_of_body", "severe_index"})
"""Labels of time that stands apart from the operation's steps; drawn hatched."""


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
        strip: float64 (N, 2), pts and value from 0 to 1, of a strip; of phases, how sure they are.
        by: who says so, in words.
    """

    key: str
    name: str
    kind: LaneKind
    lines: tuple[tuple[Segment, ...], ...] = ()
    strip: NDArray[np.float64] | None = None
    by: str = "by the model"

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


def label_lanes(rows: Sequence[LabelRow]) -> tuple[Lane, ...]:
    """Lanes of imported labels: steps and the like, instruments, intervals."""
    out = []
    for row in rows:
        keys = {s.phase for s in row.segments}
        if not keys:
            continue
        kind = LaneKind.COURSE if len(keys) > 1 else LaneKind.TOOL
        if keys <= INTERVALS:
            kind = LaneKind.INTERVAL
        out.append(lane_of(f"label {row.name}", row.name, kind, row.segments, "imported"))
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
    """The lane of uncertainty; ``STRIP_BITS`` fill it."""
    values = np.stack([pts.astype(np.float64), (bits / STRIP_BITS).clip(0, 1)], axis=1)
    return Lane(key="unsure", name="Uncertain", kind=LaneKind.STRIP, strip=values)


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
            out.append(Lane(key=f"{TOOL}{key}", name=key, kind=LaneKind.TOOL, lines=(line,)))
    return tuple(out)


def named_lanes(lanes: Iterable[Lane], taxonomy: Taxonomy) -> tuple[Lane, ...]:
    """Lanes in the order in which they are shown, with the taxonomy's names of instruments."""
    order = list(LaneKind)
    named = (
        replace(lane, name=taxonomy.instrument_name(lane.name))
        if lane.key.startswith(TOOL)
        else lane
        for lane in lanes
    )
    return tuple(sorted(named, key=lambda lane: order.index(lane.kind)))


def segment_name(lane: Lane, segment: Segment, taxonomy: Taxonomy) -> str:
    """The words for what a segment of a lane says."""
    if lane.kind is LaneKind.PHASES:
        return taxonomy.phase_name(segment.phase)
    return course_name(segment.phase) if lane.kind is LaneKind.COURSE else lane.name


def course_name(key: str) -> str:
    """The words for a step's or an activity's key."""
    return key.replace("_", " ").capitalize()
