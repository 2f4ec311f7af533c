"""What a phase model tells of tools is kept with its run, whatever interrupts it, and live."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from app.core.case import Case
from app.core.errors import BadInput
from app.core.prediction import LIVE, PHASES, TOOL_NAMES
from app.inference import AnalysisJob
from app.inference.engines.eager import normalised
from app.inference.live_runs import LiveRuns
from app.inference.phase_pass import PhasePass
from app.inference.phases import PhaseStream
from app.inference.preprocess import resized
from app.store import Library
from app.video import describe_asset, open_video
from models.card import BACKBONE, ModelCard
from tests.helpers.clips import RECIPES, make_clip
from tests.helpers.endonet import TOOLS, save_endonet
from tests.inference.conftest import save_instruments, save_phases
from tests.inference.test_analysis import CPU, After, kill_and_finish
from tests.inference.test_live import Running, shot


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven seconds at 10 frames per second."""
    recipe = replace(RECIPES["h264-mp4"], frames=70, rate=10)
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", recipe)


def pictures(clip: Path) -> list[np.ndarray]:
    """The frame of every second."""
    with open_video(clip) as source:
        return [source.frame_at(float(s)).rgb for s in range(int(source.info.duration_ms / 1000))]


@pytest.fixture(scope="module")
def endonet(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> ModelCard:
    return save_endonet(tmp_path_factory.mktemp("models"), pictures(clip))


@pytest.fixture
def library(own_library: Path) -> Iterator[Library]:
    with Library.open(own_library, ballast_bytes=1 << 16) as opened:
        yield opened


def new_case(library: Library, clip: Path) -> Case:
    asset = describe_asset(clip, uuid.uuid4().hex)
    return library.writer.create_case("Recording", "cholecystectomy", (asset,)).result()


def test_every_second_is_kept_as_the_network_says(
    library: Library, clip: Path, endonet: ModelCard
) -> None:
    case = new_case(library, clip)
    AnalysisJob(library, case, [endonet], device=CPU, threads=1).run()
    store = library.predictions(case.case_id)
    (run,) = store.runs()
    told = store.tools(run.run_id)
    assert (run.tools, told.keys, run.task) == (TOOLS, TOOLS, PHASES)
    assert told.pts.tolist() == [p.pts for p in store.phases(run.run_id)]
    assert told.pts.tolist() == store.features(run.run_id)[0].tolist()
    small = np.stack([resized(p, 32, 32) for p in pictures(clip)])
    images = normalised(torch.from_numpy(small).permute(0, 3, 1, 2).float().contiguous(), endonet)
    with torch.inference_mode():
        expected = models.load_model(endonet).frames(images).tools.sigmoid().numpy()
    assert told.probabilities.dtype == np.float16
    assert told.probabilities == pytest.approx(expected, abs=2e-3)
    assert (expected > 0.5).any(axis=0).all()
    assert (expected < 0.5).any(axis=0).all(), "each comes and goes"


@pytest.mark.parametrize("cut", [1, 4])
def test_a_cancelled_analysis_tells_the_same(
    library: Library, clip: Path, endonet: ModelCard, cut: int
) -> None:
    whole, parts = new_case(library, clip), new_case(library, clip)
    AnalysisJob(library, whole, [endonet], device=CPU, threads=1).run()
    first = AnalysisJob(library, parts, [endonet], device=CPU, threads=1)
    assert first.run(should_cancel=After(cut)).cancelled
    AnalysisJob(library, parts, [endonet], device=CPU, threads=1).run()
    one, other = (library.predictions(c.case_id) for c in (whole, parts))
    (run,), (again,) = one.runs(), other.runs()
    assert np.array_equal(one.tools(run.run_id).pts, other.tools(again.run_id).pts)
    assert np.array_equal(
        one.tools(run.run_id).probabilities, other.tools(again.run_id).probabilities
    )


def test_a_damaged_row_is_computed_again_and_old_runs_have_none(
    library: Library, clip: Path, endonet: ModelCard
) -> None:
    case = new_case(library, clip)
    silent = replace(endonet, tools=())
    AnalysisJob(library, case, [silent], device=CPU, threads=1).run()
    store = library.predictions(case.case_id)
    (old,) = store.runs()
    assert old.tools == ()
    result = AnalysisJob(library, case, [endonet], device=CPU, threads=1).run()
    assert result.models[0].computed == 7, "a run from before tools were kept is another one"
    _, run = store.runs()
    before, at = store.tools(run.run_id), store.phases(run.run_id)[4].pts
    with store._transaction() as conn:
        conn.execute("UPDATE tools SET vector = x'0000' WHERE pts = ?", (at,))
    result = AnalysisJob(library, case, [endonet], device=CPU, threads=1).run()
    assert (result.models[0].computed, result.models[0].resumed) == (1, 6)
    after = store.tools(run.run_id)
    assert np.array_equal(after.probabilities, before.probabilities)
    assert len(store.runs()) == 2


def test_a_card_with_other_tools_than_the_network_has_a_sentence(
    endonet: ModelCard, phases: ModelCard, clip: Path
) -> None:
    for card, count in ((endonet, 3), (phases, 0)):
        other = replace(card, tools=endonet.tools[:2])
        with pytest.raises(BadInput, match=f"names 2 tools, and its network tells of {count}"):
            PhaseStream(other, CPU).step(pictures(clip)[0])


def test_an_encoder_that_names_no_phases_tells_tools_too(
    library: Library, clip: Path, endonet: ModelCard
) -> None:
    """As a released encoder with a head of tools is imported, for others to read its features."""
    case = new_case(library, clip)
    store = library.predictions(case.case_id)
    encoder = replace(endonet, task=BACKBONE, classes=())
    with open_video(clip) as source:
        way = PhasePass(store, case.assets[0], source, encoder)
        way.begin(CPU, 1)
        for index in way.left():
            way.visit(index, source.frame(index))
        way.end()
        way.close()
        (run,) = store.runs()
        told = store.tools(run.run_id)
        assert run.finished
        assert told.pts.tolist() == store.features(run.run_id)[0].tolist()
        assert len(told.pts) == 7
        assert store.phases(run.run_id) == ()
        assert PhasePass(store, case.assets[0], source, encoder).left() == []


def test_live_is_kept_as_it_was_told(library: Library, clip: Path, endonet: ModelCard) -> None:
    case = new_case(library, clip)
    store = library.predictions(case.case_id)
    stream = PhaseStream(endonet, CPU)
    with Running(endonet) as running:
        kept = LiveRuns(store, case.assets[0], running.analysis)
        shots = [shot(i, 0.5 * i) for i in range(10)]
        expected = []
        for picture in shots:
            if picture.number % 2:
                running.analysis.put(picture)  # between two seconds nothing is asked
                continue
            answer = running.look(picture)
            kept.keep(answer.frame, answer.phase, answer.foreseen, answer.tools)
            stream.step(picture.rgb)
            expected.append(stream.tools)
        kept.finish().result(20)
    (run,) = store.runs()
    told = store.tools(run.run_id)
    assert run.settings[LIVE]
    assert run.settings[TOOL_NAMES] == ",".join(TOOLS)
    assert told.pts.tolist() == [s.pts for s in shots[::2]]
    assert np.array_equal(told.probabilities, np.stack(expected))


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_killed_analysis_tells_the_same(own_library: Path, clip: Path) -> None:
    """The two others of the test beside it run along."""
    root = own_library / "models"
    save_instruments(root)
    save_phases(root)
    card = save_endonet(root, pictures(clip))
    kill_and_finish(own_library, clip, 70, [25], "--model", card.name)
    with Library.open(own_library, ballast_bytes=1 << 16) as library:
        case = new_case(library, clip)
        AnalysisJob(library, case, [card], device=CPU, threads=1).run()
        reference, killed = library.predictions(case.case_id), library.predictions("0001")
        (whole,) = reference.runs()
        run = next(r for r in killed.runs() if r.tools)
        assert run.finished
        told, expected = killed.tools(run.run_id), reference.tools(whole.run_id)
        assert np.array_equal(told.pts, expected.pts)
        assert told.probabilities == pytest.approx(expected.probabilities, abs=1e-3)
