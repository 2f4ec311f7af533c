"""EndoMamba frame by frame: the carried state, snapshots, resets, precision, memory."""

import io
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor

from models.endomamba import EndoMamba, State
from models.errors import ModelError
from tests.helpers.endomamba_golden import (
    MICRO,
    STREAM_LOGITS,
    golden_clip,
    golden_network,
)


def steps(network: EndoMamba, clip: Tensor, state: State | None = None) -> tuple[Tensor, State]:
    logits = []
    for frame in clip.unbind(2):
        one, state = network.step(frame, state)
        logits.append(one)
    return torch.stack(logits, 1), state


def mirrored_pair(clip: Tensor) -> Tensor:
    return torch.cat((clip, clip.flip(4)))


@torch.inference_mode()
def test_single_steps_give_what_the_clip_gives() -> None:
    network, clip = golden_network(**MICRO), mirrored_pair(golden_clip(6))
    torch.testing.assert_close(steps(network, clip)[0], network(clip), atol=1e-5, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("reset", ["none", "staggered"])
def test_any_split_of_a_stream_gives_the_same(reset: str) -> None:
    frames = 5
    network = golden_network(state_reset=reset, **MICRO)
    clip = mirrored_pair(golden_clip(frames))
    whole = network(clip)
    for cuts in itertools.product((0, 1), repeat=frames - 1):
        starts = [0, *(i + 1 for i, cut in enumerate(cuts) if cut)]
        state, parts = None, []
        for start, stop in itertools.pairwise([*starts, frames]):
            result = network.advance(clip[:, :, start:stop], state)
            state = result.state
            parts.append(result.logits)
        torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)
        assert state.frames == frames


@pytest.mark.parametrize("reset", ["none", "staggered"])
@pytest.mark.parametrize("position", ["running", "frozen"])
def test_frames_that_other_threads_looked_at_give_the_same_to_the_bit(
    reset: str, position: str
) -> None:
    network = golden_network(state_reset=reset, temporal_position=position, **MICRO)
    frames = golden_clip(6).split(1, 2)

    @torch.inference_mode()
    def look(number: int) -> Tensor:
        return network.look(frames[number], number)

    with ThreadPoolExecutor(3) as others, torch.inference_mode():
        one = two = None
        for frame, looked in zip(frames, others.map(look, range(6)), strict=True):
            result, found = network.advance(frame, one), network.follow(looked, two)
            one, two = result.state, found.state
            assert torch.equal(found.logits, result.logits)
            assert torch.equal(found.features, result.features)
        assert torch.equal(one.ssm, two.ssm)
        assert torch.equal(one.conv, two.conv)


@torch.inference_mode()
def test_a_step_leaves_the_state_it_was_given() -> None:
    network, clip = golden_network(**MICRO), golden_clip(3)
    _, state = steps(network, clip[:, :, :2])
    kept = state.clone()
    first, _ = network.step(clip[:, :, 2], state)
    again, _ = network.step(clip[:, :, 2], state)
    assert torch.equal(first, again)
    assert torch.equal(state.conv, kept.conv)
    assert torch.equal(state.ssm, kept.ssm)


@torch.inference_mode()
def test_a_copied_state_shares_no_memory() -> None:
    _, state = steps(golden_network(**MICRO), golden_clip(1))
    copy = state.clone()
    copy.ssm.zero_()
    copy.conv.zero_()
    assert state.ssm.abs().max() > 0
    assert state.conv.abs().max() > 0


@torch.inference_mode()
def test_state_bytes_of_the_published_sizes() -> None:
    micro = golden_network(**MICRO)
    _, state = steps(micro, golden_clip(2))
    assert state.nbytes == 2 * 32 * (16 + 3) * 4 * 2
    for size, stored in (("tiny", 350_208), ("small", 700_416), ("middle", 1_400_832)):
        with torch.device("meta"):
            network = EndoMamba(size)
        assert network._start(1).nbytes == stored


@torch.inference_mode()
def test_seeking_replays_from_the_nearest_snapshot() -> None:
    network, clip = golden_network(**MICRO), golden_clip(40)
    state, snapshots, continuous = None, {}, []
    for index, frame in enumerate(clip.unbind(2)):
        if index % 10 == 0 and state is not None:
            file = io.BytesIO()
            np.savez(file, **state.to_arrays())
            snapshots[index] = file.getvalue()
        logits, state = network.step(frame, state)
        continuous.append(logits)
    with np.load(io.BytesIO(snapshots[20])) as stored:
        state = State.from_arrays(stored)
    assert state.frames == 20
    replayed, _ = steps(network, clip[:, :, 20:34], state)
    torch.testing.assert_close(replayed, torch.stack(continuous[20:34], 1), atol=1e-5, rtol=0)


def test_stored_states_that_do_not_fit_are_refused() -> None:
    network = golden_network(**MICRO)
    state = network._start(1)
    arrays = state.to_arrays()
    with pytest.raises(ModelError, match="lacks ssm"):
        State.from_arrays({k: v for k, v in arrays.items() if k != "ssm"})
    with pytest.raises(ModelError, match="belong together"):
        State.from_arrays(arrays | {"ssm": arrays["ssm"][:1]})
    with pytest.raises(ModelError, match="float32"):
        State.from_arrays(arrays | {k: arrays[k].astype(np.float16) for k in ("conv", "ssm")})
    with pytest.raises(ModelError, match="another network"):
        golden_network(width=16, depth=4, image_size=64).step(golden_clip(1)[:, :, 0], state)
    with pytest.raises(ModelError, match="batch size"):
        network.step(golden_clip(1)[:, :, 0].repeat(2, 1, 1, 1), state)


@torch.inference_mode()
def test_frame_nine_thousand_has_a_position() -> None:
    network, frame = golden_network(**MICRO), golden_clip(1)[:, :, 0]
    zero = network._start(1)
    late = State(conv=zero.conv, ssm=zero.ssm, frames=9000)
    logits, state = network.step(frame, late)
    assert logits.isfinite().all()
    assert state.frames == 9001
    assert not torch.allclose(logits, network.step(frame)[0], atol=1e-3)


@torch.inference_mode()
def test_a_frozen_position_is_the_first_frames() -> None:
    network = golden_network(temporal_position="frozen", **MICRO)
    frame = golden_clip(1)[:, :, 0]
    zero = network._start(1)
    late = State(conv=zero.conv, ssm=zero.ssm, frames=9000)
    assert torch.equal(network.step(frame, late)[0], network.step(frame)[0])


@torch.inference_mode()
def test_staggered_resets_report_fresh_runs() -> None:
    options = {"temporal_position": "frozen", **MICRO}
    staggered = golden_network(state_reset="staggered", **options)
    plain = golden_network(**options)
    clip = golden_clip(100)
    logits, state = steps(staggered, clip)
    assert state.frames == 100
    torch.testing.assert_close(logits[:, :64], plain(clip[:, :, :64]), atol=1e-5, rtol=0)
    for first in (64, 80):
        fresh = plain(clip[:, :, first - 16 : first + 16])[:, 16:]
        torch.testing.assert_close(logits[:, first : first + 16], fresh, atol=1e-5, rtol=0)
    assert not torch.allclose(logits[:, 64:], plain(clip)[:, 64:], atol=1e-4)
    torch.testing.assert_close(staggered(clip), logits, atol=1e-5, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_states_stay_in_full_precision_under_autocast(dtype: torch.dtype) -> None:
    network, clip = golden_network(**MICRO), golden_clip(4)
    with torch.autocast("cpu", dtype=dtype):
        logits, state = steps(network, clip)
    assert logits.dtype == dtype
    assert state.ssm.dtype == state.conv.dtype == torch.float32
    torch.testing.assert_close(logits.float(), network(clip), atol=0.03, rtol=0)


@torch.inference_mode()
def test_a_double_network_keeps_double_states() -> None:
    network = golden_network(**MICRO).double()
    logits, state = steps(network, golden_clip(2).double())
    assert logits.dtype == state.ssm.dtype == torch.float64


def test_extreme_step_widths_give_finite_logits() -> None:
    network = golden_network(**MICRO)
    for layer in network.layers:
        layer.mixer.dt_proj.bias.data.fill_(20.0)
    network(golden_clip(3)).square().sum().backward()
    with torch.inference_mode():
        logits, state = steps(network, golden_clip(3))
    assert logits.isfinite().all()
    assert state.ssm.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters())


def test_training_may_go_on_clip_after_clip() -> None:
    network, clip = golden_network(**MICRO), golden_clip(4)
    with torch.inference_mode():
        whole = network(clip)
    first = network.advance(clip[:, :, :2])
    second = network.advance(clip[:, :, 2:], first.state.detach())
    second.logits.sum().backward()
    torch.testing.assert_close(second.logits, whole[:, 2:], atol=1e-5, rtol=0)
    assert not second.state.detach().ssm.requires_grad


def run_stream(frames: int, memory_grows_by_at_most: int) -> None:
    network, frame = golden_network(**MICRO), golden_clip(1)[:, :, 0]
    state, process, before = None, psutil.Process(), 0
    for index in range(frames):
        logits, state = network.step(frame, state)
        if index == 200:
            before, size = process.memory_info().rss, state.nbytes
        if index in STREAM_LOGITS:
            expected = torch.tensor(STREAM_LOGITS[index])
            torch.testing.assert_close(
                logits[0], expected, atol=5e-3 if index > 5000 else 1e-4, rtol=0
            )
    assert state.frames == frames
    assert state.nbytes == size
    assert process.memory_info().rss - before < memory_grows_by_at_most


@torch.inference_mode()
def test_a_thousand_steps_take_no_more_memory() -> None:
    run_stream(1_000, 5_000_000)


@pytest.mark.long
@torch.inference_mode()
def test_ten_thousand_steps_take_no_more_memory() -> None:
    run_stream(10_000, 5_000_000)
