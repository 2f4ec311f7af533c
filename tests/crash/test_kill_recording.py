"""kill -9 while a live source is recorded: the file plays, at most a group of pictures is lost."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.recording import RecordingStage
from app.live import recover
from app.store import Library
from app.video import open_recording, open_video
from tests.crash.conftest import Kill
from tests.helpers.clips import RECIPES, make_clip, number_of

GOP, STEP_PTS = 25, 3600


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds with B-frames."""
    recipe = replace(RECIPES["h264-ts"], frames=300, gop=GOP)
    return make_clip(tmp_path_factory.mktemp("source") / "source.ts", recipe)


@pytest.mark.parametrize(
    "kills", [5, pytest.param(30, marks=[pytest.mark.long, pytest.mark.timeout(1500)])]
)
def test_recording(own_library: Path, source: Path, kill_after: Kill, kills: int) -> None:
    rng = random.Random(kills)
    lost = []
    for n in range(kills):
        said = [
            line.split() for line in kill_after(rng.uniform(0, 0.8), "record", own_library, source)
        ]
        came = max((int(pts) for word, pts in said if word == "came"), default=0)
        with Library.open(own_library, ballast_bytes=0) as library:
            recording = library.recordings()[-1]
            assert recording.stage is RecordingStage.RUNNING
            with open_video(recording.path, trusted=True) as left:
                last = left.pts(len(left) - 1)
                assert number_of(left.frame(0).rgb) == 0
            lost.append(max(0, came - last) / STEP_PTS)
            _check_recovered(library, said)
            assert len(library.cases()) == n + 1
    assert max(lost) <= GOP, lost


def _check_recovered(library: Library, said: list[list[str]]) -> None:
    (found,) = recover(library)
    assert found.was_interrupted
    assert found.sentence.startswith("Recovered 0:00:")
    (asset,) = library.case(found.case_id).assets
    assert asset.path.endswith(".mp4")
    marks = {b.frame.pts for b in library.bookmarks(asset.asset_id)}
    assert {int(pts) for word, pts in said if word == "mark"} <= marks
    timeline = library.human_timeline(asset.asset_id)
    phases = {int(pts) for word, pts in said if word == "phase"}
    assert not phases or timeline is not None
    with open_recording(asset) as source:
        known = [source.pts(i) for i in range(len(source))]
        numbers = [number_of(f.rgb) for f in source.frames()]
        # The last group may lack a B-frame that was to be written next.
        assert numbers[:-3] == list(range(len(numbers) - 3))
        assert numbers == sorted(set(numbers))
    assert marks <= set(known)
    if timeline is not None:
        starts = {s.start_pts for s in timeline.timeline.segments}
        assert {p for p in phases if p < asset.end_pts} <= starts
    assert library.verify().problems == ()
