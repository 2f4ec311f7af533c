"""Selective scan of Mamba-1 in plain PyTorch: one form per kind of hardware, no compiled extension.

    h_t = exp(dt_t A) h_{t-1} + (dt_t u_t) B_t        y_t = C_t h_t

after Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces" (2023),
section 3 and algorithm 2, with A discretised exactly and B by Euler's rule. The skip `D u` and the
gate belong to the mixer. Runs on whichever thread runs the network; holds no state of its own.

Common shapes: `u`, `dt` (G, S, L, D); `a` (G, N, D), negative; `b`, `c` (G, S, L, N); `start`
(G, S, N, D) or None for zeros; result `y` (G, S, L, D) and the last state (G, S, N, D). G counts
parameter sets (2 in a bidirectional block), S sequences, L tokens, D channels, N states. The
channel axis lies last, so that every operation runs over contiguous channels.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from models.endomamba.stepped import scan_stepped

_LOG2_E = 1.0 / math.log(2.0)


def selective_scan(
    u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, start: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Runs the scan in the form that is fastest on the tensors' device.

    Args: as in the module's docstring, all of one floating dtype (float32 or float64) and device.

    Returns:
        `y` (G, S, L, D) and the state after the last token (G, S, N, D), differentiable in all
        inputs.
    """
    if start is None:
        start = u.new_zeros(u.shape[0], u.shape[1], a.shape[1], u.shape[3])
    if u.device.type == "cpu":
        return scan_stepped(u, dt, a, b, c, start)
    return scan_two_level(u, dt, a, b, c, start)


def scan_two_level(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    start: Tensor,
    chunk_tokens: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Scan in about 2 sqrt(L) steps over large tensors: for devices with a cost per launch.

    All chunks compute local states and running products at once; a second, short loop carries the
    state over the chunk ends. Every product is of factors at most 1, so nothing overflows however
    large `dt` is. Materialises (G, S, L, N, D).

    Args:
        chunk_tokens: length of a chunk, at least 1; None takes ceil(sqrt(L)).
    """
    groups, sequences, tokens, channels = u.shape
    size = chunk_tokens or math.isqrt(max(tokens - 1, 0)) + 1
    chunks = -(-tokens // size)
    # a padded token has dt = 0: it multiplies the state by 1 and adds 0
    u, dt, b, c = (functional.pad(x, (0, 0, 0, chunks * size - tokens)) for x in (u, dt, b, c))
    split = (groups, sequences, chunks, size)
    dt, du, b, c = (x.reshape(*split, -1) for x in (dt, dt * u, b, c))
    decay = torch.exp2(dt.unsqueeze(4) * (a * _LOG2_E)[:, None, None, None]).unbind(3)
    drive = (du.unsqueeze(4) * b.unsqueeze(5)).unbind(3)
    local, product = [drive[0]], [decay[0]]
    for step in range(1, size):
        local.append(torch.addcmul(drive[step], decay[step], local[-1]))
        product.append(decay[step] * product[-1])
    carried = [start]
    for chunk in range(chunks):
        carried.append(local[-1][:, :, chunk] + product[-1][:, :, chunk] * carried[-1])
    entry = torch.stack(carried[:-1], 2).unsqueeze(3)
    states = torch.addcmul(torch.stack(local, 3), torch.stack(product, 3), entry)
    y = torch.matmul(c.unsqueeze(4), states).reshape(groups, sequences, chunks * size, channels)
    return y[:, :, :tokens], carried[-1]
