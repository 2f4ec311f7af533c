"""MS-TCN: TeCNO's counts and golden values, causality to the bit, streams that equal wholes."""

from __future__ import annotations

import io
import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from models import create_model
from models.errors import CheckpointError, ModelError, OptionError
from models.ms_tcn import MsTcn, State
from models.ms_tcn.convert import convert, is_ms_tcn
from models.ms_tcn.training import StagesLoss
from tests.helpers.golden_fill import fill

SMALL = {"in_features": 12, "stages": 2, "layers": 4, "maps": 8, "num_classes": 5}

# Mean, spread and probes (class, frame) of the published code's outputs under the filling rule.
GOLDEN = (
    (-1.18053, 2.363793, {
        (0, 0): 0.5264615, (1, 19): -0.4252308, (2, 38): -3.094705, (3, 57): -1.980344,
        (3, 101): -1.188112, (4, 120): -4.806114, (5, 139): 1.484994, (6, 158): -5.795183,
    }),
    (-0.003365532, 0.9921967, {
        (0, 0): 0.1887198, (1, 19): 0.5056614, (2, 38): -0.4724801, (3, 57): 0.9568714,
        (3, 101): -0.3411882, (4, 120): -0.2704341, (5, 139): -0.5798391, (6, 158): -1.773011,
    }),
)  # fmt: skip


@pytest.fixture(scope="module")
def small() -> MsTcn:
    torch.manual_seed(0)
    return MsTcn(**SMALL).eval()


def features(frames: int, channels: int = 12) -> Tensor:
    return torch.randn(1, channels, frames, generator=torch.Generator().manual_seed(frames))


@pytest.mark.parametrize(
    ("stages", "layers", "maps", "parameters"),
    [(2, 8, 32, 132_846), (2, 8, 64, 396_750), (4, 10, 64, 794_972)],
)
def test_published_counts(stages: int, layers: int, maps: int, parameters: int) -> None:
    with torch.device("meta"):
        network = create_model("ms_tcn", stages=stages, layers=layers, maps=maps)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_the_names_are_the_published_ones() -> None:
    with torch.device("meta"):
        names = sorted(create_model("ms_tcn").state_dict())
    stage = [f"{part}.{kind}" for part in ("conv_1x1", "conv_out_classes")
             for kind in ("bias", "weight")]  # fmt: skip
    stage += [f"layers.{i}.{part}.{kind}" for i in range(8)
              for part in ("conv_1x1", "conv_dilated") for kind in ("bias", "weight")]  # fmt: skip
    assert names == [f"{s}.{n}" for s in ("stage1", "stages.0") for n in stage]
    assert len(names) == 72


@torch.inference_mode()
def test_golden_logits() -> None:
    network = fill(create_model("ms_tcn", in_features=2048, stages=2, layers=8, maps=32))
    c, t = torch.meshgrid(
        torch.arange(2048, dtype=torch.float64), torch.arange(200.0).double(), indexing="ij"
    )
    found = network(torch.sin(0.01 * c + 0.1 * t).float().unsqueeze(0)).double()
    assert found.shape == (2, 1, 7, 200)
    for logits, (mean, spread, probes) in zip(found[:, 0], GOLDEN, strict=True):
        assert logits.mean().item() == pytest.approx(mean, abs=5e-5)
        assert logits.std(correction=0).item() == pytest.approx(spread, abs=5e-5)
        for place, value in probes.items():
            assert logits[place].item() == pytest.approx(value, abs=5e-5)


@torch.inference_mode()
def test_the_future_changes_nothing(small: MsTcn) -> None:
    whole, changed = features(60), features(60)
    changed[..., 31:] = 9.0
    before, after = small(whole), small(changed)
    assert torch.equal(before[..., :31], after[..., :31])
    assert not torch.allclose(before[..., 31:], after[..., 31:])


@torch.inference_mode()
def test_the_offline_form_looks_as_far_ahead_as_back() -> None:
    torch.manual_seed(0)
    network = MsTcn(**SMALL, causal=False).double().eval()
    x = features(200).double()
    changed = x.clone()
    changed[..., 100] += 1.0
    touched = (network(x)[-1, 0] != network(changed)[-1, 0]).any(0).nonzero().flatten()
    assert (touched[0].item(), touched[-1].item()) == (100 - 2 * 15, 100 + 2 * 15)
    with pytest.raises(ModelError, match="looks ahead and cannot follow a stream"):
        network.step(x[..., 0])


def test_an_answer_depends_on_exactly_1021_frames() -> None:
    torch.manual_seed(0)
    network = MsTcn(in_features=2).double().eval()
    assert network.receptive_field == 1021
    for name, parameter in network.named_parameters():
        if name.endswith("conv_dilated.bias"):
            torch.nn.init.constant_(parameter, 5.0)  # no ReLU may hide the way back
    x = torch.randn(1, 2, 1100, dtype=torch.float64, requires_grad=True)
    network(x)[-1, 0, 3, 1080].backward()
    reached = x.grad.abs().sum((0, 1)).nonzero().flatten()
    assert (reached[0].item(), reached[-1].item()) == (1080 - 1020, 1080)


@torch.inference_mode()
@pytest.mark.parametrize("sizes", [[40], [1, 3, 2, 34], [39, 1], [1] * 40, [15, 16, 9]])
def test_any_split_equals_the_whole(small: MsTcn, sizes: list[int]) -> None:
    x = features(sum(sizes))
    state, parts = None, []
    for first, last in itertools.pairwise([0, *itertools.accumulate(sizes)]):
        part = small.advance(x[..., first:last], state)
        state = part.state
        parts.append(part.logits)
    torch.testing.assert_close(torch.cat(parts, -1), small(x), atol=1e-5, rtol=0)
    assert state.frames == sum(sizes)


@torch.inference_mode()
def test_steps_equal_the_whole_and_carry_a_constant_state() -> None:
    network = create_model("ms_tcn", in_features=6).eval()
    x, state, steps = features(40, 6), None, []
    for frame in x.unbind(-1):
        logits, state = network.step(frame, state)
        assert state.nbytes == 2 * 510 * 32 * 4
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, -1), network(x)[-1], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_stored_state_goes_on_as_the_stream_did(small: MsTcn) -> None:
    x = features(30)
    state = small.advance(x[..., :20]).state
    file = io.BytesIO()
    np.savez(file, **state.to_arrays())
    file.seek(0)
    with np.load(file) as stored:
        again = State.from_arrays(stored)
    assert again.frames == 20
    one, other = small.advance(x[..., 20:], state), small.advance(x[..., 20:], again)
    assert torch.equal(one.logits, other.logits)


@torch.inference_mode()
def test_one_frame_is_a_recording(small: MsTcn) -> None:
    assert small(features(1)).shape == (2, 1, 5, 1)
    assert MsTcn(**SMALL, causal=False).eval()(features(1)).shape == (2, 1, 5, 1)


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network = MsTcn(**SMALL).train()
    network(features(20)).square().mean().backward()
    assert not [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]


def test_states_and_features_that_do_not_fit_are_refused(small: MsTcn) -> None:
    state = small.start()
    with pytest.raises(ModelError, match=r"\(B, 12, T\)"):
        small(torch.zeros(1, 11, 4))
    with pytest.raises(ModelError, match="T at least 1"):
        small(torch.zeros(1, 12, 0))
    with pytest.raises(ModelError, match="another network or batch size"):
        small.step(torch.zeros(2, 12), state)
    with pytest.raises(ModelError, match="lacks frames"):
        State.from_arrays({"columns": np.zeros((2, 1, 8, 30), np.float32)})
    with pytest.raises(ModelError, match="damaged"):
        State.from_arrays({"columns": np.zeros((2, 1, 8), np.float32), "frames": np.int64(0)})


@pytest.mark.parametrize(
    "options", [{"stages": 0}, {"layers": 17}, {"maps": 0}, {"dropout": 1.0}, {"num_classes": 0}]
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        create_model("ms_tcn", **options)


def test_the_loss_sums_stages_and_cuts_restlessness_off_at_16() -> None:
    steady = torch.zeros(1, 2, 3)
    jump = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 100.0, 100.0]]])
    labels = torch.tensor([[0, 1, -1]])
    loss, parts = StagesLoss()(torch.stack((steady, jump)), labels)
    # log-probabilities go from -ln 2 to -100 (cut off at 4, squared 16) and to 0, then rest
    restless = (16 + math.log(2) ** 2) / 4
    # two labelled frames: ln 2 each in the first stage; ln 2 and 0 in the second
    assert loss.item() == pytest.approx(1.5 * math.log(2) + 0.15 * restless, rel=1e-5)
    assert parts["smoothness"].item() == pytest.approx(restless, rel=1e-5)
    assert parts["accuracy"] == 1.0


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
def test_a_training_scripts_file_tells_its_options(small: MsTcn, prefix: str) -> None:
    state = small.state_dict()
    file: dict[str, object] = {f"{prefix}{n}": v for n, v in state.items()}
    file = {"state_dict": file, "epoch": 16} if prefix else file
    assert is_ms_tcn(file)
    options, network, report = convert(file)
    assert options == SMALL
    assert report.loaded == tuple(sorted(state))
    assert all(torch.equal(state[n], v) for n, v in network.state_dict().items())


def test_a_file_that_does_not_fit_is_named(small: MsTcn) -> None:
    state = small.state_dict()
    with pytest.raises(CheckpointError, match=r"missing, stages\.0\.conv_1x1\.bias first"):
        convert({n: v for n, v in state.items() if n != "stages.0.conv_1x1.bias"})
    with pytest.raises(CheckpointError, match=r"it has no stage1\.norm\.weight"):
        convert({**state, "stage1.norm.weight": torch.ones(3)})
    with pytest.raises(CheckpointError, match="names layers that it does not hold"):
        convert({**state, "stage1.layers.9000.conv_1x1.bias": torch.ones(8)})
    with pytest.raises(CheckpointError, match="no weights of an MS-TCN"):
        convert({"stage1.conv_1x1.weight": torch.ones(3)})
