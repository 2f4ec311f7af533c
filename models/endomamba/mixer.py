"""Mamba-1 mixers of EndoMamba: causal over a token stream, or bidirectional inside a frame.

After Gu and Dao, "Mamba" (2023), figure 3, and Zhu et al., "Vision Mamba" (2024), for the second
direction: both directions share the projections and the gate, and their results are summed.
Parameter names are those of the released code (`A_b_log`, `conv1d_b`, ... for the second
direction). Convolution, step widths, scan and states are computed in float32 (float64 for a
float64 network) whatever autocast asks for; only the two large projections follow autocast.

The depthwise convolution is written as four shifted multiply-adds over (tokens, channels): 2-3
times faster than `conv1d` on one core, and without transposing.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.endomamba.scan import selective_scan

STATE_SIZE = 16
KERNEL_SIZE = 4
EXPAND = 2
_DT_RANGE = (1e-3, 0.1)
_DT_FLOOR = 1e-4


def full_precision(x: Tensor) -> Tensor:
    """Returns `x` in float32, or as it is where it is wider."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class MambaMixer(nn.Module):
    """One selective state space layer on tokens (S, L, width).

    Args:
        width: channels of a token; the layer works on twice as many inside.
        depth: blocks of the whole network, which scale the output projection's first values.
        bidirectional: whether a second parameter set reads the tokens backwards.
    """

    def __init__(self, width: int, depth: int, *, bidirectional: bool) -> None:
        super().__init__()
        inner = EXPAND * width
        self.rank = math.ceil(width / 16)
        self.suffixes = ("", "_b") if bidirectional else ("",)
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.out_proj = nn.Linear(inner, width, bias=False)
        for suffix in self.suffixes:
            rates = torch.arange(1, STATE_SIZE + 1, dtype=torch.float32).log()
            rates_log = nn.Parameter(rates.repeat(inner, 1))
            rates_log._no_weight_decay = True  # type: ignore[attr-defined]
            self.register_parameter("A_b_log" if suffix else "A_log", rates_log)
            self.register_parameter("D" + suffix, nn.Parameter(torch.ones(inner)))
            conv = nn.Conv1d(inner, inner, KERNEL_SIZE, groups=inner, padding=KERNEL_SIZE - 1)
            self.add_module("conv1d" + suffix, conv)
            x_proj = nn.Linear(inner, self.rank + 2 * STATE_SIZE, bias=False)
            self.add_module("x_proj" + suffix, x_proj)
            self.add_module("dt_proj" + suffix, nn.Linear(self.rank, inner))
        self._reset_parameters(depth)

    def _reset_parameters(self, depth: int) -> None:
        nn.init.trunc_normal_(self.in_proj.weight, std=0.02)
        nn.init.kaiming_uniform_(self.out_proj.weight, a=math.sqrt(5))
        low, high = (math.log(x) for x in _DT_RANGE)
        with torch.no_grad():
            self.out_proj.weight /= math.sqrt(depth)
            for suffix in self.suffixes:
                nn.init.trunc_normal_(self._part("x_proj", suffix).weight, std=0.02)
                dt_proj = self._part("dt_proj", suffix)
                nn.init.uniform_(dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
                dt = torch.empty_like(dt_proj.bias).uniform_(low, high).exp().clamp(min=_DT_FLOOR)
                dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))

    def _part(self, name: str, suffix: str) -> Any:
        return self.get_submodule(name + suffix)

    def forward(
        self, hidden: Tensor, conv_state: Tensor | None = None, ssm_state: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Mixes tokens, going on from a carried state where one is given.

        Args:
            hidden: (S, L, width), already normalised.
            conv_state: (S, 3, 2 * width), the convolution's last inputs; None is zeros, and stays
                None. Only for a causal layer.
            ssm_state: (S, 16, 2 * width); None is zeros. Only for a causal layer.

        Returns:
            (S, L, width), and the two states after the last token (of no use in a bidirectional
            layer, which starts afresh in every frame).
        """
        x, gate = self.in_proj(hidden).chunk(2, -1)
        with torch.autocast(hidden.device.type, enabled=False):
            y, conv_state, ssm_state = self._scan(full_precision(x), conv_state, ssm_state)
            y = y * functional.silu(full_precision(gate))
        return self.out_proj(y.to(hidden.dtype)), conv_state, ssm_state

    def _scan(
        self, x: Tensor, conv_state: Tensor | None, ssm_state: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        inputs = (x,) if len(self.suffixes) == 1 else (x, x.flip(1))
        prepared = [
            self._prepare(direction, suffix, conv_state)
            for direction, suffix in zip(inputs, self.suffixes, strict=True)
        ]
        u, dt, b, c, a = (torch.stack(parts) for parts in zip(*prepared, strict=True))
        start = None if ssm_state is None else ssm_state.unsqueeze(0)
        y, last = selective_scan(u, dt, a, b, c, start)
        skip = torch.stack([full_precision(self.get_parameter("D" + s)) for s in self.suffixes])
        y = torch.addcmul(y, u, skip[:, None, None])
        total = y[0] if len(self.suffixes) == 1 else y[0] + y[1].flip(1)
        if conv_state is not None:
            conv_state = torch.cat((conv_state, x[:, 1 - KERNEL_SIZE :]), 1)[:, 1 - KERNEL_SIZE :]
        return total, conv_state, last[0]

    def _prepare(
        self, x: Tensor, suffix: str, conv_state: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Returns what the scan of one direction takes: u, dt, B, C, A."""
        conv, x_proj, dt_proj = (self._part(n, suffix) for n in ("conv1d", "x_proj", "dt_proj"))
        u = functional.silu(_causal_conv(x, conv.weight, conv.bias, conv_state))
        ranked, b, c = functional.linear(u, full_precision(x_proj.weight)).split(
            (self.rank, STATE_SIZE, STATE_SIZE), -1
        )
        weight, bias = full_precision(dt_proj.weight), full_precision(dt_proj.bias)
        dt = functional.softplus(functional.linear(ranked, weight, bias))
        a_log = self.get_parameter("A_b_log" if suffix else "A_log")
        return u, dt, b, c, -full_precision(a_log).exp().t()


def _causal_conv(x: Tensor, weight: Tensor, bias: Tensor, before: Tensor | None) -> Tensor:
    """Depthwise convolution over tokens (S, L, C) that sees three earlier tokens, or zeros."""
    taps = full_precision(weight)[:, 0].t()
    tokens = x.shape[1]
    if before is None:
        padded = functional.pad(x, (0, 0, KERNEL_SIZE - 1, 0))
    else:
        padded = torch.cat((before, x), 1)
    y = torch.addcmul(full_precision(bias), x, taps[-1])
    for tap in range(KERNEL_SIZE - 1):
        y = torch.addcmul(y, padded[:, tap : tap + tokens], taps[tap])
    return y
