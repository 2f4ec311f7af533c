"""The next event within a horizon: who names the commonest, and what naming is worth, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from app.inference.outlook import Outlook
from app.learning.next_event import CommonestNext, event_figures, event_shares

A, B, C = 0, 1, 2


def test_the_commonest_next_event_by_phase_and_time_spent_by_hand() -> None:
    """One sample a minute, two minutes ahead: the end of a recording is no event."""
    courses = [np.array([A, A, A, B]), np.array([A, C, C]), np.array([A, -1, B])]
    commonest = CommonestNext(courses, 3, 1.0, 2.0)
    # B comes in less than 2 minutes from the third A on, C from the first; what follows the last
    # recording's A is not known, so that it does not count.
    got = commonest.shares(np.array([A, A, A, A, B, -1, C]))
    assert got.tolist() == [
        [0, 0, 0.5, 0.5],
        [0, 0, 0, 1],
        [0, 1, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
    ]


def test_figures_by_hand() -> None:
    truth = [np.array([A, A, A, B]), np.array([A, -1])]
    events = np.array(
        [
            [0.0, 0.1, 0.0, 0.9],  # none comes in time
            [0.0, 0.8, 0.0, 0.2],  # none comes in time, B said
            [0.0, 0.7, 0.0, 0.3],  # B comes
            [0.0, 0.4, 0.6, 0.0],  # none comes, C said
        ]
    )
    got = event_figures(truth, [events, np.array([[1.0, 0, 0, 0]] * 2)], 1.0, 2.0)
    # the second recording's next event is not known
    assert got["accuracy"] == pytest.approx(50)
    assert got["accuracy_where_one_comes"] == pytest.approx(100)
    # B by sureness: wrong, right, wrong, wrong; A and C never come
    assert got["mean_ap"] == pytest.approx(50)


def test_a_model_that_tells_times_says_whether_its_next_phase_comes_in_time() -> None:
    times = np.array([[[0.9, 0, 0, 0.1], [0.0, 0.5, 0.25, 0.25]]])
    outlook = Outlook(
        next_probabilities=np.array([[0.0, 0.8, 0.2]]),
        minutes_to=np.zeros((1, 2)),
        minutes_left=np.zeros((1, 3)),
        shares_of_times=times,
    )
    assert event_shares(outlook)[0] == pytest.approx([0, 0.6, 0.4])
    bare = Outlook(
        next_probabilities=np.array([[0.1, 0.2, 0.7]]),
        minutes_to=np.zeros((1, 0)),
        minutes_left=np.zeros((1, 3)),
        shares_of_times=np.zeros((1, 0, 0)),
    )
    assert event_shares(bare)[0].tolist() == [0.1, 0.2, 0.7]
