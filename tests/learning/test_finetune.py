"""From corrections to a new model: the frozen set, the run, the comparison, the card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from app.cli.main import run
from app.core.errors import BadInput
from app.learning import sets
from app.learning.finetune import finetune
from app.store import Library
from models import ModelCard
from tests.helpers.phantom_case import make_case, phantom_clip
from tests.helpers.tiny_outliner import tiny_outliner


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def taught(own_library: Path, clip: Path) -> str:
    """A library with one corrected case; returns the case's number."""
    with Library.open(own_library, ballast_bytes=4096) as library:
        return make_case(library, clip).case_id


@pytest.fixture
def base(own_library: Path) -> ModelCard:
    """A tiny untrained LMSF-A installed in the library."""
    return tiny_outliner(own_library / "models")


def test_a_frozen_set_is_what_the_human_left(own_library: Path, taught: str) -> None:
    with Library.open(own_library, "read") as library:
        frozen = sets.freeze(library, [taught], own_library / "set", held_out_every=2)
        asset = library.case(taught).assets[0]
        human = library.annotations(asset.asset_id)
    assert len(frozen.learn) == len(frozen.held_out) == 4
    everything = [i for p in (*frozen.learn, *frozen.held_out) for i in p.instances]
    assert {i.mask for i in everything} == {a.mask for a in human}
    again = sets.read(own_library / "set")
    assert again.sha256 == frozen.sha256
    assert np.array_equal(again.learn[0].rgb, frozen.learn[0].rgb)


def test_a_changed_set_is_refused(own_library: Path, taught: str) -> None:
    folder = own_library / "set"
    with Library.open(own_library, "read") as library:
        sets.freeze(library, [taught], folder)
    picture = next((folder / "frames").glob("*.png"))
    picture.write_bytes(picture.read_bytes() + b"x")
    with pytest.raises(BadInput, match="was changed"):
        sets.read(folder)


def test_nothing_corrected_is_said(own_library: Path, clip: Path) -> None:
    from app.video import describe_asset

    with Library.open(own_library, ballast_bytes=4096) as library:
        asset = describe_asset(clip, "rec-9")
        case = library.writer.create_case("Plain", "unknown", (asset,)).result()
        with pytest.raises(BadInput, match="Nothing was corrected"):
            sets.freeze(library, [case.case_id], own_library / "set")


def test_the_command_makes_a_model_to_choose(
    own_library: Path, taught: str, base: ModelCard, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["finetune", "--from", taught, "--base", "base", "--name", "mine", "--steps", "3"]
    assert run([*arguments, "--held-out-every", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["model"] == "mine"
    assert (said["learnt"], said["held_out"]) == (4, 4)
    assert set(said["best"]) == set(said["base"]) == {"map50", "map50_95", "dice", "iou"}
    card = models.find_card("mine", own_library / "models")
    assert card.parent == "base"
    assert card.trained.seconds > 0
    assert any(k.startswith("base_held_out_") for k in card.figures)
    learnt, start = models.load_model(card), models.load_model(base)
    moved = [
        not torch.equal(a, b)
        for a, b in zip(learnt.parameters(), start.parameters(), strict=True)
        if a.requires_grad
    ]
    assert any(moved)
    assert run([*arguments, "--json"]) == 1
    assert "There is a model mine already" in capsys.readouterr().err


def test_an_unknown_base_is_one_sentence(
    own_library: Path, taught: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["finetune", "--from", taught, "--base", "nothing", "--name", "x"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unfinished_lesson_is_not_taken_for_another(
    own_library: Path, taught: str, base: ModelCard
) -> None:
    """Stopped and started under the same name with another split: not the same lesson."""
    with Library.open(own_library, "read") as library:
        folder = own_library / "runs" / "mine"

        def lesson(every: int, stop: bool) -> object:
            return finetune(
                library, [taught], base, "mine", folder, held_out_every=every, steps=2,
                on_progress=lambda _: None, should_stop=lambda: stop,
            )  # fmt: skip

        assert lesson(2, stop=True) is None
        with pytest.raises(BadInput, match="other material or settings"):
            lesson(3, stop=False)
        assert lesson(2, stop=False) is not None


def test_figures_of_frames_that_were_learnt_are_not_called_held_out(
    own_library: Path, taught: str, base: ModelCard, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["finetune", "--from", taught, "--base", "base", "--name", "mine", "--steps", "1"]
    assert run([*arguments, "--held-out-every", "99"]) == 0
    assert "none being held out" in capsys.readouterr().out
    figures = models.find_card("mine", own_library / "models").figures
    assert "learnt_from_iou" in figures
    assert not any("held_out" in name for name in figures)


def test_a_name_that_cannot_be_is_refused_before_the_lesson(
    own_library: Path, taught: str, base: ModelCard, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["finetune", "--from", taught, "--base", "base", "--name", "My Model"]) == 1
    assert 'cannot be called "My Model"' in capsys.readouterr().err
    assert not (own_library / "runs").exists()


def test_a_name_is_not_taken_by_what_was_never_taught(
    own_library: Path, taught: str, base: ModelCard, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped case, or one with nothing to learn from, leaves the name for the right one."""
    given = ["--base", "base", "--name", "mine", "--steps", "1"]
    assert run(["finetune", "--from", "0099", *given]) == 1
    assert "no case 0099" in capsys.readouterr().err.lower()
    assert not (own_library / "runs").exists()
    with Library.open(own_library, "write") as library:
        bare = library.writer.create_case("Plain", "unknown", ()).result().case_id
    assert run(["finetune", "--from", bare, *given]) == 1
    assert "1 without corrected outlines" in capsys.readouterr().err
    assert not (own_library / "runs").exists()
    assert run(["finetune", "--from", taught, "--from", bare, *given]) == 0
    assert "Left out: 1 without corrected outlines." in capsys.readouterr().out
