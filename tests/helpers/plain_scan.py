"""The selective scan as its paper writes it, token by token: what other forms are held against."""

import torch
from torch import Tensor


def token_loop(
    u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """The recurrence as the paper writes it."""
    h, y = start, []
    for t in range(u.shape[2]):
        drive = (dt[:, :, t] * u[:, :, t]).unsqueeze(2) * b[:, :, t].unsqueeze(3)
        h = torch.exp(dt[:, :, t].unsqueeze(2) * a.unsqueeze(1)) * h + drive
        y.append((c[:, :, t].unsqueeze(3) * h).sum(2))
    return torch.stack(y, 2), h
