"""The course of phantom operations, for the cards of phase models that were trained on them."""

from __future__ import annotations

import numpy as np

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
    start = np.full(len(classes), UNSEEN)
    change = np.full((len(classes), len(classes)), UNSEEN)
    seen = np.zeros(len(classes))
    seconds = np.zeros(len(classes))
    for number in range(OPERATIONS):
        procedure = write_procedure(first + number)
        keys = [classes.index(span.name) for span in procedure.phases]
        labels = np.repeat(keys, [round((s.end_s - s.start_s) * rate) for s in procedure.phases])
        start[labels[0]] += 1
        np.add.at(change, (labels[:-1], labels[1:]), 1)
        seconds += np.bincount(labels, minlength=len(classes))
        roots = np.sqrt([s.end_s - s.start_s for s in procedure.phases])
        for span, share in zip(procedure.phases, roots / roots.sum(), strict=True):
            seen[classes.index(span.name)] += share
    return Course(
        start=_shares((1 - EXCERPTS) * start / start.sum() + EXCERPTS * seconds / seconds.sum()),
        change=tuple(_shares(row) for row in change),
        seen=_shares(np.sqrt(seen)),  # answers lean half as far (on the operations of the recipe)
        weight=float(recipe.card["course_weight"]),
    )


def _shares(counts: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(v), 6) for v in counts / counts.sum())
