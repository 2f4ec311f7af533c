"""The thread that finds the smoke over the newest picture: ``trocar-smoke``. No Qt.

Pictures are offered from the thread that decodes; of several that wait the newest is looked at.
What is found serves the pictures that follow, until the next one or another scene.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.core.errors import EnvironmentProblem, TrocarError
from app.inference.veil import Picture, Veil

log = logging.getLogger(__name__)

KEEP_FRAMES = 120
"""A veil found so many pictures ago is not laid over others any more: smoke drifts."""
_REST_SHARE = 0.5
"""Of the time a picture took, before the next: the player and the models need the processor too."""


class Clears(Protocol):
    """What finds smoke: see ``app.inference.desmoke.Desmoker``."""

    def veil(self, rgb: Picture) -> Veil:
        """The smoke over a picture."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cleared:
    """A picture that stands still, without smoke.

    Attributes:
        of: the picture it was made of, the very array.
        picture: uint8 of its shape.
    """

    of: Picture
    picture: Picture


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Wish:
    rgb: Picture
    still: bool
    asked_s: float
    number: int


class SmokeThread:
    """Clears pictures until it is closed.

    Args:
        load: gives the network; called on the thread, once.
        on_cleared: (Cleared) for pictures that stand still, on the thread.
        on_error: (TrocarError) it has ended, on the thread.

    Attributes:
        took_s: from offering the newest moving picture to its veil, 0 before the first.
    """

    def __init__(
        self,
        load: Callable[[], Clears],
        on_cleared: Callable[[Cleared], object],
        on_error: Callable[[TrocarError], object],
    ) -> None:
        self._load, self._on_cleared, self._on_error = load, on_cleared, on_error
        self._wake = threading.Condition()
        self._wish: _Wish | None = None
        self._veil: tuple[Veil, int] | None = None
        self._number = 0
        self._ready_s = 0.0
        self._closing = False
        self.took_s = 0.0
        self._thread = threading.Thread(target=self._run, name="trocar-smoke", daemon=True)
        self._thread.start()

    def offer(self, rgb: Picture, *, still: bool = False) -> None:
        """A picture to look at; one that waits gives way.

        Args:
            rgb: uint8 (H, W, 3), not changed any more by anyone.
            still: it stays on screen: ``on_cleared`` gets it.
        """
        with self._wake:
            self._number += 1
            self._wish = _Wish(
                rgb=rgb,
                still=still,
                asked_s=time.monotonic(),
                number=self._number,
            )
            self._wake.notify()

    def veil_for(self, rgb: Picture) -> Veil | None:
        """The newest veil, if it fits a picture; any thread, 0.2 ms."""
        newest = self._veil
        if newest is None or self._number - newest[1] > KEEP_FRAMES or not newest[0].fits(rgb):
            return None
        return newest[0]

    def close(self, *, wait: bool = True) -> None:
        """End the thread; what it is at is finished."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if wait:
            self._thread.join()

    def _run(self) -> None:
        try:
            clears = self._load()
            self._ready_s = time.monotonic()
            while (wish := self._next()) is not None:
                self._clear(clears, wish)
        except TrocarError as error:
            self._fail(error)
        except Exception as error:
            log.error("clearing smoke broke: %s", type(error).__name__, exc_info=error)
            self._fail(
                EnvironmentProblem(
                    "Clearing smoke broke; the recording and its marks are not touched by it.",
                    repr(error),
                )
            )

    def _fail(self, error: TrocarError) -> None:
        self._veil = None
        if not self._closing:
            self._on_error(error)

    def _next(self) -> _Wish | None:
        """The newest wish; None when it is time to end."""
        with self._wake:
            self._wake.wait_for(lambda: self._closing or self._wish is not None)
            wish, self._wish = self._wish, None
            return None if self._closing else wish

    def _clear(self, clears: Clears, wish: _Wish) -> None:
        began_s = time.monotonic()
        veil = clears.veil(wish.rgb)
        done_s = time.monotonic()
        self._veil = (veil, wish.number)
        if not wish.still:
            self.took_s = done_s - max(wish.asked_s, self._ready_s)
            with self._wake:
                self._wake.wait_for(self._has_still, timeout=_REST_SHARE * (done_s - began_s))
            return
        if not self._closing:
            self._on_cleared(Cleared(of=wish.rgb, picture=veil.lift(wish.rgb)))

    def _has_still(self) -> bool:
        return self._closing or (self._wish is not None and self._wish.still)
