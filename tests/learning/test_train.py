"""`trocar train`: a recipe becomes a model folder that loads; a finished run stays as it is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import models
from app.cli.main import run
from app.core.errors import BadInput
from app.learning.recipes import list_recipes, read_recipe
from app.learning.views import Augmentation
from models.training import TrainConfig

TINY = """
name = "tiny"
title = "Tiny"
system = "lmsf_a"
task = "instance-segmentation"
classes = ["instrument"]
procedures = ["cholecystectomy"]
input_size_px = [96, 64]
batch = 2
[options]
num_classes = 1
width = 0.125
depth = 0.1
[train]
steps = 3
warmup_steps = 1
report_every = 1
average_tau = 1
[data]
seed = 4
workers = 0
"""

TINY_PHASES = """
name = "tiny-phases"
title = "Tiny phases"
system = "endomamba"
task = "phase-recognition"
classes = ["preparation", "calot_triangle_dissection", "clipping_cutting",
  "gallbladder_dissection", "gallbladder_packaging", "cleaning_coagulation",
  "gallbladder_retraction"]
procedures = ["cholecystectomy"]
input_size_px = [32, 32]
batch = 2
[options]
width = 16
depth = 2
image_size = 32
patch_size = 16
num_classes = 7
temporal_position = "frozen"
[train]
steps = 3
warmup_steps = 1
report_every = 1
average_tau = 1
precision = "fp32"
[data]
seed = 4
operations = 1
window = 4
most_gap_s = 3.0
[card]
frames_per_second = 1.0
mean_rgb = [0.485, 0.456, 0.406]
std_rgb = [0.229, 0.224, 0.225]
"""


def test_shipped_recipes_are_whole() -> None:
    names = list_recipes()
    assert {"lmsf-a-demo", "endomamba-demo"} <= set(names)
    for name in names:
        recipe = read_recipe(name)
        network = models.create_model(recipe.system, **recipe.options)
        assert sum(p.numel() for p in network.parameters()) > 10_000
        config = TrainConfig(**recipe.train)
        assert config.save_every % config.accumulate == 0, "a run would lose gradients when resumed"


def test_the_published_settings_of_lmsf_a() -> None:
    """Pictures per update: the nominal batch of 64. Three passes over 490 pictures warm up."""
    recipe = read_recipe("lmsf-a-sgd")
    config = TrainConfig(**recipe.train)
    assert recipe.batch * config.accumulate == 64
    assert config.steps == 300 * math.ceil(490 / recipe.batch)
    assert config.warmup_steps == 3 * math.ceil(490 / recipe.batch)
    assert (config.optimiser, config.schedule) == ("sgd", "linear")
    how = Augmentation.of(recipe.data["augment"])
    assert how == Augmentation(
        mosaic=1.0, rotate_deg=0, scale=(0.5, 1.5), shift=0.1, hue=2.7, saturation=0.7,
        brightness=0.4, blur_px=0, jpeg=100,
    )  # fmt: skip


def test_no_such_recipe() -> None:
    with pytest.raises(BadInput, match="There is no recipe nothing"):
        read_recipe("nothing")


def test_instruments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    out = tmp_path / "run"
    assert run(["train", str(recipe), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["model"], said["epochs"]) == ("tiny", 3)
    card = models.read_card(out / "tiny")
    assert card.class_keys == ("instrument",)
    models.load_model(card)
    stamp = (out / "result.safetensors").stat().st_mtime_ns
    assert run(["train", str(recipe), "--out", str(out), "--json"]) == 0
    assert (out / "result.safetensors").stat().st_mtime_ns == stamp


@pytest.mark.long
def test_phases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny-phases.toml"
    recipe.write_text(TINY_PHASES)
    assert run(["train", str(recipe), "--out", str(tmp_path / "run"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["epochs"] == 3
    models.load_model(models.read_card(tmp_path / "run" / "tiny-phases"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence of a training that is refused."""
    assert run(["train", *map(str, arguments)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = [x for x in said.err.splitlines() if "%" not in x]
    return line


@pytest.mark.parametrize(
    ("there", "instead", "sentence"),
    [
        ("steps = 3", "stepz = 3", "sets train.stepz, which there is not"),
        ("num_classes = 1", "num_clases = 1", "lmsf_a has no 'num_clases'"),
        ("input_size_px = [96, 64]", "input_size_px = [100, 60]", "multiples of 32"),
        ('name = "tiny"', 'name = "My Model"', 'cannot be called "My Model"'),
        ("steps = 3", "steps = 3\nlearning_rate = 1e30", "diverged"),
        ('system = "lmsf_a"', 'system = "yolo"', 'no network "yolo"'),
        ("batch = 2", "batch = 0", "batch must be at least 1"),
    ],
)
def test_a_recipe_that_cannot_work_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str, instead: str, sentence: str
) -> None:
    assert there in TINY
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY.replace(there, instead))
    assert sentence in refused(capsys, recipe, "--out", tmp_path / "run")
    assert not (tmp_path / "run" / "tiny").exists()


def test_a_folder_is_never_taken_for_another_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "tiny.toml", tmp_path / "run"
    recipe.write_text(TINY)
    assert run(["train", str(recipe), "--out", str(out)]) == 0
    capsys.readouterr()
    recipe.write_text(TINY.replace("seed = 4", "seed = 5"))
    assert "started with other material" in refused(capsys, recipe, "--out", out)


def test_the_card_says_how_and_where(tmp_path: Path) -> None:
    recipe, out = tmp_path / "tiny.toml", tmp_path / "run"
    recipe.write_text(TINY.replace("steps = 3", 'steps = 3\nprecision = "fp32"'))
    command = ["train", str(recipe), "--out", str(out), "--device", "cpu", "--seconds", "900"]
    assert run(command) == 0
    trained = models.read_card(out / "tiny").trained
    assert trained.command == "trocar train tiny --seconds 900 --out run"
    assert trained.device.startswith("processor (")
    assert trained.device.endswith(", float32")


def test_phases_do_not_learn_from_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny-phases.toml"
    recipe.write_text(TINY_PHASES)
    said = refused(capsys, recipe, "--out", tmp_path / "run", "--data", tmp_path)
    assert "not from a folder: import their labels" in said
    recipe.write_text(TINY_PHASES.replace("window = 4\n", ""))
    assert "lacks data.window" in refused(capsys, recipe, "--out", tmp_path / "run")
