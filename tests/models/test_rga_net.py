"""RGA-Net style desmoking: the acceptance checks of the specification, section 4."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models import OptionError, create_model
from models.rga_net import RGANet, in_tiles
from models.rga_net.attention import (
    ADA,
    DHA,
    CrossGate,
    FrequencyStream,
    SetAttention,
    merge,
    partition,
    shift_mask,
)
from models.rga_net.training import DesmokeLoss
from models.training import TrainConfig, Trainer


def taught(seed: int = 0, **options: int) -> RGANet:
    """A network whose last layer is not zero, so that its answer depends on everything."""
    torch.manual_seed(seed)
    network = RGANet(**{"width": 8, "depth": 1, "window_px": 4, **options})
    nn.init.normal_(network.head.weight, std=0.05)
    return network.eval()


def test_a_new_network_returns_its_input() -> None:
    picture = torch.rand(2, 3, 64, 64)
    assert torch.equal(create_model("rga_net", width=8).eval()(picture), picture)


@pytest.mark.parametrize(
    ("width", "parameters"), [(24, 2_000_763), (32, 3_515_099), (48, 7_824_795)]
)
def test_parameter_counts(width: int, parameters: int) -> None:
    with torch.device("meta"):
        network = RGANet(width=width)
    assert sum(p.numel() for p in network.parameters()) == parameters


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    side=st.integers(1, 4),
    layout=st.sampled_from(["block", "grid"]),
)
def test_cutting_and_putting_together_is_exact(
    rows: int, columns: int, side: int, layout: str
) -> None:
    x = torch.rand(2, 3, rows * side, columns * side)
    assert torch.equal(merge(partition(x, side, layout), x.shape[2:], side, layout), x)  # type: ignore[arg-type]


def test_a_block_is_of_neighbours_and_a_grid_spans_the_map() -> None:
    at = torch.arange(64.0).view(1, 1, 8, 8)
    assert partition(at, 2, "block")[0].flatten().tolist() == [0, 1, 8, 9]
    assert partition(at, 2, "grid")[0].flatten().tolist() == [0, 4, 32, 36]


@pytest.mark.parametrize("size", [(8, 8), (7, 12), (5, 9)])
def test_the_frequency_stream_without_mixing_returns_its_input(size: tuple[int, int]) -> None:
    stream = FrequencyStream(4)
    stream.mix = nn.Identity()
    x = torch.rand(2, 4, *size)
    assert torch.allclose(stream(x), x, atol=1e-6)


def test_the_frequency_stream_computes_in_float32_under_autocast() -> None:
    stream, x = FrequencyStream(4).eval(), torch.rand(1, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = stream(x)
    assert torch.equal(mixed, stream(x))


def test_pixels_that_a_shift_brought_together_do_not_attend_to_one_another() -> None:
    torch.manual_seed(0)
    attention = SetAttention(4, 2, side=4, shift=2).eval()
    x = torch.rand(1, 4, 12, 12)
    changed = x.clone()
    changed[..., 0, :] += 1  # the first row shares a rolled window with the last rows
    apart = (attention(x) - attention(changed)).abs().amax((0, 1, 3))
    assert (apart[:2] > 0).all()
    assert (apart[10:] == 0).all()


def test_a_shift_mask_allows_every_pixel_itself() -> None:
    mask = shift_mask((8, 12), 4, 2)
    assert mask.shape == (6, 1, 16, 16)
    assert (mask.diagonal(dim1=-2, dim2=-1) == 0).all()
    assert (mask[0] == 0).all()
    assert (mask[-1] < 0).any()


@pytest.mark.parametrize("size", [(72, 108), (33, 65), (9, 200), (1, 1)])
def test_any_size_comes_back_as_it_was(size: tuple[int, int]) -> None:
    network = taught()
    answer = network(torch.rand(1, 3, *size))
    assert answer.shape == (1, 3, *size)
    assert torch.isfinite(answer).all()
    assert answer.min() >= 0
    assert answer.max() <= 1


def test_both_sides_of_a_skip_gate_one_another() -> None:
    torch.manual_seed(0)
    gate = CrossGate(4)
    encoder, decoder = (torch.rand(1, 4, 4, 4, requires_grad=True) for _ in range(2))
    e, d = gate.gated(encoder, decoder)
    assert torch.autograd.grad(d.sum(), encoder, retain_graph=True)[0].abs().max() > 0
    assert torch.autograd.grad(e.sum(), decoder)[0].abs().max() > 0


@pytest.mark.parametrize("block", [DHA(8, 2, 4, 2), ADA(8, 2, 4)])
def test_every_weight_of_a_block_learns(block: nn.Module) -> None:
    block(torch.rand(1, 8, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in block.parameters())


@pytest.mark.long
def test_it_learns_to_take_smoke_off_two_pictures_and_to_leave_them_without_smoke() -> None:
    torch.manual_seed(3)
    clear = torch.rand(2, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    share = torch.linspace(0.2, 0.7, 32).view(1, 1, 1, 32)
    smoky = clear * (1 - share) + share * 0.75
    config = TrainConfig(
        steps=120,
        learning_rate=6e-3,
        warmup_steps=10,
        weight_decay=0.0,
        final_ratio=0.01,
        average_decay=0.0,
        precision="fp32",
        save_every=1000,
    )

    def batches(_first: int):  # type: ignore[no-untyped-def]
        while True:
            yield torch.cat((smoky, clear)), torch.cat((clear, clear))

    network = RGANet(width=8, depth=1, window_px=4)
    learnt = Trainer(network, config).run(batches, DesmokeLoss()).network

    def decibels(picture: torch.Tensor) -> float:
        return float(-10 * torch.log10((picture - clear).square().mean()))

    with torch.no_grad():
        assert decibels(learnt(smoky)) - decibels(smoky) > 8
        assert decibels(learnt(clear)) > 40


class OwnTone(nn.Module):
    """Answers each tile with its own grey, the worst that can happen to a seam."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean().expand_as(images)


def test_tiles_fade_into_one_another() -> None:
    picture = torch.linspace(0, 1, 400).expand(3, 200, 400)
    tiled = in_tiles(OwnTone(), picture, tile_px=128, overlap_px=32)
    across = tiled[0, 100]
    assert across[0] < 0.2
    assert across[-1] > 0.8
    assert across.diff().max() < 2.5 / 255
    assert across.diff().min() > -1e-6


def test_tiles_of_what_changes_nothing_change_nothing() -> None:
    picture = torch.rand(3, 150, 260)
    tiled = in_tiles(RGANet(width=4, depth=1, window_px=4).eval(), picture, 96, 32)
    assert torch.allclose(tiled, picture, atol=1e-6)


def test_a_picture_smaller_than_a_tile_is_one_tile() -> None:
    network, picture = taught(), torch.rand(3, 40, 50)
    with torch.no_grad():
        assert torch.allclose(in_tiles(network, picture), network(picture[None])[0], atol=1e-6)


@pytest.mark.parametrize("options", [{"width": 6}, {"depth": 0}, {"window_px": 5}])
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="rga_net"):
        create_model("rga_net", **options)
