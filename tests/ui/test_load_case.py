"""What the models said is read once where it is whole, and again where it may have grown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.core.prediction import FEATURES_OF, LIVE, PHASES, PhasePrediction
from app.core.taxonomy import find_taxonomy
from app.store import PredictionStore
from app.ui.load_case import Readings, load_predictions
from app.ui.timeline.lanes import LIVE_TIER
from app.ui.timeline.speech import difference_lines
from tests.helpers.human_work import STEP, asset
from tests.store.conftest import open_small


def test_a_whole_run_is_read_once_and_one_under_way_each_time(
    own_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    plain = PredictionStore.phases

    def counted(store: PredictionStore, run_id: int) -> tuple[PhasePrediction, ...]:
        reads.append(run_id)
        return plain(store, run_id)

    monkeypatch.setattr(PredictionStore, "phases", counted)
    with open_small(own_library) as library:
        case = library.writer.create_case("One", "cholecystectomy", (asset(),)).result()
        (own,) = case.assets
        store = library.predictions(case.case_id)

        def begin(model: str, **settings: str) -> int:
            return store.start_run(
                asset=own, model=model, task=PHASES, weights_sha256="", classes=("a", "b"),
                settings=dict(settings), sample_every=1, frames_expected=100,
            ).run_id  # fmt: skip

        def say(run_id: int, first: int, last: int, share: float) -> None:
            said = [
                PhasePrediction(pts=i * STEP, index=i, probabilities=(share, 1 - share))
                for i in range(first, last)
            ]
            store.put_phases(run_id, said)

        whole, growing = begin("live"), begin("after", **{FEATURES_OF: "live"})
        say(whole, 0, 100, 0.9)
        store.finish(whole)
        say(growing, 0, 50, 0.1)
        known = Readings()
        _, first = load_predictions(library, case.case_id, own, {PHASES: "after"}, known)
        assert first is not None
        assert first.beside is not None
        assert (first.run.run_id, first.beside.run.run_id) == (growing, whole)
        assert [d.end_pts for d in first.differences] == [50 * STEP]
        say(growing, 50, 60, 0.1)
        reads.clear()
        _, second = load_predictions(library, case.case_id, own, {PHASES: "after"}, known)
        assert reads == [growing]
        assert second is not None
        assert second.beside is first.beside
        assert [d.end_pts for d in second.differences] == [60 * STEP]
        longer = replace(own, end_pts=own.end_pts + STEP, frames=own.frames + 1)
        reads.clear()
        load_predictions(library, case.case_id, longer, {PHASES: "after"}, known)
        assert sorted(reads) == [whole, growing], "a longer recording is read anew"


def test_what_was_said_live_stands_beside_a_later_analysis(own_library: Path) -> None:
    with open_small(own_library) as library:
        case = library.writer.create_case("One", "cholecystectomy", (asset(),)).result()
        (own,) = case.assets
        store = library.predictions(case.case_id)
        runs = []
        for settings, share in (({LIVE: True}, 0.9), ({}, 0.1)):
            run = store.start_run(
                asset=own, model="m", task=PHASES, weights_sha256="", classes=("a", "b"),
                settings=dict(settings), sample_every=1, frames_expected=100,
            )  # fmt: skip
            said = [
                PhasePrediction(pts=i * STEP, index=i, probabilities=(share, 1 - share))
                for i in range(100)
            ]
            store.put_phases(run.run_id, said)
            store.finish(run.run_id)
            runs.append(run.run_id)
        _, tier = load_predictions(library, case.case_id, own, {PHASES: "m"})
        assert tier is not None
        assert tier.run is not None
        assert tier.beside is not None
        assert [tier.beside.run.run_id, tier.run.run_id] == runs
        assert LIVE_TIER in [lane.name for lane in tier.lanes]
        (apart,) = tier.differences
        assert tier.came_after
        said = difference_lines(apart, find_taxonomy("cholecystectomy"), own.time_ms)[0]
        assert said == "Afterwards the model says B, live A"
