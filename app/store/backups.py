"""Backups of the human work: whole copies of the library's file, verified before they count.

Predictions are not in them; they can be computed again. Each copy is numbered, because a clock can
go wrong: which one is newest, and which three are never thinned away, goes by number.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.core.errors import BadInput, EnvironmentProblem, TrocarError
from app.store import audit, cases, db, files, schema

log = logging.getLogger(__name__)

KEEP_NEWEST = 3
KEEP_DAYS, KEEP_WEEKS, KEEP_MONTHS = 12, 10, 9
DAMAGED = "damaged-"
_NAME = re.compile(r"library-(\d{6,})-(\d{8}T\d{6})-(\d+)-([0-9a-f]{8})\.sqlite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """One copy of the library.

    Attributes:
        path: the file.
        number: rises with every copy of a folder.
        made: by the wall clock of then, UTC.
        seq, head: last row of the audit log in it, and the first 8 digits of that row's hash.
    """

    path: Path
    number: int
    made: datetime
    seq: int
    head: str


def parse(path: Path) -> Backup | None:
    """The backup that a file's name says it is, None for other files."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    number, made, seq, head = found.groups()
    try:
        when = datetime.strptime(made, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Backup(path=path, number=int(number), made=when, seq=int(seq), head=head)


def thinned(backups: tuple[Backup, ...]) -> tuple[Backup, ...]:
    """Which backups may go: not the newest of 12 days, 10 weeks and 9 months, nor the newest 3.

    Periods are counted from what is there, never from today, so that a clock that is years ahead
    removes nothing that is not replaced.
    """
    newest_first = sorted(backups, key=lambda b: b.number, reverse=True)
    keep = {b.number for b in newest_first[:KEEP_NEWEST]}
    periods: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (KEEP_DAYS, datetime.date),
        (KEEP_WEEKS, lambda t: t.isocalendar()[:2]),
        (KEEP_MONTHS, lambda t: (t.year, t.month)),
    )
    for count, period in periods:
        seen: dict[object, int] = {}
        for backup in newest_first:
            seen.setdefault(period(backup.made), backup.number)
        keep |= set(list(seen.values())[:count])
    return tuple(b for b in newest_first if b.number not in keep)


class Backups:
    """The backups of one library. Every method may be called from any thread, one works at a time.

    Args:
        database: the library's file.
        folder: where the copies go.
        clock: wall clock in milliseconds.
    """

    def __init__(self, database: Path, folder: Path, clock: audit.Clock) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()

    def all(self) -> tuple[Backup, ...]:
        """All backups, oldest number first."""
        found = [b for p in self._folder.glob("library-*.sqlite") if (b := parse(p))]
        return tuple(sorted(found, key=lambda b: b.number))

    def make(self, *, thin: bool = True) -> Backup | None:
        """Copy the library unless it is new or unchanged since the newest copy.

        Raises:
            EnvironmentProblem: the disk is full or may not be written.
            BadInput: the library is damaged; no copy was made.
        """
        with self._lock, _in_words("The backup was not made"):
            with closing(db.connect_reader(self._database)) as source:
                newest = self.all()[-1:]
                head = audit.head(source)
                if head.seq <= 1 or (
                    newest and (newest[0].seq, newest[0].head) == (head.seq, head.hash[:8])
                ):
                    return None
                self._folder.mkdir(parents=True, exist_ok=True)
                temporary = self._folder / "backup.tmp"
                head = copy_database(source, temporary)
            made = datetime.fromtimestamp(self._clock() / 1000, UTC)
            number = newest[0].number + 1 if newest else 1
            path = self._folder / (
                f"library-{number:06d}-{made:%Y%m%dT%H%M%S}-{head.seq}-{head.hash[:8]}.sqlite"
            )
            files.replace_file(temporary, path)
            if thin:
                for old in thinned(self.all()):
                    old.path.unlink(missing_ok=True)
            return parse(path)

    def erase_case(self, uid: str) -> None:
        """Write every backup anew without a case; damaged ones, which may hold it, are removed."""
        with self._lock, _in_words("A backup still holds the deleted case"):
            for leftover in (*self._folder.glob("*.tmp"), *self._folder.glob(DAMAGED + "*")):
                leftover.unlink()
            for backup in self.all():
                self._erase_from(backup.path, uid)

    def _erase_from(self, path: Path, uid: str) -> None:
        temporary = self._folder / "erase.tmp"
        try:
            with closing(db.connect_reader(path)) as source:
                schema.check_identity(
                    source, path, application_id=schema.APPLICATION_ID, newest=schema.VERSION
                )
                found = source.execute("SELECT case_id FROM cases WHERE uid = ?", (uid,)).fetchone()
                if found is None:
                    return
                copy_database(source, temporary)
            with closing(sqlite3.connect(temporary, isolation_level=None)) as conn:
                erase_in_copy(conn, self._clock, found[0])
        except (sqlite3.DatabaseError, BadInput) as error:
            if isinstance(error, sqlite3.Error) and not db.is_damage(error):
                raise
            log.info("a damaged backup was removed: %s", type(error).__name__)
            path.unlink()
            remove_database(temporary)
            return
        files.replace_file(temporary, path)


def copy_database(source: sqlite3.Connection, target: Path) -> audit.Head:
    """Copy a database into a new file that needs no log beside it, and verify the copy.

    The copy is not synced to the disk; ``files.replace_file`` does that once.

    Raises:
        BadInput: the copy is not sound.
    """
    remove_database(target)
    with closing(sqlite3.connect(target, isolation_level=None)) as conn:
        conn.execute("PRAGMA synchronous=OFF").fetchall()
        source.backup(conn)
        conn.execute("PRAGMA journal_mode=DELETE").fetchall()
        check_sound(conn)
        return audit.head(conn)


def remove_database(path: Path) -> None:
    """Remove a database file with its log and index."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def check_sound(conn: sqlite3.Connection) -> None:
    """Raise ``BadInput`` unless pages and audit chain of a database are sound."""
    pages = [str(r[0]) for r in conn.execute("PRAGMA integrity_check(3)")]
    problems = audit.check_chain(conn) if pages == ["ok"] else pages
    if problems:
        raise BadInput(
            "The library's file is damaged, so no sound copy of it can be made; run “trocar "
            "verify” and restore a backup.",
            "; ".join(problems),
        )


def erase_in_copy(conn: sqlite3.Connection, clock: audit.Clock, case_id: str) -> None:
    """Delete a case from a copy of the library, down to the bytes; an older copy is updated."""
    conn.execute("PRAGMA synchronous=OFF").fetchall()
    schema.update(conn)
    conn.execute("PRAGMA secure_delete=ON").fetchall()
    conn.execute("BEGIN IMMEDIATE")
    cases.erase(conn, clock, case_id)
    conn.execute("DELETE FROM erasing")
    conn.execute("COMMIT")
    conn.execute("VACUUM")


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        problem = db.as_trocar_error(error)
        if isinstance(problem, TrocarError):
            raise type(problem)(f"{what}. {problem.user_message}", problem.detail) from error
        raise
    except OSError as error:
        raise EnvironmentProblem(
            f"{what} ({error.strerror}); check the disk's free space and permissions, then try "
            "again.",
            f"{type(error).__name__} {error.errno}",
        ) from error


def open_backup(path: Path) -> sqlite3.Connection:
    """A read-only connection to a backup that was checked to be one of ours.

    Raises:
        BadInput: it is not there, not a backup or damaged.
        Refused: a newer Trocar wrote it.
    """
    if not path.is_file():
        raise BadInput(f"There is no backup {path}; “trocar backup --list” names those that exist.")
    if path.stat().st_size == 0:
        raise BadInput(f"The backup {path.name} is empty; choose another one.")
    conn = None
    try:
        conn = db.connect_reader(path)
        schema.check_identity(
            conn, path, application_id=schema.APPLICATION_ID, newest=schema.VERSION
        )
        check_sound(conn)
    except sqlite3.Error as error:
        if conn is not None:
            conn.close()
        raise BadInput(
            f"The backup {path.name} cannot be read or is damaged; choose another one.", str(error)
        ) from error
    except TrocarError:
        if conn is not None:
            conn.close()
        raise
    return conn
