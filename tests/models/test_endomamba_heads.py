"""EndoMamba's other heads: counts and names as released, streams, files loaded whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models import create_model
from models.endomamba import EndoMamba, LocalisingEndoMamba, SegmentingEndoMamba
from models.endomamba.convert import convert
from models.endomamba.heads import DecoderBlock
from models.errors import CheckpointError, OptionError

TINY = {"width": 16, "depth": 4, "image_size": 32}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("size", "parameters"), [("tiny", 6_590_976), ("small", 24_462_336), ("middle", 71_299_584)]
)
def test_counts_of_the_backbones(size: str, parameters: int) -> None:
    with torch.device("meta"):
        network = create_model("endomamba", size=size, head="none")
    assert count(network) == parameters
    if size == "middle":
        blocks = {count(layer) for layer in network.layers[:16]}
        assert blocks | {count(layer) for layer in network.layers[16:]} == {2_283_840, 2_137_536}


def test_counts_and_names_of_the_segmentation_network() -> None:
    with torch.device("meta"):
        network = create_model("endomamba", size="small", head="segmentation", num_classes=2)
    assert count(network) == 28_568_930
    assert count(network.encoder) == 24_462_336
    assert count(network.decoder) == 4_106_304
    assert count(network.segmentation_head) == 290
    names = network.state_dict().keys()
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    convs = [
        "decoder.conv_more",
        *(f"decoder.blocks.{i}.conv{k}" for i in range(4) for k in (1, 2)),
    ]
    beside = {f"{c}.0.weight" for c in convs} | {f"{c}.1.{k}" for c in convs for k in norm}
    beside |= {"segmentation_head.0.weight", "segmentation_head.0.bias"}
    assert {n for n in names if not n.startswith("encoder.")} == beside
    assert len(names) == 329 + len(beside)
    assert "encoder.layers.23.mixer.out_proj.weight" in names
    assert "encoder.head.weight" not in names


def test_sizes_double_corner_to_corner() -> None:
    block = DecoderBlock(1, 1).eval()
    seen = []
    block.conv1.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    block(torch.tensor([[[[0.0, 3.0], [0.0, 3.0]]]]))
    torch.testing.assert_close(seen[0][0, 0], torch.tensor([[0.0, 1.0, 2.0, 3.0]] * 4))


@torch.inference_mode()
@pytest.mark.parametrize("head", ["segmentation", "localisation"])
def test_a_stream_equals_its_clip_and_the_future_changes_nothing(head: str) -> None:
    torch.manual_seed(0)
    network = create_model("endomamba", head=head, num_classes=3, **TINY).eval()
    clip = torch.randn(2, 3, 4, 32, 32)
    whole = network(clip)
    assert whole.shape == ((2, 4, 3, 32, 32) if head == "segmentation" else (2, 4, 3, 4))
    state, steps = None, []
    for frame in clip.unbind(2):
        answer, state = network.step(frame, state)
        steps.append(answer)
    assert state.frames == 4
    torch.testing.assert_close(torch.stack(steps, 1), whole, atol=1e-5, rtol=0)
    changed = clip.clone()
    changed[:, :, 2:] = 1.0
    after = network(changed)
    assert torch.equal(after[:, :2], whole[:, :2])
    assert not torch.allclose(after[:, 2:], whole[:, 2:])


@torch.inference_mode()
def test_each_patch_has_its_place_and_the_class_token_none() -> None:
    torch.manual_seed(0)
    network = create_model(
        "endomamba", head="segmentation", width=16, depth=2, image_size=48
    ).eval()
    seen = []
    network.decoder.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    clip = torch.randn(1, 3, 2, 48, 48)
    network(clip)
    tokens = network.encoder.encode(clip).tokens
    assert seen[0].shape == (2, 16, 3, 3)
    for frame in range(2):
        for row in range(3):
            for column in range(3):
                place = seen[0][frame, :, row, column]
                torch.testing.assert_close(place, tokens[0, frame, 1 + 3 * row + column])


@torch.inference_mode()
def test_what_is_visible_and_where_come_from_two_heads() -> None:
    torch.manual_seed(0)
    network = create_model("endomamba", head="localisation", num_classes=2, **TINY).eval()
    assert isinstance(network, LocalisingEndoMamba)
    found = network.locate(torch.randn(1, 3, 2, 32, 32))
    assert found.visibility.shape == found.positions.shape == (1, 2, 2, 2)
    kinds = [[type(part) for part in head.head] for head in (network.vis_head, network.pos_head)]
    assert kinds[0] == [nn.Linear, nn.Dropout, nn.Linear, nn.Dropout, nn.Linear]
    assert kinds[1] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert count(network.vis_head) == 16 * 512 + 512 + 512 * 512 + 512 + 4 * 512 + 4


def test_every_parameter_of_the_heads_learns() -> None:
    torch.manual_seed(0)
    for head in ("segmentation", "localisation"):
        network = create_model("endomamba", head=head, drop_path=0.0, **TINY).train()
        network(torch.randn(1, 3, 2, 32, 32)).square().mean().backward()
        assert not [n for n, p in network.named_parameters() if p.grad is None]


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("head", ["segmentation", "localisation"])
def test_released_files_give_the_whole_network(head: str, prefix: str) -> None:
    torch.manual_seed(1)
    source = create_model("endomamba", head=head, num_classes=3, **TINY)
    state: dict[str, Tensor] = source.state_dict()
    options, network, report = convert({f"{prefix}{n}": v for n, v in state.items()})
    kind = SegmentingEndoMamba if head == "segmentation" else LocalisingEndoMamba
    assert isinstance(network, kind)
    assert (options["head"], options["num_classes"], report.layout) == (head, 3, head)
    assert report.loaded == tuple(sorted(state))
    assert all(torch.equal(state[n], v) for n, v in network.state_dict().items())
    again = create_model("endomamba", **options)
    assert again.state_dict().keys() == state.keys()


@torch.inference_mode()
@pytest.mark.parametrize("head", ["segmentation", "localisation", "classification"])
def test_imported_heads_take_a_recording_as_one_sequence(head: str) -> None:
    """Staggered resets and frozen positions are of the released phase test alone."""
    torch.manual_seed(2)
    made = {"head": head, "num_classes": 3, **TINY}
    source = create_model(
        "endomamba", state_reset="none", temporal_position="running", **made
    ).eval()
    for layer in getattr(source, "encoder", source).layers:
        layer.mixer.A_log.fill_(-8.0)  # what was seen long ago still counts
        layer.mixer.dt_proj.bias.add_(6)
        layer.mixer.x_proj.weight.mul_(4)
        layer.mixer.out_proj.weight.mul_(20)
    file: dict[str, object] = dict(source.state_dict())
    if head == "classification":
        file = {"backbone_state_dict": file}
    clip = torch.randn(1, 3, 65, 32, 32)
    expected = source(clip)
    assert torch.equal(convert(file, keep_head=True)[1].eval()(clip), expected)
    for option, first in (({"state_reset": "staggered"}, 64), ({"temporal_position": "frozen"}, 1)):
        other = convert(file, keep_head=True, **option)[1].eval()(clip)
        moved = (other - expected).abs().flatten(2).amax((0, 2))
        assert moved[:first].max() < 1e-6
        assert moved[first:].min() > 1e-6


def test_a_decoder_that_does_not_fit_is_named() -> None:
    state = create_model("endomamba", head="segmentation", num_classes=2, **TINY).state_dict()
    skips = torch.zeros(256, 512 + 384, 3, 3)
    with pytest.raises(
        CheckpointError, match=r"decoder\.blocks\.0\.conv1\.0\.weight is \(256, 896"
    ):
        convert({**state, "decoder.blocks.0.conv1.0.weight": skips})
    with pytest.raises(
        CheckpointError, match=r"1 tensors are missing, decoder\.conv_more\.1\.bias"
    ):
        convert({n: v for n, v in state.items() if n != "decoder.conv_more.1.bias"})


def test_the_backbone_alone_answers_with_features() -> None:
    network = EndoMamba(head="none", **TINY).eval()
    with torch.inference_mode():
        result = network.advance(torch.randn(1, 3, 2, 32, 32))
    assert torch.equal(result.logits, result.features)
    with pytest.raises(OptionError, match="patches of 16 pixels"):
        create_model("endomamba", head="segmentation", image_size=64, patch_size=8)
