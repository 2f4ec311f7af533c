"""Connections to SQLite files, and what its errors mean in words. Used by every thread.

Exactly one connection writes a file; readers are read-only and never checkpoint, because two
connections that checkpoint at the same instant can corrupt a file before SQLite 3.51.3.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from app.core.errors import BadInput, EnvironmentProblem, TrocarError
from app.store import files

BUSY_TIMEOUT_MS = 5000
_SAFETY = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
)
_PROBLEMS: dict[int, tuple[type[TrocarError], str]] = {
    sqlite3.SQLITE_FULL: (
        EnvironmentProblem,
        "The disk that holds the library is full; free some space. "
        "Changes that are not saved yet are kept and saved as soon as there is room.",
    ),
    sqlite3.SQLITE_IOERR: (
        EnvironmentProblem,
        "The disk that holds the library does not answer as it should; check the disk and its "
        "free space. Changes that are not saved yet are kept and tried again.",
    ),
    sqlite3.SQLITE_BUSY: (
        EnvironmentProblem,
        "Another program is using the library's file; close it there. Trocar tries again.",
    ),
    sqlite3.SQLITE_LOCKED: (
        EnvironmentProblem,
        "Another program is using the library's file; close it there. Trocar tries again.",
    ),
    sqlite3.SQLITE_READONLY: (
        EnvironmentProblem,
        "The library can be read but not written here; check the permissions of its folder.",
    ),
    sqlite3.SQLITE_PERM: (
        EnvironmentProblem,
        "The library may not be opened; check the permissions of its folder.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        EnvironmentProblem,
        "The library cannot be opened; check that its folder is there and may be read.",
    ),
    sqlite3.SQLITE_NOMEM: (
        EnvironmentProblem,
        "There is not enough memory for this; close other programs and try again.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        BadInput,
        "The library's file is damaged; run “trocar verify”, then restore a backup with "
        "“trocar restore”.",
    ),
    sqlite3.SQLITE_NOTADB: (
        BadInput,
        "The library's file is not a Trocar library or is damaged; restore a backup with "
        "“trocar restore”, or name another folder.",
    ),
    sqlite3.SQLITE_TOOBIG: (BadInput, "This is too large to be stored; split it."),
}
_PASSING = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _primary(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", -1)) & 0xFF


def is_passing(error: sqlite3.Error) -> bool:
    """Whether the same request may succeed later: a full or failing disk, a lock."""
    return _primary(error) in _PASSING


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the content of the file is at fault."""
    return _primary(error) in _DAMAGE


def as_trocar_error(error: sqlite3.Error) -> Exception:
    """The condition in words, or the error itself where it is a bug."""
    if isinstance(error, sqlite3.ProgrammingError) and "closed database" in str(error):
        return EnvironmentProblem(
            "What was asked for was removed or closed meanwhile; open it again.", str(error)
        )
    kind, sentence = _PROBLEMS.get(_primary(error), (None, ""))
    if kind is None:
        return error
    return kind(sentence, f"{getattr(error, 'sqlite_errorname', '')}: {error}")


def _load_schema(conn: sqlite3.Connection) -> None:
    """Read the table definitions now, where their damage can be told."""
    try:
        conn.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except UnicodeDecodeError as error:  # SQLite's own message quotes the damaged definition
        kind, sentence = _PROBLEMS[sqlite3.SQLITE_CORRUPT]
        raise kind(sentence, "the table definitions are damaged") from error


def _text(stored: bytes) -> str:
    """Damaged text stays readable here; its row's hash tells."""
    return stored.decode(errors="replace")


def connect_writer(path: Path, *, synchronous: str = "FULL") -> sqlite3.Connection:
    """The one connection that writes ``path``. Transactions are begun by hand."""
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    conn.text_factory = _text
    try:
        _load_schema(conn)
        for pragma in (
            *_SAFETY,
            "PRAGMA journal_mode=WAL",
            f"PRAGMA synchronous={synchronous}",
            "PRAGMA secure_delete=ON",
            "PRAGMA wal_autocheckpoint=0",
        ):
            conn.execute(pragma).fetchall()
    except (sqlite3.Error, TrocarError):
        conn.close()
        raise
    return conn


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read, also on media that nobody can write.

    Raises:
        sqlite3.Error: see ``as_trocar_error``.
        BadInput: the table definitions are damaged.
        EnvironmentProblem: the file was not closed and lies on read-only media.
    """
    try:
        return _connect_reader(path, "mode=ro")
    except sqlite3.OperationalError:
        if not path.is_file() or not files.is_read_only(path.parent):
            raise
    if files.size(path.with_name(path.name + "-wal")):
        raise EnvironmentProblem(
            f"The library in {path.parent} was not closed and lies on read-only media; copy the "
            "whole folder to a disk and open it there."
        )
    return _connect_reader(path, "mode=ro&immutable=1")


def _connect_reader(path: Path, options: str) -> sqlite3.Connection:
    conn = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    conn.text_factory = _text
    try:
        for pragma in (*_SAFETY, "PRAGMA query_only=ON", "PRAGMA wal_autocheckpoint=0"):
            conn.execute(pragma).fetchall()
        _load_schema(conn)
    except (sqlite3.Error, TrocarError):
        conn.close()
        raise
    return conn


class Readers:
    """One read-only connection per thread, all closed together.

    Threads are told apart by their number: what ``threading.local`` holds is gone after each call
    into Python on a thread that Qt made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._of_thread: dict[int, sqlite3.Connection] = {}
        self._lock = threading.Lock()

    def get(self) -> sqlite3.Connection:
        """This thread's connection.

        Raises:
            TrocarError: the file cannot be read.
        """
        # A thread that has ended leaves its connection to the next one of its number.
        thread = threading.get_ident()
        with self._lock:
            conn = self._of_thread.get(thread)
        if conn is None:
            try:
                conn = connect_reader(self._path)
            except sqlite3.Error as error:
                raise as_trocar_error(error) from error
            with self._lock:
                self._of_thread[thread] = conn
        return conn

    def close(self) -> None:
        """Close every thread's connection; ``get`` opens new ones."""
        with self._lock:
            for conn in self._of_thread.values():
                conn.close()
            self._of_thread.clear()
