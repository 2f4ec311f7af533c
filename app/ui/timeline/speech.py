"""What the timeline's parts are called when they are spoken or shown on hover. No Qt."""

from __future__ import annotations

from app.annotate.phases import Block
from app.ui.timeline.activity_lane import activity_name
from app.ui.timeline.data import TimelineData
from app.ui.timeline.paint import clock, duration


def block_name(data: TimelineData, block: Block, *, selected: bool = False) -> str:
    """``Clip and cut, from 21:24 to 24:57, yours, selected``, or what the model says."""
    segment = data.tiers.segment(block)
    if segment is None:
        return ""
    name = data.words.phase_name(segment.phase)
    start, end = clock(data.time_ms(segment.start_pts)), clock(data.time_ms(segment.end_pts))
    if block.row == "model":
        said = f"Model says {name} from {start} to {end}"
    else:
        said = f"{name}, from {start} to {end}, yours"
    return f"{said}, selected" if selected else said


def item_name(data: TimelineData, block: Block) -> str:
    """``Clip and cut, 12:03 to 18:40, model, 92 %``; the share is the model's mean certainty."""
    segment = data.tiers.segment(block)
    if segment is None:
        return ""
    start, end = clock(data.time_ms(segment.start_pts)), clock(data.time_ms(segment.end_pts))
    parts = [data.words.phase_name(segment.phase), f"{start} to {end}"]
    parts.append("yours" if block.row == "you" else "model")
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
    whose = "you" if block.row == "you" else "the model"
    return (
        data.words.phase_name(segment.phase),
        f"{clock(start_ms)} to {clock(end_ms)}, {duration(end_ms - start_ms)}, by {whose}",
    )


def activity_lines(data: TimelineData, pts: int) -> tuple[str, str] | None:
    """Two lines for the hover card of the activity at a moment; None where none is told."""
    index = data.activity.index_at(pts) if data.activity else None
    if data.activity is None or index is None:
        return None
    segment = data.activity.segments[index]
    start_ms, end_ms = data.time_ms(segment.start_pts), data.time_ms(segment.end_pts)
    times = f"{clock(start_ms)} to {clock(end_ms)}, {duration(end_ms - start_ms)}"
    by = "imported" if data.activity_is_imported else "by the model"
    return activity_name(segment.phase), f"{times}, {by}"


def summary(data: TimelineData) -> str:
    """One sentence about the whole timeline."""
    you = len(data.tiers.you.segments) if data.tiers.you else 0
    model = len(data.tiers.model.segments) if data.tiers.model else 0
    said = f"{you} phases by you, {model} by the model, {len(data.disagreement)} disagreements"
    if data.activity is None:
        return said
    names = dict.fromkeys(activity_name(s.phase) for s in data.activity.segments)
    return f"{said}; activities by the model: {', '.join(names)}"
