"""The attention and the mixers of C2fPro against their published, slower form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.blocks.repvit import EMA, RVB, SE, RepVGGDW


def published_gate(ema: EMA, x: Tensor) -> Tensor:
    """EMA's gate as the paper and its code write it: (B, G, H, W)."""
    b, _c, h, w = x.shape
    g, width = ema.groups, ema.width
    grouped = x.reshape(b * g, width, h, w)
    rows = grouped.mean(3, keepdim=True)
    columns = grouped.mean(2, keepdim=True).permute(0, 1, 3, 2)
    strip = ema.point(torch.cat((rows, columns), 2))
    row_gate, column_gate = strip.split((h, w), 2)
    x1 = ema.norm(grouped * row_gate.sigmoid() * column_gate.permute(0, 1, 3, 2).sigmoid())
    x2 = ema.wide(grouped)
    weigh1 = x1.mean((2, 3)).softmax(-1)[:, None]
    weigh2 = x2.mean((2, 3)).softmax(-1)[:, None]
    logits = weigh1 @ x2.flatten(2) + weigh2 @ x1.flatten(2)
    return logits.reshape(b, g, h, w).sigmoid()


def randomised(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


@pytest.mark.parametrize(
    ("channels", "size"), [(16, (5, 9)), (64, (6, 4)), (24, (1, 7)), (12, (3, 1))]
)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_ema_equals_the_published_form(
    channels: int, size: tuple[int, int], memory: torch.memory_format
) -> None:
    torch.manual_seed(1)
    ema = randomised(EMA(channels)).double()
    x = torch.randn(2, channels, *size, dtype=torch.float64).contiguous(memory_format=memory)
    x.requires_grad_(True)
    expected = published_gate(ema, x)
    gate = ema.gate(x).permute(0, 3, 1, 2)
    assert torch.allclose(gate, expected, atol=1e-12)
    want = torch.autograd.grad(expected.square().sum(), [x, *ema.parameters()])
    got = torch.autograd.grad(gate.square().sum(), [x, *ema.parameters()])
    for a, b in zip(want, got, strict=True):
        assert torch.allclose(a, b, atol=1e-9)


def test_ema_multiplies_by_its_gate_and_groups_are_interchangeable() -> None:
    torch.manual_seed(2)
    ema = randomised(EMA(32))
    x = torch.randn(1, 32, 6, 7)
    out, gate = ema(x), ema.gate(x).permute(0, 3, 1, 2)
    assert gate.min() > 0
    assert gate.max() < 1
    assert torch.allclose(out, x * gate.repeat_interleave(4, 1), atol=1e-6)
    order = torch.randperm(8)
    shuffled = x.reshape(1, 8, 4, 6, 7)[:, order].reshape(1, 32, 6, 7)
    assert torch.allclose(
        ema(shuffled), out.reshape(1, 8, 4, 6, 7)[:, order].reshape(out.shape), atol=1e-5
    )


@pytest.mark.parametrize("block", [RepVGGDW, RVB])
def test_blocks_fold_to_the_same_function(block: type[nn.Module]) -> None:
    torch.manual_seed(3)
    module = randomised(block(16)).double().eval()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 16, 8, 8, dtype=torch.float64)
    before = module(x)
    for part in list(module.modules()):
        if hasattr(part, "fuse"):
            part.fuse()
    assert torch.allclose(module(x), before, atol=1e-9)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize("attention", ["se", "none"])
def test_units_without_ema_fold_to_the_same_function(attention: str) -> None:
    torch.manual_seed(5)
    unit = randomised(RVB(16, attention=attention)).double().eval()
    x = torch.randn(2, 16, 5, 6, dtype=torch.float64)
    before = unit(x)
    unit.fuse()
    unit.mixer.fuse()
    assert torch.allclose(unit(x), before, atol=1e-9)


def test_squeeze_excite_by_hand() -> None:
    torch.manual_seed(6)
    se = randomised(SE(8))
    x = torch.randn(2, 8, 3, 4)
    assert se.reduce.out_channels == 2
    squeezed = x.mean((2, 3)) @ se.reduce.weight[:, :, 0, 0].T + se.reduce.bias
    gate = (squeezed.relu() @ se.expand.weight[:, :, 0, 0].T + se.expand.bias).sigmoid()
    assert torch.allclose(se(x), x * gate[:, :, None, None], atol=1e-6)
