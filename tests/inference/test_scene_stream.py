"""EndoMamba's heads of areas and of clips along a recording: with the frames before in mind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import models
from app.core.case import Case
from app.core.errors import BadInput
from app.core.prediction import ACTIVITIES, FramePrediction
from app.inference import AnalysisJob, find_model
from app.inference.areas import SceneStream
from app.inference.device import DeviceChoice
from app.inference.foreign_cards import endomamba_card
from app.inference.preprocess import resized
from app.inference.trial import trial_ms
from app.store import Library
from app.ui.load_case import Readings, load_scenes
from app.video import describe_asset, open_video
from models.card import ModelCard
from models.endomamba.convert import convert
from tests.helpers.clips import RECIPES, make_clip

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)
FRAMES, RATE = 40, 10
SIDE_PX = 32
SMALL = {"width": 16, "depth": 4, "image_size": SIDE_PX}
NAMES = ("Nothing", "Polyp", "Bubbles")


def save_stream(root: Path, head: str, name: str = "stream") -> ModelCard:
    """A model as an import makes it of a released file; its answers change with the picture."""
    torch.manual_seed(4)
    network = models.create_model("endomamba", head=head, num_classes=3, **SMALL)
    with torch.no_grad():
        last = network.head if head == "classification" else network.segmentation_head[0]
        for layer in getattr(network, "encoder", network).layers:
            layer.mixer.dt_proj.bias.add_(4)
            layer.mixer.out_proj.weight.mul_(20)
        # Every class leads somewhere.
        said = network.eval()(torch.randn(1, 3, 4, SIDE_PX, SIDE_PX))[0].transpose(0, 1).flatten(1)
        by = 3 / said.std(1).mean()
        last.weight.mul_(by)
        last.bias.copy_(by * (last.bias - said.mean(1)))
    weights: dict[str, object] = dict(network.state_dict())
    if head == "classification":
        weights = {"backbone_state_dict": {f"module.{n}": v for n, v in weights.items()}}
    options, loaded, report = convert(weights, keep_head=True)
    card = endomamba_card(name, options, report, "unknown", NAMES)
    return models.save_model(loaded, card, root)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds."""
    recipe = replace(RECIPES["h264-mp4"], frames=FRAMES, rate=RATE)
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", recipe)


@pytest.fixture(scope="module")
def pictures(clip: Path) -> list[NDArray[np.uint8]]:
    with open_video(clip) as source:
        return [source.frame(i).rgb for i in range(FRAMES)]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", ballast_bytes=0) as opened:
        yield opened


def new_case(library: Library, clip: Path) -> Case:
    asset = describe_asset(clip, uuid.uuid4().hex)
    return library.writer.create_case("Recording", "unknown", (asset,)).result()


def job(library: Library, case: Case, every: int = 1) -> AnalysisJob:
    card = find_model("stream", library.folder)
    return AnalysisJob(library, case, [card], device=CPU, threads=1, every=every)


def inputs(card: ModelCard, pictures: list[NDArray[np.uint8]], *, stretch: bool) -> torch.Tensor:
    """A clip (1, 3, T, H, W), by hand."""
    small = torch.from_numpy(np.stack([resized(p, SIDE_PX, SIDE_PX) for p in pictures])).float()
    if stretch:
        low, high = small.amin((1, 2, 3), keepdim=True), small.amax((1, 2, 3), keepdim=True)
        small = 255 * (small - low) / (high - low)
    mean, std = torch.tensor(card.mean_rgb), torch.tensor(card.std_rgb)
    return ((small / 255 - mean) / std).permute(3, 0, 1, 2)[None]


def same_areas(stored: FramePrediction, areas: tuple) -> bool:
    return [(a.label, a.mask) for a in stored.instances] == [(a.label, a.mask) for a in areas]


def test_areas_rest_on_the_frames_before_and_are_stored_once(
    library: Library, clip: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    card = save_stream(library.folder / "models", "segmentation")
    assert (card.class_keys, card.activities, card.task) == (
        ("nothing", "polyp", "bubbles"), (), ACTIVITIES,
    )  # fmt: skip
    case = new_case(library, clip)
    asked = iter(range(10_000))
    assert job(library, case).run(should_cancel=lambda: next(asked) >= 15).cancelled
    (said,) = job(library, case).run().models
    assert said.computed + said.resumed == FRAMES
    assert 0 < said.resumed < FRAMES
    assert said.replayed == 0
    store = library.predictions(case.case_id)
    (run,) = store.runs(case.assets[0].asset_id)
    assert run.finished
    frames = store.frames(run.run_id, -(2**62), 2**62)
    assert [f.index for f in frames] == list(range(FRAMES))

    stream = SceneStream(card, CPU)
    scenes = [stream.read(p) for p in pictures]
    assert all(same_areas(f, s.areas) for f, s in zip(frames, scenes, strict=True))
    assert len({a.label for s in scenes for a in s.areas}) > 0
    network = models.load_model(card)
    with torch.inference_mode():
        logits = network(inputs(card, pictures, stretch=True))[0]
    stream.reset()
    for picture, expected in zip(pictures[:3], logits, strict=False):
        _, areas = stream._forward(resized(picture, SIDE_PX, SIDE_PX), CPU, activity=True)
        assert areas == pytest.approx(expected.softmax(0).numpy(), abs=1e-3)
    # Alone, without the frames before, a frame is told otherwise.
    stream.reset()
    _, alone = stream._forward(resized(pictures[30], SIDE_PX, SIDE_PX), CPU, activity=True)
    assert np.abs(alone - logits[30].softmax(0).numpy()).max() > 0.004

    (again,) = job(library, case).run().models
    assert (again.computed, again.resumed) == (0, FRAMES)
    run_shown, activity = load_scenes(store, case.assets[0], {ACTIVITIES: "stream"}, Readings())
    assert (run_shown, activity) == (run, None)


def test_a_damaged_state_is_computed_anew(library: Library, clip: Path) -> None:
    save_stream(library.folder / "models", "segmentation")
    case = new_case(library, clip)
    asked = iter(range(10_000))
    job(library, case, every=4).run(should_cancel=lambda: next(asked) >= 6)
    store = library.predictions(case.case_id)
    at_pts, _ = store.state_before(1, 2**62) or (0, b"")
    store.put_state(1, at_pts, b"of another version")
    (said,) = job(library, case, every=4).run().models
    assert said.computed + said.resumed == said.frames == FRAMES // 4
    assert said.replayed == said.resumed  # from the beginning
    assert len(store.frames(1, -(2**62), 2**62)) == FRAMES // 4


def test_a_head_of_clips_tells_an_activity_each_second(
    library: Library, clip: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    card = save_stream(library.folder / "models", "classification")
    assert (card.classes, card.activity_keys) == ((), ("nothing", "polyp", "bubbles"))
    case = new_case(library, clip)
    (said,) = job(library, case).run().models
    assert (said.frames, said.computed) == (4, 4)
    store = library.predictions(case.case_id)
    (run,) = store.runs()
    assert run.activities == card.activity_keys
    found = store.phases(run.run_id)
    assert [p.index for p in found] == [0, 10, 20, 30]
    with torch.inference_mode():
        clip_of = inputs(card, pictures[::10], stretch=False)
        expected = models.load_model(card)(clip_of)[0].softmax(-1).numpy()
    assert np.array([p.probabilities for p in found]) == pytest.approx(expected, abs=1e-3)
    run_shown, activity = load_scenes(store, case.assets[0], {ACTIVITIES: "stream"}, Readings())
    assert run_shown == run
    assert activity is not None
    # Two seconds of one activity, then two of another: what the network said, second by second.
    named = [card.activity_keys[i] for i in expected.argmax(1)]
    assert [activity.phase_at(p.pts) for p in found] == named
    assert [s.phase for s in activity.segments] == [named[0], named[2]]
    assert named[0] != named[2]


@pytest.mark.parametrize("head", ["segmentation", "classification"])
def test_it_runs_here_and_its_state_is_its_own(head: str, tmp_path: Path) -> None:
    card = save_stream(tmp_path, head)
    assert trial_ms(card, CPU)[0] > 0
    stream, other = SceneStream(card, CPU), SceneStream(save_stream(tmp_path, head, "b"), CPU)
    picture = np.random.default_rng(2).integers(0, 255, (60, 120, 3), np.uint8)
    for _ in range(3):
        stream.read(picture)
    kept = stream.snapshot()
    after = stream.read(picture)
    other.restore(kept)
    told = other.read(picture)
    assert told.activities == pytest.approx(after.activities)
    assert [a.mask for a in told.areas] == [a.mask for a in after.areas]
    with pytest.raises(BadInput, match="computed anew"):
        stream.restore(b"damaged")
