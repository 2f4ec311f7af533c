"""Networks that read frame features: taught by command from the phantom or from labelled cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from app.cli.main import run
from app.core.correction import HumanTimeline
from app.core.errors import BadInput
from app.core.timeline import Segment, Timeline
from app.inference.device import DeviceChoice
from app.inference.offline import OfflinePhases
from app.inference.phases import PhaseStream
from app.learning.feature_networks import train_on_features
from app.learning.feature_validation import FeatureValidation
from app.learning.phantom import PhantomVideo
from app.learning.phantom.script import PHASES, write_procedure
from app.learning.recipes import Recipe, read_recipe
from app.learning.recorded import Recorded, encoded, phantom_recordings
from app.store import Library
from models.card import ModelCard, ModelClass
from tests.helpers.human_work import asset, change, correction

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)
WIDTH = 32
OPTIONS = {
    "ms_tcn": "layers = 4\nmaps = 8\ndropout = 0.0\ncausal = false",
    "sprmamba": "stages = 2\nlayers = 2\nwidth = 16\ngroup_frames = 8\ndrop_path = 0.0",
    "supra": "layers = 4\nmaps = 8\ndropout = 0.0",
    "surgfutr": "prototypes = 4\nwidth = 16\nclip = 5",
}
OFFLINE = ("ms_tcn", "sprmamba")


def recipe_text(system: str, steps: int = 2, data: str = "") -> str:
    """A small recipe that reads what the model "eyes" stores."""
    task = "phase-recognition" if system in OFFLINE else "phase-anticipation"
    classes = ", ".join(f'"{key}"' for key in PHASES)
    return f"""
name = "tiny-{system.replace("_", "-")}"
title = "Tiny"
system = "{system}"
task = "{task}"
classes = [{classes}]
procedures = ["cholecystectomy"]
input_size_px = [32, 32]
batch = {8 if system == "surgfutr" else 1}
[options]
in_features = {WIDTH}
num_classes = 7
{OPTIONS[system]}
[train]
steps = {steps}
learning_rate = 1e-2
warmup_steps = 1
average_decay = 0.0
precision = "fp32"
[data]
source = "phantom"
seed = 2
operations = 2
longest_phase_s = 3
held_out = 0
courses = 3
future = 4
{data}
[card]
features_of = "eyes"
frames_per_second = 1.0
causal = {"false" if system in OFFLINE else "true"}
"""


def recipe_of(system: str, folder: Path, **settings: int) -> Recipe:
    path = folder / f"{system}.toml"
    path.write_text(recipe_text(system, **settings))
    return read_recipe(str(path))


@pytest.fixture
def eyes(own_library: Path) -> ModelCard:
    """A small phase model of the phantom's phases, with random weights."""
    torch.manual_seed(3)
    options = {"width": WIDTH, "depth": 2, "image_size": 32, "patch_size": 16, "num_classes": 7}
    card = ModelCard(
        name="eyes",
        title="Eyes",
        system="endomamba",
        options=options,
        task="phase-recognition",
        classes=tuple(ModelClass(key=k, name=k) for k in PHASES),
        input_size_px=(32, 32),
        frames_per_second=1.0,
    )
    return models.save_model(
        models.create_model("endomamba", **options), card, own_library / "models"
    )


@pytest.mark.parametrize(
    "system",
    [
        "supra",
        pytest.param("ms_tcn", marks=pytest.mark.long),
        pytest.param("sprmamba", marks=pytest.mark.long),
        pytest.param("surgfutr", marks=pytest.mark.long),
    ],
)
def test_taught_by_command_from_drawn_operations_that_are_kept(
    eyes: ModelCard, tmp_path: Path, capsys: pytest.CaptureFixture[str], system: str
) -> None:
    (tmp_path / "tiny.toml").write_text(recipe_text(system))
    kept = tmp_path / "kept"
    command = ["train", str(tmp_path / "tiny.toml"), "--features", str(kept), "--json"]
    assert run([*command, "--out", str(tmp_path / "run")]) == 0
    said = json.loads(capsys.readouterr().out)
    card = models.read_card(tmp_path / "run" / said["model"])
    assert (card.features_of, card.causal) == ("eyes", system not in OFFLINE)
    assert card.class_keys == PHASES
    network = models.load_model(card)
    assert network.in_features == WIDTH
    label = OfflinePhases(card, CPU).label(np.ones((9, WIDTH), np.float16))
    assert (label.probabilities is None) == (system == "surgfutr")
    assert (label.outlook is None) == (system in OFFLINE)
    drawn = sorted(kept.iterdir())
    assert len(drawn) == 2
    # Kept operations are not drawn again, damaged ones are.
    before = [file.stat().st_mtime_ns for file in drawn]
    drawn[0].write_bytes(drawn[0].read_bytes()[:900])
    assert run([*command, "--out", str(tmp_path / "again"), "--seed", "5"]) == 0
    after = [file.stat().st_mtime_ns for file in sorted(kept.iterdir())]
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_features_in_long_steps_are_those_of_the_stream(eyes: ModelCard, tmp_path: Path) -> None:
    procedure = write_procedure(4, longest_phase_s=6)
    video = PhantomVideo(4, fps=1, size_px=(64, 36), procedure=procedure)
    pictures = [frame.rgb for frame in video]
    assert len(pictures) > 32  # more than one step
    features, probabilities = encoded(eyes, pictures)
    stream = PhaseStream(eyes, CPU)
    for place, rgb in enumerate(pictures):
        assert probabilities[place] == pytest.approx(stream.step(rgb), abs=1e-4)
        assert features[place] == pytest.approx(stream.features, abs=5e-3)
    (one,) = phantom_recordings(eyes, [4], tmp_path, (64, 36), longest_phase_s=6)
    assert np.array_equal(one.features, features)
    assert [PHASES[label] for label in one.labels] == [f.phase for f in video]


def made_up(count: int, seed: int) -> list[Recorded]:
    """Operations of three phases whose features tell them, less clearly where it is noisy."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        labels = np.repeat([0, 1, 3], rng.integers(20, 60, 3))
        features = 0.5 * rng.standard_normal((len(labels), WIDTH))
        features[np.arange(len(labels)), labels] += 2.0
        found.append(
            Recorded(
                name=f"made-up-{seed}-{number}",
                features=features.astype(np.float16),
                labels=labels,
                probabilities=np.zeros((len(labels), 0), np.float32),
            )
        )
    return found


@pytest.mark.parametrize(
    ("system", "figure", "least"),
    [
        ("ms_tcn", "accuracy", 0.85),
        pytest.param("sprmamba", "accuracy", 0.85, marks=pytest.mark.long),
        ("supra", "accuracy", 0.85),
        ("surgfutr", "next", 0.5),
    ],
)
def test_what_is_told_apart_is_learnt(
    tmp_path: Path, system: str, figure: str, least: float
) -> None:
    recipe = recipe_of(system, tmp_path, steps=150)
    recipe.data["source"] = "library"
    operations = made_up(5, seed=2)
    held = FeatureValidation(recipe, operations)
    before = held(models.create_model(recipe.system, **recipe.options).eval())
    result = train_on_features(
        recipe, made_up(6, seed=1), tmp_path / "run", evaluate=held, score=held.score
    )
    assert result.best[figure] > max(least, before[figure])
    if system == "supra":
        # Smaller operations than any horizon: whatever is not over comes within it.
        assert result.best["mae_5"] < before["mae_5"]
        assert result.best["foresight"] > before["foresight"]
        assert result.network.spread != 1
        shares = [held_by(result.network, one) for one in operations]
        assert np.mean(shares) >= 0.8 * 6 / 5 - 1e-6  # one operation more is reckoned with


def held_by(network: torch.nn.Module, one: Recorded) -> float:
    """Share of an operation's seconds whose minutes left lie within the spread."""
    with torch.inference_mode():
        said = network(torch.from_numpy(one.features.astype(np.float32)).T[None])
    low, _, high = said.minutes_left[0].numpy().T
    left = np.arange(len(one.labels) - 1, -1, -1) / 60
    return float(((low <= left + 1e-6) & (left <= high + 1e-6)).mean())


def test_what_cannot_be_learnt_from_is_said(eyes: ModelCard, tmp_path: Path) -> None:
    recipe = recipe_of("ms_tcn", tmp_path)
    with pytest.raises(BadInput, match="learns from frame features, and there are none"):
        train_on_features(recipe, [], tmp_path / "run")
    narrow = [replace(one, features=one.features[:, :5]) for one in made_up(1, seed=0)]
    with pytest.raises(BadInput, match="reads 32 features a sample, the encoder stores 5"):
        train_on_features(recipe, narrow, tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--data", "."], "reads frame features of eyes, not pictures"),
        (["--protocol", "cholec80:40/40"], "a protocol is of the library's cases"),
        (["--base", "eyes"], "starts from no other model"),
        (["--data", "library", "--protocol", "cholec80:40/40"], "no case can teach tiny"),
        (["--data", "library", "--protocol", "cholec80:1/2"], "there is no split 1/2 of cholec80"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(
    eyes: ModelCard,
    labelled: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    sentence: str,
) -> None:
    (tmp_path / "tiny.toml").write_text(recipe_text("ms_tcn"))
    assert run(["train", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "run"), *options])
    assert sentence in capsys.readouterr().err.lower()


@pytest.fixture
def labelled(own_library: Path, eyes: ModelCard) -> Iterator[list[str]]:
    """Three analysed cases, two of which a human named phases in."""
    with Library.open(own_library, ballast_bytes=0) as library:
        cases = []
        for number in range(3):
            recording = asset(f"asset-{number}")
            case = library.writer.create_case("Operation", "cholecystectomy", (recording,)).result()
            cases.append(case.case_id)
            store = library.predictions(case.case_id)
            started = store.start_run(
                asset=recording,
                model=eyes.name,
                task=eyes.task,
                weights_sha256=eyes.weights_sha256,
                classes=eyes.class_keys,
                settings={},
                sample_every=0,
                frames_expected=50,
            )
            rng = np.random.default_rng(number)
            vectors = rng.normal(0, 1, (50, WIDTH)).astype(np.float16)
            store.put_features(started.run_id, [(1024 * i, v) for i, v in enumerate(vectors)])
            store.finish(started.run_id)
            if number < 2:
                cuts = (0, 25_000, 51_200)
                keys = ("calot_triangle_dissection", "clipping_cutting")
                segments = tuple(
                    Segment(start_pts=a, end_pts=b, phase=key)
                    for a, b, key in zip(cuts, cuts[1:], keys, strict=False)
                )
                line = Timeline(start_pts=0, end_pts=51_200, segments=segments)
                human = HumanTimeline(asset_id=recording.asset_id, timeline=line)
                library.writer.commit(correction(case.case_id, "phases", change(None, human)))
        library.writer.flush()
        yield cases


def test_taught_and_measured_by_labelled_cases(
    own_library: Path,
    eyes: ModelCard,
    labelled: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "tiny.toml").write_text(recipe_text("supra"))
    command = ["train", str(tmp_path / "tiny.toml"), "--out", str(own_library / "models" / "run")]
    assert run([*command, "--data", "library", "--hold-out", "0.5", "--json"]) == 0
    said = capsys.readouterr()
    assert "Learning from 1 recordings, measuring on 1: 50 and 50 samples." in said.err
    trained = json.loads(said.out)
    assert 0 <= trained["best"]["accuracy"] <= 1
    folder = own_library / "models" / "run" / trained["model"]
    measure = ["evaluate", "--model", str(folder), "--json", "--data"]
    assert run([*measure, "library"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["videos"] == 2
    assert "expected_mae_min" not in got["anticipation"]["left"]  # no training part was named
    assert 0 <= got["anticipation"]["next_accuracy"] <= 100
    assert "all recordings together" in got["anticipation"]["conventions"]["next_accuracy"]
    assert run([*measure, "."]) == 1
    assert "give --data phantom, or --data library" in capsys.readouterr().err
