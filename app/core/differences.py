"""Where timelines of one recording name different phases: what a human is to look at. Any thread.

The human's word is compared with the model's. Where no human named anything, what a model said as
it went is compared with what another said once it knew the whole recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from app.core.timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A stretch [start_pts, end_pts) over which two name one phase each, and not the same.

    Attributes:
        one: the human's phase, else that of the model's tier.
        other: the model's phase, else that of the tier beside it.
        is_human: whether a human's word is one of the two.
        is_imported: whether that word came with label files.
        one_came_after: of two models, whether ``one`` or the other named phases afterwards.
    """

    start_pts: int
    end_pts: int
    one: str
    other: str
    is_human: bool
    is_imported: bool = False
    one_came_after: bool = True


def differences(
    human: Timeline | None,
    model: Timeline | None,
    beside: Timeline | None = None,
    *,
    imported: bool = False,
    model_came_after: bool = True,
) -> tuple[Difference, ...]:
    """All of them in order of time; two that touch differ in what is named.

    Args:
        human: the human tier.
        model: the newest model's.
        beside: another model's, looked at where the human named nothing.
        imported: the human tier came with label files.
        model_came_after: ``model`` named phases afterwards and ``beside`` as it went, or the other
            way round.
    """
    out: list[Difference] = []
    for start, end, (said, newest, older) in _swept(human, model, beside):
        is_human = said is not None
        one, other = (said, newest) if is_human else (newest, older)
        if one is None or other is None or one == other:
            continue
        found = Difference(
            start_pts=start,
            end_pts=end,
            one=one,
            other=other,
            is_human=is_human,
            is_imported=is_human and imported,
            one_came_after=model_came_after,
        )
        touches = bool(out) and out[-1].end_pts == start
        if touches and replace(out[-1], start_pts=start, end_pts=end) == found:
            out[-1] = replace(out[-1], end_pts=end)
        else:
            out.append(found)
    return tuple(out)


def _swept(
    *lines: Timeline | None,
) -> Iterator[tuple[int, int, tuple[str | None, ...]]]:
    """Stretches between all boundaries, with what each line names there."""
    segments = [line.segments if line is not None else () for line in lines]
    cuts = sorted({p for some in segments for s in some for p in (s.start_pts, s.end_pts)})
    at = [0] * len(lines)
    for start, end in pairwise(cuts):
        named: list[str | None] = []
        for i, some in enumerate(segments):
            while at[i] < len(some) and some[at[i]].end_pts <= start:
                at[i] += 1
            here = at[i] < len(some) and some[at[i]].start_pts <= start
            named.append(some[at[i]].phase if here else None)
        yield start, end, tuple(named)
