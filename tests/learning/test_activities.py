"""EndoARSS on the phantom: what is learnt is what shows, and a run makes a model that can start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from app.core.errors import BadInput
from app.learning import publish, runs
from app.learning.activities import (
    BAGGING,
    INSPECTING,
    OPERATING,
    OUTSIDE,
    _Batches,
    activity_of,
    areas_of,
    draw_window,
    held_out,
    train_activities,
)
from app.learning.phantom.stills import PhantomInstance
from app.learning.recipes import Recipe, read_recipe
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
    seen = []
    for seed in (1, 2, 3):
        window = draw_window(np.random.default_rng(seed), recipe, 7, activity)
        assert len(window) == 8
        seen += [recipe.activities[scene.activity] for scene in window]
        for scene in window:
            assert scene.rgb.shape == (56, 112, 3)
            bagged = (scene.areas == recipe.classes.index("specimen_bag")).any()
            assert bagged == (recipe.activities[scene.activity] == BAGGING)
    assert activity in seen


def test_batches_repeat_themselves_and_go_on_from_a_step(recipe: Recipe) -> None:
    one, two = iter(_Batches(recipe, 1, 0)), iter(_Batches(recipe, 1, 0))
    for _ in range(3):
        (x, targets), (same, same_targets) = next(one), next(two)
        assert torch.equal(x, same)
        assert torch.equal(targets.areas, same_targets.areas)
    assert x.shape == (4, 3, 56, 112)
    assert targets.areas.shape == (4, 56, 112)
    assert targets.areas.min() >= UNKNOWN
    assert targets.areas.max() < len(recipe.classes)
    other, _ = next(iter(_Batches(recipe, 1, 3)))
    assert not torch.equal(other, x)


def test_a_run_becomes_a_model_and_an_encoder_can_be_its_base(
    recipe: Recipe, tmp_path: Path
) -> None:
    reports = []
    end = runs.train(recipe, [], tmp_path / "run", device="cpu", on_progress=reports.append)
    assert (end.steps, end.ended) == (2, "done")
    assert set(reports[-1].parts) == {"activity", "areas"}
    assert {"areas_miou", "activity_accuracy", "instrument_iou"} <= end.best.keys()
    card = publish.card_of(recipe, end, command="trocar train", figures=end.best)
    card = publish.publish(tmp_path / "run", card, tmp_path / "models")
    found = models.read_card(tmp_path / "models" / "endoarss-demo")
    assert found.activity_keys == ("outside_body", "inspecting", "operating", "bagging")
    assert found.activities[0].name == "Outside body"
    network = models.load_model(found)
    figures = held_out(network, recipe, operations=1)
    assert 0 <= figures["activity_accuracy"] <= 1

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
    with pytest.raises(BadInput, match=r"lacks data\.still_share"):
        train_activities(replace(recipe, data={"seed": 1, "operations": 3}), tmp_path, **nothing)
    few = replace(recipe, activities=(OUTSIDE, INSPECTING, OPERATING))
    with pytest.raises(BadInput, match="also shows bagging"):
        train_activities(few, tmp_path, **nothing)
