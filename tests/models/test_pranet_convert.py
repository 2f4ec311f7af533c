"""Released weights of PraNet and of its encoder, mapped with a full account."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from models.errors import CheckpointError
from models.pranet import PraNet
from models.pranet.convert import convert, is_pranet


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """What PraNet-19.pth holds: 922 names, each tensor one number."""
    state = PraNet(classifier=True).state_dict()
    return {k: torch.full_like(v, n % 7 + 1) for n, (k, v) in enumerate(sorted(state.items()))}


def encoder_of(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix("resnet."): v for k, v in published.items() if k.startswith("resnet.")}


def test_a_whole_file(published: dict[str, Tensor]) -> None:
    wrapped = {"state_dict": {f"module.{k}": v for k, v in published.items()}, "epoch": 19}
    assert is_pranet(published)
    assert is_pranet(wrapped)
    network, report = convert(wrapped)
    assert (report.layout, len(report.loaded), report.missing) == ("pranet", 920, ())
    assert report.unexpected == ("resnet.fc.bias", "resnet.fc.weight")
    assert all(torch.equal(v, published[k]) for k, v in network.state_dict().items())


def test_an_encoder_alone_leaves_a_fresh_decoder(published: dict[str, Tensor]) -> None:
    encoder = encoder_of(published)
    assert is_pranet(encoder)
    network, report = convert(encoder)
    assert report.layout == "imagenet"
    state = network.state_dict()
    assert all(torch.equal(state[k], published[k]) for k in report.loaded)
    assert all(k.startswith("resnet.") for k in report.loaded)
    assert not any(k.startswith("resnet.") for k in report.missing)
    assert len(report.loaded) + len(report.missing) == 920


def test_what_does_not_fit_is_named(published: dict[str, Tensor]) -> None:
    lacking = {k: v for k, v in published.items() if k != "agg1.conv5.bias"}
    with pytest.raises(CheckpointError, match=r"1 tensors are missing, agg1\.conv5\.bias first"):
        convert(lacking)
    with pytest.raises(CheckpointError, match=r"it has no head\.weight"):
        convert({**published, "head.weight": torch.zeros(2)})
    with pytest.raises(
        CheckpointError, match=r"agg1\.conv5\.bias is \(2,\), this one needs \(1,\)"
    ):
        convert({**published, "agg1.conv5.bias": torch.zeros(2)})
    assert not is_pranet({"conv1.weight": torch.zeros(64, 3, 7, 7)})
    assert not is_pranet({"state_dict": 3})
