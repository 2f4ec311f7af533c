"""Recognition with anticipation: targets worked out by hand, causality, quantiles, learning."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models import create_model, load_model, read_card
from models.errors import ModelError, OptionError
from models.supra import State, Supra, anticipation_of, expected_minutes
from models.supra.training import ForecastLoss, ForecastTargets, spread_for

SMALL = {"in_features": 5, "num_classes": 3, "layers": 3, "maps": 8, "frames_per_minute": 6.0}


@pytest.fixture(scope="module")
def small() -> Supra:
    torch.manual_seed(0)
    return create_model("supra", **SMALL).eval()


def features(frames: int) -> Tensor:
    return torch.randn(1, 5, frames, generator=torch.Generator().manual_seed(frames))


def test_targets_of_a_toy_timeline_by_hand() -> None:
    """Phases A A B B B A C at one frame a minute, three minutes ahead."""
    known = anticipation_of(
        np.array([0, 0, 1, 1, 1, 0, 2]), 4, horizon_min=3.0, frames_per_minute=1.0
    )
    assert known.next_phase.tolist() == [1, 1, 0, 0, 0, 2, 4]
    assert known.minutes_to.T.tolist() == [
        [0, 0, 3, 2, 1, 0, 3],  # A: runs, returns at frame 5, is over in the end
        [2, 1, 0, 0, 0, 3, 3],  # B: finished phases are the horizon away
        [3, 3, 3, 3, 2, 1, 0],  # C: beyond the horizon it is the horizon away
        [3, 3, 3, 3, 3, 3, 3],  # never comes
    ]
    assert known.minutes_left.tolist() == [6, 5, 4, 3, 2, 1, 0]


def test_targets_around_what_nobody_labelled() -> None:
    known = anticipation_of(
        np.array([-1, 0, 0, -1, 1, 1]), 2, horizon_min=1.0, frames_per_minute=2.0
    )
    assert known.next_phase.tolist() == [-1, -1, -1, -1, 2, 2]
    assert known.minutes_to.T.tolist() == [[0.5, 0, 0, 1, 1, 1], [1, 1, 1, 0.5, 0, 0]]
    assert known.minutes_left.tolist() == [2.5, 2, 1.5, 1, 0.5, 0]
    empty = anticipation_of(np.zeros(0, int), 2, horizon_min=1.0, frames_per_minute=2.0)
    assert empty.minutes_to.shape == (0, 2)
    alone = anticipation_of(np.array([1]), 2, horizon_min=1.0, frames_per_minute=2.0)
    assert (alone.next_phase.tolist(), alone.minutes_to.tolist()) == ([2], [[1, 0]])


def test_targets_out_of_range_are_refused() -> None:
    with pytest.raises(OptionError, match="class 3, there are only 3"):
        anticipation_of(np.array([0, 3]), 3, horizon_min=1.0, frames_per_minute=1.0)
    with pytest.raises(OptionError, match="above 0"):
        anticipation_of(np.array([0]), 3, horizon_min=0.0, frames_per_minute=1.0)


@torch.inference_mode()
def test_no_forecast_looks_at_the_future(small: Supra) -> None:
    x, changed = features(30), features(30)
    changed[..., 17:] = 5.0
    for place, pair in enumerate(zip(small(x), small(changed), strict=True)):
        before, after = (t.transpose(1, 3) if place == 0 else t for t in pair)
        assert torch.equal(before[:, :17], after[:, :17])
        assert not torch.allclose(before[:, 17:], after[:, 17:])


@torch.inference_mode()
def test_any_split_equals_the_whole_and_a_stored_state_goes_on(small: Supra) -> None:
    x = features(25)
    whole, _ = small.advance(x)
    state, parts = None, []
    for first, last in ((0, 1), (1, 8), (8, 9), (9, 25)):
        part, state = small.advance(x[..., first:last], state)
        state = State.from_arrays(state.to_arrays())
        parts.append(part)
    assert state.frames == 25
    for name in ("next_logits", "time_logits", "minutes_left"):
        joined = torch.cat([getattr(p, name) for p in parts], 1)
        torch.testing.assert_close(joined, getattr(whole, name), atol=1e-5, rtol=1e-5)
    step, _ = small.step(x[..., 0])
    torch.testing.assert_close(step.next_logits, whole.next_logits[:, :1])


@torch.inference_mode()
def test_the_demo_foresees_the_same_step_by_step() -> None:
    card = read_card(Path(__file__).parents[2] / "resources" / "models" / "supra-demo")
    demo = load_model(card)
    assert demo.spread > 1  # as held-out operations asked for
    drift = torch.randn(1, demo.in_features, 90, generator=torch.Generator().manual_seed(4))
    x = drift.cumsum(-1)
    whole, _ = demo.advance(x)
    state, parts = None, []
    for place in range(x.shape[-1]):
        part, state = demo.step(x[..., place], state)
        parts.append(part)
    for told in (demo.shares_of_times, lambda f: f.minutes_left, lambda f: f.next_logits):
        joined = torch.cat([told(part) for part in parts], 1)
        torch.testing.assert_close(joined, told(whole), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_the_time_each_phase_took_is_kept(small: Supra) -> None:
    forecast, state = small.advance(features(12))
    named = forecast.logits[-1, 0].argmax(0).tolist()
    expected = torch.tensor([[named.count(phase) / 6.0 for phase in range(3)]])
    torch.testing.assert_close(state.spent_min, expected)
    assert state.spent_min.sum().item() == pytest.approx(2.0, rel=1e-5)
    assert state.nbytes == 2 * 14 * 8 * 4 + 3 * 4


@torch.inference_mode()
def test_answers_stay_within_their_bounds(small: Supra) -> None:
    forecast = small(100 * features(9))
    assert forecast.next_logits.shape == (1, 9, 4)
    minutes = small.minutes_to(forecast)
    assert minutes.shape == (1, 9, 3)
    assert minutes.min() >= 0
    assert minutes.max() <= 5.0
    assert forecast.time_logits.shape == (1, 9, 3, 22)
    left = forecast.minutes_left
    assert left.min() >= 0
    assert (left.diff(dim=-1) >= 0).all()


def test_the_loss_is_what_its_parts_say() -> None:
    labels = np.array([0, 0, 1, -1])
    targets = ForecastTargets.of(labels, 2, horizon_min=1.0, frames_per_minute=2.0)
    network = create_model("supra", in_features=5, num_classes=2, layers=1, maps=2, bins=2).eval()
    found = network(features(4))
    # Of the cells that are known, A runs, B is a horizon away; A runs, B comes after half of one;
    # A is over, B runs: these answers are e times as sure of "now" as of each other class.
    sure = torch.zeros(1, 4, 2, 4)
    sure[..., 0] = 1.0
    found = found._replace(
        next_logits=torch.zeros(1, 4, 3),
        time_logits=sure,
        minutes_left=targets.minutes_left[..., None].repeat(1, 1, 3)
        + torch.tensor([1.0, -1.0, 0.0, 9.0])[None, :, None],
    )
    loss, parts = ForecastLoss(weights=(1.0, 1.0, 1.0))(found, targets)
    # the frame after B is unknown, so that what follows B is too: two frames tell what is next
    assert targets.next_phase.tolist() == [[1, 1, -1, -1]]
    assert parts["next"].item() == pytest.approx(math.log(3))
    assert targets.horizons_to[0, :3].tolist() == [[0, 1], [0, 0.5], [1, 0]]
    assert parts["to"].item() == pytest.approx(math.log(math.e + 3) - 3 / 6, rel=1e-5)
    # too long by a minute costs 0.9, 0.5, 0.1; too short by one 0.1, 0.5, 0.9
    assert parts["left"].item() == pytest.approx(2 / 3 * 0.5)
    stages, _ = ForecastLoss().phases(found.logits, targets.phases)
    rest = parts["next"] + parts["to"] + parts["left"]
    assert loss.item() == pytest.approx((stages + rest).item(), rel=1e-5)


def test_the_spread_widens_the_outer_quantiles_and_is_kept_with_the_weights() -> None:
    torch.manual_seed(1)
    network = create_model("supra", **SMALL).eval()
    x = features(6)
    with torch.inference_mode():
        learnt = network(x).minutes_left
        network.load_state_dict(network.state_dict() | {"spread": torch.tensor(1.5)})
        low, middle, high = network(x).minutes_left.unbind(-1)
    torch.testing.assert_close(middle, learnt[..., 1])
    torch.testing.assert_close(high - middle, 1.5 * (learnt[..., 2] - learnt[..., 1]))
    torch.testing.assert_close(low, (middle - 1.5 * (learnt[..., 1] - learnt[..., 0])).clamp(min=0))
    assert low.min() >= 0


def test_the_spread_that_held_out_recordings_ask_for_by_hand() -> None:
    """Four recordings, one more reckoned with: 80 % of five are all of the four."""
    told = [np.tile([4.0, 5.0, 7.0], (2, 1))] * 4
    #  too early by 3 with 1 shown is a factor of 3, too late by 4 with 2 shown one of 2
    truth = [np.array([2.0, 5.0]), np.array([9.0, 7.0]), np.array([5.0, 5.5]), np.array([4.0, 4.5])]
    assert spread_for(told, truth) == pytest.approx(3.0)
    # 60 % of five are three of four: six of the eight moments, of factors 0 0 .25 .5 1 1 2 3
    assert spread_for(told, truth, 0.6) == pytest.approx(1.0)
    # every recording counts alike, however long: three moments at 0 are half of one recording
    long = [np.tile([4.0, 5.0, 7.0], (6, 1)), *told[1:]]
    longer = [np.array([2.0] * 3 + [5.0] * 3), *truth[1:]]
    assert spread_for(long, longer, 0.6) == pytest.approx(1.0)
    assert spread_for(told[:3], truth[:3]) is None


def test_it_learns_to_foresee() -> None:
    """Features show the phase alone; the time spent in it tells what is left of it."""
    torch.manual_seed(0)
    labels = np.repeat([0, 1, 2], [12, 18, 6])
    shown = torch.eye(3)[torch.from_numpy(labels)].T[None]
    x = torch.cat((shown, torch.zeros(1, 2, 36)), 1)
    network = create_model("supra", **SMALL, stages=1, dropout=0.0, horizon_min=2.0).train()
    targets = ForecastTargets.of(labels, 3, horizon_min=2.0, frames_per_minute=6.0)
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(120):
        optimiser.zero_grad()
        loss, parts = ForecastLoss(weights=(0.5, 2.0, 1.0))(network(x), targets)
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        forecast = network.eval()(x)
    assert parts["accuracy"] == 1.0
    assert forecast.next_logits[0].argmax(-1).tolist() == [1] * 12 + [2] * 18 + [3] * 6
    minutes = network.minutes_to(forecast)
    # What is over is the horizon away (specs: temporal-models, section 2.3).
    assert (minutes[0, 12:, 0] == 2.0).all()
    assert (minutes[0, 30:, 1] == 2.0).all()
    missed = (minutes - 2.0 * targets.horizons_to).abs()
    assert missed.mean() < 0.15
    mean = expected_minutes(network.shares_of_times(forecast), 2.0, 1.0)
    assert (mean - (2.0 * targets.horizons_to).clamp(max=1.0)).abs().mean() < 0.15
    assert (forecast.minutes_left[0, :, 1] - targets.minutes_left[0]).abs().mean() < 0.5


def test_states_and_options_that_do_not_fit_are_refused(small: Supra) -> None:
    _, state = small.advance(features(3))
    other = create_model("supra", in_features=5, num_classes=2, layers=3, maps=8)
    with pytest.raises(ModelError, match="other phases"):
        other.step(torch.zeros(1, 5), state)
    with pytest.raises(ModelError, match="lacks spent_min"):
        State.from_arrays({})
    with pytest.raises(OptionError, match="above 0"):
        create_model("supra", horizon_min=0)
    with pytest.raises(OptionError, match="its parts"):
        create_model("supra", bins=0)
    with pytest.raises(OptionError, match="three weights"):
        ForecastLoss(weights=(1.0,))
