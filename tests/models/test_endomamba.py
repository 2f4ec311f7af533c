"""EndoMamba against the values of the released code, and the properties a stream relies on."""

import pytest
import torch
from torch import nn

from models import create_model
from models.endomamba import EndoMamba
from models.endomamba.network import temporal_code
from models.errors import ModelError, OptionError
from tests.helpers.endomamba_golden import (
    MICRO,
    MICRO_LOGITS,
    TINY_LOGITS,
    golden_clip,
    golden_network,
)


@pytest.mark.parametrize(
    ("size", "parameters", "tensors"),
    [("tiny", 6_592_327, 331), ("small", 24_465_031, 331), ("middle", 71_303_623, 439)],
)
def test_sizes_of_the_published_networks(size: str, parameters: int, tensors: int) -> None:
    with torch.device("meta"):
        network = create_model("endomamba", size=size, num_classes=7)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == tensors
    assert sum(p.numel() for p in network.head.parameters()) == 7 * (network.width + 1)


@pytest.mark.parametrize(
    ("size", "spatial", "temporal"), [("tiny", 282_048, 251_712), ("small", 1_043_328, 964_224)]
)
def test_sizes_of_one_block(size: str, spatial: int, temporal: int) -> None:
    with torch.device("meta"):
        layers = create_model("endomamba", size=size).layers
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert counts == [spatial] * 12 + [temporal] * 12


def official_shapes(width: int, depth: int, tokens: int, classes: int) -> dict[str, tuple]:
    """Names and shapes of the released state dict, written out from its description."""
    inner, rank = 2 * width, -(-width // 16)
    shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, tokens, width),
        "patch_embed.proj.weight": (width, 3, 1, 16, 16),
        "patch_embed.proj.bias": (width,),
        "head.weight": (classes, width),
        "head.bias": (classes,),
        "norm_f.weight": (width,),
    }
    for index in range(depth):
        layer = f"layers.{index}."
        shapes[layer + "norm.weight"] = (width,)
        shapes[layer + "mixer.in_proj.weight"] = (4 * width, width)
        shapes[layer + "mixer.out_proj.weight"] = (width, inner)
        for letter in ("", "_b") if index < depth // 2 else ("",):
            shapes |= {
                f"{layer}mixer.A{letter}_log": (inner, 16),
                f"{layer}mixer.D{letter}": (inner,),
                f"{layer}mixer.conv1d{letter}.weight": (inner, 1, 4),
                f"{layer}mixer.conv1d{letter}.bias": (inner,),
                f"{layer}mixer.x_proj{letter}.weight": (rank + 32, inner),
                f"{layer}mixer.dt_proj{letter}.weight": (inner, rank),
                f"{layer}mixer.dt_proj{letter}.bias": (inner,),
            }
    return shapes


def test_the_official_names_load_strictly(tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    with torch.device("meta"):
        network = create_model("endomamba", size="small")
    shapes = official_shapes(384, 24, 197, 7)
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == shapes
    assert len(shapes) == 331
    weights = {name: torch.full(shape, 0.5) for name, shape in shapes.items()}
    save_file(weights, tmp_path / "small.safetensors")
    network.load_state_dict(load_file(tmp_path / "small.safetensors"), strict=True, assign=True)
    save_file(network.state_dict(), tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert all(torch.equal(again[name], value) for name, value in weights.items())


@torch.inference_mode()
def test_golden_logits_of_the_micro_network() -> None:
    logits = golden_network(**MICRO)(golden_clip(4))
    torch.testing.assert_close(logits[0], torch.tensor(MICRO_LOGITS), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_golden_logits_of_the_tiny_network() -> None:
    logits = golden_network(size="tiny", image_size=64)(golden_clip(2))
    torch.testing.assert_close(logits[0], torch.tensor(TINY_LOGITS), atol=1e-4, rtol=0)


def test_training_and_inference_compute_the_same() -> None:
    network, clip = golden_network(**MICRO), golden_clip(3)
    with torch.inference_mode():
        expected = network(clip)
    torch.testing.assert_close(network(clip), expected, atol=1e-6, rtol=0)


@torch.inference_mode()
def test_the_future_changes_nothing() -> None:
    network, clip = golden_network(**MICRO), golden_clip(6).repeat(2, 1, 1, 1, 1)
    changed = clip.clone()
    changed[:, :, 3:] = torch.randn(changed[:, :, 3:].shape)
    before, after = network(clip), network(changed)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


@torch.inference_mode()
def test_a_spatial_block_is_symmetric_in_its_two_directions() -> None:
    network = golden_network(**MICRO)
    block, tokens = network.layers[0], torch.randn(2, 17, 32)
    forward = block(tokens)[0]
    mixer = block.mixer
    for name in ("conv1d", "x_proj", "dt_proj"):
        one, other = getattr(mixer, name), getattr(mixer, name + "_b")
        setattr(mixer, name, other)
        setattr(mixer, name + "_b", one)
    mixer.A_log, mixer.A_b_log = mixer.A_b_log, mixer.A_log
    mixer.D, mixer.D_b = mixer.D_b, mixer.D
    torch.testing.assert_close(block(tokens.flip(1))[0].flip(1), forward, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(block(tokens)[0], forward, atol=1e-4)


@torch.inference_mode()
def test_features_are_what_the_head_reads() -> None:
    network, clip = golden_network(**MICRO), golden_clip(3)
    features = network.features(clip)
    assert features.shape == (1, 3, 32)
    torch.testing.assert_close(network.head(features), network(clip))


@torch.inference_mode()
def test_classification_reads_the_class_token() -> None:
    network = golden_network(head="classification", **MICRO)
    clip = golden_clip(3)
    seen = []
    hook = network.norm_f.register_forward_hook(lambda _module, _inputs, out: seen.append(out))
    logits = network(clip)
    hook.remove()
    torch.testing.assert_close(network.head(seen[0][:, :, 0]), logits)
    assert not torch.allclose(network.head(network.features(clip)), logits, atol=1e-3)


def test_temporal_codes_follow_the_formula_beyond_the_released_table() -> None:
    code = temporal_code(9000, 2, 8)
    assert code.shape == (2, 8)
    expected = torch.tensor(9001.0, dtype=torch.float64) / 10_000 ** torch.tensor(2 / 8)
    torch.testing.assert_close(code[1, 2], torch.sin(expected), atol=1e-4, rtol=0)
    torch.testing.assert_close(code[1, 1], torch.cos(torch.tensor(9001.0, dtype=torch.float64)))


def test_a_fresh_network_starts_as_published() -> None:
    torch.manual_seed(0)
    network = EndoMamba(**MICRO)
    mixer = network.layers[0].mixer
    assert torch.equal(mixer.A_b_log[5], torch.arange(1, 17).float().log())
    widths = nn.functional.softplus(mixer.dt_proj.bias)
    assert widths.min() >= 1e-3 * 0.99
    assert widths.max() <= 0.1 * 1.01
    assert network.cls_token.abs().max() == 0
    assert [round(layer.drop, 6) for layer in network.layers] == [0, 0.033333, 0.066667, 0.1]


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network = EndoMamba(width=16, depth=2, image_size=32, drop_path=0.5).train()
    loss = network(torch.randn(2, 3, 3, 32, 32)).square().mean()
    loss.backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert silent == []


@pytest.mark.parametrize(
    "options",
    [
        {"size": "huge"},
        {"head": "detection"},
        {"head": "segmentation", "patch_size": 8},
        {"state_reset": "sometimes"},
        {"temporal_position": "backwards"},
        {"width": 33},
        {"width": 0},
        {"depth": 1},
        {"num_classes": 0},
        {"drop_path": 1.0},
        {"image_size": 100},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError), torch.device("meta"):
        create_model("endomamba", **options)


@pytest.mark.parametrize(
    "shape", [(1, 3, 2, 48, 64), (1, 1, 2, 64, 64), (3, 64, 64), (1, 3, 0, 64, 64)]
)
def test_a_clip_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="64 x 64"):
        EndoMamba(**MICRO)(torch.zeros(shape))
