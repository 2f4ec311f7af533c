"""Phase CSV: seconds, exact pts and frames; no formula reaches a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

from app.core.taxonomy import find_taxonomy
from app.core.timeline import Timeline
from app.exchange import phase_csv
from tests.helpers.human_work import FRAMES, STEP, asset


def test_rows(tmp_path: Path) -> None:
    timeline = Timeline(start_pts=0, end_pts=FRAMES * STEP)
    timeline = timeline.painted(0, 25 * STEP, "preparation")
    timeline = timeline.painted(25 * STEP, FRAMES * STEP, "=evil")
    path = tmp_path / "phases.csv"
    tier = phase_csv.Tier(
        name="human", asset=asset(), timeline=timeline, index_of=lambda pts: pts // STEP
    )
    phase_csv.write(path, [tier], find_taxonomy("cholecystectomy"))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == phase_csv.COLUMNS
    first, second = rows
    assert (first["start_s"], first["end_s"]) == ("0.000", "1.000")
    assert (first["phase"], first["name"]) == ("preparation", "Preparation")
    assert (second["start_frame"], second["end_frame"]) == ("25", str(FRAMES))
    assert second["phase"] == "'=evil"
