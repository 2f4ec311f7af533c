"""VideoMamba's layout, and that it is what a teacher of EndoMamba has to be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models import create_model
from models.errors import CheckpointError, ModelError, OptionError
from models.videomamba.convert import convert, is_videomamba

TINY = {"width": 16, "depth": 2, "frames": 3, "image_size": 32, "patch_size": 16}


def released(prefix: str = "") -> dict[str, Tensor]:
    """A synthetic file: names and shapes of VideoMamba, with its classifier."""
    torch.manual_seed(5)
    source = create_model("videomamba", **TINY).state_dict()
    weights = {name: torch.randn_like(v) for name, v in source.items()}
    weights |= {"head.weight": torch.zeros(400, 16), "head.bias": torch.zeros(400)}
    return {prefix + name: value for name, value in weights.items()}


def test_names_of_the_small_network() -> None:
    with torch.device("meta"):
        network = create_model("videomamba")
    shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    assert shapes["temporal_pos_embedding"] == (1, 16, 384)
    assert shapes["pos_embed"] == (1, 197, 384)
    assert shapes["patch_embed.proj.weight"] == (384, 3, 1, 16, 16)
    # every block reads both ways: 17 tensors, of the count of EndoMamba's spatial block
    layer = {k: v for k, v in shapes.items() if k.startswith("layers.23.")}
    assert len(layer) == 17
    assert sum(p.numel() for p in network.layers[23].parameters()) == 1_043_328
    beside = 295_296 + 197 * 384 + 384 + 16 * 384 + 384
    assert sum(p.numel() for p in network.parameters()) == 24 * 1_043_328 + beside


@torch.inference_mode()
def test_a_clip_is_one_sequence_after_one_class_token() -> None:
    torch.manual_seed(1)
    network, clip = create_model("videomamba", **TINY).eval(), torch.randn(1, 3, 3, 32, 32)
    tokens = network(clip)
    assert tokens.shape == (1, 3, 4, 16)
    sequence = [network.cls_token[0, 0] + network.pos_embed[0, 0]]
    weight = network.patch_embed.proj.weight[:, :, 0]
    for frame in range(3):
        cells = torch.nn.functional.conv2d(
            clip[:, :, frame], weight, network.patch_embed.proj.bias, 16
        )
        for place, cell in enumerate(cells[0].flatten(1).T):
            time = network.temporal_pos_embedding[0, frame]
            sequence.append(cell + network.pos_embed[0, 1 + place] + time)
    residual = torch.stack(sequence).unsqueeze(0)
    for block in network.layers:
        mixed, _, _ = block.mixer(block.norm(residual))
        residual = residual + mixed
    expected = network.norm_f(residual)[0, 1:].view(3, 4, 16)
    torch.testing.assert_close(tokens[0], expected, atol=1e-5, rtol=1e-5)
    clip[:, :, 2] = 0
    assert not torch.allclose(network(clip)[:, 1], tokens[:, 1], atol=1e-4), "it looks ahead"


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_released_file_loads_whole_but_for_its_classifier(prefix: str, wrapped: bool) -> None:
    weights = released(prefix)
    checkpoint = {"model": weights, "epoch": 1} if wrapped else weights
    assert is_videomamba(checkpoint)
    options, network, report = convert(checkpoint)
    assert options == TINY
    assert report.unexpected == (f"{prefix}head.bias", f"{prefix}head.weight")
    assert report.loaded == tuple(sorted(network.state_dict()))
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[prefix + name])


def test_files_that_are_not_whole_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"1 tensors are missing, layers\.1\.mixer\.A_b_log"):
        convert({k: v for k, v in released().items() if k != "layers.1.mixer.A_b_log"})
    with pytest.raises(CheckpointError, match="holds no whole VideoMamba"):
        convert({"temporal_pos_embedding": torch.zeros(1, 3, 16)})
    thick = released() | {"patch_embed.proj.weight": torch.zeros(16, 3, 2, 16, 16)}
    with pytest.raises(CheckpointError, match="several frames into one patch"):
        convert(thick)
    assert not is_videomamba({"model": {"pos_embed": torch.zeros(1, 5, 16)}})


def test_other_clips_and_options_are_refused() -> None:
    with pytest.raises(ModelError, match="3 frames of 32 x 32"):
        create_model("videomamba", **TINY)(torch.zeros(1, 3, 4, 32, 32))
    for options in ({"size": "huge"}, {"image_size": 33}, {"frames": 0}):
        with pytest.raises(OptionError), torch.device("meta"):
            create_model("videomamba", **options)
