"""The selective scan for CPUs: token by token in buffers that stay in the cache.

(L, N, D) is never materialised, in training neither: the backward pass is written by hand, keeps
the state at every chunk's start and recomputes the rest. Shapes as in `models.endomamba.scan`;
inside a block of R rows (parameter sets times some sequences) everything lies tokens first.

Measured on one core of an AMD EPYC (AVX-512, 1 MB L2), torch 2.13, float32, per state element (one
channel, state and token): `torch.exp` 0.9 ns, and up to 46 ns where it underflows; `torch.exp2`
0.3 ns everywhere, so A is scaled by log2(e) once. Product 0.1 ns, outer product 0.06, recurrence by
`addcmul_` 0.25-0.55, a row times a matrix 0.08-0.17, a matrix times a column 1.1-2.5, `sum` over
two axes up to 5. Whole scans, CPU milliseconds (exp, product, rank-1 update and contraction token
by token; two-level; this one): 197 tokens x 384 channels 4.75, 17.3, 1.33; 197 x 768 6.95, 14.1,
2.48; 37 x 224 0.72, 0.32, 0.25. With backward 4-5 ns per element, two-level 70-85 ns.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_LOG2_E = 1.0 / math.log(2.0)
_STEP_ELEMENTS = 24_576
_BUFFER_ELEMENTS = 196_608


def scan_stepped(
    u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Scans token by token; differentiable once in every input.

    Args: as in `models.endomamba.scan`, on the CPU, float32 or float64.

    Returns:
        `y` (G, S, L, D) and the last state (G, S, N, D).
    """
    if torch.is_grad_enabled() and any(x.requires_grad for x in (u, dt, a, b, c, start)):
        y, last = _SteppedScan.apply(u, dt, a, b, c, start)
    else:
        y, last, _ = _run(u, dt, a, b, c, start, keep=False)
    return y, last


class _Plan:
    """How many sequences and tokens are worked on at a time."""

    def __init__(self, u: Tensor, states: int) -> None:
        self.groups, sequences, tokens, channels = u.shape
        size = self.groups * states * channels
        rows = _even_share(sequences, max(1, _STEP_ELEMENTS // size))
        self.chunk = _even_share(tokens, max(4, _BUFFER_ELEMENTS // (size * rows)))
        self.row_slices = [slice(i, i + rows) for i in range(0, sequences, rows)]
        self.token_slices = [slice(i, i + self.chunk) for i in range(0, tokens, self.chunk)]

    def store(self, target: Tensor, rows: slice, block: Tensor) -> None:
        """Writes (L, R, K) into its place in `target` (G, S, L, K)."""
        target[:, rows] = block.unflatten(1, (self.groups, -1)).permute(1, 2, 0, 3)


def _even_share(total: int, most: int) -> int:
    """The size of equal shares of `total`, each at most `most`; the last may be smaller."""
    return -(-total // -(-total // most))


def _block(x: Tensor, rows: slice) -> Tensor:
    return x[:, rows].permute(2, 0, 1, 3).flatten(1, 2).contiguous()


def _spread(a: Tensor, state: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """A and a state of one block of rows, both (R, N, D)."""
    part = state[:, rows]
    return a.unsqueeze(1).expand(part.shape).flatten(0, 1), part.flatten(0, 1)


class _Buffer:
    """Room for (Q, R, N, D), and the views of its single tokens, made once."""

    def __init__(self, like: Tensor, tokens: int) -> None:
        self.all = like.new_empty(tokens, *like.shape)
        self.rows = self.all.unbind(0)


class _Work:
    """Buffers for up to `tokens` tokens of blocks shaped like A, (R, N, D)."""

    def __init__(self, a: Tensor, tokens: int) -> None:
        self.a = a
        self.a2 = a * _LOG2_E
        self.decay = _Buffer(a, tokens)
        self.states = _Buffer(a, tokens + 1)

    def fill(self, dt: Tensor, du: Tensor, b: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the decays and states of Q tokens.

        Args: `dt`, `du` (Q, R, D), `b` (Q, R, N), and `before`, the state before them (R, N, D).

        Returns:
            Views of the buffers: decays and states (Q, R, N, D).
        """
        tokens = len(dt)
        decay, states = self.decay.all[:tokens], self.states.all[1 : tokens + 1]
        rows = self.states.rows
        # first of all: `before` may lie at the end of the same buffer
        rows[0].copy_(before)
        torch.mul(dt.unsqueeze(2), self.a2, out=decay)
        torch.exp2(decay, out=decay)
        torch.mul(du.unsqueeze(2), b.unsqueeze(3), out=states)
        for step in range(tokens):
            rows[step + 1].addcmul_(self.decay.rows[step], rows[step])
        return decay, states


class _BackwardWork(_Work):
    """The same with room for the states' gradients; sums A's gradient (R, N, D)."""

    def __init__(self, a: Tensor, tokens: int) -> None:
        super().__init__(a, tokens)
        self.grad_h = _Buffer(a, tokens)
        self.grad_a = torch.zeros_like(a)
        self.ones = a.new_ones(1, tokens)

    def back(
        self, inputs: list[Tensor], before: Tensor, carry: Tensor, grads: list[Tensor]
    ) -> Tensor:
        """Sends gradients through Q tokens; returns what goes on to the tokens before them.

        Args:
            inputs: dt, du, b, c and the gradient of y, each (Q, R, ...).
            before: the state before the first token, (R, N, D).
            carry: the gradient that comes back from the tokens after the last, (R, N, D).
            grads: written: gradients of dt (through the decay alone), du, b and c.
        """
        dt, du, b, c, grad_y = inputs
        grad_dt, grad_du, grad_b, grad_c = grads
        tokens = len(dt)
        decay, states = self.fill(dt, du, b, before)
        grad_h, rows = self.grad_h.all[:tokens], self.grad_h.rows
        torch.mul(c.unsqueeze(3), grad_y.unsqueeze(2), out=grad_h)
        rows[tokens - 1].add_(carry)
        for step in range(tokens - 2, -1, -1):
            rows[step].addcmul_(self.decay.rows[step + 1], rows[step + 1])
        carry = rows[0] * self.decay.rows[0]
        _row_products(du, grad_h.transpose(2, 3), grad_b)
        _row_products(grad_y, states.transpose(2, 3), grad_c)
        _row_products(b, grad_h, grad_du)
        exponent = decay.mul_(self.states.all[:tokens]).mul_(grad_h)
        torch.sum(torch.mul(exponent, self.a, out=grad_h), 2, out=grad_dt)
        exponent.mul_(dt.unsqueeze(2))
        # a sum over tokens as a product: `sum` is many times slower
        self.grad_a += (self.ones[:, :tokens] @ exponent.flatten(1)).view_as(self.grad_a)
        return carry


def _row_products(rows: Tensor, matrices: Tensor, out: Tensor) -> None:
    """out[q, r] = rows[q, r] @ matrices[q, r], for (Q, R, I), (Q, R, I, J) and (Q, R, J)."""
    torch.bmm(
        rows.flatten(0, 1).unsqueeze(1), matrices.flatten(0, 1), out=out.flatten(0, 1).unsqueeze(1)
    )


def _run(
    u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, start: Tensor, *, keep: bool
) -> tuple[Tensor, Tensor, list[list[Tensor]]]:
    """The forward pass; with `keep` also the state before every chunk, per block of rows."""
    plan = _Plan(u, a.shape[1])
    du = dt * u
    y, last = torch.empty_like(du), torch.empty_like(start)
    kept: list[list[Tensor]] = []
    work: _Work | None = None
    for rows in plan.row_slices:
        dt_r, du_r, b_r, c_r = (_block(x, rows) for x in (dt, du, b, c))
        a_r, before = _spread(a, start, rows)
        if work is None or work.a.shape != a_r.shape:
            work = _Work(a_r, plan.chunk)
        y_r, starts = torch.empty_like(du_r), []
        for at in plan.token_slices:
            if keep:
                starts.append(before.clone())
            _, states = work.fill(dt_r[at], du_r[at], b_r[at], before)
            _row_products(c_r[at], states, y_r[at])
            before = states[-1]
        plan.store(y, rows, y_r)
        last[:, rows] = before.view_as(last[:, rows])
        kept.append(starts)
    return y, last, kept


class _SteppedScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        y, last, ctx.starts = _run(*inputs, keep=True)
        ctx.save_for_backward(*inputs)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_last: Tensor) -> tuple[Tensor, ...]:
        u, dt, a, b, c, start = ctx.saved_tensors
        plan = _Plan(u, a.shape[1])
        inputs = (dt, dt * u, b, c, grad_y)
        grads = [torch.empty_like(x) for x in inputs[:4]]
        grad_a, grad_start = torch.zeros_like(a), torch.empty_like(start)
        for rows, starts in zip(plan.row_slices, ctx.starts, strict=True):
            block = [_block(x, rows) for x in inputs]
            block_grads = [torch.empty_like(x) for x in block[:4]]
            a_r, carry = _spread(a, grad_last, rows)
            work = _BackwardWork(a_r, plan.chunk)
            for at, before in zip(reversed(plan.token_slices), reversed(starts), strict=True):
                parts = [x[at] for x in block]
                carry = work.back(parts, before, carry, [x[at] for x in block_grads])
            for target, found in zip(grads, block_grads, strict=True):
                plan.store(target, rows, found)
            grad_a += work.grad_a.unflatten(0, (plan.groups, -1)).sum(1)
            grad_start[:, rows] = carry.view_as(grad_start[:, rows])
        grad_dt, grad_du, grad_b, grad_c = grads
        return grad_du * dt, grad_dt.addcmul_(grad_du, u), grad_a, grad_b, grad_c, grad_start
