"""What evaluations of phases print: the rate counts, and every figure has its convention."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.taxonomy import find_taxonomy
from app.learning.evaluate_phases import figures, phase_figures, shown

CHOLEC80 = tuple(phase.key for phase in find_taxonomy("cholecystectomy").phases)
TRUTH = np.repeat([0, 1], 40)


def answers(labels: np.ndarray, classes: int) -> np.ndarray:
    return 0.1 / classes + 0.9 * np.eye(classes)[labels]


def test_ten_seconds_are_so_many_labels() -> None:
    """The second phase is named 15 labels late: at two labels a second all of them are forgiven."""
    late = np.repeat([0, 1], (55, 25))
    found = [figures([TRUTH], [late], CHOLEC80, rate)["relaxed_10s"] for rate in (1.0, 2.0)]
    assert [f["intended"]["accuracy"] for f in found] == pytest.approx([100 * 75 / 80, 100])


@pytest.mark.parametrize("classes", [CHOLEC80[:3], CHOLEC80[::-1], (*CHOLEC80, "other")])
def test_borders_are_relaxed_for_cholec80s_phases_alone(classes: tuple[str, ...]) -> None:
    said = answers(TRUTH, len(classes))
    found = phase_figures([TRUTH], [said], classes, None, 1.0)
    assert "relaxed_10s" not in found
    assert found["conventions"].keys() == {"video_then_phase", "pooled", "edit", "f1_at"}
    whole = phase_figures([TRUTH], [answers(TRUTH, 7)], CHOLEC80, None, 1.0)
    assert whole["relaxed_10s"].keys() == {"matlab", "intended"} <= whole["conventions"].keys()


@pytest.mark.parametrize(("per_second", "kept"), [(1.0, True), (2.0, False)])
def test_a_phase_counts_once_it_was_said_for_three_seconds(per_second: float, kept: bool) -> None:
    labels = TRUTH.copy()
    labels[20:24] = 2
    named = shown(answers(labels, 3), CHOLEC80[:3], None, per_second)
    assert (2 in named) == kept
    assert named[60] == 1
