"""The phase that runs now, from a phase model's answers one by one. Pure; for one thread.

With a course it is the likeliest end of all courses so far (what ``app.core.course.decode`` calls
``so_far``), one step at a time. Without one, a phase counts once it was said for three seconds by
every look of that time, however many of them the machine managed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.course import Course, Follower
from app.core.timeline import agreed_samples


class LivePhase:
    """Follows the phases of one operation.

    Args:
        classes: phase keys in the order of the probabilities.
        course: how such operations go on, None where the model does not say.
        per_second: answers a second.

    Attributes:
        phase: key of the phase that runs now, None before the first answer.
    """

    def __init__(
        self, classes: Sequence[str], course: Course | None, per_second: float = 1.0
    ) -> None:
        self._classes = tuple(classes)
        self._wanted = agreed_samples(per_second)
        self._follower = None if course is None else Follower(course)
        self._last: int | None = None
        self._held = 0
        self.phase: str | None = None

    def step(self, probabilities: NDArray[np.float64], steps: int = 1) -> str:
        """Take the next answer in.

        Args:
            probabilities: (K,), one per class.
            steps: sample steps since the answer before, more than 1 where the machine is slow and
                after a loss of signal.
        """
        if self._follower is not None:
            self.phase = self._classes[self._follower.step(probabilities, steps)]
            return self.phase
        best = int(probabilities.argmax())
        self._held = self._held + max(1, steps) if best == self._last else 1
        self._last = best
        if self.phase is None or self._held >= self._wanted:
            self.phase = self._classes[best]
        return self.phase
