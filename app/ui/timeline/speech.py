"""What the timeline's parts are called when they are spoken or shown on hover. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from app.annotate.phases import Block
from app.core.differences import Difference
from app.core.taxonomy import Taxonomy
from app.core.timeline import Segment
from app.core.uncertainty import DOUBT_BITS
from app.ui.timeline.data import TimelineData
from app.ui.timeline.lanes import Lane, LaneKind, Source, course_name, segment_name
from app.ui.timeline.paint import clock, duration

IMPORTED = "imported, or named by you since"


def block_name(data: TimelineData, block: Block, *, selected: bool = False) -> str:
    """``Clip and cut, from 21:24 to 24:57, yours, selected``, or what the model or labels say."""
    segment = data.tiers.segment(block)
    if segment is None:
        return ""
    name = data.words.phase_name(segment.phase)
    start, end = clock(data.time_ms(segment.start_pts)), clock(data.time_ms(segment.end_pts))
    if block.row == "model":
        said = f"Model says {name} from {start} to {end}"
    else:
        said = f"{name}, from {start} to {end}, {yours(imported=data.imported)}"
    return f"{said}, selected" if selected else said


def item_name(data: TimelineData, block: Block) -> str:
    """``Clip and cut, 12:03 to 18:40, model, 92 %``; the share is the model's mean certainty."""
    segment = data.tiers.segment(block)
    if segment is None:
        return ""
    start, end = clock(data.time_ms(segment.start_pts)), clock(data.time_ms(segment.end_pts))
    parts = [data.words.phase_name(segment.phase), f"{start} to {end}"]
    parts.append(yours(imported=data.imported) if block.row == "you" else "model")
    sure = data.certainty(segment) if block.row == "model" else None
    if sure is not None:
        parts.append(f"{round(100 * sure)} %")
    return ", ".join(parts)


def hover_lines(data: TimelineData, block: Block) -> tuple[str, str]:
    """Two lines for the hover card: the phase, then from, to, length and whose it is."""
    segment = data.tiers.segment(block)
    if segment is None:
        return "", ""
    start_ms, end_ms = data.time_ms(segment.start_pts), data.time_ms(segment.end_pts)
    whose = "by the model"
    if block.row == "you":
        whose = IMPORTED if data.imported else "by you"
    return (
        data.words.phase_name(segment.phase),
        f"{clock(start_ms)} to {clock(end_ms)}, {duration(end_ms - start_ms)}, {whose}",
    )


def yours(*, imported: bool) -> str:
    """Whose the human tier is."""
    return IMPORTED if imported else "yours"


def lane_lines(
    lane: Lane, pts: float, share: float, words: Taxonomy, time_ms: Callable[[int], float]
) -> tuple[str, str] | None:
    """Two lines for the hover card of what a lane tells at a moment; None where it tells nothing.

    Args:
        lane: which.
        pts: the moment.
        share: how far down the lane, 0 to 1; picks the line where stretches overlap.
        words: names phases.
        time_ms: pts to milliseconds.
    """
    if lane.kind is LaneKind.STRIP and lane.strip is not None:
        place = int(np.searchsorted(lane.strip[:, 0], pts, side="right")) - 1
        if place < 0:
            return None
        said = torn_words(float(lane.bits[place])) if lane.bits is not None else ""
        return f"{said} at {clock(time_ms(round(pts)))}", strip_words(lane)
    line = min(int(share * len(lane.lines)), len(lane.lines) - 1)
    segment = lane.at(pts, line)
    return None if segment is None else segment_lines(lane, segment, pts, words, time_ms)


def segment_lines(
    lane: Lane, segment: Segment, pts: float, words: Taxonomy, time_ms: Callable[[int], float]
) -> tuple[str, str]:
    """Two lines about a segment of a lane, as ``lane_lines`` at one of its moments."""
    said = f"{_times(segment, time_ms)}, {lane.by}"
    if lane.source is Source.TOLD and lane.strip is not None:
        place = max(0, int(np.searchsorted(lane.strip[:, 0], pts, side="right")) - 1)
        said += f", {round(100 * lane.strip[place, 1])} % sure here"
    return segment_name(lane, segment, words), said


def strip_words(lane: Lane) -> str:
    """What the heights of the strip of uncertainty mean in this case."""
    tall = "tall: less sure than in most of this case"
    if lane.bits is None or float(np.median(lane.bits)) < DOUBT_BITS:
        return tall
    return f"{tall}; the models are torn in most of it"


def torn_lines(
    bits: float, start_pts: int, end_pts: int, time_ms: Callable[[int], float]
) -> tuple[str, str]:
    """Two lines about an uncertain place."""
    return torn_words(bits), _span(time_ms(start_pts), time_ms(end_pts))


def difference_lines(
    found: Difference, words: Taxonomy, time_ms: Callable[[int], float]
) -> tuple[str, str]:
    """Two lines for the hover card of a disagreement."""
    one, other = words.phase_name(found.one), words.phase_name(found.other)
    if found.is_human:
        whose = "The labels say" if found.is_imported else "You say"
        said = f"{whose} {one}, the model {other}"
    else:
        after, live = (one, other) if found.one_came_after else (other, one)
        said = f"Afterwards the model says {after}, live {live}"
    return said, _times(found, time_ms)


def difference_name(found: Difference, words: Taxonomy, time_ms: Callable[[int], float]) -> str:
    """``Disagreement, 32 s, at 24:57: you say Clip and cut, the model Calot triangle``."""
    start = time_ms(found.start_pts)
    said = difference_lines(found, words, time_ms)[0]
    length = duration(time_ms(found.end_pts) - start)
    return f"Disagreement, {length}, at {clock(start)}: {said[0].lower()}{said[1:]}"


def torn_words(bits: float) -> str:
    """How torn the models are, in words."""
    if bits < 0.3:
        return "Sure"
    return "A little unsure" if bits < DOUBT_BITS else "Torn" if bits < 1.1 else "Very unsure"


def _times(part: Segment | Difference, time_ms: Callable[[int], float]) -> str:
    return _span(time_ms(part.start_pts), time_ms(part.end_pts))


def _span(start: float, end: float) -> str:
    return f"{clock(start)} to {clock(end)}, {duration(end - start)}"


def summary(data: TimelineData) -> str:
    """One sentence about the whole timeline."""
    you = len(data.tiers.you.segments) if data.tiers.you else 0
    model = len(data.tiers.model.segments) if data.tiers.model else 0
    whose = IMPORTED if data.imported else "by you"
    said = f"{you} phases {whose}, {model} by the model, {len(data.differences)} disagreements"
    return "; ".join([said, *lanes_summary(data.lanes)])


def lanes_summary(lanes: Iterable[Lane]) -> list[str]:
    """What each lane tells, in a few words."""
    out = []
    for lane in lanes:
        keys = dict.fromkeys(s.phase for line in lane.lines for s in line)
        if lane.kind is LaneKind.COURSE:
            out.append(f"{lane.name.lower()} {lane.by}: {', '.join(map(course_name, keys))}")
        elif lane.lines:
            count = sum(map(len, lane.lines))
            out.append(f"{lane.name}, {count} stretch{'es' if count > 1 else ''}")
    return out
