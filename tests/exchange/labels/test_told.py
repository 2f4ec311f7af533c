"""Stored answers about tools beside labels: slow recordings, several models, several recordings."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from app.cli.library_cases import tool_rows
from app.core.case import Asset, Case
from app.core.prediction import PHASES, TOOL_NAMES, PhasePrediction
from app.exchange.labels.library import import_onto
from app.exchange.labels.told import export_told, stored_tools
from app.inference.passes import phase_grid
from app.store import Library
from app.ui.load_case import load_case
from app.video import describe_asset, open_video
from app.video.encode import write_video
from tests.helpers.coloured_cases import colour_case, has_tool, label_files

PICTURE = np.full((48, 64, 3), 90, np.uint8)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", ballast_bytes=1 << 16) as opened:
        yield opened


def recorded(path: Path, frames: int, fps: Fraction) -> Asset:
    write_video(path, (PICTURE for _ in range(frames)), fps=fps, gop=4)
    return describe_asset(path, path.stem)


def tell(
    library: Library, case: Case, asset: Asset, likely: np.ndarray, model: str = "eye"
) -> None:
    """A model told of the grasper, float (T,), at each second of a recording."""
    with open_video(Path(asset.path)) as source:
        grid = phase_grid(source, 1.0)[0]
        pts = [source.pts(i) for i in grid]
    store = library.predictions(case.case_id)
    run = store.start_run(
        asset=asset,
        model=model,
        task=PHASES,
        weights_sha256="a" * 64,
        classes=("preparation",),
        settings={TOOL_NAMES: "grasper", "frames_per_second": 1.0},
        sample_every=0,
        frames_expected=len(pts),
    )
    rows = [(p, np.array([v], np.float16)) for p, v in zip(pts, likely, strict=True)]
    store.put_tools(run.run_id, rows)
    store.put_phases(
        run.run_id,
        [
            PhasePrediction(pts=p, index=i, probabilities=(1.0,))
            for i, p in zip(grid, pts, strict=True)
        ],
    )
    store.finish(run.run_id)


@pytest.mark.parametrize(("rate", "seconds"), [(Fraction(1, 2), 24), (Fraction(4, 5), 15)])
def test_a_recording_of_less_than_a_frame_a_second(
    library: Library, tmp_path: Path, rate: Fraction, seconds: int
) -> None:
    asset = recorded(tmp_path / "slow.mp4", 12, rate)
    case = library.writer.create_case("Slow", "unknown", (asset,)).result()
    import_onto(library, case.case_id, label_files(tmp_path / "l", 1, np.zeros(seconds, np.int64)))
    looked_at = np.ceil(np.arange(12) / float(rate))  # the first second that shows each frame
    there = np.array([has_tool(int(s)) for s in looked_at])
    tell(library, library.case(case.case_id), asset, np.where(there, 0.75, 0.25))
    assert export_told(library, case.case_id, tmp_path / "out").counts["seconds"] == seconds
    rows = (tmp_path / "out" / "video01-tool.txt").read_text().splitlines()[1:]
    shown = [there[int(second * rate)] for second in range(seconds)]
    assert [row.split("\t")[1] for row in rows] == ["0.75" if on else "0.25" for on in shown]
    (truth,) = stored_tools(library, (case.case_id,)).truth
    assert truth[:, 0].tolist() == there.tolist()


def test_labels_speak_of_the_recording_that_they_were_laid_on(
    library: Library, tmp_path: Path
) -> None:
    first, second = (recorded(tmp_path / f"{n}.mp4", 36, Fraction(1)) for n in ("one", "two"))
    case = library.writer.create_case("Two files", "unknown", (first, second)).result()
    import_onto(library, case.case_id, label_files(tmp_path / "l", 1, np.repeat([0, 1], 18)))
    assert tool_rows(library, case, first) is not None
    assert tool_rows(library, case, second) is None
    shown = load_case(library, case.case_id, {})
    assert shown.imported
    assert [lane.name for lane in shown.label_lanes] == ["Grasper"]
    other = load_case(library, case.case_id, {}, "two")
    assert not other.imported
    assert other.label_lanes == ()


def test_of_several_models_the_one_that_told_of_most_cases_is_scored(
    library: Library, tmp_path: Path
) -> None:
    cases = [colour_case(library, tmp_path / str(n), n) for n in (1, 2, 3)]
    for case, model in zip(cases, ("other", "eye", "eye"), strict=True):
        tell(library, case, case.assets[0], np.full(36, 0.5), model)
    found = stored_tools(library)
    assert found.names == (cases[1].case_id, cases[2].case_id)
    assert f"Case {cases[0].case_id} is left out: other told of it" in found.notes[1]
