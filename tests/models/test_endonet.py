"""EndoNet's modern form: counts, names, shared features, heads that learn apart, streams."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models import create_model
from models.blocks.resnet import ResNet50
from models.endonet import EndoNet, Frames
from models.endonet.convert import convert, is_endonet
from models.endonet.training import FrameLoss, FrameTargets, median_frequency
from models.errors import CheckpointError, ModelError, OptionError
from models.foreign import read_pickled


@pytest.fixture(scope="module")
def network() -> EndoNet:
    torch.manual_seed(0)
    return create_model("endonet", num_classes=7, num_tools=7, layers=3, maps=8).eval()


@pytest.fixture(scope="module")
def imagenet() -> dict[str, Tensor]:
    """The names and shapes of a public ResNet-50 file, each tensor one number."""
    state = ResNet50().to("meta").state_dict()
    shapes = {k: v.shape for k, v in state.items()}
    shapes |= {"fc.weight": torch.Size((1000, 2048)), "fc.bias": torch.Size((1000,))}
    dtypes = {k: v.dtype for k, v in state.items()}
    return {
        k: torch.full(s, n % 7 + 1, dtype=dtypes.get(k, torch.float32))
        for n, (k, s) in enumerate(sorted(shapes.items()))
    }


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_counts_of_the_parts() -> None:
    whole = create_model("endonet")
    parts = {name: count(part) for name, part in whole.named_children()}
    assert parts == {
        "temporal": 132_846,
        "model": 23_508_032,
        "fc_phase": 2048 * 7 + 7,
        "fc_tool": 2048 * 7 + 7,
    }


def test_the_encoder_has_torchvisions_names(imagenet: dict[str, Tensor]) -> None:
    """320 names; their hash is that of the names torchvision documents, written out here."""
    names = ["conv1.weight", "fc.weight", "fc.bias"]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names += [f"bn1.{k}" for k in norm]
    for layer, units in enumerate((3, 4, 6, 3), 1):
        for unit in range(units):
            at = f"layer{layer}.{unit}."
            names += [f"{at}conv{i}.weight" for i in (1, 2, 3)]
            names += [f"{at}bn{i}.{k}" for i in (1, 2, 3) for k in norm]
            if unit == 0:
                names += [f"{at}downsample.0.weight", *(f"{at}downsample.1.{k}" for k in norm)]
    assert sorted(names) == sorted(imagenet)
    assert len(names) == 320
    assert sum(v.numel() for v in imagenet.values() if v.is_floating_point()) == (
        25_557_032 + 2 * 26_560  # parameters as published, and the running statistics
    )


@torch.inference_mode()
def test_the_encoder_computes_what_its_formula_says() -> None:
    """One unit written out with plain convolutions, stride in the middle one."""
    torch.manual_seed(1)
    unit = ResNet50().layer2[0].eval()
    for name, buffer in unit.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5) if name.endswith("var") else buffer.normal_()
    x = torch.randn(1, 256, 8, 8)

    def normed(y: Tensor, bn: torch.nn.BatchNorm2d) -> Tensor:
        shape = (1, -1, 1, 1)
        scaled = (y - bn.running_mean.view(shape)) / (bn.running_var.view(shape) + 1e-5).sqrt()
        return scaled * bn.weight.view(shape) + bn.bias.view(shape)

    conv = torch.nn.functional.conv2d
    y = normed(conv(x, unit.conv1.weight), unit.bn1).relu()
    y = normed(conv(y, unit.conv2.weight, stride=2, padding=1), unit.bn2).relu()
    y = normed(conv(y, unit.conv3.weight), unit.bn3)
    short = normed(conv(x, unit.downsample[0].weight, stride=2), unit.downsample[1])
    torch.testing.assert_close(unit(x), (y + short).relu(), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_stream_equals_its_clip_and_reads_shared_features(network: EndoNet) -> None:
    clip = torch.randn(1, 3, 4, 40, 32)
    whole = network.advance(clip)
    assert (whole.logits.shape, whole.tools.shape) == ((1, 4, 7), (1, 4, 7))
    state, steps = None, []
    for frame in clip.unbind(2):
        logits, state = network.step(frame, state)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, 1), whole.logits, atol=1e-5, rtol=0)
    assert torch.equal(network(clip), whole.logits)
    features = network.features(clip)
    torch.testing.assert_close(network.fc_tool(features), whole.tools)
    torch.testing.assert_close(
        network.temporal(features.transpose(1, 2))[-1].transpose(1, 2), whole.logits
    )
    changed = clip.clone()
    changed[:, :, 3:] = 2.0
    assert torch.equal(network(changed)[:, :3], whole.logits[:, :3])


@torch.inference_mode()
def test_pictures_and_clips_that_do_not_fit_are_refused(network: EndoNet) -> None:
    with pytest.raises(ModelError, match="at least 32 pixels"):
        network.frames(torch.zeros(1, 3, 31, 64))
    with pytest.raises(ModelError, match=r"\(B, 3, T, H, W\)"):
        network(torch.zeros(1, 3, 64, 64))
    with pytest.raises(OptionError, match="at least 1 tool"):
        create_model("endonet", num_tools=0)


def heads() -> tuple[Tensor, Tensor, Tensor, Frames]:
    torch.manual_seed(2)
    features = torch.randn(3, 4)
    phase = torch.randn(4, 5, requires_grad=True)
    tool = torch.randn(4, 2, requires_grad=True)
    return phase, tool, features, Frames(features, features @ phase, features @ tool)


def test_a_head_without_weight_learns_nothing() -> None:
    targets = FrameTargets(
        phases=torch.tensor([0, 4, 2]), tools=torch.tensor([[1, 0], [0, 0], [1, 1]])
    )
    for weights, silent in (((0.0, 1.0), 0), ((1.0, 0.0), 1)):
        *parameters, _, found = heads()
        loss, _ = FrameLoss(phase_weight=weights[0], tool_weight=weights[1])(found, targets)
        loss.backward()
        assert not parameters[silent].grad.any()
        assert parameters[1 - silent].grad.any()


def test_the_loss_is_what_the_formula_says_and_leaves_out_what_is_unknown() -> None:
    _, _, _, found = heads()
    targets = FrameTargets(
        phases=torch.tensor([0, -1, 2]), tools=torch.tensor([[1, -1], [-1, -1], [0, 1]])
    )
    loss, parts = FrameLoss(tool_weights=(2.0, 3.0))(found, targets)
    log_p = found.phases.log_softmax(1)
    p = found.tools.sigmoid()
    assert parts["phase"].item() == pytest.approx(-(log_p[0, 0] + log_p[2, 2]).item() / 2, rel=1e-5)
    tools = -(2 * p[0, 0].log() + (1 - p[2, 0]).log() + 3 * p[2, 1].log()) / 2
    assert parts["tools"].item() == pytest.approx(tools.item(), rel=1e-5)
    assert loss.item() == pytest.approx((parts["phase"] + parts["tools"]).item())
    nothing = FrameTargets(phases=torch.full((3,), -1), tools=torch.full((3, 2), -1))
    assert FrameLoss()(found, nothing)[0].item() == 0


def test_rare_tools_weigh_more() -> None:
    assert median_frequency((10, 40, 20)) == (2.0, 0.5, 1.0)
    assert median_frequency((0, 10, 30)) == (2.0, 2.0, pytest.approx(2 / 3))
    with pytest.raises(OptionError, match="No tool occurs"):
        median_frequency((0, 0))


def stored(layout: str, state: Mapping[str, Tensor]) -> dict[str, object]:
    if layout == "torchvision":
        return dict(state)
    if layout == "vissl":
        trunk = {f"_feature_blocks.{k}": v for k, v in state.items() if not k.startswith("fc.")}
        inner = {"model": {"trunk": trunk, "heads": {"0.clf.weight": torch.ones(2)}}}
        return {"classy_state_dict": {"base_model": inner}, "phase_idx": 3}
    heads = {
        f"{name}.{kind}": torch.full((size, 2048) if kind == "weight" else (size,), 3.0)
        for name, size in (("fc_phase", 7), ("fc_tool", 5))
        for kind in ("weight", "bias")
    }
    named = {f"model.model.{k}": v for k, v in state.items() if not k.startswith("fc.")}
    return {"state_dict": named | {f"model.{k}": v for k, v in heads.items()}, "epoch": 9}


@pytest.mark.parametrize(
    ("layout", "said", "left"),
    [
        ("torchvision", "torchvision", ("fc.bias", "fc.weight")),
        ("vissl", "vissl", ()),
        ("tecno", "tecno", ()),
    ],
)
def test_user_supplied_weights_load_whole(
    layout: str, said: str, left: tuple[str, ...], imagenet: dict[str, Tensor]
) -> None:
    file = stored(layout, imagenet)
    assert is_endonet(file)
    options, found, report = convert(file)
    assert (report.layout, report.unexpected) == (said, left)
    state = found.state_dict()
    for name, value in imagenet.items():
        if not name.startswith("fc."):
            assert torch.equal(state[f"model.{name}"], value), name
    fresh = {n.split(".")[0] for n in report.missing}
    if said == "tecno":
        assert options == {"num_classes": 7, "num_tools": 5}
        assert torch.equal(state["fc_tool.bias"], torch.full((5,), 3.0))
        assert fresh == {"temporal"}
    else:
        assert fresh == {"temporal", "fc_phase", "fc_tool"}
    assert len(report.loaded) == 318 + (4 if said == "tecno" else 0)


def test_an_encoder_that_does_not_fit_is_named(imagenet: dict[str, Tensor]) -> None:
    lacking = {k: v for k, v in imagenet.items() if k != "layer4.2.bn3.bias"}
    with pytest.raises(CheckpointError, match=r"1 tensors are missing, model\.layer4\.2\.bn3\.bia"):
        convert(lacking)
    with pytest.raises(CheckpointError, match=r"model\.bn1\.bias is \(32,\), this one needs"):
        convert({**imagenet, "bn1.bias": torch.zeros(32)})
    assert not is_endonet({"conv1.weight": torch.zeros(64, 3, 7, 7)})
    assert not is_endonet({"classy_state_dict": 3})
    old = {k: v for k, v in imagenet.items() if not k.endswith("num_batches_tracked")}
    assert len(convert(old)[2].loaded) == 318 - 53


def test_a_vissl_file_is_read_without_running_it(
    imagenet: dict[str, Tensor], tmp_path: Path
) -> None:
    small = {
        k: v[:0].clone() if v.ndim == 4 and k not in TELLING else v for k, v in imagenet.items()
    }
    file = tmp_path / "moco.torch"
    torch.save(stored("vissl", small) | {"config": argparse.Namespace(lr=0.1)}, file)
    assert is_endonet(read_pickled(file))


TELLING = ("conv1.weight", "layer3.5.conv3.weight")
