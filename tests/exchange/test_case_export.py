"""Exports pair a mask with the picture it was drawn on, or refuse; they are whole or absent."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.analysis.report import write_report
from app.analysis.summary import summarise
from app.core.case import Asset
from app.core.errors import BadInput
from app.core.frame import FrameIdentity
from app.core.prediction import PHASES, PhasePrediction
from app.exchange.case_export import export_coco, export_phases
from app.learning import sets
from app.store import Library
from app.video import describe_asset
from tests.helpers.clips import RECIPES, make_clip
from tests.helpers.human_work import annotation, change, correction


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A clip where the case's recording lies."""
    return make_clip(tmp_path / "recording.mp4", RECIPES["h264-mp4"])


@pytest.fixture
def asset(recording: Path) -> Asset:
    """The recording as it is when the case is made."""
    return describe_asset(recording, "asset-1")


@pytest.fixture
def case_id(own_library: Path, asset: Asset) -> str:
    """A case with one outline on the first frame of its recording."""
    with Library.open(own_library, ballast_bytes=0) as library:
        case = library.writer.create_case("Case", "cholecystectomy", (asset,)).result()
        frame = FrameIdentity(asset_id="asset-1", stream=asset.stream, pts=asset.start_pts)
        drawn = replace(annotation("a"), frame=frame)
        library.writer.commit(correction(case.case_id, "Draw", change(None, drawn))).result()
    return case.case_id


@pytest.mark.parametrize(
    "use",
    [
        lambda library, case_id, out: export_coco(library, case_id, out),
        lambda library, case_id, out: export_phases(library, case_id, out),
        lambda library, case_id, out: sets.freeze(library, [case_id], out),
    ],
    ids=["coco", "phases", "training set"],
)
def test_a_file_that_took_the_recordings_place_is_refused(
    own_library: Path,
    case_id: str,
    asset: Asset,
    recording: Path,
    tmp_path: Path,
    use: Callable[[Library, str, Path], object],
) -> None:
    make_clip(recording, replace(RECIPES["h264-mp4"], gop=7))
    other = describe_asset(recording, "other")
    assert (other.frames, other.start_pts) == (asset.frames, asset.start_pts)
    with Library.open(own_library, "read") as library:
        with pytest.raises(BadInput, match=r"recording\.mp4 is not the recording"):
            use(library, case_id, tmp_path / "out")
        recording.unlink()
        with pytest.raises(BadInput, match="not where it was"):
            use(library, case_id, tmp_path / "out")


def test_a_refused_export_leaves_no_empty_folder(
    own_library: Path, case_id: str, recording: Path, tmp_path: Path
) -> None:
    recording.unlink()
    (tmp_path / "there").mkdir()
    with Library.open(own_library, "read") as library:
        for folder in ("new", "there"):
            with pytest.raises(BadInput):
                export_coco(library, case_id, tmp_path / folder)
    assert [p.name for p in tmp_path.iterdir() if p.is_dir() and not any(p.iterdir())] == ["there"]


def test_a_report_shows_no_picture_of_another_recording(
    own_library: Path, case_id: str, recording: Path, tmp_path: Path
) -> None:
    with Library.open(own_library, "read") as library:
        write_report(library, case_id, tmp_path / "before.html")
        make_clip(recording, replace(RECIPES["h264-mp4"], gop=7))
        write_report(library, case_id, tmp_path / "after.html")
    assert "data:image/jpeg" in (tmp_path / "before.html").read_text()
    assert "data:image/jpeg" not in (tmp_path / "after.html").read_text()


@pytest.mark.parametrize("name", ["annotations.json", "phases.csv"])
def test_an_export_that_cannot_be_finished_leaves_the_former_one(
    own_library: Path, case_id: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = export_coco if name == "annotations.json" else export_phases
    with Library.open(own_library, "read") as library:
        former = export(library, case_id, tmp_path).path.read_bytes()

        def power_is_lost(_temporary: Path, _target: Path) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("app.store.files.replace_file", power_is_lost)
        with pytest.raises(KeyboardInterrupt):
            export(library, case_id, tmp_path)
    assert (tmp_path / name).read_bytes() == former
    if name == "annotations.json":
        assert len(json.loads(former)["annotations"]) == 1


def test_a_run_that_was_stopped_does_not_hide_the_one_before(
    own_library: Path, case_id: str, asset: Asset, tmp_path: Path
) -> None:
    classes = ("preparation", "clipping_cutting")
    with Library.open(own_library, ballast_bytes=0) as library:
        store = library.predictions(case_id)
        for samples, finished in ((asset.frames, True), (0, False)):
            run = store.start_run(
                asset=asset, model="m", task=PHASES, weights_sha256=str(finished), classes=classes,
                settings={}, sample_every=1, frames_expected=asset.frames,
            )  # fmt: skip
            step = (asset.end_pts - asset.start_pts) // asset.frames
            said = [
                PhasePrediction(pts=asset.start_pts + i * step, index=i, probabilities=(0.1, 0.9))
                for i in range(samples)
            ]
            store.put_phases(run.run_id, said)
            if finished:
                store.finish(run.run_id)
        path = export_phases(library, case_id, tmp_path).path
        (summary,) = summarise(library, case_id).assets
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["tier"], r["phase"], r["start_frame"]) for r in rows] == [
        ("m", "clipping_cutting", "0")
    ]
    assert summary.timeline is not None
    assert [s.phase for s in summary.timeline.segments] == ["clipping_cutting"]
