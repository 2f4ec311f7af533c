"""Frozen training sets: read again as they were, gone with a deleted case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.core.errors import BadInput
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.learning import sets
from app.learning.endonet import FEATURES
from app.learning.finetune_labels import keep_labels, with_kept_labels
from app.learning.recorded import Recorded
from app.store import Library
from app.video import describe_asset
from tests.helpers.clips import RECIPES, make_clip
from tests.helpers.human_work import annotation, change, correction


def _make_case(library: Library, folder: Path, name: str) -> str:
    recording = make_clip(folder / f"{name}.mp4", RECIPES["h264-mp4"])
    asset = describe_asset(recording, name)
    case = library.writer.create_case(name, "cholecystectomy", (asset,)).result()
    frame = FrameIdentity(asset_id=name, stream=asset.stream, pts=asset.start_pts)
    plane = np.zeros((asset.height_px, asset.width_px), bool)
    plane[20:60, 30:90] = True
    drawn = replace(annotation(name, asset_id=name), frame=frame, mask=Mask.from_full(plane))
    library.writer.commit(correction(case.case_id, "Draw", change(None, drawn))).result()
    return case.case_id


def test_a_deleted_case_leaves_nothing_in_runs_that_wait(own_library: Path) -> None:
    """Neither the labels that a fine-tune of phases began with, nor features of its frames."""
    with Library.open(own_library, ballast_bytes=0) as library:
        cases = [library.writer.create_case(n, "unknown", ()).result().case_id for n in "ab"]
        gone, kept = (_operation(case) for case in cases)
        for run, some in {"both": [kept, gone], "other": [kept]}.items():
            keep_labels(some, library.runs_folder / run / "set")
            (library.runs_folder / run / FEATURES).mkdir()
            for one in some:
                np.save(library.runs_folder / run / FEATURES / f"{one.name}.npy", one.features)

        library.writer.delete_case(cases[0]).result()

        assert list(library.runs_folder.rglob(f"*{gone.group}*")) == []
        assert not (library.runs_folder / "both" / "set").exists()
        (goes_on,) = with_kept_labels([gone, kept], library.runs_folder / "other" / "set")
        assert (goes_on.name, goes_on.labels.tolist()) == (kept.name, [0, 1])
        assert len(list(library.runs_folder.rglob(f"{FEATURES}/{kept.name}.npy"))) == 2


def _operation(case: str) -> Recorded:
    return Recorded(
        name=f"case-{case}-asset",
        group=f"case-{case}",
        features=np.zeros((2, 3), np.float16),
        labels=np.array([0, 1]),
        probabilities=np.zeros((2, 0), np.float32),
    )


def test_a_deleted_case_leaves_no_picture_in_a_training_set(
    own_library: Path, tmp_path: Path
) -> None:
    with Library.open(own_library, ballast_bytes=0) as library:
        gone, kept = (_make_case(library, tmp_path, name) for name in ("gone", "kept"))
        for run, cases in {"both": [kept, gone], "other": [kept]}.items():
            sets.freeze(library, cases, library.runs_folder / run / "set")
        assert len(list(library.runs_folder.rglob(f"{gone}_*.png"))) == 1

        library.writer.delete_case(gone).result()

        assert list(library.runs_folder.rglob(f"{gone}_*")) == []
        assert not (library.runs_folder / "both" / "set").exists()
        other = sets.read(library.runs_folder / "other" / "set")
        assert [p.group for p in (*other.learn, *other.held_out)] == [kept]
        with pytest.raises(BadInput, match=f"no case {gone}"):
            sets.freeze(library, [gone], library.runs_folder / "both" / "set")
