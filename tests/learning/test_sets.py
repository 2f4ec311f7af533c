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
