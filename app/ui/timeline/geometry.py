"""Where things lie on the timeline: the visible stretch, the rows, and what a point hits. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.annotate.phases import Block, Edge
from app.core.differences import Difference
from app.core.timeline import Segment, Timeline
from app.ui.timeline.lanes import Lane, LaneKind

Pts = TypeVar("Pts", float, NDArray[np.float64])

LABELS_PX = 132
GRAB_PX = 7.0
SNAP_PX = 8.0
MIN_VISIBLE_FRAMES = 8
_START, _END = attrgetter("start_pts"), attrgetter("end_pts")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The visible stretch [start_pts, end_pts) laid over [left_px, left_px + width_px)."""

    start_pts: float
    end_pts: float
    left_px: float
    width_px: float

    def x(self, pts: Pts) -> Pts:
        """Logical x of a pts, or of an array of them."""
        return self.left_px + (pts - self.start_pts) * self.px_per_pts

    def pts(self, x: float) -> float:
        """pts under a logical x."""
        return self.start_pts + (x - self.left_px) / self.px_per_pts

    @property
    def px_per_pts(self) -> float:
        """Logical pixels per pts unit."""
        return max(self.width_px, 1.0) / (self.end_pts - self.start_pts)

    def fitted(self, low: float, high: float, shortest: float) -> View:
        """The same length moved into [low, high], at least ``shortest`` and at most all of it."""
        length = min(max(self.end_pts - self.start_pts, shortest), high - low)
        start = min(max(self.start_pts, low), high - length)
        return replace(self, start_pts=start, end_pts=start + length)

    def zoomed(self, factor: float, x: float) -> View:
        """``factor`` times closer; what lies under ``x`` stays there."""
        at = self.pts(x)
        return replace(
            self,
            start_pts=at - (at - self.start_pts) / factor,
            end_pts=at + (self.end_pts - at) / factor,
        )

    def panned(self, dx_px: float) -> View:
        """Moved so that the content goes ``dx_px`` to the right."""
        by = dx_px / self.px_per_pts
        return replace(self, start_pts=self.start_pts - by, end_pts=self.end_pts - by)


def bounds_of(spans: Sequence[Segment] | Sequence[Difference]) -> NDArray[np.float64]:
    """Start and end of each span in pts, float64 (N, 2)."""
    starts = np.fromiter(map(_START, spans), np.float64, len(spans))
    return np.stack([starts, np.fromiter(map(_END, spans), np.float64, len(spans))], axis=1)


class Kind(StrEnum):
    """Rows of the timeline, from top to bottom."""

    WHOLE = "whole"
    RULER = "ruler"
    PICTURES = "pictures"
    YOU = "you"
    DISAGREEMENT = "disagreement"
    MODEL = "model"
    LANE = "lane"
    INSTRUMENT = "instrument"
    INSTRUMENTS = "instruments"
    OUTLINES = "outlines"
    SOUND = "sound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        kind: what it shows.
        label: words at its left.
        top_px, height_px: its band.
        bar_px: height of what is drawn in its middle.
        index: which instrument, or which lane.
        folded: shown as a thin bar.
        fold_key: under which it is folded.
    """

    kind: Kind
    label: str
    top_px: float
    height_px: float
    bar_px: float
    index: int = 0
    folded: bool = False
    fold_key: str = ""


_LABEL = {
    Kind.WHOLE: "Whole case",
    Kind.RULER: "",
    Kind.PICTURES: "Pictures",
    Kind.YOU: "You",
    Kind.DISAGREEMENT: "Disagreement",
    Kind.MODEL: "Model",
    Kind.OUTLINES: "Your outlines",
    Kind.SOUND: "Sound",
}
_BAND = {
    Kind.WHOLE: (36, 14),
    Kind.RULER: (26, 26),
    Kind.PICTURES: (44, 40),
    Kind.YOU: (30, 28),
    Kind.DISAGREEMENT: (16, 10),
    Kind.MODEL: (36, 24),
    Kind.OUTLINES: (18, 10),
    Kind.SOUND: (44, 36),
}
_FOLDED = (16, 6)
_FOLDABLE = (
    Kind.YOU,
    Kind.MODEL,
    Kind.DISAGREEMENT,
    Kind.OUTLINES,
    Kind.PICTURES,
    Kind.SOUND,
)
_TOOL = (15, 8)
_LANE = {
    LaneKind.PHASES: (28, 22),
    LaneKind.STRIP: (20, 14),
    LaneKind.COURSE: (24, 18),
    LaneKind.INTERVAL: (18, 12),
    LaneKind.TOOL: _TOOL,
}
_MORE_LINES_PX = 11
CONFIDENCE_PX = 4
LANE = "lane "


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A row before it has its place."""

    kind: Kind
    label: str
    index: int = 0
    lane: Lane | None = None

    @property
    def fold_key(self) -> str:
        if self.lane is not None:
            return LANE + self.lane.key
        return Kind.INSTRUMENTS if self.kind is Kind.INSTRUMENT else self.kind

    def band(self, folded: frozenset[str]) -> tuple[int, int]:
        """Heights of the row and of what is drawn in it."""
        if self.kind in (Kind.INSTRUMENT, Kind.INSTRUMENTS):
            return _TOOL
        if self.fold_key in folded and (self.lane is not None or self.kind in _FOLDABLE):
            return _FOLDED
        return lane_band(self.lane) if self.lane is not None else _BAND[self.kind]


def lane_band(lane: Lane) -> tuple[int, int]:
    """Heights of an open lane and of what is drawn in it, at 100 %."""
    height, bar = _LANE[lane.kind]
    more = _MORE_LINES_PX * max(0, len(lane.lines) - 1)
    return height + more, bar + more


def lay_out(
    instruments: tuple[str, ...],
    folded: Iterable[str],
    scale: float,
    height_px: float,
    *,
    outlines: bool,
    pictures: bool = False,
    sound: bool = False,
    lanes: tuple[Lane, ...] = (),
    model: str = _LABEL[Kind.MODEL],
    kinds: tuple[Kind, ...] = (Kind.WHOLE, Kind.RULER, Kind.YOU, Kind.DISAGREEMENT, Kind.MODEL),
) -> tuple[Row, ...]:
    """Rows for a timeline.

    Where the height does not suffice the pictures go, then the sound is folded, then the
    instruments share one row, then the lanes are folded.

    Args:
        instruments: names of the classes seen.
        folded: rows folded by the user; ``INSTRUMENTS`` folds them all into one.
        scale: of texts and heights.
        height_px: room there is.
        outlines: whether a row for frames with human outlines is wanted.
        pictures: whether there are pictures.
        sound: whether there is a waveform.
        lanes: what lies beside the phases, but for the instruments.
        model: words for the model's tier.
        kinds: rows that are always there.
    """
    shut = frozenset(folded)
    named = {**_LABEL, Kind.MODEL: model}
    fixed = [_Part(kind=k, label=named[k]) for k in kinds]
    fixed += [_Part(kind=Kind.LANE, label=x.name, index=i, lane=x) for i, x in enumerate(lanes)]
    marks = [_Part(kind=Kind.OUTLINES, label=_LABEL[Kind.OUTLINES])] if outlines else []
    if sound:
        marks.append(_Part(kind=Kind.SOUND, label=_LABEL[Kind.SOUND]))
    tools = [_Part(kind=Kind.INSTRUMENT, label=n, index=i) for i, n in enumerate(instruments)]
    shared = [_Part(kind=Kind.INSTRUMENTS, label="Instruments")] if tools else []

    def need(some: list[_Part]) -> float:
        return sum(part.band(shut)[0] for part in some) * scale

    if pictures:
        row = _Part(kind=Kind.PICTURES, label=_LABEL[Kind.PICTURES])
        shown = shared if Kind.INSTRUMENTS in shut else tools
        if need([*fixed, *marks, *shown, row]) <= height_px:
            fixed.insert(2, row)
    if sound and need(fixed + marks + tools) > height_px:
        shut |= {Kind.SOUND}
    if tools and (Kind.INSTRUMENTS in shut or need(fixed + marks + tools) > height_px):
        tools = shared
    if need(fixed + marks + tools) > height_px:
        shut |= {part.fold_key for part in fixed if part.lane is not None}
    return _placed(fixed + tools + marks, shut, scale)


def _placed(parts: list[_Part], shut: frozenset[str], scale: float) -> tuple[Row, ...]:
    rows, top = [], 0.0
    for part in parts:
        height, bar = part.band(shut)
        rows.append(
            Row(
                kind=part.kind,
                label=part.label,
                top_px=top,
                height_px=round(height * scale),
                bar_px=round(bar * scale),
                index=part.index,
                folded=part.fold_key in shut and part.kind is not Kind.INSTRUMENT,
                fold_key=part.fold_key,
            )
        )
        top += round(height * scale)
    return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A block under a point, and its edge where the point is close to one."""

    block: Block
    edge: Edge | None = None


def hit_block(
    timeline: Timeline | None,
    row: str,
    view: View,
    x: float,
    selected: Block | None = None,
) -> Hit | None:
    """The block or edge under ``x`` in a tier; the selected block's edges win."""
    if timeline is None or not timeline.segments:
        return None
    best: tuple[float, Hit] | None = None
    reach_pts = GRAB_PX / view.px_per_pts
    for i, s in enumerate(timeline.segments):
        if s.end_pts < view.pts(x) - reach_pts or s.start_pts > view.pts(x) + reach_pts:
            continue
        block = Block(row="you" if row == "you" else "model", index=i)
        for edge, pts in (("start", s.start_pts), ("end", s.end_pts)):
            distance = abs(view.x(pts) - x)
            # Of two edges on one spot the selected block's counts, else the one that is a start.
            weight = distance - (4 if block == selected else 1 if edge == "start" else 0)
            if distance <= GRAB_PX and (best is None or weight < best[0]):
                best = weight, Hit(block=block, edge="start" if edge == "start" else "end")
    if best is not None:
        return best[1]
    here = timeline.index_at(int(view.pts(x)))
    if here is None:
        return None
    return Hit(block=Block(row="you" if row == "you" else "model", index=here))


def snapped(pts: float, targets: Iterable[int], view: View) -> int | None:
    """The target within 8 px of ``pts``, the nearest one; None where there is none."""
    reach = SNAP_PX / view.px_per_pts
    near = [(abs(t - pts), t) for t in targets if abs(t - pts) <= reach]
    return min(near)[1] if near else None
