"""SPRMamba: the counts of the released code, its names, its scan, and that it looks ahead."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models import create_model
from models.errors import CheckpointError, ModelError, OptionError
from models.sprmamba import SprMamba
from models.sprmamba.branches import Branch
from models.sprmamba.convert import convert, is_sprmamba
from models.sprmamba.mamba2 import Mamba2, scan_heads

SMALL = {
    "in_features": 6, "num_classes": 4, "stages": 2, "layers": 2, "width": 16, "group_frames": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def small() -> SprMamba:
    torch.manual_seed(0)
    return create_model("sprmamba", **SMALL).eval()


def features(frames: int) -> Tensor:
    return torch.randn(1, 6, frames, generator=torch.Generator().manual_seed(frames))


@pytest.mark.parametrize(
    ("heads", "mixer", "parameters"),
    [
        (1, "mamba2", 1_374_000),
        (8, "mamba2", 2_377_520),
        (1, "mamba1", 1_263_440),
        (1, "mamba1-bi", 1_448_400),
    ],
)
def test_counts_of_the_released_code(heads: int, mixer: str, parameters: int) -> None:
    network = create_model("sprmamba", num_classes=8, heads=heads, mixer=mixer)
    assert sum(p.numel() for p in network.parameters()) == parameters


def official_shapes(
    in_features: int, classes: int, stages: int, layers: int
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the released state dict (Mamba-2, 1 head), written out by hand."""
    shapes: dict[str, tuple[int, ...]] = {"dim_reduction.weight": (16, 32, 1)}
    shapes["dim_reduction.bias"] = (16,)
    for number in range(stages):
        stage, c = (f"stages.{number - 1}.", 32) if number else ("stage1.", 64)
        half, inner = c // 2, c
        c_in = classes if number else in_features
        shapes |= {f"{stage}input_proj.weight": (c, c_in, 1), f"{stage}input_proj.bias": (c,)}
        shapes |= {f"{stage}out_proj.weight": (classes, c, 1), f"{stage}out_proj.bias": (classes,)}
        for index in range(layers):
            at = f"{stage}stages.{index}."
            shapes |= {
                f"{at}dilated_conv.dilated_conv.weight": (c, c, 3),
                f"{at}dilated_conv.dilated_conv.bias": (c,),
                f"{at}out_linear.weight": (c, c, 1),
                f"{at}out_linear.bias": (c,),
            }
            for branch in ("windowed_mamba", "ltc_mamba"):
                b = f"{at}{branch}."
                shapes |= {f"{b}attn.W_{letter}.weight": (half, half) for letter in "QKV"}
                shapes |= {
                    f"{b}attn.proj.1.weight": (half, half, 1),
                    f"{b}attn.proj.1.bias": (half,),
                    f"{b}mlp.fc1.weight": (4 * half, half),
                    f"{b}mlp.fc1.bias": (4 * half,),
                    f"{b}mlp.fc2.weight": (half, 4 * half),
                    f"{b}mlp.fc2.bias": (half,),
                    f"{b}mamba.in_proj.weight": (2 * inner + 128 + inner // 4, half),
                    f"{b}mamba.conv1d.weight": (inner + 128, 1, 4),
                    f"{b}mamba.conv1d.bias": (inner + 128,),
                    f"{b}mamba.dt_bias": (inner // 4,),
                    f"{b}mamba.A_log": (inner // 4,),
                    f"{b}mamba.D": (inner // 4,),
                    f"{b}mamba.norm.weight": (inner,),
                    f"{b}mamba.out_proj.weight": (half, inner),
                }
    return shapes


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_official_names_load_strictly(*, wrapped: bool) -> None:
    shapes = official_shapes(40, 8, stages=3, layers=2)
    weights = {n: torch.full(s, i / 100) for i, (n, s) in enumerate(sorted(shapes.items()))}
    file = {"model": weights, "optimizer": {}, "epoch": 7} if wrapped else weights
    assert is_sprmamba(file)
    options, network, report = convert(file)
    assert options == {
        "in_features": 40, "num_classes": 8, "stages": 3, "layers": 2, "heads": 1,
        "mixer": "mamba2", "width": 64,
    }  # fmt: skip
    assert report.loaded == tuple(sorted(shapes))
    assert all(torch.equal(weights[n], v) for n, v in network.state_dict().items())


@pytest.mark.parametrize("mixer", ["mamba2", "mamba1", "mamba1-bi"])
@pytest.mark.parametrize("heads", [1, 3])
def test_a_file_tells_its_options(mixer: str, heads: int) -> None:
    wanted = {**SMALL, "mixer": mixer, "heads": heads}
    del wanted["group_frames"]
    state = create_model("sprmamba", **wanted).state_dict()
    options, network, _ = convert({f"module.{n}": v for n, v in state.items()})
    assert options == wanted
    assert all(torch.equal(state[n], v) for n, v in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stage1.stages.1.out_linear.bias": None}, r"1 tensors are missing, stage1\.stages\.1\."),
        ({"extra.weight": torch.ones(1)}, "it has no extra.weight"),
        ({"stage1.out_proj.bias": torch.ones(5)}, r"is \(5,\), this one needs \(4,\)"),
        ({"stage1.out_proj.bias": torch.full((4,), torch.nan)}, "not finite"),
        ({"stages.99999.input_proj.bias": torch.ones(1)}, "names layers that it does not hold"),
        ({"stage1.input_proj.weight": torch.ones(1)}, "no weights of SPRMamba"),
    ],
)
def test_what_does_not_fit_is_named(
    small: SprMamba, change: dict[str, Tensor | None], says: str
) -> None:
    state = {**small.state_dict(), **change}
    with pytest.raises(CheckpointError, match=says):
        convert({n: v for n, v in state.items() if v is not None})


def test_the_scan_is_the_recurrence() -> None:
    torch.manual_seed(3)
    x = torch.randn(2, 150, 3, 4, dtype=torch.float64)
    dt = torch.rand(2, 150, 3, dtype=torch.float64) * 2
    a = -torch.tensor([0.1, 1.0, 16.0], dtype=torch.float64)
    b, c = torch.randn(2, 2, 150, 5, dtype=torch.float64)
    state, expected = torch.zeros(2, 3, 4, 5, dtype=torch.float64), []
    for t in range(150):
        state = state * (dt[:, t] * a).exp()[..., None, None]
        state = state + dt[:, t, :, None, None] * x[:, t, :, :, None] * b[:, t, None, None, :]
        expected.append((state * c[:, t, None, None, :]).sum(-1))
    torch.testing.assert_close(
        scan_heads(x, dt, a, b, c), torch.stack(expected, 1), atol=1e-9, rtol=0
    )


def test_the_scans_gradient_is_right_and_extreme_steps_stay_finite() -> None:
    torch.manual_seed(3)
    x = torch.randn(1, 5, 2, 2, dtype=torch.float64, requires_grad=True)
    dt = torch.rand(1, 5, 2, dtype=torch.float64, requires_grad=True)
    a = torch.tensor([-0.5, -2.0], dtype=torch.float64, requires_grad=True)
    b, c = (torch.randn(1, 5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(scan_heads, (x, dt, a, b, c))
    far = torch.full((1, 500, 2), 20.0, requires_grad=True)
    y = scan_heads(
        torch.ones(1, 500, 2, 2), far, torch.tensor([-16.0, -1.0]),
        torch.ones(1, 500, 3), torch.ones(1, 500, 3),
    )  # fmt: skip
    y.sum().backward()
    assert y.isfinite().all()
    assert far.grad.isfinite().all()


@torch.inference_mode()
def test_a_mamba2_layer_is_its_formula_token_by_token() -> None:
    torch.manual_seed(4)
    layer = Mamba2(8).double()
    tokens = torch.randn(1, 9, 8, dtype=torch.float64)
    gate, mixed, dt = (tokens @ layer.in_proj.weight.T)[0].split((16, 16 + 128, 4), -1)
    padded = torch.cat((torch.zeros(3, 144, dtype=torch.float64), mixed))
    state, answers = torch.zeros(4, 4, 64, dtype=torch.float64), []
    for t in range(9):
        taps = layer.conv1d.weight[:, 0].T
        u = functional.silu((padded[t : t + 4] * taps).sum(0) + layer.conv1d.bias)
        x, b, c = u[:16].view(4, 4), u[16:80], u[80:]
        step = functional.softplus(dt[t] + layer.dt_bias)
        decay = (-layer.A_log.exp() * step).exp()
        state = decay[:, None, None] * state + (step[:, None] * x)[..., None] * b
        y = ((state @ c) + layer.D[:, None] * x).flatten() * functional.silu(gate[t])
        answers.append(y / (y.square().mean() + 1e-5).sqrt() * layer.norm.weight)
    expected = torch.stack(answers) @ layer.out_proj.weight.T
    torch.testing.assert_close(layer(tokens)[0], expected, atol=1e-9, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 7, 8, 9, 30])
def test_any_length_keeps_its_length(small: SprMamba, frames: int) -> None:
    logits = small(features(frames))
    assert logits.shape == (2, 1, 4, frames)
    assert logits.isfinite().all()


@torch.inference_mode()
def test_exchanged_windows_exchange_the_windowed_answers_and_no_other() -> None:
    torch.manual_seed(5)
    x = torch.randn(1, 16, 24)
    order = torch.arange(24).view(3, 8)[[2, 0, 1]].flatten()
    near, far = (Branch(16, 1, "mamba2", 8, far=f).eval() for f in (False, True))
    torch.testing.assert_close(near(x[..., order], None), near(x, None)[..., order])
    assert not torch.allclose(far(x[..., order], None), far(x, None)[..., order], atol=1e-4)


@torch.inference_mode()
def test_far_groups_are_frames_of_equal_number() -> None:
    torch.manual_seed(6)
    far = Branch(16, 1, "mamba2", 8, far=True).eval()
    x = torch.randn(1, 16, 32)
    changed = x.clone()
    changed[..., 19] += 1.0
    touched = (far(x, None) != far(changed, None)).any(1)[0].nonzero().flatten().tolist()
    # the attention looks both ways; the Mamba of the other half from 19 on
    assert touched == [3, 11, 19, 27]


@torch.inference_mode()
def test_it_looks_ahead_and_is_refused_live(small: SprMamba) -> None:
    x = features(30)
    changed = x.clone()
    changed[..., 29] += 1.0
    assert not torch.equal(small(x)[..., 0], small(changed)[..., 0])
    assert small.causal is False
    with pytest.raises(ModelError, match="leans on later frames"):
        small.step(x[..., 0])


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network = create_model("sprmamba", **SMALL, drop_path=0.0).train()
    network(features(20)).square().mean().backward()
    assert not [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize(
    "options",
    [{"width": 24}, {"mixer": "mamba3"}, {"heads": 0}, {"layers": 17}, {"drop_path": 1.0}],
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        create_model("sprmamba", **options)


def test_features_that_do_not_fit_are_refused(small: SprMamba) -> None:
    with pytest.raises(ModelError, match=r"\(B, 6, T\)"):
        small(torch.zeros(1, 5, 4))
