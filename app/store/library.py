"""The library: cases, human work, the audit log, backups; predictions in a file per case.

Opened by any thread; reads on the calling thread through its own read-only connection, writes on
the store thread through ``library.writer``.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from app.core.case import Case
from app.core.correction import Annotation, Correction, HumanTimeline
from app.core.errors import BadInput, EnvironmentProblem, Refused
from app.core.frame import FrameIdentity
from app.store import audit, corrections, db, files, rows, schema
from app.store.corrections import HistoryEntry
from app.store.lock import WriterLock
from app.store.predictions import PredictionStore
from app.store.writer import Writer

log = logging.getLogger(__name__)

DATABASE = "library.sqlite"
HEAD = "audit-head.json"
BALLAST_BYTES = 64 * 2**20


class Library:
    """An open library; use ``Library.open`` and close it, or use it as a context manager.

    Attributes:
        folder: where it lies.
        problems: sentences about what was found at opening, such as lost changes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lock: WriterLock | None,
        writer: Writer | None,
        readers: db.Readers,
        immutable: bool = False,
        problems: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.problems = problems
        self._lock = lock
        self._writer = writer
        self._readers = readers
        self._immutable = immutable
        self._predictions: dict[str, PredictionStore] = {}
        self._guard = threading.Lock()

    @classmethod
    def open(
        cls,
        folder: Path,
        mode: Literal["write", "read"] = "write",
        *,
        ballast_bytes: int = BALLAST_BYTES,
        clock: audit.Clock = audit.utc_now_ms,
    ) -> Library:
        """Open the library in ``folder``; ``write`` makes it where there is none.

        Raises:
            Refused: on a network drive, written by a newer Trocar, or another process writes it.
            BadInput: the folder holds no library, or the file is not one.
            EnvironmentProblem: it cannot be read or written here.
        """
        folder = folder.expanduser().absolute()
        if files.on_network(folder):
            raise Refused(
                f"The library in {folder} lies on a network drive, where it could be damaged; "
                "keep it on a disk of this computer and name that folder with --library."
            )
        if mode == "read":
            return cls._open_for_reading(folder)
        return cls._open_for_writing(folder, ballast_bytes, clock)

    @classmethod
    def _open_for_reading(cls, folder: Path) -> Library:
        database = folder / DATABASE
        if not database.is_file():
            raise BadInput(
                f"There is no library in {folder}; name its folder with --library, or make one by "
                "analysing a video."
            )
        _refuse_empty_file(database)
        immutable = files.is_read_only(folder)
        if immutable and _size(folder / (DATABASE + "-wal")):
            raise EnvironmentProblem(
                f"The library in {folder} was not closed and lies on read-only media; copy the "
                "whole folder to a disk and open it there."
            )
        readers = db.Readers(database, immutable=immutable)
        try:
            version = _identity(readers.get(), database)
            if version < schema.VERSION:
                raise Refused(
                    f"The library in {folder} was written by an older Trocar; open it once for "
                    "writing (start the window) and it is brought up to date."
                )
        except BaseException:
            readers.close()
            raise
        return cls(folder, lock=None, writer=None, readers=readers, immutable=immutable)

    @classmethod
    def _open_for_writing(cls, folder: Path, ballast_bytes: int, clock: audit.Clock) -> Library:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentProblem(
                f"The folder {folder} cannot be made ({error.strerror}); choose another one with "
                "--library.",
                str(error),
            ) from error
        lock = WriterLock(folder)
        lock.acquire()
        writer = None
        try:
            problems = _prepare(folder, clock)
            writer = Writer(
                folder / DATABASE,
                head_file=folder / HEAD,
                ballast=files.Ballast(folder / "ballast.bin", ballast_bytes),
                clock=clock,
            )
            readers = db.Readers(folder / DATABASE)
            return cls(folder, lock=lock, writer=writer, readers=readers, problems=problems)
        except BaseException:
            if writer is not None:
                writer.close()
            lock.release()
            raise

    def close(self) -> None:
        """Save what waits, close every connection, give the lock back."""
        with self._guard:
            for store in self._predictions.values():
                store.close()
            self._predictions.clear()
        self._readers.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def writer(self) -> Writer:
        """The store thread's door.

        Raises:
            Refused: the library is open for reading only.
        """
        if self._writer is None:
            raise Refused(f"The library in {self.folder} is open for reading only.")
        return self._writer

    @property
    def is_writable(self) -> bool:
        """Whether this process holds the library's lock."""
        return self._writer is not None

    # Reads

    def cases(self) -> tuple[Case, ...]:
        """All cases, oldest first."""
        with self._reading() as conn:
            return tuple(rows.read_case(conn, i) for i in rows.case_ids(conn))

    def case(self, case_id: str) -> Case:
        """One case.

        Raises:
            BadInput: there is no such case.
        """
        with self._reading() as conn:
            return rows.read_case(conn, case_id)

    def annotations(
        self, asset_id: str, first_pts: int | None = None, last_pts: int | None = None
    ) -> tuple[Annotation, ...]:
        """Annotations in force with first_pts <= pts <= last_pts, by frame."""
        low = -(2**63) if first_pts is None else first_pts
        high = 2**63 - 1 if last_pts is None else last_pts
        where = "asset_id = ? AND pts BETWEEN ? AND ?"
        with self._reading() as conn:
            return tuple(rows.read_annotations(conn, where, (asset_id, low, high)))

    def reviewed_frames(self, asset_id: str) -> tuple[FrameIdentity, ...]:
        """Frames of which a human said that all is annotated, by pts."""
        with self._reading() as conn:
            found = rows.read_reviews(conn, "asset_id = ?", (asset_id,))
            return tuple(r.frame for r in found)

    def human_timeline(self, asset_id: str) -> HumanTimeline | None:
        """The human tier of an asset, None where nobody made one."""
        with self._reading() as conn:
            return rows.read_timeline(conn, asset_id)

    def corrections(self, case_id: str) -> tuple[HistoryEntry, ...]:
        """A case's history: corrections, undos and redos, oldest first."""
        with self._reading() as conn:
            return corrections.history(conn, case_id)

    def correction(self, seq: int) -> Correction:
        """What one row of the history changed."""
        with self._reading() as conn:
            return corrections.read(conn, seq)

    def undo_title(self, case_id: str) -> str | None:
        """What undo would take back, None where there is nothing."""
        with self._reading() as conn:
            return corrections.next_title(conn, case_id, undone=0)

    def redo_title(self, case_id: str) -> str | None:
        """What redo would do again, None where there is nothing."""
        with self._reading() as conn:
            return corrections.next_title(conn, case_id, undone=1)

    def audit(self, last: int | None = None) -> tuple[audit.AuditEntry, ...]:
        """The audit log, oldest first; its last rows where a number is given."""
        with self._reading() as conn:
            return audit.entries(conn, last)

    def predictions(self, case_id: str) -> PredictionStore:
        """What models said about a case; open as long as the library is."""
        with self._reading() as conn:
            row = conn.execute("SELECT uid FROM cases WHERE case_id = ?", (case_id,)).fetchone()
            if row is None:
                rows.read_case(conn, case_id)
        with self._guard:
            if case_id not in self._predictions:
                self._predictions[case_id] = PredictionStore(
                    self.folder / "predictions" / f"{case_id}.sqlite",
                    row[0],
                    writable=self.is_writable,
                    immutable=self._immutable,
                )
            return self._predictions[case_id]

    # Thumbnails

    def thumbnail_path(self, case_id: str) -> Path:
        """Where the picture of a case in the list lies, made or not."""
        return self.folder / "thumbnails" / f"{case_id}.jpg"

    def save_thumbnail(self, case_id: str, jpeg: bytes) -> Path:
        """Keep the picture of a case in the list.

        Raises:
            EnvironmentProblem: the disk is full or may not be written.
        """
        path = self.thumbnail_path(case_id)
        try:
            path.parent.mkdir(exist_ok=True)
            files.write_file(path, jpeg)
        except OSError as error:
            raise EnvironmentProblem(
                f"The picture of case {case_id} was not kept ({error.strerror}); check the disk.",
                str(error),
            ) from error
        return path

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One snapshot for all that is read within."""
        conn = self._readers.get()
        try:
            conn.execute("BEGIN")
            yield conn
        except sqlite3.Error as error:
            raise db.as_trocar_error(error) from error
        finally:
            if conn.in_transaction:
                conn.execute("ROLLBACK")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _refuse_empty_file(database: Path) -> None:
    if _size(database) == 0:
        raise BadInput(
            f"{database.name} in {database.parent} is empty, so it is not a library any more; "
            "restore a backup with “trocar restore”. It was left as it is."
        )


def _identity(conn: sqlite3.Connection, database: Path) -> int:
    try:
        return schema.check_identity(
            conn, database, application_id=schema.APPLICATION_ID, newest=schema.VERSION
        )
    except sqlite3.Error as error:
        raise db.as_trocar_error(error) from error


def _prepare(folder: Path, clock: audit.Clock) -> tuple[str, ...]:
    """Make or migrate the database under the lock. Returns what is wrong with it."""
    database = folder / DATABASE
    for leftover in folder.glob("*.tmp"):
        leftover.unlink(missing_ok=True)
    if not database.exists():
        _make(database, clock)
    _refuse_empty_file(database)
    try:
        with closing(db.connect_reader(database)) as conn:
            version = _identity(conn, database)
        with closing(db.connect_writer(database)) as conn:
            if version < schema.VERSION:
                schema.migrate(conn)
            return tuple(audit.check_head(conn, folder / HEAD))
    except sqlite3.Error as error:
        raise db.as_trocar_error(error) from error


def _make(database: Path, clock: audit.Clock) -> None:
    """A new library comes into being whole, or not at all."""
    temporary = database.with_name(database.name + ".tmp")
    try:
        with closing(db.connect_writer(temporary)) as conn:
            schema.migrate(conn)
            conn.execute("BEGIN IMMEDIATE")
            audit.append(conn, clock, "create library", "library")
            conn.execute("COMMIT")
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        files.replace_file(temporary, database)
    except sqlite3.Error as error:
        raise db.as_trocar_error(error) from error
    except OSError as error:
        raise EnvironmentProblem(
            f"The library in {database.parent} cannot be made ({error.strerror}); check the disk.",
            str(error),
        ) from error
