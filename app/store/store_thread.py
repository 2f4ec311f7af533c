"""The store thread ``trocar-store``: the only connection that writes the library.

Requests come from any thread and are served in order. What has queued up while a commit went to
the disk is committed together; a future is resolved when its commit is durable. A request that
fails fails alone. When the disk is full nothing is dropped: the requests stay queued, a reserve of
disk space is given up for them, and they are tried again until they are saved.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from app.core.errors import TrocarError
from app.store import audit, db
from app.store.corrections import Saved
from app.store.files import Ballast

log = logging.getLogger(__name__)

GROUP_REQUESTS = 64  # together well under 50 ms of work
CHECKPOINT_EVERY = 64
IDLE_S = 5.0
HEAD_S = 0.2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a request gives its caller.

    Attributes:
        value: the future's result.
        saved: the row of history to announce, where it made one.
        then: what follows the durable commit on the store thread, before the future resolves.
    """

    value: T
    saved: Saved | None = None
    then: Callable[[sqlite3.Connection], None] | None = None


@dataclass(slots=True)
class _Request:
    work: Callable[[sqlite3.Connection], Outcome[Any]]
    future: Future[Any] = field(default_factory=Future)
    outcome: Outcome[Any] | None = None
    error: BaseException | None = None


class StoreThread:
    """A queue of requests and the thread that commits them. Any thread may call its methods.

    Args:
        database: the library's file, already at the newest schema.
        head_file: where the head of the audit chain is copied.
        ballast: disk space to give up when the disk is full.
        before_close: called on the store thread when all is saved, before the file is closed.
        clock: wall clock in milliseconds.
        retry_s: seconds between two tries while the disk is full.
    """

    def __init__(
        self,
        database: Path,
        *,
        head_file: Path,
        ballast: Ballast,
        before_close: Callable[[], None],
        clock: audit.Clock = audit.utc_now_ms,
        retry_s: float = 1.0,
    ) -> None:
        self._database = database
        self._head_file = head_file
        self._ballast = ballast
        self._before_close = before_close
        self.clock = clock
        self._retry_s = retry_s
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._serving: list[_Request] = []
        self._closed = False
        self._give_up_at: float | None = None
        self._wake = threading.Event()
        self._saved: list[Callable[[Saved], None]] = []
        self._problem: list[Callable[[TrocarError | None], None]] = []
        self._since_checkpoint = 0
        self._head_is_old = False
        self._head_written_at = 0.0
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="trocar-store")
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            raise

    def submit(self, work: Callable[[sqlite3.Connection], Outcome[T]]) -> Future[T]:
        """Run ``work`` on the store thread in a savepoint of the next transaction."""
        request = _Request(work)
        with self._lock:
            if self._closed:
                raise RuntimeError("the library is closed")
            self._waiting += 1
            self._queue.put(request)
        return request.future

    def pending(self) -> int:
        """How many requests are not saved yet."""
        with self._lock:
            return self._waiting

    def on_saved(self, callback: Callable[[Saved], None]) -> None:
        """Call ``callback`` on the store thread after each durable correction, undo or redo."""
        self._saved.append(callback)

    def on_problem(self, callback: Callable[[TrocarError | None], None]) -> None:
        """Call back on the store thread when saving has to wait, and with None when it is over."""
        self._problem.append(callback)

    def retry(self) -> None:
        """Try at once what a full disk holds up."""
        self._wake.set()

    def give_up(self, after_s: float) -> None:
        """What still cannot be saved after that time fails with ``EnvironmentProblem``."""
        self._give_up_at = time.monotonic() + after_s
        self._wake.set()

    def close(self, give_up_after_s: float = 10.0) -> None:
        """Save what is queued, fold the log into the file, end the thread.

        Args:
            give_up_after_s: see ``give_up``; what was said there before holds.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        if self._give_up_at is None:
            self.give_up(give_up_after_s)
        self._thread.join()

    def _run(self, started: Future[None]) -> None:
        try:
            conn = db.connect_writer(self._database)
        except sqlite3.Error as error:
            started.set_exception(db.as_trocar_error(error))
            return
        except TrocarError as error:
            started.set_exception(error)
            return
        self._ballast.reserve()
        started.set_result(None)
        try:
            while self._serve(conn):
                pass
            self._copy_head(conn)
            self.checkpoint(conn, "TRUNCATE")
            self._before_close()
        finally:
            conn.close()
            self._ballast.release()
            self._refuse_rest()

    def _refuse_rest(self) -> None:
        """Nobody waits for ever: what a bug in this thread left behind fails."""
        with self._lock:
            self._closed = True
        rest = self._serving
        while not self._queue.empty():
            self._take(self._queue.get(), rest)
        for request in rest:
            if not request.future.done():
                request.future.set_exception(RuntimeError("the store thread ended"))

    def _serve(self, conn: sqlite3.Connection) -> bool:
        """Commit the next group. Returns False at the end."""
        try:
            first = self._queue.get(timeout=self._idle_s())
        except queue.Empty:
            if self._head_is_old:
                self._copy_head(conn)
            else:
                self.checkpoint(conn, "PASSIVE")
            return True
        group: list[_Request] = []
        ends = self._take(first, group)
        while not ends and len(group) < GROUP_REQUESTS:
            try:
                ends = self._take(self._queue.get_nowait(), group)
            except queue.Empty:
                break
        self._serving = group
        if group:
            self._save(conn, group)
        self._serving = []
        return not ends

    def _idle_s(self) -> float | None:
        if self._head_is_old:
            return HEAD_S
        return IDLE_S if self._since_checkpoint else None

    def _take(self, request: _Request | None, group: list[_Request]) -> bool:
        if request is None:
            return True
        if request.future.set_running_or_notify_cancel():
            group.append(request)
        else:
            with self._lock:
                self._waiting -= 1
        return False

    def _save(self, conn: sqlite3.Connection, group: list[_Request]) -> None:
        told = False
        while True:
            try:
                self._transaction(conn, group)
                break
            except sqlite3.Error as error:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                problem = db.as_trocar_error(error)
                if not db.is_passing(error) or self._is_time_to_give_up():
                    for request in group:
                        request.error, request.outcome = problem, None
                    break
                if self._ballast.release():
                    log.info("the disk is full: reserved space was given up")
                    continue
                if not told and isinstance(problem, TrocarError):
                    told = True
                    log.info("saving waits: %s", problem.detail)
                    self._tell_problem(problem)
                self._wake.wait(self._retry_s)
                self._wake.clear()
        self._resolve(conn, group)
        if told:
            self._tell_problem(None)
        self._afterwards(conn)

    def _is_time_to_give_up(self) -> bool:
        return self._give_up_at is not None and time.monotonic() > self._give_up_at

    def _transaction(self, conn: sqlite3.Connection, group: list[_Request]) -> None:
        conn.execute("BEGIN IMMEDIATE")
        for request in group:
            request.outcome = request.error = None
            conn.execute("SAVEPOINT request")
            try:
                request.outcome = request.work(conn)
            except sqlite3.Error as error:
                if db.is_passing(error) or not conn.in_transaction:
                    raise
                request.error = db.as_trocar_error(error)
            except Exception as error:  # noqa: BLE001 - it fails alone; its caller is told
                request.error = error
            if request.error is not None:
                conn.execute("ROLLBACK TO request")
            conn.execute("RELEASE request")
        conn.execute("COMMIT")

    def _resolve(self, conn: sqlite3.Connection, group: list[_Request]) -> None:
        for request in group:
            if request.outcome is not None and request.outcome.then is not None:
                self._follow_up(conn, request, request.outcome.then)
        with self._lock:
            self._waiting -= len(group)
        for request in group:
            if request.outcome is None:
                request.future.set_exception(request.error or RuntimeError("no outcome"))
            else:
                request.future.set_result(request.outcome.value)
        for request in group:
            if request.outcome is not None and request.outcome.saved is not None:
                _call(self._saved, request.outcome.saved)

    def _follow_up(
        self,
        conn: sqlite3.Connection,
        request: _Request,
        then: Callable[[sqlite3.Connection], None],
    ) -> None:
        try:
            then(conn)
        except sqlite3.Error as error:
            request.error, request.outcome = db.as_trocar_error(error), None
        except Exception as error:  # noqa: BLE001 - it fails alone; its caller is told
            request.error, request.outcome = error, None

    def _afterwards(self, conn: sqlite3.Connection) -> None:
        self._head_is_old = True
        if time.monotonic() - self._head_written_at > 5 * HEAD_S:
            self._copy_head(conn)
        self._since_checkpoint += 1
        if self._since_checkpoint >= CHECKPOINT_EVERY:
            self.checkpoint(conn, "PASSIVE")

    def _copy_head(self, conn: sqlite3.Connection) -> None:
        """Copy the head of the audit chain, a little after the commits: it costs two syncs."""
        self._head_is_old = False
        self._head_written_at = time.monotonic()
        try:
            audit.write_head(self._head_file, audit.head(conn))
        except OSError as error:
            log.info("the audit head was not copied: %s", error.strerror)

    def checkpoint(self, conn: sqlite3.Connection, mode: str) -> None:
        """Fold the write-ahead log into the file; on the store thread only."""
        self._since_checkpoint = 0
        try:
            conn.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except sqlite3.Error as error:
            log.info("the log was not folded into the library: %s", error)
        else:
            self._ballast.reserve()

    def _tell_problem(self, problem: TrocarError | None) -> None:
        _call(self._problem, problem)


def _call(callbacks: list[Callable[[T], None]], value: T) -> None:
    """A listener that fails must not stop the store thread."""
    for callback in callbacks:
        try:
            callback(value)
        except Exception:
            log.exception("a listener of the store failed")
