"""How an operation usually goes on: what makes a timeline of a model's flickering answers.

A hidden Markov model over the phases, as Twinanda et al. 2017 ("EndoNet", section III-C) and many
after them smooth a network's answers. Pure functions; runs on any thread.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is known of a procedure's phases before looking at the picture.

    Attributes:
        start: (K,) probability that a recording starts in each phase.
        change: (K, K) probability that a sample of the row's phase is followed by the column's.
        seen: (K,) how far the model's answers lean to each phase because it saw it more often.
        weight: above 0, at most 1: how much one sample counts. Neighbouring samples say almost the
            same, so each is worth far less than a look of its own.
    """

    start: tuple[float, ...]
    change: tuple[tuple[float, ...], ...]
    seen: tuple[float, ...]
    weight: float

    def __post_init__(self) -> None:
        classes = len(self.start)
        square = len(self.change) == classes and all(len(row) == classes for row in self.change)
        if not classes or not square or len(self.seen) != classes:
            raise ValueError("Course: start, change and seen do not speak of the same phases")
        if not 0 < self.weight <= 1:
            raise ValueError(f"Course.weight: expected above 0 and at most 1, got {self.weight}")
        for row in (self.start, self.seen, *self.change):
            if min(row) < 0 or not 0.99 < sum(row) < 1.01:
                raise ValueError("Course: expected shares that sum to 1")

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Course:
        """From plain lists, as a model card holds them.

        Raises:
            ValueError: they do not make a course.
        """
        try:
            return cls(
                start=tuple(float(v) for v in values["start"]),
                change=tuple(tuple(float(v) for v in row) for row in values["change"]),
                seen=tuple(float(v) for v in values["seen"]),
                weight=float(values["weight"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"Course: a field is missing or mistyped ({error})") from error

    @classmethod
    def from_text(cls, text: str) -> Course:
        """From what ``as_text`` wrote."""
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("Course: expected an object")
        return cls.from_values(values)

    def as_values(self) -> dict[str, Any]:
        """Plain lists, as a model card holds them."""
        return json.loads(self.as_text())  # type: ignore[no-any-return]

    def as_text(self) -> str:
        """JSON, the same for the same course."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """What a course makes of the answers.

    Attributes:
        whole: int64 (N,), the likeliest sequence of phases, knowing all samples.
        so_far: int64 (N,), the phase at each sample, knowing only the samples up to it.
    """

    whole: NDArray[np.int64]
    so_far: NDArray[np.int64]


def decode(
    course: Course, probabilities: NDArray[np.float64], steps: NDArray[np.int64] | None = None
) -> Decoded:
    """The likeliest sequence of phases (Viterbi).

    Args:
        course: of as many phases as there are columns.
        probabilities: (N, K), a model's answer for each sample, N at least 1.
        steps: (N - 1,) sample steps between neighbours, 1 where none is missing; None for all 1.

    Raises:
        ValueError: the course speaks of another number of phases.
    """
    count, classes = probabilities.shape
    jumps = np.ones(count, np.int64) if steps is None else np.concatenate([[1], steps])
    follower = Follower(course)
    came_from = np.empty((count, classes), np.int64)
    so_far = np.empty(count, np.int64)
    for i in range(count):
        so_far[i] = follower.step(probabilities[i], int(jumps[i]))
        came_from[i] = follower.came_from
    whole = np.empty(count, np.int64)
    whole[-1] = so_far[-1]
    for i in range(count - 1, 0, -1):
        whole[i - 1] = came_from[i, whole[i]]
    return Decoded(whole=whole, so_far=so_far)


class Follower:
    """The forward half of Viterbi, one sample at a time: of a recording that still goes on, too.

    Attributes:
        came_from: int64 (K,), for each phase at the newest sample the likeliest one before it.
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self._log_seen = np.log(np.array(course.seen) + _TINY)
        self._best: NDArray[np.float64] | None = None
        self.came_from = np.arange(len(course.start))

    def step(self, probabilities: NDArray[np.float64], steps: int = 1) -> int:
        """The phase at the next sample.

        Args:
            probabilities: (K,), a model's answer.
            steps: since the sample before, 1 where none is missing.

        Raises:
            ValueError: the course speaks of another number of phases.
        """
        course = self._course
        if probabilities.shape != (len(course.start),):
            raise ValueError(
                f"Course: of {len(course.start)} phases, the answers of {probabilities.size}"
            )
        evidence = np.log(probabilities + _TINY) - self._log_seen
        if self._best is None:
            reached = np.log(np.array(course.start) + _TINY)
        else:
            paths = self._best[:, None] + _log_change(course.change, max(1, steps))
            self.came_from = paths.argmax(axis=0)
            reached = paths.max(axis=0)
        best = reached + course.weight * evidence
        # Only differences count; without this an hour would run towards minus infinity.
        self._best = best - best.max()
        return int(self._best.argmax())


@lru_cache(maxsize=64)
def _log_change(change: tuple[tuple[float, ...], ...], steps: int) -> NDArray[np.float64]:
    power = np.linalg.matrix_power(np.array(change), min(steps, 3600))
    return np.asarray(np.log(power + _TINY), np.float64)
