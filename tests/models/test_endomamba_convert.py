"""Released EndoMamba files: every layout lands in its place, with an account of every name."""

import pytest
import torch
from torch import Tensor

from models.endomamba import EndoMamba
from models.endomamba.convert import load_released
from models.errors import CheckpointError
from tests.helpers.endomamba_golden import MICRO

HEAD = ("head.bias", "head.weight")


def network(seed: int) -> EndoMamba:
    torch.manual_seed(seed)
    fresh = EndoMamba(**MICRO)
    for tensor in fresh.state_dict().values():
        tensor.normal_()
    return fresh


def pretraining_file(source: EndoMamba) -> dict[str, object]:
    weights = {
        f"encoder.{name}": tensor
        for name, tensor in source.state_dict().items()
        if not name.startswith("head.") and name != "cls_token"
    }
    weights["encoder.pos_embed"] = weights["encoder.pos_embed"][:, 1:].clone()
    weights |= {
        "mask_token": torch.zeros(1, 1, 16),
        "encoder_to_decoder.weight": torch.zeros(16, 32),
        "decoder.blocks.0.norm1.weight": torch.zeros(16),
    }
    return {"model": weights, "optimizer": {}, "epoch": 499, "scaler": {}, "args": None}


def same(target: EndoMamba, source: EndoMamba, except_for: tuple[str, ...] = ()) -> bool:
    pairs = source.state_dict()
    return all(
        torch.equal(value, pairs[name])
        for name, value in target.state_dict().items()
        if name not in except_for
    )


@pytest.mark.parametrize("prefix", ["", "module."])
def test_phase_files_load_whole(prefix: str) -> None:
    source, target = network(1), network(2)
    weights = {prefix + name: tensor for name, tensor in source.state_dict().items()}
    report = load_released(target, {"model": weights, "epoch": 49})
    assert same(target, source)
    assert report.layout == "phase"
    assert report.loaded == tuple(sorted(source.state_dict()))
    assert report.missing == report.unexpected == report.reshaped == ()


def test_bare_weights_load_as_phase_files_do() -> None:
    source, target = network(1), network(2)
    assert load_released(target, source.state_dict()).layout == "phase"
    assert same(target, source)


def test_classification_files_bring_the_backbone() -> None:
    source, target = network(1), network(2)
    weights = {
        f"module.{name}": tensor
        for name, tensor in source.state_dict().items()
        if not name.startswith("head.")
    }
    before = target.head.weight.clone()
    report = load_released(target, {"backbone_state_dict": weights, "epoch": 3, "best_f1": 0.9})
    assert report.layout == "classification"
    assert report.missing == HEAD
    assert same(target, source, HEAD)
    assert torch.equal(target.head.weight, before)


def test_pretraining_files_lose_their_positions_as_in_the_released_loader() -> None:
    source, target = network(1), network(2)
    before = target.pos_embed.clone()
    report = load_released(target, pretraining_file(source))
    assert report.layout == "pretraining"
    assert report.missing == ("cls_token", *HEAD, "pos_embed")
    assert report.unexpected == (
        "decoder.blocks.0.norm1.weight",
        "encoder.pos_embed",
        "encoder_to_decoder.weight",
        "mask_token",
    )
    assert report.reshaped == ()
    assert torch.equal(target.pos_embed, before)
    assert same(target, source, report.missing)


def test_pretraining_files_keep_their_positions_on_demand() -> None:
    source, target = network(1), network(2)
    first = target.pos_embed[:, :1].clone()
    report = load_released(target, pretraining_file(source), keep_positions=True)
    assert report.reshaped == ("pos_embed",)
    assert report.missing == ("cls_token", *HEAD)
    assert "encoder.pos_embed" not in report.unexpected
    assert torch.equal(target.pos_embed[:, 1:], source.pos_embed[:, 1:])
    assert torch.equal(target.pos_embed[:, :1], first)


def test_segmentation_files_bring_the_encoder() -> None:
    source, target = network(1), network(2)
    weights: dict[str, Tensor] = {
        f"encoder.{name}": tensor
        for name, tensor in source.state_dict().items()
        if not name.startswith("head.")
    }
    weights |= {
        "decoder.conv_more.0.weight": torch.zeros(3),
        "segmentation_head.0.bias": torch.ones(2),
    }
    report = load_released(target, weights)
    assert report.layout == "segmentation"
    assert report.missing == HEAD
    assert report.unexpected == ("decoder.conv_more.0.weight", "segmentation_head.0.bias")
    assert same(target, source, HEAD)


def test_a_decoder_cannot_pass_for_the_network() -> None:
    """A decoder's own `head.bias` must not land in the phase head."""
    source, target = network(1), network(2)
    file = pretraining_file(source)
    file["model"]["head.bias"] = torch.full((7,), 5.0)
    report = load_released(target, file)
    assert "head.bias" in report.unexpected
    assert target.head.bias.max() != 5.0


@pytest.mark.parametrize("fault", ["shape", "missing", "no weights"])
def test_files_of_other_networks_change_nothing(fault: str) -> None:
    source, target = network(1), network(2)
    untouched = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    weights: dict[str, object] = dict(source.state_dict())
    if fault == "shape":
        weights["norm_f.weight"] = torch.zeros(48)
        expected = r"norm_f.weight is \(48,\), this one needs \(32,\)"
    elif fault == "missing":
        del weights["layers.3.mixer.D"], weights["layers.2.mixer.D"]
        expected = "2 tensors are missing, layers.2.mixer.D first"
    else:
        weights, expected = {"model": "a path"}, "holds no weights"
    with pytest.raises(CheckpointError, match=expected):
        load_released(target, weights)
    assert all(torch.equal(untouched[name], t) for name, t in target.state_dict().items())
