"""State-change learning: sharing out, what the teacher may teach, what is learned of the future."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models import create_model
from models.errors import ModelError, OptionError
from models.surgfutr import Foreseen, SurgFutr, sinkhorn
from models.surgfutr.training import FutureLoss, FutureTargets

SMALL = {"in_features": 4, "num_classes": 2, "prototypes": 6, "width": 16}


def likeness(tokens: int, prototypes: int, width: int) -> Tensor:
    torch.manual_seed(0)
    vectors = [functional.normalize(torch.randn(n, width), dim=-1) for n in (tokens, prototypes)]
    return vectors[0] @ vectors[1].T


def test_tokens_are_shared_out_evenly() -> None:
    """Three iterations suffice where likenesses are near one another; else more are needed."""
    for scores, iterations in ((likeness(64, 8, 2048), 3), (likeness(64, 8, 128), 12)):
        shares = sinkhorn(scores, iterations)
        tokens, prototypes = scores.shape
        assert (shares >= 0).all()
        torch.testing.assert_close(shares.sum(1), torch.ones(tokens), atol=1e-5, rtol=0)
        even = torch.full((prototypes,), tokens / prototypes)
        torch.testing.assert_close(shares.sum(0), even, atol=1e-3, rtol=0)
    far = sinkhorn(torch.tensor([[1000.0, 0.0], [0.0, 1000.0]]))
    torch.testing.assert_close(far, torch.eye(2))


def test_by_hand_with_two_tokens() -> None:
    """Columns, then rows, of [[a, 1], [1, 1]] with a = e, once."""
    shares = sinkhorn(torch.tensor([[0.05, 0.0], [0.0, 0.0]]), iterations=1)
    columns = torch.tensor([[math.e / (math.e + 1), 0.5], [1 / (math.e + 1), 0.5]])
    torch.testing.assert_close(shares, columns / columns.sum(1, keepdim=True))


def test_the_teacher_is_not_taught() -> None:
    torch.manual_seed(1)
    network = create_model("surgfutr", **SMALL).train()
    clip, future = torch.randn(2, 3, 4, 5).unbind(0)
    clip, future = clip.requires_grad_(), future.requires_grad_()
    taught = network.teach(clip, future)
    assert not taught.requires_grad
    torch.testing.assert_close(taught.sum(1), torch.ones(3))
    targets = FutureTargets(
        assignment=taught, events=torch.tensor([0, 2, -1]), minutes_left=torch.tensor([1.0, -1, 3])
    )
    loss, _ = FutureLoss()(network(clip), targets)
    loss.backward()
    assert future.grad is None
    assert clip.grad.abs().sum() > 0
    assert not [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]


def test_the_teacher_looks_at_the_future_and_the_student_does_not() -> None:
    torch.manual_seed(1)
    network = create_model("surgfutr", **SMALL).eval()
    clip, one, other = torch.randn(3, 1, 4, 5).unbind(0)
    assert not torch.allclose(network.teach(clip, one), network.teach(clip, other), atol=1e-4)
    found = network(clip)
    assert (found.assignment.shape, found.events.shape) == ((1, 6), (1, 3))
    assert found.minutes_left.item() >= 0


def test_the_loss_is_what_its_parts_say() -> None:
    found = Foreseen(
        assignment=torch.zeros(2, 4), events=torch.zeros(2, 3), minutes_left=torch.tensor([2.0, 9])
    )
    targets = FutureTargets(
        assignment=torch.full((2, 4), 0.25),
        events=torch.tensor([1, -1]),
        minutes_left=torch.tensor([4.0, -1.0]),
    )
    loss, parts = FutureLoss(weights=(1.0, 2.0, 3.0))(found, targets)
    assert parts["state"].item() == pytest.approx(math.log(4))
    assert parts["event"].item() == pytest.approx(math.log(3))
    assert parts["left"].item() == pytest.approx(1.5)  # |4 - 2| - 0.5, of the one that is known
    assert loss.item() == pytest.approx(math.log(4) + 2 * math.log(3) + 4.5)


def approaching(frames: int) -> tuple[Tensor, Tensor]:
    """Two kinds of operation whose first feature rises to 1 at the end; clips of 4 frames."""
    rise = torch.linspace(0, 1, frames)
    kinds = []
    for kind in (0.0, 1.0):
        rows = (rise, rise.flip(0), torch.full_like(rise, kind), torch.full_like(rise, 1 - kind))
        kinds.append(torch.stack(rows).unfold(1, 4, 1).transpose(0, 1))
    return torch.cat(kinds), (frames - 4 - torch.arange(frames - 3)).float().repeat(2)


def test_it_learns_the_event_and_time_runs_down() -> None:
    torch.manual_seed(2)
    network: SurgFutr = create_model("surgfutr", **SMALL).train()
    clips, left = approaching(24)
    events = torch.tensor([0] * 21 + [1] * 21)
    now = torch.cat((torch.arange(17), torch.arange(21, 38)))  # four frames later is still theirs
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    first = None
    for _ in range(100):
        taught = network.teach(clips[now], clips[now + 4])
        targets = FutureTargets(assignment=taught, events=events[now], minutes_left=left[now])
        optimiser.zero_grad()
        loss, parts = FutureLoss()(network(clips[now]), targets)
        loss.backward()
        optimiser.step()
        first = first or loss.item()
    assert loss.item() < 0.7 * first
    with torch.inference_mode():
        found = network.eval()(clips)
    assert (found.events.argmax(-1) == events).all()
    for kind in (found.minutes_left[:21], found.minutes_left[21:]):
        assert (kind[:16:3].diff() < 0).all()
    assert parts["state"].isfinite()


def test_what_does_not_fit_is_refused() -> None:
    network = create_model("surgfutr", **SMALL)
    with pytest.raises(ModelError, match=r"\(B, 4, T\)"):
        network(torch.zeros(1, 5, 3))
    with pytest.raises(OptionError, match="2 prototypes"):
        create_model("surgfutr", prototypes=1)
    with pytest.raises(OptionError, match="three weights"):
        FutureLoss(weights=(1.0,))
