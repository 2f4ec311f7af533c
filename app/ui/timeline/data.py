"""What the timeline shows, as plain values: both tiers, confidence, instruments, marks. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from app.annotate.phases import Tiers
from app.core.case import Asset
from app.core.labels import LabelRow
from app.core.taxonomy import Taxonomy
from app.core.timeline import Segment, Timeline, disagreements
from app.store.predictions import Presence
from app.ui.joins import Join


@dataclass(frozen=True, kw_only=True)
class TimelineData:
    """One asset's timeline.

    Attributes:
        tiers: the human's and the model's segments.
        words: names and colours of phases on screen.
        time_ms: pts to milliseconds from the first frame.
        confidence: (pts, highest probability 0 to 1) per sample, by pts.
        analysed_to_pts: end of the stretch the phase model has looked at.
        instruments: (name, stretches [start, end) in pts) per class that was seen.
        marks: pts of frames with human outlines, sorted.
        bookmarks: pts of moments that were marked, sorted.
        joins: where the parts of a split recording meet.
        activity: what a model, or else an imported label file, says goes on; None where none does.
        activity_name: words for that row.
        activity_is_imported: whether a label file says it.
    """

    tiers: Tiers
    words: Taxonomy
    time_ms: Callable[[int], float]
    confidence: tuple[tuple[int, float], ...] = ()
    analysed_to_pts: int
    instruments: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = ()
    marks: tuple[int, ...] = field(default=())
    bookmarks: tuple[int, ...] = ()
    joins: tuple[Join, ...] = ()
    activity: Timeline | None = None
    activity_name: str = "Activity"
    activity_is_imported: bool = False

    @property
    def start_pts(self) -> int:
        """First pts of the asset."""
        return self.tiers.start_pts

    @property
    def end_pts(self) -> int:
        """Just after the last pts."""
        return self.tiers.end_pts

    @cached_property
    def disagreement(self) -> tuple[tuple[int, int], ...]:
        """Stretches where human and model name different phases."""
        if self.tiers.you is None or self.tiers.model is None:
            return ()
        return disagreements(self.tiers.you, self.tiers.model)

    @cached_property
    def unsure(self) -> frozenset[int]:
        """Model segments whose mean probability is below a half."""
        if self.tiers.model is None or not self.confidence:
            return frozenset()
        pts = np.array([p for p, _ in self.confidence])
        values = np.cumsum([0.0, *(v for _, v in self.confidence)])
        out = set()
        for i, s in enumerate(self.tiers.model.segments):
            a, b = np.searchsorted(pts, (s.start_pts, s.end_pts))
            if b > a and (values[b] - values[a]) / (b - a) < 0.5:
                out.add(i)
        return frozenset(out)

    def certainty(self, segment: Segment) -> float | None:
        """The model's mean highest probability over a segment, None where nothing is known."""
        values = [v for p, v in self.confidence if segment.start_pts <= p < segment.end_pts]
        return sum(values) / len(values) if values else None

    def with_you(self, you: Timeline | None) -> TimelineData:
        """The same with another human tier."""
        return replace(self, tiers=replace(self.tiers, you=you))

    def nearest_frame(self, pts: float) -> int:
        """The frame boundary nearest to ``pts``, within the asset."""
        step = max(1, self.tiers.frame_pts)
        at = self.start_pts + round((pts - self.start_pts) / step) * step
        return min(max(at, self.start_pts), self.end_pts)


def timeline_data(
    case_id: str,
    asset: Asset,
    taxonomy: Taxonomy,
    *,
    words: Taxonomy | None = None,
    you: Timeline | None,
    model: Timeline | None = None,
    confidence: tuple[tuple[int, float], ...] = (),
    analysed_to_pts: int | None = None,
    presence: Presence | None = None,
    marks: tuple[int, ...] = (),
    bookmarks: tuple[int, ...] = (),
    joins: tuple[Join, ...] = (),
    activity: Timeline | None = None,
    labels: tuple[LabelRow, ...] = (),
) -> TimelineData:
    """Gather what is known about an asset; see ``TimelineData``.

    ``taxonomy`` is what a human names phases by, ``words`` what names them on screen; ``labels``
    are an imported file's: those of one class are rows like instruments, the first of several
    classes says what goes on where no model does.
    """
    courses = [row for row in labels if len({s.phase for s in row.segments}) > 1]
    is_imported = activity is None and bool(courses)
    named = "Activity"
    if is_imported:
        named, activity = courses[0].name, _course(courses[0], asset)
    frame_pts = max(1, round((asset.end_pts - asset.start_pts) / asset.frames))
    return TimelineData(
        tiers=Tiers(
            case_id=case_id,
            asset_id=asset.asset_id,
            taxonomy=taxonomy,
            you=you,
            model=model,
            start_pts=asset.start_pts,
            end_pts=asset.end_pts,
            frame_pts=frame_pts,
        ),
        words=words or taxonomy,
        time_ms=asset.time_ms,
        confidence=confidence,
        analysed_to_pts=asset.start_pts if analysed_to_pts is None else analysed_to_pts,
        instruments=(
            *(instrument_rows(presence, asset, taxonomy) if presence else ()),
            *(
                (row.name, tuple((s.start_pts, s.end_pts) for s in row.segments))
                for row in labels
                if len({s.phase for s in row.segments}) == 1
            ),
        ),
        marks=marks,
        bookmarks=bookmarks,
        joins=joins,
        activity=activity,
        activity_name=named,
        activity_is_imported=is_imported,
    )


def _course(row: LabelRow, asset: Asset) -> Timeline:
    """Labels in time; of two that overlap, the one that starts later is shown."""
    line = Timeline(start_pts=asset.start_pts, end_pts=asset.end_pts)
    for segment in row.segments:
        line = line.painted(segment.start_pts, segment.end_pts, segment.phase)
    return line


def instrument_rows(
    presence: Presence, asset: Asset, taxonomy: Taxonomy, share: float = 0.5
) -> tuple[tuple[str, tuple[tuple[int, int], ...]], ...]:
    """Per class that was seen, the stretches in whole seconds.

    Args:
        presence: what a run counted per second.
        share: of the frames looked at in a second, how many must hold the class.
    """
    rows = []
    seen = presence.present >= np.maximum(1, share * presence.looked_at)[:, None]
    for column, key in enumerate(presence.classes):
        on = np.flatnonzero(np.diff(np.concatenate(([0], seen[:, column], [0]))))
        spans = tuple(
            (
                max(asset.pts(a * 1000.0), asset.start_pts),
                min(asset.pts(b * 1000.0), asset.end_pts),
            )
            for a, b in on.reshape(-1, 2).tolist()
        )
        if spans:
            rows.append((taxonomy.instrument_name(key), spans))
    return tuple(rows)
