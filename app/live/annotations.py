"""Marks and phases set while a recording runs, as corrections. Pure functions.

While it runs, the human timeline ends where the recording stood when it was last changed; a last
segment that reaches its end is open and goes on.
"""

from __future__ import annotations

from dataclasses import replace

from app.core.correction import Bookmark, Change, Correction, HumanTimeline
from app.core.frame import FrameIdentity
from app.core.timeline import Timeline


def marked(case_id: str, frame: FrameIdentity, note: str) -> Correction:
    """A mark that begins at ``frame``, where none is."""
    change = Change(
        object_id=f"bookmark:{frame.asset_id}:{frame.stream}:{frame.pts}",
        before=None,
        after=Bookmark(frame=frame, note=note),
    )
    return Correction(case_id=case_id, title="Mark a moment live", changes=(change,))


def grown(timeline: Timeline | None, start_pts: int, end_pts: int) -> Timeline:
    """The timeline up to ``end_pts``; an open last segment goes on to there."""
    if timeline is None:
        return Timeline(start_pts=start_pts, end_pts=max(end_pts, start_pts + 1))
    # What is already written may end after the last picture by a reaction time.
    end_pts = max(end_pts, timeline.segments[-1].start_pts + 1 if timeline.segments else 0)
    end_pts = max(end_pts, timeline.start_pts + 1)
    segments = tuple(replace(s, end_pts=min(s.end_pts, end_pts)) for s in timeline.segments)
    if segments and timeline.segments[-1].end_pts == timeline.end_pts:
        segments = (*segments[:-1], replace(segments[-1], end_pts=end_pts))
    return Timeline(start_pts=timeline.start_pts, end_pts=end_pts, segments=segments)


def keyed(
    timeline: Timeline | None, phase: str | None, *, start_pts: int, at_pts: int, now_pts: int
) -> Timeline:
    """``phase`` (None: none) runs from ``at_pts`` on.

    It reaches to the live end, or, keyed while looking back, to what was keyed for later: the end
    of the phase that was there, or the next one's start.

    Args:
        timeline: as it stands, None where no phase was keyed yet.
        phase: key of the taxonomy.
        start_pts: of the recording.
        at_pts: when the phase began: the key came a reaction time later.
        now_pts: of the picture on screen; earlier than the timeline's end while looking back.
    """
    now_pts = max(now_pts, at_pts + 1, start_pts + 1)
    line = grown(timeline, start_pts, max(now_pts, timeline.end_pts if timeline else 0))
    at_pts = max(at_pts, line.start_pts)
    before = line.index_at(at_pts - 1)
    line = line.painted(at_pts, _reach(line, now_pts), phase)
    if phase is not None and before is not None and line.segments[before].phase == phase:
        # It was running already.
        return line.merged(before)
    return line


def _reach(line: Timeline, now_pts: int) -> int:
    """Where what is keyed at ``now_pts`` ends."""
    there = line.index_at(now_pts)
    if there is not None:
        return line.segments[there].end_pts
    return next((s.start_pts for s in line.segments if s.start_pts > now_pts), line.end_pts)


def timeline_correction(
    case_id: str, asset_id: str, before: HumanTimeline | None, after: Timeline, title: str
) -> Correction | None:
    """The correction that puts ``after`` in place; None where it is there already."""
    if before is not None and before.timeline == after:
        return None
    change = Change(
        object_id=f"timeline:{asset_id}",
        before=before,
        after=HumanTimeline(asset_id=asset_id, timeline=after),
    )
    return Correction(case_id=case_id, title=title, changes=(change,))
