"""Edits of the human phase timeline as corrections: start, drag, split, merge, relabel, adopt.

Pure functions on the caller's thread; nothing is stored here. The model's timeline is never
changed: the first edit of one of its blocks takes that block over into the human timeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.core.correction import Change, Correction, HumanTimeline
from app.core.taxonomy import Taxonomy
from app.core.timeline import Segment, Timeline

Row = Literal["you", "model"]
Edge = Literal["start", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of the timeline on screen: whose row, and which segment of it."""

    row: Row
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiers:
    """Both timelines of an asset as they stand.

    Attributes:
        case_id, asset_id: whose they are.
        taxonomy: gives phases their words.
        you: the human timeline as stored, None where nobody has begun one.
        model: the chosen run's timeline, None where nothing has been analysed.
        start_pts, end_pts: the asset's extent.
        frame_pts: length of a frame, the shortest a block can be.
    """

    case_id: str
    asset_id: str
    taxonomy: Taxonomy
    you: Timeline | None
    model: Timeline | None
    start_pts: int
    end_pts: int
    frame_pts: int = 1

    def human(self) -> Timeline:
        """The human timeline, empty where nobody has begun one."""
        return self.you or Timeline(start_pts=self.start_pts, end_pts=self.end_pts)

    def segment(self, block: Block) -> Segment | None:
        """The segment behind a block, None when it is gone."""
        timeline = self.you if block.row == "you" else self.model
        if timeline is None or not 0 <= block.index < len(timeline.segments):
            return None
        return timeline.segments[block.index]


def start_at(tiers: Tiers, pts: int, phase: str) -> Correction | None:
    """``phase`` begins at ``pts`` and replaces the rest of what was there (digit while playing).

    None when that phase is running there already.
    """
    human = tiers.human()
    if human.phase_at(pts) == phase:
        return None
    before = human.index_at(pts - 1)
    if before is not None and human.segments[before].phase == phase:
        # The same phase ends right here: it goes on instead of beginning again.
        after = human.started(pts, phase).merged(before)
    else:
        after = human.started(pts, phase)
    return _correction(tiers, after, f"Start {_name(tiers, phase)}")


def create(tiers: Tiers, start_pts: int, end_pts: int, phase: str) -> Correction | None:
    """``phase`` over [start_pts, end_pts), whatever lay there (I, O, Enter)."""
    after = tiers.human().painted(start_pts, end_pts, phase)
    return _correction(tiers, after, f"Mark {_name(tiers, phase)}")


def move_edge(tiers: Tiers, block: Block, edge: Edge, pts: int) -> Correction | None:
    """Drag the start or end of a block to ``pts``; a touching neighbour follows."""
    if (found := _taken_over(tiers, block)) is None:
        return None
    timeline, i = found
    move = timeline.with_start if edge == "start" else timeline.with_end
    return _correction(
        tiers,
        move(i, pts, tiers.frame_pts),
        f"Move the {edge} of {_name(tiers, timeline.segments[i].phase)}",
    )


def set_boundary(tiers: Tiers, block: Block, pts: int) -> Correction | None:
    """The nearer boundary of a block comes to ``pts`` (R, Alt+arrows)."""
    segment = tiers.segment(block)
    return None if segment is None else move_edge(tiers, block, nearer_edge(segment, pts), pts)


def nearer_edge(segment: Segment, pts: int) -> Edge:
    """Which boundary of a segment lies nearer to ``pts``; its start on a tie."""
    return "start" if abs(pts - segment.start_pts) <= abs(pts - segment.end_pts) else "end"


def split(tiers: Tiers, block: Block, pts: int) -> Correction | None:
    """Cut a block in two at ``pts``; None on its edge or outside it."""
    segment, found = tiers.segment(block), _taken_over(tiers, block)
    if segment is None or found is None or not segment.start_pts < pts < segment.end_pts:
        return None
    return _correction(tiers, found[0].split(pts), f"Split {_name(tiers, segment.phase)}")


def merge(tiers: Tiers, block: Block) -> Correction | None:
    """A block swallows the next one of its row, with any gap between; None for the last."""
    segment = tiers.segment(block)
    following = tiers.segment(Block(row=block.row, index=block.index + 1))
    if segment is None or following is None:
        return None
    after = tiers.human()
    if block.row == "model":
        after = after.painted(segment.start_pts, following.end_pts, segment.phase)
    else:
        after = after.merged(block.index)
    names = _name(tiers, segment.phase), _name(tiers, following.phase)
    return _correction(tiers, after, f"Merge {names[0]} with {names[1]}")


def relabel(tiers: Tiers, block: Block, phase: str) -> Correction | None:
    """Another phase for a block; None when it bears it already."""
    segment, found = tiers.segment(block), _taken_over(tiers, block)
    if segment is None or found is None or (segment.phase == phase and block.row == "you"):
        return None
    old, new = _name(tiers, segment.phase), _name(tiers, phase)
    return _correction(tiers, found[0].relabelled(found[1], phase), f"Relabel {old} as {new}")


def remove(tiers: Tiers, block: Block) -> Correction | None:
    """A block of yours goes and leaves a gap; the model's blocks cannot be removed."""
    segment = tiers.segment(block)
    if segment is None or block.row != "you":
        return None
    after = tiers.human().removed(block.index)
    return _correction(tiers, after, f"Remove {_name(tiers, segment.phase)}")


def adopt_block(tiers: Tiers, block: Block) -> Correction | None:
    """Take one block of the model over as it is; None when yours says the same there."""
    segment, found = tiers.segment(block), _taken_over(tiers, block)
    if segment is None or found is None or block.row != "model":
        return None
    return _correction(tiers, found[0], f"Accept the model's {_name(tiers, segment.phase)}")


def adopt_all(tiers: Tiers) -> Correction | None:
    """The model's timeline as the human one to start from; what a human wrote stays.

    None when there is no model timeline or nothing is left to take over.
    """
    if tiers.model is None:
        return None
    after = tiers.human()
    for segment in tiers.model.segments:
        for start, end in _gaps(tiers.human(), segment.start_pts, segment.end_pts):
            after = after.painted(start, end, segment.phase)
    return _correction(tiers, after, "Start from the model's phases")


def _gaps(timeline: Timeline, start_pts: int, end_pts: int) -> list[tuple[int, int]]:
    """Stretches of [start_pts, end_pts) without a segment."""
    out, at = [], start_pts
    for s in timeline.segments:
        if s.end_pts <= start_pts or s.start_pts >= end_pts:
            continue
        if s.start_pts > at:
            out.append((at, s.start_pts))
        at = s.end_pts
    if at < end_pts:
        out.append((at, end_pts))
    return out


def _taken_over(tiers: Tiers, block: Block) -> tuple[Timeline, int] | None:
    """The human timeline with this block in it, and the block's place there."""
    segment = tiers.segment(block)
    if segment is None:
        return None
    if block.row == "you":
        return tiers.human(), block.index
    timeline = tiers.human().painted(segment.start_pts, segment.end_pts, segment.phase)
    i = timeline.index_at(segment.start_pts)
    return None if i is None else (timeline, i)


def _name(tiers: Tiers, phase: str) -> str:
    return tiers.taxonomy.phase_name(phase)


def _correction(tiers: Tiers, after: Timeline, title: str) -> Correction | None:
    if after == tiers.human():
        return None
    before = None
    if tiers.you is not None:
        before = HumanTimeline(asset_id=tiers.asset_id, timeline=tiers.you)
    change = Change(
        object_id=f"timeline:{tiers.asset_id}",
        before=before,
        after=HumanTimeline(asset_id=tiers.asset_id, timeline=after),
    )
    return Correction(case_id=tiers.case_id, title=title, changes=(change,))
