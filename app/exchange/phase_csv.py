"""Phase segments as CSV: one row per segment, seconds first, exact pts and frames beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.core.case import Asset
from app.core.taxonomy import Taxonomy
from app.core.timeline import Timeline
from app.store import files

COLUMNS = (
    "start_s",
    "end_s",
    "phase",
    "name",
    "tier",
    "start_frame",
    "end_frame",
    "start_pts",
    "end_pts",
    "asset",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One timeline of an asset: ``human`` or the model's name."""

    name: str
    asset: Asset
    timeline: Timeline
    index_of: Callable[[int], int]


def write(path: Path, tiers: Sequence[Tier], taxonomy: Taxonomy) -> None:
    """Write all tiers, one after the other. ``end_*`` is the first frame after the segment."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for tier in tiers:
        for s in tier.timeline.segments:
            rows.writerow(
                (
                    f"{tier.asset.time_ms(s.start_pts) / 1000:.3f}",
                    f"{tier.asset.time_ms(s.end_pts) / 1000:.3f}",
                    _cell(s.phase),
                    _cell(taxonomy.phase_name(s.phase)),
                    _cell(tier.name),
                    tier.index_of(s.start_pts),
                    tier.index_of(s.end_pts),
                    s.start_pts,
                    s.end_pts,
                    tier.asset.asset_id,
                )
            )
    files.write_file(path, text.getvalue().encode())


def _cell(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text
