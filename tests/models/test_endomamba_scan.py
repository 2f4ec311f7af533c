"""The selective scan: both forms against the recurrence written out, its gradient, its limits."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.endomamba import stepped
from models.endomamba.scan import scan_two_level, selective_scan
from models.endomamba.stepped import scan_stepped
from tests.helpers.plain_scan import token_loop

FIXTURE_Y = (
    (0.71244346, 1.04699462),
    (0.08670424, 0.05427481),
    (-0.23023199, -0.62148409),
    (-0.44742538, -0.65848387),
    (-0.14101513, -0.30527771),
    (-2.63229347, -3.22392473),
    (-0.51606132, -0.52156068),
)
FIXTURE_LAST = (
    (-0.7075054524, -0.0125107430, 0.5670514497),
    (-0.7199607721, -0.1794676225, 0.2644576408),
)


def hillis_steele(
    u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """The scan by doubling: log2(L) passes, an independent form to check the others by."""
    factor = torch.exp(dt.unsqueeze(3) * a[:, None, None])
    value = (dt * u).unsqueeze(3) * b.unsqueeze(4)
    value[:, :, 0] += factor[:, :, 0] * start
    reach = 1
    while reach < u.shape[2]:
        value = torch.cat(
            (
                value[:, :, :reach],
                value[:, :, reach:] + factor[:, :, reach:] * value[:, :, :-reach],
            ),
            2,
        )
        factor = torch.cat((factor[:, :, :reach], factor[:, :, reach:] * factor[:, :, :-reach]), 2)
        reach *= 2
    return torch.einsum("gslnd,gsln->gsld", value, c), value[:, :, -1]


FORMS = {"two-level": scan_two_level, "stepped": scan_stepped, "doubling": hillis_steele}


def random_inputs(
    groups: int, sequences: int, tokens: int, channels: int, states: int, seed: int = 0
) -> list[Tensor]:
    torch.manual_seed(seed)
    lead = (groups, sequences, tokens)
    return [
        torch.randn(*lead, channels, dtype=torch.float64),
        torch.rand(*lead, channels, dtype=torch.float64),
        -torch.rand(groups, states, channels, dtype=torch.float64) * 16,
        torch.randn(*lead, states, dtype=torch.float64),
        torch.randn(*lead, states, dtype=torch.float64),
        torch.randn(groups, sequences, states, channels, dtype=torch.float64),
    ]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that even short scans need several of them, the last ones incomplete."""
    monkeypatch.setattr(stepped, "_STEP_ELEMENTS", 60)
    monkeypatch.setattr(stepped, "_BUFFER_ELEMENTS", 240)


@pytest.mark.parametrize("form", FORMS)
def test_the_published_fixture(form: str) -> None:
    tokens, channels, states = 7, 2, 3

    def wave(function, rate: float, width: int) -> Tensor:
        index = torch.arange(tokens * width, dtype=torch.float64)
        return function(rate * index).view(1, 1, tokens, width)

    a = -torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    y, last = FORMS[form](
        wave(torch.cos, 0.3, channels),
        torch.nn.functional.softplus(wave(torch.sin, 0.7, channels)),
        a.repeat(channels, 1).t().unsqueeze(0),
        wave(torch.sin, 0.5, states),
        wave(torch.cos, 0.4, states),
        torch.zeros(1, 1, states, channels, dtype=torch.float64),
    )
    torch.testing.assert_close(
        y[0, 0], torch.tensor(FIXTURE_Y, dtype=torch.float64), atol=1e-7, rtol=0
    )
    torch.testing.assert_close(
        last[0, 0].t(), torch.tensor(FIXTURE_LAST, dtype=torch.float64), atol=1e-7, rtol=0
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(2, 5, 23, 6, 4), (1, 1, 1, 3, 2), (1, 3, 4, 2, 1)])
def test_every_form_is_the_recurrence(
    form: str, shape: tuple[int, ...], small_blocks: None
) -> None:
    inputs = random_inputs(*shape)
    for found, expected in zip(FORMS[form](*inputs), token_loop(*inputs), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    tokens=st.integers(1, 40),
    chunk=st.integers(1, 45),
    cut=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_a_scan_may_be_cut_anywhere(tokens: int, chunk: int, cut: float, seed: int) -> None:
    *inputs, start = random_inputs(1, 2, tokens, 3, 2, seed)
    whole, last = scan_two_level(*inputs, start, chunk)
    at = round(cut * (tokens - 1)) or tokens
    u, dt, a, b, c = inputs
    parts = []
    for piece in (slice(0, at), slice(at, None)):
        if u[:, :, piece].shape[2]:
            y, start = scan_stepped(
                *(x[:, :, piece] for x in (u, dt)), a, b[:, :, piece], c[:, :, piece], start
            )
            parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 2), whole)
    torch.testing.assert_close(start, last)


@pytest.mark.parametrize("form", [scan_two_level, scan_stepped])
def test_gradients_match_finite_differences(form, small_blocks: None) -> None:
    inputs = [x.requires_grad_() for x in random_inputs(2, 3, 9, 3, 2)]
    assert torch.autograd.gradcheck(form, inputs)


def test_gradients_reach_some_inputs_only() -> None:
    inputs = random_inputs(1, 2, 6, 3, 2)
    inputs[0].requires_grad_()
    y, _ = scan_stepped(*inputs)
    y.sum().backward()
    assert inputs[0].grad is not None
    assert inputs[1].grad is None


@pytest.mark.parametrize("form", [scan_two_level, scan_stepped])
def test_extreme_step_widths_stay_finite(form) -> None:
    tokens, states = 500, 16
    ones = torch.ones(1, 1, tokens, 4)
    a = -torch.arange(1.0, states + 1).view(1, states, 1).expand(1, states, 4)
    rows = torch.ones(1, 1, tokens, states)
    inputs = [ones, ones * 20, a.contiguous(), rows, rows, torch.ones(1, 1, states, 4)]
    for x in inputs:
        x.requires_grad_()
    y, last = form(*inputs)
    y.sum().backward()
    assert y.isfinite().all()
    assert last.isfinite().all()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in inputs)
    # with dt = 20 nothing older than the last token is left: y is 16 states of dt * u * B
    assert math.isclose(y[0, 0, -1, 0].item(), 20 * states, rel_tol=1e-5)


def test_the_scan_starts_from_zeros_when_no_state_is_given() -> None:
    *inputs, start = random_inputs(1, 2, 5, 3, 2)
    expected = token_loop(*inputs, torch.zeros_like(start))
    for found, right in zip(selective_scan(*inputs), expected, strict=True):
        torch.testing.assert_close(found, right)
