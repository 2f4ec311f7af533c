"""What the property tests draw: masks and timelines of every shape that is allowed."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.core.mask import Mask
from app.core.timeline import Segment, Timeline

PHASES = ("preparation", "calot", "clip", "dissection")


def planes(max_side: int = 24) -> st.SearchStrategy[np.ndarray]:
    """Bool (H, W) planes, sparse and dense, empty ones among them."""
    return hnp.arrays(
        np.bool_,
        st.tuples(st.integers(1, max_side), st.integers(1, max_side)),
        elements=st.booleans(),
        fill=st.booleans(),
    )


@st.composite
def loose_masks(draw: st.DrawFn) -> Mask:
    """Masks whose region need not be tight."""
    plane = draw(planes())
    h, w = plane.shape
    width, height = w + draw(st.integers(0, 9)), h + draw(st.integers(0, 9))
    return Mask(
        width_px=width,
        height_px=height,
        x_px=draw(st.integers(0, width - w)),
        y_px=draw(st.integers(0, height - h)),
        bits=plane,
    )


@st.composite
def timelines(draw: st.DrawFn, max_segments: int = 8) -> Timeline:
    """Timelines with gaps, touching blocks and touching blocks of one phase."""
    start = draw(st.integers(-50, 50))
    at, segments = start, []
    for _ in range(draw(st.integers(0, max_segments))):
        at += draw(st.sampled_from((0, 0, 1, 7)))
        end = at + draw(st.integers(1, 20))
        segments.append(Segment(start_pts=at, end_pts=end, phase=draw(st.sampled_from(PHASES))))
        at = end
    return Timeline(
        start_pts=start, end_pts=at + draw(st.integers(1, 10)), segments=tuple(segments)
    )
