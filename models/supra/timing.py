"""When something begins, told as shares of a horizon's equal parts. Pure; any thread.

B parts make B + 2 classes: 0 that it goes on now, then that it begins in each part, last that it
does not begin within the horizon. Within a part every moment is as likely.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDING = 1e-4


def parts_of(horizons_to: Tensor, bins: int) -> Tensor:
    """The class of every time, int64 of the same shape.

    Args:
        horizons_to: float, times in horizons; 0 or less is now, 1 or more not within it.
        bins: B. The end of a part belongs to it.
    """
    # A time on a part's end may be a rounding beyond it.
    part = (horizons_to.double() * bins - _ROUNDING).ceil().long()
    return torch.where(horizons_to >= 1, bins + 1, part.clamp(0, bins))


def expected_minutes(shares: Tensor, horizon_min: float, within_min: float) -> Tensor:
    """The mean of the time cut at ``within_min``.

    Args:
        shares: float (..., B + 2) that sum to 1.
        horizon_min: that the parts divide.
        within_min: at most that.

    Returns:
        Minutes (...), in [0, within_min].
    """
    edges = torch.linspace(0, horizon_min, shares.shape[-1] - 1, dtype=torch.float64)
    low, high = edges[:-1], edges[1:]
    first, last = low.clamp(max=within_min), high.clamp(max=within_min)
    # Of a part that the cut goes through, what lies beyond counts as the cut.
    worth = ((last**2 - first**2) / 2 + (high - low - last + first) * within_min) / (high - low)
    worth = torch.cat((worth.new_zeros(1), worth, worth.new_full((1,), within_min)))
    return shares @ worth.to(shares)


def median_minutes(shares: Tensor, horizon_min: float) -> Tensor:
    """The time before which it begins as likely as not: 0 where it likelier goes on than not, the
    horizon where it likelier does not begin within it.

    Args:
        shares: float (..., B + 2) that sum to 1.
        horizon_min: that the parts divide.

    Returns:
        Minutes (...), in [0, horizon_min].
    """
    begun = shares.cumsum(-1)[..., :-1]
    bins = begun.shape[-1] - 1
    after = (begun < 0.5).sum(-1)
    part = after.clamp(1, bins).unsqueeze(-1)
    before, by = begun.gather(-1, part - 1).squeeze(-1), begun.gather(-1, part).squeeze(-1)
    share = ((0.5 - before) / (by - before).clamp(min=_ROUNDING**2)).clamp(0, 1)
    minutes = (part.squeeze(-1) - 1 + share) * (horizon_min / bins)
    minutes = torch.where(after == 0, 0.0, minutes)
    return torch.where(after > bins, horizon_min, minutes)
