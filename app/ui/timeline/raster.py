"""Many narrow blocks as one line of pixels, by numpy: hundreds cost what a few do. No Qt.

A line is float64 (4, wide): premultiplied blue, green, red and alpha from 0 to 255.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def covered(spans: Floats, inks: Floats, wide: int) -> Floats:
    """A line of spans that do not overlap; a pixel takes as much ink as they cover of it.

    Args:
        spans: left and right of each in pixels from the line's left end, (N, 2).
        inks: premultiplied colour of each, (4, N).
        wide: pixels of the line.
    """
    edges = spans.clip(0, wide).T.ravel()
    first = edges.astype(np.intp)
    part = edges - first
    # From a left edge on the sum is higher by the ink, from a right edge on lower again; the
    # pixel that an edge cuts takes a part of the step, the next one the rest.
    sign = np.repeat([1.0, -1.0], len(spans))
    steps = np.concatenate([sign * (1 - part), sign * part])
    places = np.concatenate([first, first + 1])
    sums = [np.bincount(places, steps * ink, wide + 2) for ink in np.tile(inks, 4)]
    return np.cumsum(sums, axis=1)[:, :wide]


def over(above: Floats, below: Floats) -> Floats:
    """One line laid over another."""
    return above + below * (1 - above[3] / 255)


def to_bytes(line: Floats) -> NDArray[np.uint8]:
    """A line as it is stored in a picture, (wide, 4)."""
    return (line + 0.5).clip(0, 255).astype(np.uint8).T
