"""EndoARSS on the phantom: what is learnt is what shows, and a run makes a model that can start."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from app.cli.main import run
from app.core.errors import BadInput
from app.core.mask import Mask
from app.core.picture import LabelledPicture
from app.core.prediction import Instance
from app.learning import publish, runs
from app.learning.activities import _Batches, _PhantomScenes, _PictureScenes, train_activities
from app.learning.lessons import evaluation_of
from app.learning.measure_scenes import SceneTask, SceneValidation, measured, phantom_scenes
from app.learning.phantom.stills import PhantomInstance
from app.learning.recipes import Recipe, read_recipe
from app.learning.run_log import sample_files
from app.learning.scenes import (
    BAGGING,
    INSPECTING,
    OPERATING,
    OUTSIDE,
    activity_of,
    areas_of,
    draw_window,
    scene_of,
)
from app.learning.start import start_from
from models import ModelCard, create_model
from models.types import UNKNOWN


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """The demo's recipe, shrunk."""
    whole = read_recipe("endoarss-demo")
    small = {"width": 24, "depth": 1, "heads": 2, "decoder_width": 16, "image_size": 56}
    return replace(
        whole,
        options={**whole.options, **small},
        input_size_px=(112, 56),
        batch=4,
        train={**whole.train, "steps": 2, "max_seconds": 600, "report_every": 1},
    )


def instance(key: str, rows: slice) -> PhantomInstance:
    mask = np.zeros((8, 8), bool)
    mask[rows] = True
    return PhantomInstance(key=key, mask=mask)


def test_what_goes_on_is_told_by_what_shows() -> None:
    hook, bag = instance("hook", slice(0, 2)), instance("specimen_bag", slice(1, 4))
    assert activity_of([hook], away=True) == OUTSIDE
    assert activity_of([]) == INSPECTING
    assert activity_of([hook]) == OPERATING
    assert activity_of([hook, bag]) == BAGGING
    classes = ("background", "instrument", "specimen_bag")
    assert areas_of([hook, bag], (8, 8), classes)[:, 0].tolist() == [1, 2, 2, 2, 0, 0, 0, 0]
    assert areas_of([bag], (8, 8), ("background", "instrument")).max() == 0
    kinds = ("background", "grasper", "hook")
    assert areas_of([hook], (8, 8), kinds)[0, 0] == 2


@pytest.mark.parametrize("activity", [OUTSIDE, BAGGING])
def test_windows_show_what_they_are_drawn_around(recipe: Recipe, activity: str) -> None:
    window = draw_window(np.random.default_rng(2), SceneTask.of_recipe(recipe), 7, activity)
    assert len(window) == 8
    assert activity in [recipe.activities[scene.activity] for scene in window]
    for scene in window:
        assert scene.rgb.shape == (56, 112, 3)
        bagged = (scene.areas == recipe.classes.index("specimen_bag")).any()
        assert bagged == (recipe.activities[scene.activity] == BAGGING)


def test_batches_repeat_themselves_and_go_on_from_a_step(recipe: Recipe) -> None:
    one, two = (iter(_Batches(recipe, _PhantomScenes(recipe), 0)) for _ in range(2))
    for _ in range(2):
        (x, targets), (same, same_targets) = next(one), next(two)
        assert torch.equal(x, same)
        assert torch.equal(targets.areas, same_targets.areas)
    assert x.shape == (4, 3, 56, 112)
    assert targets.areas.shape == (4, 56, 112)
    assert targets.areas.min() >= UNKNOWN
    assert targets.areas.max() < len(recipe.classes)
    other, _ = next(iter(_Batches(recipe, _PhantomScenes(recipe), 3)))
    assert not torch.equal(other, x)


def test_a_run_becomes_a_model_and_an_encoder_can_be_its_base(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.learning.measure_scenes.HELD_OUT_OPERATIONS", 1)
    reports = []
    evaluate = evaluation_of(recipe, [])
    end = runs.train(
        recipe, [], tmp_path / "run", device="cpu", evaluate=evaluate, on_progress=reports.append
    )
    assert (end.steps, end.ended) == (2, "done")
    shown = {(s.step, s.number) for s in sample_files(tmp_path / "run")}
    assert shown == {(step, n) for step in (None, 0, 2) for n in range(4)}
    assert set(reports[-1].parts) == {"activity", "areas"}
    assert {"areas_miou", "activity_accuracy", "instrument_iou"} <= end.best.keys()
    card = publish.card_of(recipe, end, command="trocar train", figures=end.best)
    card = publish.publish(tmp_path / "run", card, tmp_path / "models")
    found = models.read_card(tmp_path / "models" / "endoarss-demo")
    assert found.activity_keys == ("outside_body", "inspecting", "operating", "bagging")
    assert found.activities[0].name == "Outside body"
    network = models.load_model(found)
    task = SceneTask.of_card(found)
    assert task == SceneTask.of_recipe(recipe)
    said = measured(network, task, islice(phantom_scenes(task, 1), 8)).as_json()
    assert said["images"] == 8
    assert 0 <= said["activities"]["accuracy"] <= 100
    assert said["iou"] == said["areas"]["miou"]

    encoder = create_model("dinov2", width=32, depth=2, heads=2, registers=4, image_size=70)
    base = ModelCard(
        name="vit", title="ViT", system="dinov2", task="backbone", classes=(),
        options={"width": 32, "depth": 2, "heads": 2, "registers": 4, "image_size": 70},
        mean_rgb=(0.4, 0.4, 0.4), std_rgb=(0.3, 0.3, 0.3),
    )  # fmt: skip
    base = models.save_model(encoder, base, tmp_path / "models")
    plan, start = start_from(base, recipe)
    assert plan.input_size_px == (112, 56)
    assert plan.card["mean_rgb"] == (0.4, 0.4, 0.4)
    for name, value in encoder.state_dict().items():
        assert torch.equal(start.encoder.state_dict()[name], value), name
    assert create_model(plan.system, **plan.options).encoder.side == 5


def test_what_a_recipe_must_say(recipe: Recipe, tmp_path: Path) -> None:
    nothing = {"on_progress": lambda _: None, "should_stop": lambda: True}
    few_settings = replace(recipe, data={"seed": 1, "operations": 3})
    with pytest.raises(BadInput, match=r"lacks data\.still_share"):
        train_activities(few_settings, [], tmp_path, **nothing)
    few = replace(recipe, activities=(OUTSIDE, INSPECTING, OPERATING))
    with pytest.raises(BadInput, match="also shows bagging"):
        train_activities(few, [], tmp_path, **nothing)


def picture(activity: str, *areas: tuple[str, slice]) -> LabelledPicture:
    """A picture 60 x 40 whose columns are labelled."""
    instances = []
    for label, columns in areas:
        plane = np.zeros((40, 60), bool)
        plane[:, columns] = True
        instances.append(Instance(label=label, mask=Mask.from_full(plane)))
    rgb = np.full((40, 60, 3), 90, np.uint8)
    name = f"{activity}/{len(areas)}"
    return LabelledPicture(
        name=name, group=name, rgb=rgb, instances=tuple(instances), activity=activity
    )


def test_a_labelled_picture_is_stretched_and_numbered() -> None:
    classes, activities = ("background", "specimen_bag"), ("cut", "burn")
    shown = picture("2", ("specimen_bag", slice(30, 60)), ("liver", slice(0, 6)))
    scene = scene_of(shown, classes, activities, (120, 20))
    assert scene.rgb.shape == (20, 120, 3)
    assert scene.areas[0, [0, 30, 90]].tolist() == [UNKNOWN, 0, 1]
    assert scene.activity == 1
    assert scene_of(picture("cut"), classes, activities, (12, 12)).activity == 0
    assert scene_of(picture(""), classes, activities, (12, 12)).activity == UNKNOWN
    for wrong in ("3", "0", "sew"):
        with pytest.raises(BadInput, match=f"the activity {wrong}, which is none of cut, burn"):
            scene_of(picture(wrong), classes, activities, (12, 12))


def test_given_pictures_come_once_before_any_comes_again(recipe: Recipe) -> None:
    shown = [picture("1", ("specimen_bag", slice(n, n + 5))) for n in (0, 10, 20, 30, 40)]
    scenes = _PictureScenes(replace(recipe, batch=5), shown)
    stream = scenes(np.random.default_rng(0), 0)
    orders = []
    for _ in range(2):
        columns = [int(np.flatnonzero(s.areas[0])[0]) for s in next(stream)]
        assert sorted(columns) == sorted(set(columns))
        orders.append(columns)
    assert len(set(orders[0])) == 5
    later = next(scenes(np.random.default_rng(0), 1))
    assert [int(np.flatnonzero(s.areas[0])[0]) for s in later] == orders[1]


def test_it_learns_from_a_folder_and_is_measured_on_it(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layout of EndoARSS through the commands, down to the figures on pictures made worse."""
    import cv2

    for split in ("train", "val"):
        for number in (1, 2):
            for kind in ("image", "mask"):
                (tmp_path / "data" / split / str(number) / kind).mkdir(parents=True)
            for place in range(3):
                rgb = np.full((56, 112, 3), 60 * number, np.uint8)
                mask = np.zeros((56, 112), np.uint8)
                mask[:, 40 * place : 40 * place + 30] = 2
                rgb[mask == 2] = 250
                folder = tmp_path / "data" / split / str(number)
                cv2.imwrite(str(folder / "image" / f"{place}.png"), rgb)
                cv2.imwrite(str(folder / "mask" / f"{place}.png"), mask)
    plan = tmp_path / "esd.toml"
    text = (Path(__file__).parents[2] / "resources/recipes/endoarss.toml").read_text("utf-8")
    for before, after in (
        ('"class_1", "class_2", "class_3", "class_4", "class_5", "class_6"', '"class_1"'),
        ('"activity_1", "activity_2", "activity_3"', '"cut", "burn"'),
        ("[224, 224]", "[112, 56]"),
        ("batch = 32", "batch = 4"),
        ('backbone = "vitb14"', 'backbone = ""\nwidth = 24\ndepth = 1\nheads = 2\nimage_size = 56'),
        ("num_classes = 7", "num_classes = 2"),
        ("num_activities = 3", "num_activities = 2\ndecoder_width = 16"),
        ("spatial_width = 512", "spatial_width = 4"),
        ("steps = 9600", "steps = 2"),
    ):
        assert before in text
        text = text.replace(before, after)
    plan.write_text(text, "utf-8")
    data, out = str(tmp_path / "data"), tmp_path / "run"
    arguments = ["train", str(plan), "--data", data, "--out", str(out), "--device", "cpu", "--json"]
    assert run(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["best"]) == {
        "areas_miou", "areas_mdice", "background_iou", "class_1_iou",
        "activity_accuracy", "activity_f1",
    }  # fmt: skip
    model = str(out / "endoarss")
    arguments = ["evaluate", "--model", model, "--data", data, "--corruption", "contrast"]
    assert run([*arguments, "--severity", "5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["split"], said["images"]) == ("validation", 6)
    assert said["iou"] == pytest.approx(100 * result["best"]["areas_miou"], abs=0.01)
    assert set(said["corruptions"]["contrast"]["5"]) == {"dice", "iou", "activity_accuracy"}
    assert run(["train", str(plan), "--out", str(tmp_path / "none")]) == 1
    assert "needs pictures" in capsys.readouterr().err
    validation = SceneValidation(recipe, [picture("1", ("instrument", slice(0, 30)))])
    network = create_model(recipe.system, **recipe.options).eval()
    assert validation.score in validation(network)
