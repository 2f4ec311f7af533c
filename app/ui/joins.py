"""Where the parts of a split recording meet, and which of them are missing, in words. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from app.core.case import Asset
from app.ui.words import length


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A join, or a part that is missing.

    Attributes:
        pts: where the part begins, in the asset.
        end_pts: where it ends.
        words: what to say of it.
        gap_ms: lost before it; negative: recorded twice; 0: nothing known.
        is_gone: its file is not there.
    """

    pts: int
    end_pts: int
    words: str
    gap_ms: float
    is_gone: bool


def joins_of(asset: Asset | None, gone: frozenset[int]) -> tuple[Join, ...]:
    """The joins of a recording, and the parts of it that are missing."""
    if asset is None:
        return ()
    out = []
    for at, part in enumerate(asset.parts):
        if at == 0 and at not in gone:
            continue
        name = Path(part.path).name
        lost = "is missing" if at in gone else gap_words(part.gap_ms)
        out.append(
            Join(
                pts=part.first_pts,
                end_pts=part.end_pts,
                words=f"Part {at + 1}, {name}" + (f": {lost}" if lost else ""),
                gap_ms=part.gap_ms or 0.0,
                is_gone=at in gone,
            )
        )
    return tuple(out)


def join_near(
    joins: Iterable[Join], x: float, place: Callable[[int], float], reach: float = 5.0
) -> Join | None:
    """The join under the pointer, or the missing part there."""
    near = [j for j in joins if abs(place(j.pts) - x) <= reach]
    over = [j for j in joins if j.is_gone and place(j.pts) <= x < place(j.end_pts)]
    return next(iter([*near, *over]), None)


def gap_words(gap_ms: float | None) -> str:
    """What is lost or doubled before a part, in words; "" for nothing."""
    if not gap_ms:
        return ""
    seconds = abs(gap_ms) / 1000
    span = f"{seconds:.1f} s" if seconds < 10 else length(seconds)
    return f"{span} lost before it" if gap_ms > 0 else f"{span} recorded twice"
