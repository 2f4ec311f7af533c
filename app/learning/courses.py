"""Courses of operations that a network of frame features learns from, more than were recorded.

How long phases last and in which order they come is known of many more operations than were looked
at: a course's labels get the features of recorded operations, phase by phase, stretched to its
lengths. Measured is on whole recordings as they are. Pure but for the generator; any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.learning.phantom.script import PHASES as PHANTOM_PHASES
from app.learning.phantom.script import write_phases
from app.learning.recipes import Recipe
from app.learning.recorded import Recorded

Labels = NDArray[np.int64]
Course = Callable[[np.random.Generator], Labels]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """One course to learn from.

    Attributes:
        features: float32 (T, C).
        labels: int64 (T,).
    """

    features: NDArray[np.float32]
    labels: Labels


def phantom_labels(seed: int, classes: Sequence[str], per_second: float) -> Labels:
    """The phases of a phantom operation, sample by sample, without drawing it."""
    phases = write_phases(seed)
    places = [classes.index(span.name) for span in phases]
    return np.repeat(places, [round((s.end_s - s.start_s) * per_second) for s in phases])


def phantom_courses(recipe: Recipe) -> list[Labels]:
    """Those that a recipe of the phantom learns the lengths and orders of phases from.

    They are scripts alone; ``data.seed`` and ``data.courses`` say which and how many.
    """
    first, count = int(recipe.data["seed"]) * 100_000, int(recipe.data["courses"])
    rate = float(recipe.card["frames_per_second"])
    return [phantom_labels(first + n, recipe.classes, rate) for n in range(count)]


def speaks_of_the_phantom(recipe: Recipe) -> bool:
    """Whether scripts of the phantom can be courses of a recipe's classes."""
    return set(PHANTOM_PHASES) <= set(recipe.classes)


def runs_of(labels: Labels) -> list[tuple[int, int]]:
    """First and last + 1 of every stretch of one label."""
    cuts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return list(pairwise(cuts)) if len(labels) else []


class Donors:
    """Recorded operations whose features others get.

    Args:
        recordings: at least one.
    """

    def __init__(self, recordings: Sequence[Recorded]) -> None:
        self._recordings = recordings
        self._runs: list[dict[int, list[tuple[int, int]]]] = []
        for one in recordings:
            found: dict[int, list[tuple[int, int]]] = {}
            for first, last in runs_of(one.labels):
                found.setdefault(int(one.labels[first]), []).append((first, last))
            self._runs.append(found)

    def whole(self, rng: np.random.Generator) -> Example:
        """One of them as it is."""
        one = self._recordings[int(rng.integers(len(self._recordings)))]
        return Example(features=one.features.astype(np.float32), labels=one.labels)

    def dressed(self, labels: Labels, rng: np.random.Generator) -> Example:
        """A course with the features of one recording, or every other time of several; of several
        too where the one lacks a phase.

        A phase begins and ends as it was recorded; between, samples are left out, or played to and
        fro until the course's length is reached. A phase that nobody recorded is left out.
        """
        mine, mixed = int(rng.integers(len(self._recordings))), rng.random() < 0.5
        features, kept = [], []
        for first, last in runs_of(labels):
            label = int(labels[first])
            having = [n for n, runs in enumerate(self._runs) if label in runs]
            if not having:
                continue
            alone = mine in having and not mixed
            donor = mine if alone else having[int(rng.integers(len(having)))]
            runs = self._runs[donor][label]
            start, end = runs[int(rng.integers(len(runs)))]
            places = start + fitted(end - start, last - first)
            features.append(self._recordings[donor].features[places].astype(np.float32))
            kept.append(labels[first:last])
        if not kept:
            return self.whole(rng)
        return Example(features=np.concatenate(features), labels=np.concatenate(kept))


def fitted(have: int, wanted: int) -> NDArray[np.int64]:
    """Places in a stretch of ``have`` samples that make one of ``wanted``, in steps of at most one
    but for a cut in the middle: forwards from its begin, then to and fro, then up to its end."""
    tail = min(have, wanted) // 2
    head = wanted - tail
    period = max(2 * (have - 1), 1)
    forth = np.arange(head) % period
    to_and_fro = np.where(forth < have, forth, period - forth)
    return np.concatenate([to_and_fro, np.arange(have - tail, have)]).astype(np.int64)


def begun_late(one: Example, rng: np.random.Generator, shortest: int) -> Example:
    """The course from a random sample on, as of a recording that was begun late."""
    if len(one.labels) <= shortest:
        return one
    first = int(rng.integers(len(one.labels) - shortest))
    return Example(features=one.features[first:], labels=one.labels[first:])
