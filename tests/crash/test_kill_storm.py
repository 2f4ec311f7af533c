"""kill -9 during a storm of corrections: what was acknowledged is there, the chain is whole."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from app.store import Library
from tests.crash.conftest import Kill
from tests.helpers.human_work import STEP, asset, mask
from tests.helpers.human_work import annotation as drawn

KILLS = [12, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(1500)])]


@pytest.mark.parametrize("kills", KILLS)
def test_no_acknowledged_correction_is_lost(
    own_library: Path, kill_after: Kill, kills: int
) -> None:
    rng = random.Random(kills)
    acknowledged_in_all = 0
    known: set[int] = set()
    for _ in range(kills):
        acknowledged = {int(line) for line in kill_after(rng.uniform(0, 0.8), "storm", own_library)}
        acknowledged_in_all += len(acknowledged)
        known |= acknowledged
        with Library.open(own_library, ballast_bytes=0) as library:
            assert library.problems == ()
            stored = {entry.seq for entry in library.corrections("0001")}
            assert stored >= known
            report = library.verify()
            assert report.problems == ()
            for found in library.annotations("asset-1"):
                seed = int(found.annotation_id[1:].split("-")[0])
                assert found == drawn(found.annotation_id, seed)
    assert acknowledged_in_all >= kills


@pytest.mark.parametrize(
    "kills", [6, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(1500)])]
)
def test_predictions_resume_at_the_last_stored_frame(
    own_library: Path, kill_after: Kill, kills: int
) -> None:
    rng = random.Random(kills)
    acknowledged: set[int] = set()
    for _ in range(kills):
        said = {int(line) for line in kill_after(rng.uniform(0, 0.3), "predict", own_library)}
        assert not said & acknowledged, "a frame was computed twice"
        acknowledged |= said
        with Library.open(own_library, ballast_bytes=0) as library:
            store = library.predictions("0001")
            (run,) = store.runs()
            stored = {p // STEP for p in store.stored_pts(run.run_id, verify=True).tolist()}
            assert stored >= acknowledged
            assert store.verify()[1] == []
            acknowledged = stored
            for frame in store.frames(run.run_id, 0, 20 * STEP):
                assert frame.instances[0].mask == mask(frame.index)
            counted = store.presence(run.run_id)
            assert int(counted.looked_at.sum()) == len(stored)
    assert len(acknowledged) >= kills


def test_a_kill_while_the_first_library_is_made(own_library: Path, kill_after: Kill) -> None:
    """Whatever the first opening left behind, the second one finds or makes a library."""
    for _ in range(4):
        shutil.rmtree(own_library, ignore_errors=True)
        kill_after(0, "storm", own_library)
        with Library.open(own_library, ballast_bytes=0) as library:
            assert library.verify().problems == ()
            assert library.problems == ()
            if not library.cases():
                library.writer.create_case("Case", "x", (asset(),)).result()
