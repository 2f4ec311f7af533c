"""DINOv2: the official layout, the official outputs, and every way its weights are stored."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models import create_model
from models.dinov2 import DinoV2
from models.dinov2.convert import convert, is_dinov2
from models.errors import CheckpointError, OptionError
from models.foreign import read_pickled
from tests.helpers.golden_fill import fill, picture, wave

SMALL = {"width": 128, "depth": 3, "heads": 2, "image_size": 56}


def assert_golden(output: Tensor, known: dict[str, Any]) -> None:
    """Shape, mean, deviation and every probe are those of the official code."""
    tolerance = max(10 * known["max_abs_diff_fp32_vs_fp64"], 2e-5)
    assert list(output.shape) == known["shape"]
    flat = output.double().flatten()
    assert flat.mean().item() == pytest.approx(known["mean"], abs=tolerance)
    assert flat.std(correction=0).item() == pytest.approx(known["std"], abs=tolerance)
    for index, _, value in known["probes"]:
        assert flat[index].item() == pytest.approx(value, abs=tolerance)


def filled(**options: int) -> dict[str, Tensor]:
    """Weights of a small encoder, all of them random."""
    torch.manual_seed(3)
    state = DinoV2(**{**SMALL, **options}).state_dict()
    return {name: torch.randn_like(value) for name, value in state.items()}


@pytest.mark.parametrize(
    ("size", "registers", "keys", "elements", "sha256"),
    [
        ("s", 0, 175, 22_056_576, "092a187a126bee3d"),
        ("b", 0, 175, 86_580_480, "0adccc4298999247"),
        ("l", 0, 343, 304_368_640, "1e036a0cc91aeed5"),
        ("s", 4, 176, 22_058_112, "3083fa0cab6e86d4"),
        ("b", 4, 176, 86_583_552, "8de3d0e8b74c3d9f"),
        ("l", 4, 344, 304_372_736, "baed5c32150f81fd"),
    ],
)
def test_the_state_dict_is_the_official_one(
    size: str, registers: int, keys: int, elements: int, sha256: str
) -> None:
    with torch.device("meta"):
        network = create_model("dinov2", variant=f"vit{size}14{'_reg4' if registers else ''}")
    state = network.state_dict()
    lines = sorted(f"{name}:{tuple(value.shape)}" for name, value in state.items())
    assert len(state) == keys
    assert sum(value.numel() for value in state.values()) == elements
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == sha256
    names = list(state)
    if registers:
        assert names[1:4] == ["pos_embed", "register_tokens", "mask_token"]


def test_the_rule_of_the_golden_values() -> None:
    assert wave(0, 3) == pytest.approx([-0.151558973547, -0.27420460644, 0.565833853864])
    assert wave(400, 1_000_001)[-1] == pytest.approx(0.0912992260636)
    normalised = picture(224, 280)
    assert normalised.mean().item() == pytest.approx(0.1889009, abs=1e-6)
    assert normalised.min().item() == pytest.approx(-2.117902, abs=1e-6)


@pytest.mark.parametrize(
    ("size", "registers", "height_px", "width_px"),
    [
        ("s", 0, 224, 280),
        ("s", 4, 224, 224),
        pytest.param("s", 0, 224, 224, marks=pytest.mark.long),
        pytest.param("b", 0, 224, 224, marks=pytest.mark.long),
    ],
)
@torch.no_grad()
def test_the_outputs_are_those_of_the_official_code(
    size: str, registers: int, height_px: int, width_px: int, shared_data: Path
) -> None:
    variant = f"vit{size}14{'_reg4' if registers else ''}"
    name = f"dinov2_{variant}_{height_px}x{width_px}"
    values = shared_data.parent / "specs" / "golden-values.json"
    if not values.is_file():
        pytest.skip("the golden values are not here")
    known = json.loads(values.read_text())["models"][name]["outputs"]
    network = fill(create_model("dinov2", variant=variant))
    x = picture(height_px, width_px)
    tokens, (whole, patches) = network(x), network.features(x)
    assert_golden(whole, known["x_norm_clstoken"])
    assert tokens.patches.shape[2:] == (height_px // 14, width_px // 14)
    assert_golden(patches, known["x_norm_patchtokens"])
    if registers:
        assert_golden(tokens.registers, known["x_norm_regtokens"])


def test_positions_are_resized_as_each_family_was_trained() -> None:
    torch.manual_seed(1)
    plain, registered = DinoV2(**SMALL), DinoV2(**SMALL, registers=4)
    registered.pos_embed.data.copy_(plain.pos_embed.data)
    assert plain.positions(4, 4) is plain.pos_embed
    table = plain.pos_embed[:, 1:].reshape(1, 4, 4, 128).permute(0, 3, 1, 2)
    old = functional.interpolate(
        table, scale_factor=((3 + 0.1) / 4, (5 + 0.1) / 4), mode="bicubic", align_corners=False
    )
    new = functional.interpolate(table, size=(3, 5), mode="bicubic", antialias=True)
    for network, expected in ((plain, old), (registered, new)):
        positions = network.positions(3, 5)
        assert torch.equal(positions[:, :1], plain.pos_embed[:, :1])
        assert torch.equal(positions[:, 1:], expected.flatten(2).transpose(1, 2))
    assert not torch.allclose(old, new, atol=1e-4)


def test_positions_by_the_old_rule_equal_a_bicubic_written_out() -> None:
    """518 px to 224 px: samples at (i + 0.5) * 37 / 16.1 - 0.5, Keys' kernel with a = -0.75."""
    torch.manual_seed(1)
    network = DinoV2(width=8, depth=1, heads=1)
    table = network.pos_embed.data[0, 1:].double().numpy().reshape(37, 37, 8)

    def kernel(d: float) -> float:
        d = abs(d)
        if d <= 1:
            return 1.25 * d**3 - 2.25 * d**2 + 1
        return -0.75 * d**3 + 3.75 * d**2 - 6 * d + 3 if d < 2 else 0.0

    weights = np.zeros((16, 37))
    for i in range(16):
        at = (i + 0.5) * 37 / 16.1 - 0.5
        for k in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            weights[i, min(max(k, 0), 36)] += kernel(at - k)
    expected = np.einsum("ia,jb,abc->ijc", weights, weights, table).reshape(1, 256, 8)
    assert network.positions(16, 16)[:, 1:].detach().numpy() == pytest.approx(expected, abs=1e-6)


def test_a_marked_patch_lights_its_own_cell() -> None:
    torch.manual_seed(0)
    network = DinoV2(**SMALL, registers=2)
    x = torch.zeros(1, 3, 70, 98)
    blank = network.tokens(network.embed(x), 5, 7)
    x[:, :, 3 * 14 : 4 * 14, 2 * 14 : 3 * 14] = 1.0
    marked = network.tokens(network.embed(x), 5, 7)
    lit = (marked.patches - blank.patches).abs().sum(1)[0] > 1e-6
    assert lit.nonzero().tolist() == [[3, 2]]
    assert torch.equal(marked.whole, blank.whole)
    assert marked.registers.shape == (1, 2, 128)


def stored_otherwise(layout: str, state: dict[str, Tensor]) -> dict[str, object]:
    if layout == "official":
        return dict(state)
    if layout == "chunks":
        # The official training cuts the blocks into chunks and keeps their own numbers.
        at = {"blocks.0.": "blocks.0.0.", "blocks.1.": "blocks.0.1.", "blocks.2.": "blocks.1.2."}
        return {next((n.replace(a, b) for a, b in at.items() if a in n), n): v
                for n, v in state.items()}  # fmt: skip
    if layout == "teacher.backbone.":
        others = {f"student.backbone.{n}": v + 1 for n, v in state.items()}
        named = {f"teacher.backbone.{n}": v for n, v in state.items()}
        return {"model": {**others, **named, "teacher.dino_head.last": torch.ones(2)}, "epoch": 3}
    if layout == "pretrained.":
        return {**{f"pretrained.{n}": v for n, v in state.items()}, "depth_head.w": torch.ones(2)}
    return {f"{layout}{n}": v for n, v in state.items()}


@pytest.mark.parametrize(
    "layout", ["official", "chunks", "backbone.", "module.", "teacher.backbone.", "pretrained."]
)
@pytest.mark.parametrize("registers", [0, 4])
def test_weights_are_taken_from_every_layout(layout: str, registers: int, tmp_path: Path) -> None:
    state = filled(registers=registers)
    file = tmp_path / "weights.pth"
    torch.save(stored_otherwise(layout, state), file)
    found = read_pickled(file)
    assert is_dinov2(found)
    options, network, report = convert(found)
    assert options == {**SMALL, "registers": registers, "patch_size": 14}
    assert report.loaded == tuple(sorted(state))
    beside = layout in ("teacher.backbone.", "pretrained.")
    assert bool(report.unexpected) == beside
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("prefix", ["", "dinov2."])
@pytest.mark.parametrize("registers", [0, 4])
def test_weights_are_taken_from_hugging_faces_layout(prefix: str, registers: int) -> None:
    state = filled(registers=registers)
    theirs = {f"{prefix}{n}": v for n, v in hugging_face(state).items()}
    if prefix:
        theirs["classifier.weight"] = torch.ones(2, 128)
    assert is_dinov2(theirs)
    options, network, report = convert(theirs)
    assert options["registers"] == registers
    assert report.unexpected == (("classifier.weight",) if prefix else ())
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name


def hugging_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the names of Hugging Face's Dinov2Model, read in its documentation."""
    plain = {
        "cls_token": "embeddings.cls_token",
        "mask_token": "embeddings.mask_token",
        "pos_embed": "embeddings.position_embeddings",
        "register_tokens": "embeddings.register_tokens",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
        "norm.weight": "layernorm.weight",
        "norm.bias": "layernorm.bias",
    }
    inside = {
        "norm1.weight": "norm1.weight", "norm1.bias": "norm1.bias",
        "norm2.weight": "norm2.weight", "norm2.bias": "norm2.bias",
        "attn.proj.weight": "attention.output.dense.weight",
        "attn.proj.bias": "attention.output.dense.bias",
        "ls1.gamma": "layer_scale1.lambda1", "ls2.gamma": "layer_scale2.lambda1",
        "mlp.fc1.weight": "mlp.fc1.weight", "mlp.fc1.bias": "mlp.fc1.bias",
        "mlp.fc2.weight": "mlp.fc2.weight", "mlp.fc2.bias": "mlp.fc2.bias",
    }  # fmt: skip
    found = {}
    for name, value in state.items():
        if name in plain:
            found[plain[name]] = value
            continue
        _, number, rest = name.split(".", 2)
        if rest.startswith("attn.qkv."):
            kind = rest.rpartition(".")[2]
            for part, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[f"encoder.layer.{number}.attention.attention.{part}.{kind}"] = piece
        else:
            found[f"encoder.layer.{number}.{inside[rest]}"] = value
    return found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("missing", r"blocks\.1\.ls2\.gamma is missing, the first of 1"),
        ("extra", r"hold blocks\.1\.mystery, which this encoder has not"),
        ("shape", r"norm\.bias is \(127,\), this one needs \(128,\)"),
        ("nan", r"norm\.weight holds values that are not finite"),
        ("giant", "giant model"),
        ("other", "no weights of DINOv2"),
        ("many blocks", "names blocks that it does not hold"),
        ("no values", r"blocks\.1\.attn\.qkv\.weight lacks value"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(change: str, says: str) -> None:
    state: dict[str, Tensor] = filled()
    if change == "missing":
        del state["blocks.1.ls2.gamma"]
    elif change == "extra":
        state["blocks.1.mystery"] = torch.ones(1)
    elif change == "shape":
        state["norm.bias"] = torch.ones(127)
    elif change == "nan":
        state["norm.weight"][4] = float("nan")
    elif change == "giant":
        state["blocks.0.mlp.w12.weight"] = torch.ones(1)
    elif change == "other":
        state = {"conv.weight": torch.ones(1)}
    elif change == "many blocks":
        state["blocks.1000000.ls1.gamma"] = torch.ones(1)
    elif change == "no values":
        state = hugging_face(state)
        del state["encoder.layer.1.attention.attention.value.weight"]
    with pytest.raises(CheckpointError, match=says):
        convert(state)


def test_options_out_of_range_and_odd_pictures_are_refused() -> None:
    with pytest.raises(OptionError, match="multiple of heads"):
        DinoV2(width=100, heads=3)
    with pytest.raises(OptionError, match='no "vitx14"; there are vits14'):
        create_model("dinov2", variant="vitx14")
    with pytest.raises(OptionError, match="image_size is 520"):
        DinoV2(image_size=520)
    with pytest.raises(ValueError, match="no multiple of 14"):
        DinoV2(**SMALL)(torch.zeros(1, 3, 56, 57))
