"""The course of the operations that a phase model was trained on, for its card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.course import Course
from app.learning.phantom.script import write_procedure
from app.learning.recipes import Recipe

OPERATIONS = 1000
# Half of the recordings are taken to be excerpts, which may start anywhere.
EXCERPTS = 0.5
# What never happened in so many operations may still happen once in a while.
UNSEEN = 0.05


def phantom_course(recipe: Recipe) -> Course:
    """Counted over the scripts of operations that the training set draws from as well.

    Args:
        recipe: its ``card.course_weight`` says how much one sample counts; windows are drawn by
            the root of a phase's length (see ``app.learning.phases.draw_window``).
    """
    classes = recipe.classes
    rate = float(recipe.card["frames_per_second"])
    first = int(recipe.data["seed"]) * 100_000
    seen = np.zeros(len(classes))
    operations = []
    for number in range(OPERATIONS):
        procedure = write_procedure(first + number)
        keys = [classes.index(span.name) for span in procedure.phases]
        lengths = [round((s.end_s - s.start_s) * rate) for s in procedure.phases]
        operations.append(np.repeat(keys, lengths))
        roots = np.sqrt([s.end_s - s.start_s for s in procedure.phases])
        for span, share in zip(procedure.phases, roots / roots.sum(), strict=True):
            seen[classes.index(span.name)] += share
    return counted(operations, seen, float(recipe.card["course_weight"]))


def labelled_course(
    recipe: Recipe, labels: Sequence[NDArray[np.int64]], shares: NDArray[np.float64]
) -> Course:
    """Counted over the labelled cases that a phase model learns from.

    Args:
        recipe: its ``card.course_weight`` says how much one sample counts.
        labels: of each case, negative where the phase is not known; known somewhere.
        shares: how often each labelled sample of them, one case after another, is learnt from.
    """
    known = np.concatenate([one[one >= 0] for one in labels])
    seen = np.bincount(known, shares, len(recipe.classes)).clip(min=1e-6)
    return counted(labels, seen, float(recipe.card["course_weight"]))


def counted(
    operations: Sequence[NDArray[np.int64]], seen: NDArray[np.float64], weight: float
) -> Course:
    """How operations begin and go on from one sample to the next.

    Only what was seen counts: nothing is known of how long a phase that borders on unknown samples
    lasted, of what followed it, or of how an operation whose first sample is unknown began. Where
    no beginning is known, the first phase that is known of each operation stands for it.

    Args:
        operations: index of the phase at each sample, negative where it is not known; known
            somewhere.
        seen: how often each phase was learnt from, in any unit.
        weight: how much one sample counts.
    """
    classes = len(seen)
    start = np.full(classes, UNSEEN)
    change = np.full((classes, classes), UNSEEN)
    samples = np.zeros(classes)
    begun = [labels for labels in operations if labels[0] >= 0] or operations
    np.add.at(start, [labels[labels >= 0][0] for labels in begun], 1)
    for labels in operations:
        before, after = labels[:-1], labels[1:]
        seen_to_go_on = (before >= 0) & (after >= 0)
        np.add.at(change, (before[seen_to_go_on], after[seen_to_go_on]), 1)
        samples += np.bincount(labels[labels >= 0], minlength=classes)
    return Course(
        start=_shares((1 - EXCERPTS) * start / start.sum() + EXCERPTS * samples / samples.sum()),
        change=tuple(_shares(row) for row in change),
        seen=_shares(np.sqrt(seen)),  # answers lean half as far (on the operations of the recipe)
        weight=weight,
    )


def _shares(counts: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(v), 6) for v in counts / counts.sum())
