"""Runs side by side: both weights of each, measured as `trocar evaluate` measures."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.cli.lesson import read_lesson
from app.exchange.dataset import open_dataset
from app.learning import publish, runs
from app.learning.evaluate import mask_figures
from app.learning.recipes import Recipe, read_recipe
from models import ModelCard, read_card
from models.card import ModelClass
from models.checkpoint import read_tensors, write_tensors
from models.lmsf_a.table import rows
from models.metrics.masks import LabelledMask, encode
from tests.benchmarks import polyps_ablation
from tests.benchmarks.polyps_table import (
    FIGURES,
    Candidate,
    difference,
    figures,
    lines,
    over_seeds,
    report,
)

TINY = {"width": 0.125, "depth": 0.1, "num_classes": 1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Bright spots: four to learn from, three held out, of which one is learnt from as well."""
    root = tmp_path / "spots"
    for split, seeds in (("train", range(4)), ("validation", (0, 11, 12))):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for seed in seeds:
            rng = np.random.default_rng(seed)
            small = rng.integers(30, 110, (5, 6, 3)).astype(np.uint8)
            rgb = cv2.resize(small, (96, 64), interpolation=cv2.INTER_CUBIC)
            mask = np.zeros((64, 96), np.uint8)
            x, y = (int(v) for v in rng.integers(20, 44, 2))
            cv2.circle(mask, (x, y), 14, 255, -1)
            rgb[mask > 0] = (90, 120, 240)
            cv2.imwrite(str(root / split / "images" / f"{seed}.png"), rgb)
            cv2.imwrite(str(root / split / "masks" / f"{seed}.png"), mask)
    return root


def trained(data: Path, out: Path) -> Path:
    recipe: Recipe = replace(
        read_recipe("lmsf-a-polyps-cpu"),
        name="spots",
        classes=("instrument",),
        options=TINY,
        input_size_px=(96, 64),
        batch=2,
        train={"steps": 2, "save_every": 2, "learning_rate": 5e-3, "average_tau": 2},
    )
    lesson = read_lesson(recipe, data, None, 0.0, quiet=True)
    measure = lesson.validation_of(recipe)
    assert measure is not None
    end = runs.train(
        recipe,
        lesson.learn,
        out,
        device="cpu",
        evaluate=measure,
        on_progress=lambda _: None,
    )
    publish.publish(out, publish.card_of(recipe, end, command="", figures=end.best), out)
    return out


def test_a_run_is_measured_at_its_end_and_at_its_best(data: Path, tmp_path: Path) -> None:
    first, second = trained(data, tmp_path / "whole"), tmp_path / "plain"
    shutil.copytree(first, second)
    for file in second.glob("*/card.toml"):  # a model of another name, learnt alike
        file.write_text(file.read_text().replace('name = "spots"', 'name = "plain"', 1))
    tensors, about = read_tensors(second / "last.safetensors")
    for key, value in tensors.items():  # weights of the end that find nothing
        if key == "average.head.classify.bias":
            value.fill_(-40)
    write_tensors(second / "last.safetensors", tensors, about)

    found = report(data, [first, second], rounds=1)

    assert found["near_repeats"] == ["validation/0"]
    by_name = {row["name"]: row for row in found["rows"]}
    assert list(by_name) == ["whole best", "whole final", "plain best", "plain final"]
    assert by_name["plain final"]["all"]["dice"] == 0.0
    card = read_card(next(first.glob("*/card.toml")))
    held = list(open_dataset(data).split("validation"))
    direct = mask_figures(card, held)
    for name, value in direct.items():
        assert by_name["whole best"]["all"][name] == pytest.approx(100 * value, abs=0.01)
    assert found["first_minus"]["plain best"]["dice"] == (0.0, 0.0, 0.0)
    assert found["over_seeds"] == {}
    text = "\n".join(lines(found))
    assert all(name in text for name in (*FIGURES, "whole final", "validation/0"))


def test_a_difference_is_of_the_same_draws_of_pictures() -> None:
    """One finds every spot and nothing else, the other misses one of three."""
    planes = [np.zeros((20, 30), bool) for _ in range(3)]
    for number, plane in enumerate(planes):
        plane[5:10, 4 : 9 + number] = True
    truth = [[LabelledMask(rle=encode(p), label=0)] for p in planes]
    found = [[LabelledMask(rle=encode(p), label=0, score=0.9)] for p in planes]
    card = ModelCard(
        name="spots",
        title="Spots",
        system="lmsf_a",
        task="instance-segmentation",
        classes=(ModelClass(key="spot", name="Spot"),),
        input_size_px=(96, 64),
    )
    all_of = Candidate(run=Path("a"), weights="best", card=card, found=found)
    two = Candidate(run=Path("b"), weights="best", card=card, found=[*found[:2], []])

    gaps = difference(truth, all_of, two, rounds=40)

    measured, low, high = gaps["mdice"]
    assert measured == pytest.approx(100 / 3, abs=0.01)
    assert (low, high) == (0.0, 100.0)  # draws without the missed picture, and of nothing else
    assert difference(truth, all_of, all_of, rounds=2)["map50"] == (0.0, 0.0, 0.0)
    assert figures(truth, two, [2])["dice"] == 0.0
    assert figures(truth, two, [0, 1])["map50"] == 100.0


def test_seeds_are_summed_up_by_model_and_weights() -> None:
    def row(model: str, weights: str, value: float) -> dict[str, object]:
        return {"model": model, "weights": weights, "all": dict.fromkeys(FIGURES, value)}

    found = over_seeds(
        [
            row("a", "best", 60.0),
            row("a", "best", 64.0),
            row("a", "final", 1.0),
            row("b", "best", 9),
        ]
    )
    assert list(found) == ["a best, 2 runs"]
    assert found["a best, 2 runs"]["miou"] == (62.0, 2.83)


def test_eight_rows_of_the_ablation_are_ranked_beside_the_paper() -> None:
    third = [row for row in rows() if row.table == "III"]
    plan = read_recipe("lmsf-a-polyps-cpu")
    recipes = [polyps_ablation.row_recipe(plan, row, 40) for row in third]
    assert len({r.name for r in recipes}) == 8
    assert recipes[0].options == {
        "num_classes": 1, "c2f_pro": False, "neck": False, "lmsh": False
    }  # fmt: skip
    assert {r.train["steps"] for r in recipes} == {40}
    assert {r.train["learning_rate"] for r in recipes} == {plan.train["learning_rate"]}

    got = [{name: row.paper[name] / 2 for name in ("map50", "map50_95")} for row in third]
    text = list(polyps_ablation.lines(third, got))
    assert text[2] == "| YOLOv8n-seg | 36.0 | 7.5 | 20.4 | 8 | 72.0 | 7.5 | 40.9 | 8 |"
    assert text[9] == "| LMSF-A | 37.2 | 1 | 21.5 | 1 | 74.4 | 1 | 43.0 | 1 |"
    assert text[-2].endswith("+1.00")
    assert polyps_ablation.agreement([1, 2, 3], [9, 5, 1]) == pytest.approx(-1)
