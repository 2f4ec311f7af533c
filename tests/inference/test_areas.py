"""Activities and areas: one look at a frame gives both, and an analysis stores each once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import models
from app.core.case import Case
from app.core.timeline import timeline_from_phases
from app.inference import AnalysisJob, find_model
from app.inference.areas import SceneReader
from app.inference.cards import default_models
from app.inference.device import DeviceChoice
from app.inference.trial import trial_ms
from app.store import Library
from app.video import describe_asset
from models.card import ModelCard, ModelClass
from models.types import ActivityOutput
from tests.helpers.clips import RECIPES, make_clip

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)
FRAMES, RATE = 40, 10
CLASSES = ("background", "tool", "bag")
ACTIVITIES = ("looking", "working")
OPTIONS = {
    "backbone": "",
    "width": 32,
    "depth": 1,
    "heads": 2,
    "image_size": 56,
    "num_classes": 3,
    "num_activities": 2,
    "spatial_width": 4,
    "decoder_width": 16,
    "rates": [1],
}


def save_scenes(root: Path) -> ModelCard:
    """A small EndoARSS that marks something in every picture."""
    torch.manual_seed(4)
    network = models.create_model("endoarss", **OPTIONS)
    card = ModelCard(
        name="scenes",
        title="Scenes",
        system="endoarss",
        options=OPTIONS,
        task="activity-and-segmentation",
        classes=tuple(ModelClass(key=k, name=k) for k in CLASSES),
        activities=tuple(ModelClass(key=k, name=k) for k in ACTIVITIES),
        input_size_px=(112, 56),
        mean_rgb=(0.485, 0.456, 0.406),
        std_rgb=(0.229, 0.224, 0.225),
    )
    return models.save_model(network, card, root)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds."""
    recipe = replace(RECIPES["h264-mp4"], frames=FRAMES, rate=RATE)
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", recipe)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    save_scenes(tmp_path / "library" / "models")
    with Library.open(tmp_path / "library", ballast_bytes=0) as opened:
        yield opened


def new_case(library: Library, clip: Path) -> Case:
    asset = describe_asset(clip, uuid.uuid4().hex)
    return library.writer.create_case("Recording", "unknown", (asset,)).result()


def job(library: Library, case: Case, **options: int) -> AnalysisJob:
    card = find_model("scenes", library.folder)
    return AnalysisJob(library, case, [card], device=CPU, threads=1, **options)


class Known(nn.Module):
    """Answers with given areas on the grid, whatever it is shown."""

    def __init__(self, areas: Tensor) -> None:
        super().__init__()
        self.areas = areas

    def forward(self, x: Tensor) -> ActivityOutput:
        assert x.shape == (1, 3, 56, 112)
        return ActivityOutput(activities=torch.tensor([[0.0, 2.0]]), areas=self.areas)


def test_areas_lie_where_the_network_says(tmp_path: Path) -> None:
    reader = SceneReader(save_scenes(tmp_path), CPU, threads=1)
    areas = torch.zeros(1, 3, 4, 8)
    areas[0, 1, :, :4] = 4.0
    areas[0, 2, 2:, 4:] = 3.0
    reader._placed.network = Known(areas)
    scene = reader.read(np.zeros((240, 640, 3), np.uint8))
    assert scene.activities == pytest.approx([0.1192, 0.8808], abs=1e-4)
    assert [(a.label, a.track) for a in scene.areas] == [("tool", 1), ("bag", 2)]
    tool, bag = (a.mask.full() for a in scene.areas)
    assert tool.shape == (240, 640)
    assert not (tool & bag).any()
    # The outer patches lie on the frame's edges: 4 and 5 of 8 columns at 274 and 365 px.
    assert tool[:, :270].all()
    assert not tool[:, 375:].any()
    assert bag[180:, 400:].all()
    assert not bag[:75].any()
    assert scene.areas[0].score > 0.9
    # What covers less of the frame than the least share is not told.
    areas[0, 2] = 0.0
    areas[0, 2, 3, 7] = 0.052
    areas[0, 0] = 0.05
    assert [a.label for a in reader.read(np.zeros((240, 640, 3), np.uint8)).areas] == ["tool"]


def test_a_device_that_fails_is_left_for_the_processor(tmp_path: Path) -> None:
    card = save_scenes(tmp_path)
    # torch's "meta" device accepts networks and fails on every real computation.
    broken = DeviceChoice(device="meta", name="Broken card", reason="chosen", memory_mb=1)
    reader = SceneReader(card, broken, threads=1)
    rgb = np.random.default_rng(2).integers(0, 255, (60, 120, 3), np.uint8)
    scene, expected = reader.read(rgb), SceneReader(card, CPU, threads=1).read(rgb)
    assert reader.device.is_cpu
    assert "Broken card stopped working" in reader.device.reason
    alone = reader.read(rgb, activity=False)
    assert alone.activities.size == 0
    assert [(a.label, a.mask.full().sum()) for a in alone.areas] == [
        (a.label, a.mask.full().sum()) for a in expected.areas
    ]
    assert scene.activities == pytest.approx(expected.activities)
    assert [a.mask for a in scene.areas] == [a.mask for a in expected.areas]


def test_one_pass_stores_areas_and_activities_once(library: Library, clip: Path) -> None:
    case = new_case(library, clip)
    asked = iter(range(10_000))
    stopped = job(library, case).run(should_cancel=lambda: next(asked) >= 15)
    assert stopped.cancelled
    (first,) = stopped.models
    assert 0 < first.computed < FRAMES
    result = job(library, case).run()
    (said,) = result.models
    assert (said.frames, said.computed, said.resumed) == (
        FRAMES,
        FRAMES - first.computed,
        first.computed,
    )
    store = library.predictions(case.case_id)
    (run,) = store.runs(case.assets[0].asset_id)
    assert run.finished
    assert (run.classes, run.activities) == (CLASSES, ACTIVITIES)
    frames = store.frames(run.run_id, -(2**62), 2**62)
    assert [f.index for f in frames] == list(range(FRAMES))
    assert {i.label for f in frames for i in f.instances} <= set(CLASSES[1:])
    phases = store.phases(run.run_id)
    assert [p.index for p in phases] == [0, 10, 20, 30]
    assert all(sum(p.probabilities) == pytest.approx(1) for p in phases)
    asset = case.assets[0]
    timeline = timeline_from_phases(
        phases, run.activities, asset.start_pts, asset.end_pts, min_samples=1
    )
    assert {s.phase for s in timeline.segments} <= set(ACTIVITIES)
    assert timeline.segments
    (again,) = job(library, case).run().models
    assert (again.computed, again.resumed) == (0, FRAMES)


def test_every_third_frame_and_a_frame_whose_activity_was_lost(
    library: Library, clip: Path
) -> None:
    case = new_case(library, clip)
    (said,) = job(library, case, every=3).run().models
    assert said.computed == 14
    store = library.predictions(case.case_id)
    (run,) = store.runs(case.assets[0].asset_id)
    assert [p.index for p in store.phases(run.run_id)] == [0, 12, 21, 30]
    with store._transaction() as connection:
        connection.execute("DELETE FROM phases WHERE frame_index = 12")
    (again,) = job(library, case, every=3).run().models
    assert (again.computed, again.resumed) == (1, 13)
    assert [p.index for p in store.phases(run.run_id)] == [0, 12, 21, 30]


def test_it_runs_here(tmp_path: Path) -> None:
    ms, device = trial_ms(save_scenes(tmp_path), CPU)
    assert ms > 0
    assert device == CPU


def test_the_demo_finds_what_it_was_taught() -> None:
    """Far from well (its card says how far), yet not by chance: on operations it has not seen."""
    from app.learning.measure_scenes import SceneTask, measured, phantom_scenes

    card = models.find_card("endoarss-demo")
    task = SceneTask.of_card(card)
    scenes = [s for n, s in enumerate(phantom_scenes(task, 1)) if n % 4 == 0]
    figures = measured(models.load_model(card), task, scenes).figures()
    assert figures["instrument_iou"] > 0.15
    assert figures["activity_accuracy"] > 0.3
    assert card.demo
    assert card not in default_models(Path("nowhere"), "cholecystectomy")
