"""Cards, weight files, the registry: what is written is read, what is wrong is refused."""

from __future__ import annotations

import string
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import models
from models.card import ModelCard, ModelClass, Training, read_card, write_card
from models.checkpoint import load_weights, read_tensors, save_weights, write_tensors
from models.errors import CardError, CheckpointError, OptionError
from models.toml_text import to_toml

TINY = {"num_classes": 2, "width": 0.125, "depth": 0.1}


def card(**changes: object) -> ModelCard:
    whole = ModelCard(
        name="tiny-tools",
        title='Tools, "tiny"',
        system="lmsf_a",
        options=dict(TINY),
        task="instance-segmentation",
        tools=(ModelClass(key="clipper", name="Clipper"),),
        classes=(ModelClass(key="grasper", name="Grasper"), ModelClass(key="hook", name="Haken ü")),
        procedures=("cholecystectomy",),
        picture="rectangular colour video",
        licence="Apache-2.0",
        demo=True,
        input_size_px=(384, 224),
        thresholds={"score": 0.25, "overlap": 0.7},
        trained=Training(command="trocar train x", seconds=12.5, device="CPU", data="phantom"),
        figures={"map50 phantom": 0.5},
        limits="One\nline and\tanother \\ backslash.",
        created="2026-11-21",
    )
    return replace(whole, **changes)


@pytest.fixture
def saved(tmp_path: Path) -> ModelCard:
    torch.manual_seed(5)
    return models.save_model(models.create_model("lmsf_a", **TINY), card(), tmp_path)


text = st.text(st.characters(codec="utf-8"), max_size=20)
scalar = st.one_of(
    text,
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
)
plain = st.one_of(scalar, st.lists(scalar, max_size=4))
table = st.dictionaries(text, plain, max_size=4)


@given(
    st.dictionaries(
        text, st.one_of(plain, table, st.lists(table, min_size=1, max_size=3)), max_size=5
    )
)
def test_toml_is_read_back_as_written(values: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(values)) == values


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, b"x"])
def test_toml_refuses_what_it_cannot_hold(value: object) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        to_toml({"x": value})


def test_card_round_trip(tmp_path: Path) -> None:
    path = write_card(card(), tmp_path / "tiny-tools")
    again = read_card(path)
    assert again == card()
    assert again.folder == tmp_path / "tiny-tools"
    assert again.class_keys == ("grasper", "hook")
    assert again.tool_keys == ("clipper",)
    assert again.suits("cholecystectomy")
    assert not again.suits("bronchoscopy")
    assert again.weights_path is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title", "titel", "titel"),
        ('system = "lmsf_a"', "", 'lacks the field "system"'),
        ("demo = true", 'demo = "yes"', "demo must be bool"),
        ('task = "instance-segmentation"', 'task = "magic"', "task"),
        ('name = "tiny-tools"', 'name = "../tools"', "cannot be called"),
        ('key = "hook"', 'key = "grasper"', "same key"),
        ("[384, 224]", "[384]", "width and a height"),
        ("score = 0.25", "score = true", "thresholds.score"),
        ("[options]", "[options", "cannot be read"),
    ],
)
def test_damaged_cards_are_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = write_card(card(), tmp_path / "m")
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CardError, match=says):
        read_card(path)


def test_missing_card_and_unknown_model(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="no model card"):
        read_card(tmp_path / "gone" / "card.toml")
    with pytest.raises(CardError, match='no model "gone"'):
        models.find_card("gone", tmp_path)


def test_one_damaged_card_does_not_hide_the_others(saved: ModelCard, tmp_path: Path) -> None:
    write_card(card(name="other"), tmp_path / "other").write_text("name = ", encoding="utf-8")
    damaged: list[CardError] = []
    names = [c.name for c in models.list_cards(tmp_path, damaged=damaged)]
    assert "tiny-tools" in names
    assert "other" not in names
    assert ["other/card.toml" in str(error) for error in damaged] == [True]
    assert models.find_card("tiny-tools", tmp_path) == saved
    with pytest.raises(CardError, match="cannot be read"):
        models.list_cards(tmp_path)
    with pytest.raises(CardError, match=r"other/card\.toml cannot be read"):
        models.find_card("other", tmp_path)


def test_saved_model_loads_by_name_folder_and_card(saved: ModelCard, tmp_path: Path) -> None:
    images = torch.rand(1, 3, 64, 64)
    by_card = models.load_model(saved)
    answers = [
        by_card,
        models.load_model(saved.folder),
        models.load_model("tiny-tools", "cpu", tmp_path),
    ]
    with torch.no_grad():
        first, *others = [network(images) for network in answers]
    for other in others:
        assert torch.equal(first.class_logits, other.class_logits)
    assert not by_card.training
    assert saved.parameters == sum(p.numel() for p in by_card.parameters())
    row = models.list_cards(tmp_path)[-1].as_json()
    assert row["weights"] == str(tmp_path / "tiny-tools" / "weights.safetensors")
    assert row["parameters"] == saved.parameters
    assert row["demo"] is True


def test_half_precision_keeps_variances_and_loads_as_float32(tmp_path: Path) -> None:
    network = models.create_model("lmsf_a", **TINY)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_var.fill_(1e-9)
    write = models.save_model(network, card(), tmp_path, half=True)
    stored, _ = read_tensors(write.weights_path)
    assert stored["stem.conv.weight"].dtype == torch.float16
    assert stored["stem.norm.running_var"].dtype == torch.float32
    loaded = models.load_model(write)
    assert {t.dtype for t in loaded.parameters()} == {torch.float32}
    assert loaded.stem.norm.running_var.max() == pytest.approx(1e-9)
    assert torch.allclose(loaded.stem.conv.weight, network.stem.conv.weight, atol=1e-3)


def test_values_too_large_for_half_stay_whole(tmp_path: Path) -> None:
    layer = nn.Linear(2, 1)
    layer.weight.data.fill_(1e6)
    save_weights(layer, tmp_path / "w.safetensors", half=True)
    stored, _ = read_tensors(tmp_path / "w.safetensors")
    assert stored["weight"].dtype == torch.float32
    assert stored["weight"].max() == 1e6


def test_wrong_hash_is_refused(saved: ModelCard) -> None:
    data = bytearray(saved.weights_path.read_bytes())
    data[-1] ^= 1
    saved.weights_path.write_bytes(data)
    with pytest.raises(CheckpointError, match="another SHA-256"):
        models.load_model(saved)


def test_missing_and_truncated_files_are_refused(saved: ModelCard) -> None:
    network = models.create_model("lmsf_a", **TINY)
    path = saved.weights_path
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_weights(network, path)
    path.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        models.load_model(saved)
    with pytest.raises(CardError, match="no weights"):
        models.load_model(card())


@pytest.mark.parametrize("half", [False, True])
def test_other_names_shapes_types_and_values_are_refused(tmp_path: Path, *, half: bool) -> None:
    layer, path = nn.Linear(3, 2), tmp_path / "w.safetensors"
    before = layer.weight.clone()
    good = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    if half:
        good = {k: v.half() for k, v in good.items()}
    wrong = {
        "lacks bias": {"weight": good["weight"]},
        "holds more": {**good, "more": good["bias"]},
        "weight in w.safetensors is 3 x 2, the network wants 2 x 3": {
            **good,
            "weight": good["weight"].T,
        },
        "of type torch.int64": {**good, "bias": torch.zeros(2, dtype=torch.int64)},
        "not finite": {**good, "bias": good["bias"] / 0},
    }
    for says, tensors in wrong.items():
        write_tensors(path, tensors, {})
        with pytest.raises(CheckpointError, match=says):
            load_weights(layer, path)
        assert torch.equal(layer.weight, before)
    write_tensors(path, good, {})
    load_weights(layer, path)
    assert layer.weight.dtype == torch.float32
    assert layer.weight.sum() == 6


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    layer.bias.data[0] = float("nan")
    with pytest.raises(CheckpointError, match="bias"):
        save_weights(layer, tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_installed_once(saved: ModelCard, tmp_path: Path) -> None:
    target = tmp_path / "library" / "models"
    there = models.install_model(saved.folder, target)
    assert [c.name for c in models.list_cards(target) if c.folder == there.folder] == ["tiny-tools"]
    with pytest.raises(CardError, match="installed already"):
        models.install_model(saved.folder, target)
    assert {p.name for p in target.iterdir()} == {"tiny-tools"}


def test_classes_that_the_network_does_not_tell_are_refused(
    saved: ModelCard, tmp_path: Path
) -> None:
    write_card(replace(saved, classes=saved.classes[:1]), saved.folder)
    target = tmp_path / "library" / "models"
    with pytest.raises(CardError, match=r"names 1 classes, and its network tells 2 apart"):
        models.install_model(saved.folder, target)
    assert not target.exists()


def test_registry_refuses_in_words() -> None:
    assert {"lmsf_a", "endomamba"} <= set(models.list_models())
    with pytest.raises(OptionError, match="no network"):
        models.create_model("yolo")
    with pytest.raises(OptionError, match="lmsf_a has no 'classes'"):
        models.create_model("lmsf_a", classes=3)


@pytest.mark.parametrize("name", models.list_models())
def test_every_listed_network_builds(name: str) -> None:
    vit = {"width": 32, "depth": 2, "heads": 2, "image_size": 56}
    small = {
        "lmsf_a": TINY,
        "endomamba": {"width": 32, "depth": 2, "image_size": 32},
        "dinov2": vit,
        "endoarss": {"backbone": "", **vit},
        "videomamba": {"width": 32, "depth": 2, "frames": 2, "image_size": 32},
    }
    assert isinstance(models.create_model(name, **small.get(name, {})), nn.Module)


def test_listing_models_does_not_import_torch() -> None:
    code = "import sys, models; models.list_cards(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bundled_cards_are_whole() -> None:
    for item in models.list_cards():
        assert set(item.name) <= set(string.ascii_lowercase + string.digits + "._-")
        models.load_model(item)
