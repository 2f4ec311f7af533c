"""The human work on one asset, held in memory while its case is open. GUI thread, no Qt.

Corrections are applied here at once; the library makes them durable behind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from app.core.case import Asset
from app.core.correction import (
    Annotation,
    Bookmark,
    Change,
    Correction,
    FrameReview,
    HumanTimeline,
)
from app.core.timeline import Timeline


class HumanWork:
    """Annotations, reviewed frames, bookmarks and the human timeline of one asset."""

    def __init__(
        self,
        asset: Asset,
        annotations: Iterable[Annotation] = (),
        reviewed_pts: Iterable[int] = (),
        timeline: Timeline | None = None,
        bookmarks: Iterable[Bookmark] = (),
    ) -> None:
        self._asset = asset
        self._by_pts: dict[int, dict[str, Annotation]] = defaultdict(dict)
        for annotation in annotations:
            self._by_pts[annotation.frame.pts][annotation.annotation_id] = annotation
        self._reviewed = set(reviewed_pts)
        self._timeline = timeline
        self._bookmarks = {b.frame.pts: b for b in bookmarks}

    @property
    def timeline(self) -> Timeline | None:
        """The human tier, None while nobody has said anything about phases."""
        return self._timeline

    @property
    def bookmarks(self) -> tuple[Bookmark, ...]:
        """The moments that were marked, by pts."""
        return tuple(self._bookmarks[pts] for pts in sorted(self._bookmarks))

    def bookmark(self, pts: int) -> Bookmark | None:
        """The bookmark of a frame."""
        return self._bookmarks.get(pts)

    @property
    def annotated_pts(self) -> tuple[int, ...]:
        """Frames that bear human work on masks, sorted."""
        return tuple(sorted({p for p, found in self._by_pts.items() if found} | self._reviewed))

    def annotations(self, pts: int) -> tuple[Annotation, ...]:
        """What a human decided on the masks of one frame."""
        found = self._by_pts.get(pts)
        return tuple(found.values()) if found else ()

    def all_annotations(self) -> tuple[Annotation, ...]:
        """Every annotation of the asset, by frame."""
        return tuple(a for pts in sorted(self._by_pts) for a in self._by_pts[pts].values())

    def is_reviewed(self, pts: int) -> bool:
        """Whether a human said that the frame is annotated as it should be."""
        return pts in self._reviewed

    def apply(self, correction: Correction) -> frozenset[int] | None:
        """Take over a correction.

        Returns:
            The pts whose masks changed; None when case fields changed as well, so that the case
            must be read again.
        """
        touched: set[int] = set()
        fields_changed = False
        for change in correction.changes:
            state = change.after or change.before
            if isinstance(state, Annotation) and state.frame.asset_id == self._asset.asset_id:
                touched |= self._apply_annotation(change)
            elif isinstance(state, FrameReview) and state.frame.asset_id == self._asset.asset_id:
                (self._reviewed.add if change.after else self._reviewed.discard)(state.frame.pts)
                touched.add(state.frame.pts)
            elif isinstance(state, Bookmark) and state.frame.asset_id == self._asset.asset_id:
                self._bookmarks.pop(state.frame.pts, None)
                if isinstance(change.after, Bookmark):
                    self._bookmarks[state.frame.pts] = change.after
            elif isinstance(state, HumanTimeline) and state.asset_id == self._asset.asset_id:
                after = change.after
                self._timeline = after.timeline if isinstance(after, HumanTimeline) else None
            else:
                fields_changed = True
        return None if fields_changed else frozenset(touched)

    def _apply_annotation(self, change: Change) -> set[int]:
        touched = set()
        if isinstance(change.before, Annotation):
            self._by_pts[change.before.frame.pts].pop(change.before.annotation_id, None)
            touched.add(change.before.frame.pts)
        if isinstance(change.after, Annotation):
            self._by_pts[change.after.frame.pts][change.after.annotation_id] = change.after
            touched.add(change.after.frame.pts)
        return touched
