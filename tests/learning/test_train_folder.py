"""`trocar train --data FOLDER`: a public layout becomes a model, measured on held-out pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from app.cli.lesson import read_lesson
from app.cli.main import run
from app.learning.batches import batches_from
from app.learning.datasets import entries_of
from app.learning.finetune import _recipe
from app.learning.instruments import PictureViews, join_of
from app.learning.recipes import Recipe, read_recipe
from app.learning.run_view import read_run
from app.learning.validation import Validation
from models import create_model, read_card
from models.card import ModelCard, ModelClass
from models.checkpoint import read_tensors
from models.pranet import IMAGE_MEAN_RGB, IMAGE_STD_RGB
from models.pranet.training import at_scales
from models.types import MapOutput

RECIPE = """
name = "folder"
title = "Folder"
system = "lmsf_a"
task = "instance-segmentation"
classes = ["bone", "nerve"]
procedures = []
input_size_px = [96, 64]
batch = 2
[options]
num_classes = 2
width = 0.125
depth = 0.1
[train]
steps = 3
save_every = 2
warmup_steps = 1
report_every = 1
average_tau = 1
[data]
phantom_share = 0.0
workers = 0
names = { lf = "nerve" }
[card]
demo = false
"""


def picture(seed: int, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three operations of three pictures; bone, lf (a nerve by the recipe) and a strange label."""
    root = tmp_path / "spine"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    table = [{"name": n, "classid": k} for k, n in enumerate(("background", "bone", "lf", "fog"))]
    (root / "labels.json").write_text(json.dumps(table))
    for n in range(9):
        mask = np.zeros((64, 96), np.uint8)
        mask[10:40, 10 + n : 50 + n], mask[45:60, 60:90] = 1, 2
        mask[:4, :4] = 3 if n == 4 else 0
        name = f"op{n // 3}-frame-{n}.png"
        cv2.imwrite(str(root / "images" / name), picture(n))
        cv2.imwrite(str(root / "masks" / name), mask)
    return root


def recipe_of(system: str, tmp_path: Path) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    if system == "pranet":
        return read_recipe("pranet")
    return read_recipe(str(path))


def test_a_folder_becomes_a_model_measured_on_another_operation(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe_of("lmsf_a", tmp_path)
    out = tmp_path / "run"
    arguments = ["train", str(tmp_path / "recipe.toml"), "--out", str(out), "--device", "cpu"]
    status = run([*arguments, "--data", str(folder), "--hold-out", "0.3", "--json"])
    said = capsys.readouterr()
    assert status == 0, said.err
    assert "Note: Labels that are no class of the network are left out" in said.err
    assert "fog (1)" in said.err
    result = json.loads(said.out)
    assert set(result["best"]) == {"map50", "map50_95", "mdice", "miou"}
    card = read_card(Path(result["card"]))
    assert card.class_keys == ("bone", "nerve")
    assert "--data spine --hold-out 0.3" in card.trained.command
    seen = read_run(out)
    assert (seen.state, seen.step, seen.score) == ("done", 3, "map50_95")
    assert [step for step, _ in seen.columns["held_out_map50_95"]] == [2, 3]
    assert {(s.step, s.number) for s in seen.samples} == {
        (step, n) for step in (None, 0, 2, 3) for n in range(3)
    }
    plan = json.loads((out / "plan.json").read_text())
    assert len(plan["pictures"]) == 6
    assert len({name.split("/")[0] for name in plan["pictures"]}) == 2


def test_what_is_wrong_is_one_sentence_before_anything_is_learnt(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe_of("lmsf_a", tmp_path)

    def fails(*more: str) -> str:
        out = tmp_path / "none"
        where = str(tmp_path / "recipe.toml")
        status = run(["train", where, "--out", str(out), "--json", *more])
        err = capsys.readouterr().err
        assert (status, err.count("\n"), out.exists()) == (1, 1, False)
        return err

    assert "name their folder with --data" in fails()
    assert "none of the layouts" in fails("--data", str(folder / "images"))
    cv2.imwrite(str(folder / "masks" / "op2-frame-7.png"), np.zeros((64, 90), np.uint8))
    assert "op2-frame-7.png is 90 x 64 px, its picture 96 x 64" in fails("--data", str(folder))
    plain = np.full((64, 96), 3, np.uint8)
    for mask in (folder / "masks").iterdir():
        cv2.imwrite(str(mask), plain)
    assert "is of a class that the network learns, bone, nerve (fog (9))" in fails(
        "--data", str(folder)
    )


def test_a_seed_changes_weights_and_order_but_not_what_is_held_out(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("steps = 3", "steps = 1"))
    plans, weights = [], []
    for number, more in enumerate(([], ["--seed", "7"], ["--seed", "7"])):
        out = tmp_path / f"run-{number}"
        arguments = ["train", str(tmp_path / "recipe.toml"), "--out", str(out), "--device", "cpu",
                     "--data", str(folder), "--hold-out", "0.3"]  # fmt: skip
        assert run([*arguments, *more]) == 0
        plans.append(json.loads((out / "plan.json").read_text()))
        weights.append(read_tensors(out / "result.safetensors")[0])
    assert plans[1] == plans[2] != plans[0]
    assert plans[1]["train"]["seed"] == plans[1]["data"]["seed"] == 7
    assert plans[0]["pictures"] == plans[1]["pictures"]
    assert all(torch.equal(weights[1][name], w) for name, w in weights[2].items())
    assert any(not torch.equal(weights[0][name], w) for name, w in weights[2].items())
    assert "--seed 7" in read_card(tmp_path / "run-1" / "folder").trained.command


def test_every_picture_comes_once_a_pass(folder: Path, tmp_path: Path) -> None:
    recipe = recipe_of("lmsf_a", tmp_path)
    lesson = read_lesson(recipe, folder, None, 0.0, quiet=True)
    assert next(e.name for e in entries_of(lesson.learn)) == "op0-frame-0"
    views = PictureViews(lesson.learn, (96, 64), 1, 0.0, None)
    first = [views._place(n) for n in range(9)]
    second = [views._place(n) for n in range(9, 18)]
    assert sorted(first) == sorted(second) == list(range(9))
    assert first != second
    assert views._place(0) == first[0]
    assert (views(3).rgb == lesson.learn[first[3]].rgb).all()


def test_pranet_learns_normalised_pictures_at_three_sizes(folder: Path, tmp_path: Path) -> None:
    recipe = recipe_of("pranet", tmp_path)
    object.__setattr__(recipe, "classes", ("bone",))
    lesson = read_lesson(recipe, folder, None, 0.0, quiet=True)
    views = PictureViews(lesson.learn, (128, 128), 1, 0.0, None)
    stream = at_scales(batches_from(views, join_of(recipe), 3, 0))(0)
    seen = [next(stream) for _ in range(3)]
    assert [tuple(i.shape) for i, _ in seen] == [(3, 3, s, s) for s in (96, 128, 160)]
    images, targets = seen[1]
    # Above and below the 128 x 85 picture lies grey, which is no bone.
    grey = (114 / 255 - torch.tensor(IMAGE_MEAN_RGB)) / torch.tensor(IMAGE_STD_RGB)
    assert images[0, :, 0, 0].tolist() == pytest.approx(grey.tolist(), abs=1e-5)
    bone = 30 * 40 * (128 / 96) ** 2
    assert targets.masks[0].sum().item() == pytest.approx(bone, rel=0.05)
    assert targets.ignore is None

    class Marks(torch.nn.Module):
        """A network that marks the left half of everything."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, images: torch.Tensor) -> MapOutput:
            across = torch.arange(images.shape[3]) < images.shape[3] // 2
            plane = torch.where(across, 1.0, -1.0).expand(1, 1, *images.shape[2:])
            return MapOutput(plane, plane, plane, plane)

    measured = Validation(recipe, lesson.measure or lesson.learn)
    assert measured.score == "mdice"
    figures = measured(Marks())
    assert 0 < figures["miou"] < figures["mdice"] < 1


@pytest.mark.parametrize(("label", "share"), [("grasper", 0.3), ("polyp", 0.0)])
def test_fine_tuning_looks_at_the_phantom_where_it_shows_the_same(label: str, share: float) -> None:
    base = ModelCard(
        name="base",
        title="Base",
        system="lmsf_a",
        task="instance-segmentation",
        classes=(ModelClass(key=label, name=label),),
    )
    assert _recipe(base, "mine", 10).data["phantom_share"] == share


@pytest.mark.long
def test_pranet_by_the_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shipped recipe, three updates of one small batch."""
    text = (Path(__file__).parents[2] / "resources/recipes/pranet.toml").read_text()
    for old, new in (
        ("steps = 5187", "steps = 3"),
        ("[352, 352]", "[64, 64]"),
        ("batch = 16", "batch = 2"),
        ("workers = 4", "workers = 0"),
        ('classes = ["polyp"]', 'classes = ["bone"]'),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "small.toml"
    path.write_text(text)
    out = tmp_path / "run"
    status = run(["train", str(path), "--data", str(folder), "--hold-out", "0.3", "--out", str(out),
                  "--device", "cpu", "--json"])  # fmt: skip
    said = capsys.readouterr()
    assert status == 0, said.err
    result = json.loads(said.out)
    assert set(result["best"]) == {"mdice", "miou"}
    card = read_card(Path(result["card"]))
    assert card.parameters == sum(p.numel() for p in create_model("pranet").parameters())
    assert run(["models", "check", str(out / "pranet")]) == 0
