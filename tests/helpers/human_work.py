"""Small cases, masks and corrections for tests of the library."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np

from app.core.case import Asset
from app.core.correction import (
    Annotation,
    CaseFields,
    Change,
    Correction,
    FrameReview,
    HumanTimeline,
    PredictionRef,
    State,
    Verdict,
)
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.core.timeline import Segment, Timeline

WIDTH_PX, HEIGHT_PX, FRAMES, STEP = 64, 48, 100, 512


def asset(asset_id: str = "asset-1", path: str = "/videos/one.mp4") -> Asset:
    """A recording of 100 frames at 25 per second."""
    return Asset(
        asset_id=asset_id,
        path=path,
        quick_hash="0" * 64,
        stream=0,
        time_base=Fraction(1, 12800),
        start_pts=0,
        end_pts=FRAMES * STEP,
        frames=FRAMES,
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        codec="h264",
    )


def mask(seed: int = 0) -> Mask:
    """A blob that differs from seed to seed."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
    y, x = rng.integers(0, 30, 2)
    plane[y : y + 15, x : x + 25] = rng.random((15, 25)) > 0.2
    return Mask.from_full(plane)


def annotation(
    name: str, seed: int = 0, *, asset_id: str = "asset-1", frame: int = 0, label: str = "grasper"
) -> Annotation:
    """An annotation that answers a prediction when its seed is odd."""
    return Annotation(
        annotation_id=name,
        frame=FrameIdentity(asset_id=asset_id, stream=0, pts=frame * STEP),
        label=label,
        mask=mask(seed),
        verdict=Verdict.CORRECTED if seed % 2 else Verdict.DRAWN,
        source=PredictionRef(run_id=1, instance=seed) if seed % 2 else None,
        track=seed if seed % 3 else None,
    )


def timeline(*cuts: int, asset_id: str = "asset-1") -> HumanTimeline:
    """Phases ``phase-0``, ``phase-1`` … between frames ``cuts``."""
    segments = tuple(
        Segment(start_pts=a * STEP, end_pts=b * STEP, phase=f"phase-{i}")
        for i, (a, b) in enumerate(pairwise(cuts))
    )
    line = Timeline(start_pts=0, end_pts=FRAMES * STEP, segments=segments)
    return HumanTimeline(asset_id=asset_id, timeline=line)


def review(frame: int, asset_id: str = "asset-1") -> FrameReview:
    """A reviewed frame."""
    return FrameReview(frame=FrameIdentity(asset_id=asset_id, stream=0, pts=frame * STEP))


def fields(title: str, procedure: str = "unknown", state: str = "new") -> CaseFields:
    """What may change about a case."""
    return CaseFields(title=title, procedure=procedure, state=state)


def object_id(state: State) -> str:
    """How a change names the object."""
    if isinstance(state, Annotation):
        return state.annotation_id
    if isinstance(state, FrameReview):
        return f"review:{state.frame.asset_id}:{state.frame.stream}:{state.frame.pts}"
    if isinstance(state, HumanTimeline):
        return f"timeline:{state.asset_id}"
    return "case"


def change(before: State | None, after: State | None) -> Change:
    """From one state to another of the same object."""
    present = after if after is not None else before
    assert present is not None
    return Change(object_id=object_id(present), before=before, after=after)


def correction(case_id: str, title: str, *changes: Change) -> Correction:
    """A correction of a case."""
    return Correction(case_id=case_id, title=title, changes=changes)


def draw(case_id: str, name: str, seed: int = 0, frame: int = 0) -> Correction:
    """The correction that draws one new annotation."""
    made = annotation(name, seed, frame=frame)
    return correction(case_id, f"Draw {name}", change(None, made))
