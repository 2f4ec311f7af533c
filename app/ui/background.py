"""Work that would hold up the window, done on one named thread, answered on the GUI thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Signal, Slot

from app.core.errors import TrocarError

log = logging.getLogger(__name__)
T = TypeVar("T")


class Background(QObject):
    """A queue of one thread.

    A failed piece of work always answers: a ``TrocarError`` as it is, anything else as one that
    says so, with the bug in the log.

    Args:
        name: of the thread, ``trocar-…``.
    """

    _finished = Signal(object, object, object)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._closing = False
        self._waiting: dict[str, Future[Any]] = {}
        self._finished.connect(self._answer)

    def run(
        self,
        work: Callable[[], T],
        done: Callable[[T], object] | None = None,
        failed: Callable[[TrocarError], object] | None = None,
        *,
        newest: str = "",
    ) -> None:
        """Do ``work`` on the thread, then call ``done`` or ``failed`` on the GUI thread.

        Args:
            work: must touch no widget.
            done: gets the result.
            failed: gets the error.
            newest: work of the same word that has not begun yet is dropped for this one.
        """
        if self._closing:
            return
        if newest and (older := self._waiting.get(newest)) is not None:
            older.cancel()
        future = self._pool.submit(work)
        if newest:
            self._waiting[newest] = future
        self.follow(future, done, failed)

    def follow(
        self,
        future: Future[T],
        done: Callable[[T], object] | None = None,
        failed: Callable[[TrocarError], object] | None = None,
    ) -> None:
        """Answer for another thread's work; this one does not wait for it."""
        future.add_done_callback(lambda f: self._emit(f, done, failed))

    def close(self, *, wait: bool = True) -> None:
        """Drop what has not begun, wait for what has; nothing is answered any more."""
        self._closing = True
        self._pool.shutdown(wait=wait, cancel_futures=True)

    def _emit(self, future: Future[Any], done: object, failed: object) -> None:
        if not future.cancelled() and not self._closing:
            self._finished.emit(future, done, failed)

    @Slot(object, object, object)
    def _answer(
        self,
        future: Future[Any],
        done: Callable[[Any], object] | None,
        failed: Callable[[TrocarError], object] | None,
    ) -> None:
        if self._closing:
            return
        error = future.exception()
        if error is None:
            if done is not None:
                done(future.result())
            return
        if not isinstance(error, TrocarError):
            log.error("background work failed: %s", type(error).__name__, exc_info=error)
            error = TrocarError("Something in Trocar broke; what was saved is safe.", repr(error))
        if failed is not None:
            failed(error)
