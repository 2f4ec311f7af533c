"""What the timeline shows, as plain values: both tiers, confidence, lanes, marks. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.annotate.phases import Tiers
from app.core.case import Asset
from app.core.differences import Difference, differences
from app.core.taxonomy import Taxonomy
from app.core.timeline import Segment, Timeline
from app.ui.joins import Join
from app.ui.timeline.geometry import bounds_of
from app.ui.timeline.lanes import LIVE_TIER, WHOLE_TIER, Lane, LaneKind


@dataclass(frozen=True, kw_only=True)
class TimelineData:
    """One asset's timeline.

    Attributes:
        tiers: the human's and the model's segments.
        words: names and colours of phases on screen.
        time_ms: pts to milliseconds from the first frame.
        confidence: (pts, highest probability 0 to 1) per sample, by pts.
        analysed_to_pts: end of the stretch the phase model has looked at.
        lanes: what lies beside the phases, from top to bottom.
        marks: pts of frames with human outlines, sorted.
        bookmarks: pts of moments that were marked, sorted.
        joins: where the parts of a split recording meet.
        beside: another model's phases, compared with the model's where the human named none.
        apart: where these two differ, where that is known already.
        imported: the human's tier came with label files.
    """

    tiers: Tiers
    words: Taxonomy
    time_ms: Callable[[int], float]
    confidence: tuple[tuple[int, float], ...] = ()
    analysed_to_pts: int
    lanes: tuple[Lane, ...] = ()
    marks: tuple[int, ...] = field(default=())
    bookmarks: tuple[int, ...] = ()
    joins: tuple[Join, ...] = ()
    beside: Timeline | None = None
    apart: tuple[Difference, ...] | None = None
    imported: bool = False

    @cached_property
    def certainties(self) -> NDArray[np.float64]:
        """``confidence`` as an array, (N, 2)."""
        return np.array(self.confidence, np.float64).reshape(-1, 2)

    @property
    def start_pts(self) -> int:
        """First pts of the asset."""
        return self.tiers.start_pts

    @property
    def end_pts(self) -> int:
        """Just after the last pts."""
        return self.tiers.end_pts

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Where human and model, or else two models, name different phases."""
        if self.tiers.you is None and self.apart is not None:
            return self.apart
        return differences(
            self.tiers.you,
            self.tiers.model,
            self.beside,
            imported=self.imported,
            model_came_after=self.model_name == WHOLE_TIER,
        )

    @property
    def model_name(self) -> str:
        """Words for the model's tier, which say which of two it is."""
        beside = next((x.name for x in self.lanes if x.kind is LaneKind.PHASES), "")
        return {LIVE_TIER: WHOLE_TIER, WHOLE_TIER: LIVE_TIER}.get(beside, "Model")

    @property
    def rows(self) -> tuple[Lane, ...]:
        """Lanes that are no instruments."""
        return tuple(lane for lane in self.lanes if lane.kind is not LaneKind.TOOL)

    @property
    def instruments(self) -> tuple[Lane, ...]:
        """Lanes of instruments."""
        return tuple(lane for lane in self.lanes if lane.kind is LaneKind.TOOL)

    @cached_property
    def unsure(self) -> frozenset[int]:
        """Model segments whose mean probability is below a half."""
        if self.tiers.model is None or not self.confidence:
            return frozenset()
        pts = self.certainties[:, 0]
        values = np.concatenate([[0.0], self.certainties[:, 1].cumsum()])
        places = np.searchsorted(pts, bounds_of(self.tiers.model.segments))
        many = places[:, 1] - places[:, 0]
        means = (values[places[:, 1]] - values[places[:, 0]]) / np.maximum(many, 1)
        return frozenset(np.flatnonzero((many > 0) & (means < 0.5)).tolist())

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
    marks: tuple[int, ...] = (),
    bookmarks: tuple[int, ...] = (),
    joins: tuple[Join, ...] = (),
    lanes: tuple[Lane, ...] = (),
    beside: Timeline | None = None,
    apart: tuple[Difference, ...] | None = None,
    imported: bool = False,
) -> TimelineData:
    """Gather what is known about an asset; see ``TimelineData``.

    ``taxonomy`` is what a human names phases by, ``words`` what names them on screen.
    """
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
        lanes=lanes,
        marks=marks,
        bookmarks=bookmarks,
        joins=joins,
        beside=beside,
        apart=apart,
        imported=imported,
    )
