"""One Mamba-2 layer on token sequences, in plain PyTorch.

    h_t = exp(dt_t a) h_{t-1} + dt_t B_t x_t        y_t = C_t h_t + D x_t

after Dao and Gu, "Transformers are SSMs" (2024), sections 5 to 7: one decay per head, B and C
shared by all heads, a gated RMSNorm before the way out. Parameter names are those of the released
checkpoints. Scan and step widths are computed in float32 (float64 for a float64 network).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.endomamba.mixer import EXPAND, KERNEL_SIZE, full_precision

STATES = 64
HEAD_CHANNELS = 4
CHUNK_TOKENS = 64
_DT_RANGE = (1e-3, 0.1)
_DT_FLOOR = 1e-4


def scan_heads(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Runs the recurrence from a state of zeros, a chunk at a time (section 6 of the paper).

    Inside a chunk every token looks at all earlier ones through a matrix of decays, each the exp
    of a number that is not above 0; a loop carries the state over the chunks.

    Args:
        x: (S, L, H, P), S sequences of L tokens, H heads of P channels.
        dt: (S, L, H), positive.
        a: (H,), negative.
        b, c: (S, L, N).

    Returns:
        (S, L, H, P), without the skip D x; differentiable in all inputs.
    """
    state = x.new_zeros(len(x), x.shape[2], x.shape[3], b.shape[2])
    driven = x * dt.unsqueeze(-1)
    answers = []
    for xs, steps, bs, cs in zip(
        *(t.split(CHUNK_TOKENS, 1) for t in (driven, dt * a, b, c)), strict=True
    ):
        total = steps.cumsum(1).transpose(1, 2)  # (S, H, Q)
        later = torch.ones(total.shape[-1], total.shape[-1], device=x.device).tril() == 0
        between = (total.unsqueeze(-1) - total.unsqueeze(-2)).masked_fill(later, -math.inf)
        seen = torch.einsum("sqn,skn->sqk", cs, bs).unsqueeze(1) * between.exp()
        own = torch.einsum("shqk,skhp->sqhp", seen, xs)
        carried = torch.einsum("sqn,shpn,shq->sqhp", cs, state, total.exp())
        answers.append(own + carried)
        left = (total[..., -1:] - total).exp()
        state = state * total[..., -1].exp()[..., None, None] + torch.einsum(
            "shk,skhp,skn->shpn", left, xs, bs
        )
    return torch.cat(answers, 1)


class Mamba2(nn.Module):
    """Maps tokens (S, L, width) to the same shape; each sees those before it.

    Args:
        width: channels of a token; twice that must be a multiple of the heads' 4 channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = EXPAND * width
        self.heads = self.inner // HEAD_CHANNELS
        mixed = self.inner + 2 * STATES
        self.in_proj = nn.Linear(width, self.inner + mixed + self.heads, bias=False)
        self.conv1d = nn.Conv1d(mixed, mixed, KERNEL_SIZE, groups=mixed, padding=KERNEL_SIZE - 1)
        low, high = (math.log(x) for x in _DT_RANGE)
        dt = torch.empty(self.heads).uniform_(low, high).exp().clamp(min=_DT_FLOOR)
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.A_log = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(self.heads))
        for parameter in (self.dt_bias, self.A_log, self.D):
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
        self.norm = nn.RMSNorm(self.inner, eps=1e-5)
        self.out_proj = nn.Linear(self.inner, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mixes tokens from a state of zeros."""
        gate, mixed, dt = self.in_proj(tokens).split(
            (self.inner, self.inner + 2 * STATES, self.heads), -1
        )
        length = tokens.shape[1]
        mixed = functional.silu(self.conv1d(mixed.transpose(1, 2))[..., :length].transpose(1, 2))
        with torch.autocast(tokens.device.type, enabled=False):
            mixed, gate = full_precision(mixed), full_precision(gate)
            x, b, c = mixed.split((self.inner, STATES, STATES), -1)
            x = x.unflatten(-1, (self.heads, HEAD_CHANNELS))
            dt = functional.softplus(full_precision(dt) + self.dt_bias)
            y = scan_heads(x, dt, -self.A_log.exp(), b, c) + x * self.D.unsqueeze(-1)
            y = self.norm(y.flatten(2) * functional.silu(gate))
        return self.out_proj(y.to(tokens.dtype))
