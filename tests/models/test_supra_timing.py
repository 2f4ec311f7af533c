"""Times as shares of a horizon's parts: classes, means and medians worked out by hand."""

from __future__ import annotations

import pytest
import torch

from models.supra.timing import expected_minutes, median_minutes, parts_of

#          now  0-1  1-2  2-3  3-4  not within
SHARES = [0.0, 0.2, 0.2, 0.2, 0.2, 0.2]


def test_every_time_has_its_part() -> None:
    to = torch.tensor([-0.5, 0.0, 0.01, 0.25, 0.26, 0.5, 0.75, 0.99, 1.0, 1.5])
    assert parts_of(to, 4).tolist() == [0, 0, 1, 1, 2, 2, 3, 4, 5, 5]
    # every second of five minutes, cut into quarters of a minute, in 32 bits as targets are
    seconds = torch.arange(1, 300)
    to = (seconds / 60).float() / 5
    assert parts_of(to, 20).tolist() == [-(-int(s) // 15) for s in seconds]


@pytest.mark.parametrize(
    ("shares", "within", "minutes"),
    [
        (SHARES, 4.0, 0.2 * (0.5 + 1.5 + 2.5 + 3.5 + 4)),
        (SHARES, 2.0, 0.2 * (0.5 + 1.5 + 2 + 2 + 2)),
        # the cut goes through the second part: half of it lasts 1.25 minutes in the mean
        (SHARES, 1.5, 0.2 * (0.5 + (1.25 + 1.5) / 2 + 3 * 1.5)),
        ([1, 0, 0, 0, 0, 0], 4.0, 0.0),
        ([0, 0, 0, 0, 0, 1], 4.0, 4.0),
        ([0, 0, 0, 0, 1, 0], 3.0, 3.0),
    ],
)
def test_the_mean_of_the_time_cut_at_a_horizon(
    shares: list[float], within: float, minutes: float
) -> None:
    got = expected_minutes(torch.tensor(shares, dtype=torch.float64), 4.0, within)
    assert got.item() == pytest.approx(minutes)


@pytest.mark.parametrize(
    ("shares", "minutes"),
    [
        (SHARES, 2.5),
        ([0.4, 0.2, 0, 0, 0, 0.4], 0.5),
        ([0.5, 0.1, 0, 0, 0, 0.4], 0.0),
        ([0.1, 0.1, 0.1, 0.1, 0.05, 0.55], 4.0),
        ([0, 0, 0, 0, 0.5, 0.5], 4.0),
        ([0, 0.25, 0, 0, 0.75, 0], 3.0 + 1 / 3),
    ],
)
def test_the_time_before_which_it_begins_as_likely_as_not(
    shares: list[float], minutes: float
) -> None:
    got = median_minutes(torch.tensor(shares, dtype=torch.float64), 4.0)
    assert got.item() == pytest.approx(minutes)


def test_all_at_once_is_each_by_itself() -> None:
    shares = torch.rand(3, 5, 2, 8, generator=torch.Generator().manual_seed(0)).softmax(-1)
    for told in (
        lambda s: expected_minutes(s, 5.0, 2.0),
        lambda s: median_minutes(s, 5.0),
    ):
        whole = told(shares)
        assert whole.shape == (3, 5, 2)
        assert torch.equal(whole[1, 3], told(shares[1, 3]))
