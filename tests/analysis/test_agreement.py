"""The model's figures beside a human's phases, by hand and in the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.analysis.agreement import agreement, figures
from app.analysis.report import write_report
from app.core.prediction import PHASES, PhasePrediction
from app.core.timeline import Segment, Timeline
from app.exchange.labels.library import import_cases
from tests.helpers.human_work import asset
from tests.store.conftest import open_small


def line(*spans: tuple[int, int, str], end: int = 51_200) -> Timeline:
    segments = tuple(Segment(start_pts=a, end_pts=b, phase=p) for a, b, p in spans)
    return Timeline(start_pts=0, end_pts=end, segments=segments)


def test_by_hand() -> None:
    """Seconds 0 to 3 of 4: human a a b –, model a b – b."""
    second = 12_800
    human = line((0, 2 * second, "a"), (2 * second, 3 * second, "b"))
    model = line((0, second, "a"), (second, 2 * second, "b"), (3 * second, 4 * second, "b"))
    found = agreement(human, model, asset())
    assert found is not None
    assert found.pooled["accuracy"] == pytest.approx(100 / 3)
    assert found.pooled["jaccard"] == pytest.approx((50 + 0) / 2)
    assert dict(figures(found))["Accuracy"] == "33.3 %"
    assert agreement(line(), model, asset()) is None


def test_it_stands_in_the_report(own_library: Path, tmp_path: Path) -> None:
    file = tmp_path / "video01-phase.txt"
    file.write_text("preparation\n" * 10 + "clippingcutting\n" * 10, encoding="utf-8")
    with open_small(own_library) as library:
        (case,) = import_cases(library, [file]).cases
        (recording,) = case.assets
        store = library.predictions(case.case_id)
        run = store.start_run(
            asset=recording, model="m", task=PHASES, weights_sha256="0" * 64,
            classes=("preparation", "clipping_cutting"), settings={}, sample_every=0,
            frames_expected=20,
        )  # fmt: skip
        store.put_phases(
            run.run_id,
            [PhasePrediction(pts=t, index=t, probabilities=(1.0 - (t >= 15), float(t >= 15)))
             for t in range(20)],
        )  # fmt: skip
        store.finish(run.run_id)
        write_report(library, case.case_id, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The model beside you" in html
    assert "<td>Accuracy</td><td>75.0 %</td>" in html
