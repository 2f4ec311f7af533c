"""How fast this machine answers on a live picture, and so how long an outline may stay.

An outline's age counts from the moment its frame was captured. When an answer comes, its age is A
(measured: waiting, network, drawing); until the next one comes about another C passes (measured:
what one frame takes). So an outline stays until A + 2 C, one late answer allowed, and never longer
than the limit. Where A + C is past the limit already, outlines would only flicker over tissue that
has moved on: the machine is too slow, says so, and phases, which need one look a second, are shown
alone. After a minute it is tried again: something else may have used the processor.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

LIMIT_MS = 250.0
RETRY_AFTER_S = 60.0
_WARM_UP, _DECIDE_AFTER, _REMEMBERED = 2, 6, 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast this machine answers.

    Attributes:
        age_ms: median age of an outline when it comes, 0 while unknown.
        compute_ms: median time that one frame takes, 0 while unknown.
        keep_ms: an outline older than this is hidden.
        helps: outlines are worth showing; False where the machine is too slow.
    """

    age_ms: float = 0.0
    compute_ms: float = 0.0
    keep_ms: float = LIMIT_MS
    helps: bool = True


class PaceMeter:
    """Measures answers and decides by the rule above. For one thread.

    Args:
        limit_ms: no outline is shown that is older.
        clock: seconds, monotonic.
    """

    def __init__(
        self, limit_ms: float = LIMIT_MS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit_ms, self._clock = limit_ms, clock
        self._ages: deque[float] = deque(maxlen=_REMEMBERED)
        self._costs: deque[float] = deque(maxlen=_REMEMBERED)
        self._to_skip = _WARM_UP
        self._slow_since: float | None = None
        self.pace = Pace(keep_ms=limit_ms)

    def note(self, age_ms: float, compute_ms: float) -> Pace:
        """An answer came: how old its frame was by then, and how long it took."""
        if self._to_skip:  # the first ones allocate, and try half precision
            self._to_skip -= 1
            return self.pace
        self._ages.append(age_ms)
        self._costs.append(compute_ms)
        age, cost = median(self._ages), median(self._costs)
        slow = len(self._ages) >= _DECIDE_AFTER and age + cost > self._limit_ms
        if slow:
            self._slow_since = self._clock()
        self.pace = Pace(
            age_ms=age,
            compute_ms=cost,
            keep_ms=min(self._limit_ms, age + 2 * cost),
            helps=not slow,
        )
        return self.pace

    def may_look(self) -> bool:
        """Whether outlines are looked for: not while too slow, but again after a while."""
        if self._slow_since is None:
            return True
        if self._clock() - self._slow_since < RETRY_AFTER_S:
            return False
        # ``helps`` stays False until the new measurement says otherwise.
        self._slow_since = None
        self._ages.clear()
        self._costs.clear()
        self._to_skip = 1
        return True
