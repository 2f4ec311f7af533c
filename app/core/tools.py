"""Which tools a model tells to be in the picture: what it said, and how it is shown. Any thread.

Such a model outlines nothing: it says of each looked-at frame how likely each tool is somewhere in
it (EndoNet, Twinanda et al. 2017). What it said stays as it is; threshold and debounce are for
display, search and sums of time alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from app.core.prediction import Run

SHOWN_FROM = 0.5
"""A tool of at least this probability counts as present."""

STEADY_S = 2.0
"""Gaps of up to this are closed; what lasts less is a glimpse and is left out."""

_SLACK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToolsTold:
    """What one run tells of its tools.

    Attributes:
        keys: of the tools, by column.
        pts: int64 (T,), ascending, the frames that were looked at.
        probabilities: float16 (T, M), 0 to 1, each tool by itself.
    """

    keys: tuple[str, ...]
    pts: NDArray[np.int64]
    probabilities: NDArray[np.float16]

    @property
    def step(self) -> int:
        """pts from one looked-at frame to the next, as a rule."""
        return int(np.median(np.diff(self.pts))) if self.pts.size > 1 else 1

    @property
    def ends(self) -> NDArray[np.int64]:
        """int64 (T,): up to where each frame speaks: the next one, but not over a gap."""
        following = np.append(self.pts[1:], self.pts[-1:] + self.step)
        return np.where(following - self.pts > 2 * self.step, self.pts + self.step, following)


def telling_tools(runs: Iterable[Run]) -> Run | None:
    """Of runs by age, the newest that tells tools: one that saw the whole recording before one that
    did not."""
    able = [run for run in runs if run.tools]
    return max(able, key=lambda run: (run.finished, run.run_id), default=None)


def steady(told: ToolsTold, time_base: Fraction) -> NDArray[np.bool_]:
    """Which tools count as present in which frame.

    Args:
        told: what a run said.
        time_base: seconds per pts.

    Returns:
        bool (T, M): at least ``SHOWN_FROM``, short gaps closed, then glimpses left out; nothing
        reaches over a gap in the frames.
    """
    shown = told.probabilities >= SHOWN_FROM
    apart = np.flatnonzero(told.ends[:-1] != told.pts[1:]) + 1
    for part in np.split(np.arange(told.pts.size), apart):
        if not part.size:
            continue
        edges = np.append(told.pts[part], told.ends[part[-1]]) * float(time_base)
        for column in shown.T:
            column[part] = _without_short(column[part], edges, closing=True)
            column[part] = _without_short(column[part], edges, closing=False)
    return shown


def seconds_seen(told: ToolsTold, start_pts: int, time_base: Fraction) -> NDArray[np.bool_]:
    """In which whole seconds of a recording each tool counts as present; see ``steady``.

    Args:
        told: what a run said.
        start_pts: where the recording begins.
        time_base: seconds per pts.

    Returns:
        bool (S, M), up to the last second that a frame speaks of.
    """
    first_s = (told.pts - start_pts) * float(time_base)
    after_s = (told.ends - start_pts) * float(time_base)
    first = np.floor(first_s + _SLACK_S).astype(np.int64)
    after = np.maximum(np.ceil(after_s - _SLACK_S).astype(np.int64), first + 1)
    out = np.zeros((int(after.max(initial=0)), len(told.keys)), np.bool_)
    for row, low, high in zip(steady(told, time_base), first.tolist(), after.tolist(), strict=True):
        out[max(0, low) : high] |= row
    return out


def _without_short(
    shown: NDArray[np.bool_], edges_s: NDArray[np.float64], *, closing: bool
) -> NDArray[np.bool_]:
    """With short gaps between stretches closed, or without short stretches.

    Args:
        shown: bool (N,).
        edges_s: float64 (N + 1,), where frames begin, and where the last one ends.
        closing: which of the two.
    """
    wanted = ~shown if closing else shown
    changes = np.flatnonzero(np.diff(np.concatenate(([0], wanted, [0])))).reshape(-1, 2)
    out = shown.copy()
    for first, after in changes.tolist():
        length_s = edges_s[after] - edges_s[first]
        if closing:
            inside = first > 0 and after < shown.size
            if inside and length_s <= STEADY_S + _SLACK_S:
                out[first:after] = True
        elif length_s < STEADY_S - _SLACK_S:
            out[first:after] = False
    return out
