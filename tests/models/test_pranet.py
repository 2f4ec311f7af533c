"""PraNet's network: counts, names, golden values, shapes, reverse attention."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from models import OptionError, create_model
from models.flops import count_flops
from models.pranet import PraNet
from models.pranet.decoder import reversed_attention
from tests.helpers import golden_fill

PARTS = {
    "resnet": 25_718_352,
    "rfb2_1": 178_112,
    "rfb3_1": 260_032,
    "rfb4_1": 423_872,
    "agg1": 277_473,
    "ra4_conv1": 524_800,
    "ra4_conv2": 1_638_912,
    "ra4_conv3": 1_638_912,
    "ra4_conv4": 1_638_912,
    "ra4_conv5": 258,
    "ra3_conv1": 65_664,
    "ra3_conv2": 36_992,
    "ra3_conv3": 36_992,
    "ra3_conv4": 578,
    "ra2_conv1": 32_896,
    "ra2_conv2": 36_992,
    "ra2_conv3": 36_992,
    "ra2_conv4": 578,
}

# Name, mean, spread and probes of the published code's outputs, coarsest first.
GOLDEN = {
    "logits_5": (0.005844644, 0.1388794, {
        0: 0.08275568, 23407: -0.002267501, 31326: -0.2860824, 54733: 0.1092505,
        62652: -0.1110082, 86059: 0.1578065, 93978: -0.2145792, 117385: -0.003425505,
    }),
    "logits_4": (0.02081088, 0.1344355, {
        0: -0.09382205, 23407: -0.01615175, 31326: -0.1788797, 54733: 0.1861925,
        62652: -0.01664571, 86059: 0.2389668, 93978: -0.037809, 117385: -0.03716661,
    }),
    "logits_3": (-0.1464418, 0.1609471, {
        0: -0.09626348, 23407: -0.3165481, 31326: -0.276976, 54733: -0.02821529,
        62652: -0.04199477, 86059: 0.104745, 93978: -0.09097612, 117385: -0.2488488,
    }),
    "logits": (-0.09993182, 0.1634281, {
        0: -0.01645569, 23407: -0.3190765, 31326: -0.2726895, 54733: 0.03986916,
        62652: 0.01406889, 86059: 0.1389742, 93978: -0.04651027, 117385: -0.2477215,
    }),
}  # fmt: skip


@pytest.fixture(scope="module")
def golden() -> PraNet:
    network = create_model("pranet", classifier=True)
    assert isinstance(network, PraNet)
    golden_fill.fill(network)
    return network


@pytest.fixture(scope="module")
def plain() -> PraNet:
    """Shapes alone."""
    return PraNet().to("meta").eval()


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_counts(golden: PraNet, plain: PraNet) -> None:
    """Check 1, whole and by part."""
    assert count(golden) == 32_547_319
    assert len(golden.state_dict()) == 922
    assert count(plain) == 30_498_319
    assert {name: count(part) for name, part in golden.named_children()} == PARTS


def test_published_names_load_strictly(golden: PraNet) -> None:
    """Check 2: what another program wrote under these names loads whole, or says what is wrong."""
    names = {k: v.shape for k, v in golden.state_dict().items()}
    assert {"resnet.conv1.6.weight", "resnet.layer4.0.downsample.2.running_var"} <= names.keys()
    assert {"rfb4_1.branch3.3.conv.weight", "agg1.conv5.bias", "resnet.fc.bias"} <= names.keys()
    state: dict[str, Tensor] = {
        k: torch.full(v, n, dtype=torch.int64 if k.endswith("batches_tracked") else torch.float32)
        for n, (k, v) in enumerate(names.items())
    }
    network = PraNet(classifier=True)
    network.load_state_dict(state, strict=True)
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    with pytest.raises(RuntimeError, match=r"Unexpected key.*resnet\.fc\.weight.*resnet\.fc\.bias"):
        PraNet().load_state_dict(state, strict=True)


def test_golden_values(golden: PraNet) -> None:
    """The published code's outputs under the same weights and picture (specs: golden values)."""
    with torch.no_grad():
        output = golden(golden_fill.picture(352, 352))
    for name, (mean, spread, probes) in GOLDEN.items():
        values = getattr(output, name).double().flatten()
        assert values.mean().item() == pytest.approx(mean, abs=2e-5)
        assert values.std(unbiased=False).item() == pytest.approx(spread, abs=2e-5)
        for place, value in probes.items():
            assert values[place].item() == pytest.approx(value, abs=2e-5), (name, place)


def test_the_wave_of_the_fill_rule() -> None:
    assert golden_fill.wave(0, 3) == pytest.approx([-0.1515589735, -0.2742046064, 0.5658338539])
    assert golden_fill.wave(7, 1001)[-1] == pytest.approx(0.4173252865)
    assert golden_fill.wave(400, 1_000_001)[-1] == pytest.approx(0.09129922606)


@pytest.mark.parametrize("size", [(352, 352), (256, 448)])
def test_four_maps_at_the_input_size(plain: PraNet, size: tuple[int, int]) -> None:
    """Check 3, on shapes alone."""
    output = plain(torch.zeros(2, 3, *size, device="meta"))
    assert [tuple(m.shape) for m in output] == [(2, 1, *size)] * 4


def test_other_sizes_are_refused(plain: PraNet) -> None:
    with pytest.raises(OptionError, match="350 x 352 px"):
        plain(torch.zeros(1, 3, 352, 350, device="meta"))
    with pytest.raises(OptionError, match="one kind"):
        create_model("pranet", num_classes=2)


def test_multiply_adds(plain: PraNet) -> None:
    """Check 4: as counted in the specification, a BatchNorm as four for each element."""
    network, normed = deepcopy(plain), 0

    def add(_module: torch.nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal normed
        normed += output.numel()

    products = count_flops(network, 352, 352, "executed") / 2
    assert products == pytest.approx(13.00e9, abs=0.01e9)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(add)
    network(torch.zeros(1, 3, 352, 352, device="meta"))
    assert products + 4 * normed == pytest.approx(13.15e9, abs=0.01e9)


def test_reverse_attention_looks_where_nothing_is_marked() -> None:
    """Check 5."""
    features = torch.randn(1, 5, 4, 4)
    sure = torch.full((1, 1, 4, 4), torch.inf)
    assert torch.equal(reversed_attention(features, sure), torch.zeros_like(features))
    assert torch.equal(reversed_attention(features, -sure), features)
    half = torch.zeros(1, 1, 4, 4)
    torch.testing.assert_close(reversed_attention(features, half), features / 2)


def test_folding_the_norms_changes_nothing(golden: PraNet) -> None:
    picture = golden_fill.picture(64, 96)
    with torch.no_grad():
        before, fused = golden(picture), golden.fuse()
        after, again = fused(picture), fused.fuse()(picture)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    for a, b, c in zip(before, after, again, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
        assert torch.equal(b, c)
