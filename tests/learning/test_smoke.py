"""Pairs with and without smoke, and a network that learns from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.learning import publish, runs
from app.learning.recipes import read_recipe
from app.learning.smoke import SmokePairs, held_out
from models import create_model, load_model


def test_the_same_number_is_the_same_pair_and_smoke_is_only_added() -> None:
    pairs = SmokePairs(5, (64, 64))
    for number in range(6):
        pair, again = pairs.pair(number), SmokePairs(5, (64, 64)).pair(number)
        assert np.array_equal(pair.smoky, again.smoky)
        assert np.array_equal(pair.clear, again.clear)
    assert np.array_equal(pairs.pair(1, amount=0).smoky, pairs.pair(1, amount=0).clear)
    dense = pairs.pair(1, amount=0.6)
    assert dense.smoky.std() < dense.clear.std()


def test_dark_corners_stay_dark() -> None:
    pairs = SmokePairs(5, (96, 96))
    found = 0
    for number in range(30):
        pair = pairs.pair(number, amount=0.6)
        black = pair.clear.max(axis=2) < 6
        deep = black & (np.roll(black, 12, 0) & np.roll(black, -12, 0) & np.roll(black, 12, 1))
        if deep.mean() > 0.05:
            found += 1
            assert pair.smoky[deep].mean() < 40
    assert found


def test_a_network_that_does_nothing_scores_as_the_smoke_does() -> None:
    figures = held_out(create_model("rga_net", width=4, depth=1).eval(), 1, (64, 64), count=6)
    assert figures["psnr"] == pytest.approx(figures["psnr_smoky"], abs=1e-6)
    assert figures["psnr_clear"] == 99


def test_the_recipe_learns_and_what_comes_out_can_be_loaded(tmp_path: Path) -> None:
    recipe = read_recipe("rga-net-demo")
    recipe = replace(
        recipe,
        input_size_px=(64, 64),
        options={"width": 4, "depth": 1},
        batch=2,
        train={**recipe.train, "steps": 3, "save_every": 3, "report_every": 1},
    )
    seen: list[float] = []
    end = runs.train(recipe, [], tmp_path, device="cpu", on_progress=lambda p: seen.append(p.loss))
    assert end.ended == "done"
    assert len(seen) == 3
    card = publish.publish(
        tmp_path, publish.card_of(recipe, end, command="", figures=end.best), tmp_path
    )
    assert card.task == "enhancement"
    assert load_model(card).training is False
