"""Putting a backup in the place of the library. Runs in the calling thread; nobody has it open.

The swap is one SQLite transaction (or one rename where the library's file is past reading), so a
kill leaves the old library or the restored one. What was there is kept as a backup first.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import BadInput, EnvironmentProblem
from app.store import audit, backups, cases, db, files, schema
from app.store.lock import WriterLock
from app.store.opening import DATABASE, HEAD
from app.store.states import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did.

    Attributes:
        safety_copy: where the former library is kept; None where there was nothing in it.
        cases: how many there are now.
    """

    safety_copy: Path | None
    cases: int


def restore(folder: Path, backup: Path, *, clock: audit.Clock = audit.utc_now_ms) -> Restored:
    """Make the library in ``folder`` what ``backup`` holds.

    Cases that were deleted since the backup was made stay deleted.

    Raises:
        BadInput: the backup is missing, foreign or damaged; nothing was changed.
        Refused: another process writes the library, or a newer Trocar made the backup.
        EnvironmentProblem: the disk is full or may not be written; nothing was changed.
    """
    folder = folder.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(folder)
    lock.acquire()
    try:
        return _restore(folder, backup, clock)
    except sqlite3.Error as error:
        raise db.as_trocar_error(error) from error
    except OSError as error:
        raise EnvironmentProblem(
            f"The backup was not restored ({error.strerror}); check the disk's free space.",
            f"{type(error).__name__} {error.errno}",
        ) from error
    finally:
        backups.remove_database(folder / "restore.tmp")
        lock.release()


def _restore(folder: Path, backup: Path, clock: audit.Clock) -> Restored:
    prepared = folder / "restore.tmp"
    with closing(backups.open_backup(backup)) as source:
        backups.copy_database(source, prepared)
    database = folder / DATABASE
    keeper = backups.Backups(database, folder / "backups", clock)
    readable = _is_readable(database)
    safety = _keep_former(database, keeper, readable=readable)
    former = _former(database) if readable else None
    with closing(sqlite3.connect(prepared, isolation_level=None)) as conn:
        count = _finish_copy(conn, former, digest(backup.name), clock)
        new_head = audit.head(conn)
        if former is None:
            conn.execute("PRAGMA journal_mode=WAL").fetchall()
    audit.write_head(folder / HEAD, former.head if former else new_head, also=new_head)
    if former is None:
        for suffix in ("-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        files.replace_file(prepared, database)
    else:
        with (
            closing(sqlite3.connect(prepared)) as source,
            closing(db.connect_writer(database)) as live,
        ):
            source.backup(live)
            live.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    audit.write_head(folder / HEAD, new_head)
    return Restored(safety_copy=safety, cases=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Former:
    head: audit.Head
    tombstones: dict[str, str]
    numbers: dict[str, int]


def _is_readable(database: Path) -> bool:
    """Whether the library's file is a sound library. A newer one is refused, not replaced."""
    if not database.is_file() or database.stat().st_size == 0:
        return False
    try:
        with closing(db.connect_reader(database)) as conn:
            schema.check_identity(
                conn, database, application_id=schema.APPLICATION_ID, newest=schema.VERSION
            )
            backups.check_sound(conn)
    except (sqlite3.DatabaseError, BadInput) as error:
        if isinstance(error, sqlite3.Error) and db.is_passing(error):
            raise
        return False
    return True


def _former(database: Path) -> _Former:
    with closing(db.connect_reader(database)) as conn:
        numbers = dict(conn.execute("SELECT name, seq FROM sqlite_sequence"))
        return _Former(head=audit.head(conn), tombstones=cases.tombstones(conn), numbers=numbers)


def _keep_former(database: Path, keeper: backups.Backups, *, readable: bool) -> Path | None:
    if readable:
        keeper.make(thin=False)
        newest = keeper.all()[-1:]
        return newest[0].path if newest else None
    safety = None
    for suffix in ("-wal", ""):
        part = database.with_name(database.name + suffix)
        if part.exists():
            folder = database.parent / "backups"
            folder.mkdir(exist_ok=True)
            stamp = audit.utc_now_ms()
            safety = folder / f"{backups.DAMAGED}{stamp}-{part.name}"
            shutil.copy2(part, safety)
    return safety


def _finish_copy(
    conn: sqlite3.Connection, former: _Former | None, source: bytes, clock: audit.Clock
) -> int:
    """Bring a copy up to date: newer tables, cases deleted since, numbers never used again."""
    schema.update(conn)
    if former is not None:
        for uid in former.tombstones:
            found = conn.execute("SELECT case_id FROM cases WHERE uid = ?", (uid,)).fetchone()
            if found is not None:
                backups.erase_in_copy(conn, clock, found[0])
    known_tombstones = cases.tombstones(conn)
    conn.execute("BEGIN IMMEDIATE")
    if former is not None:
        # A copy older than such a case must not let a later restore bring the case back.
        for uid, named in former.tombstones.items():
            if uid not in known_tombstones:
                audit.append(conn, clock, cases.DELETED, named)
        for name, seq in former.numbers.items():
            known = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (name,))
            if known.fetchone() is None:
                conn.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (name, seq))
            conn.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (seq, name))
    replaced = f"replaces row {former.head.seq} {former.head.hash}" if former else "replaces damage"
    audit.append(conn, clock, "restore", replaced, before=source)
    conn.execute("COMMIT")
    return int(conn.execute("SELECT count(*) FROM cases").fetchone()[0])


def find_backup(folder: Path, named: str) -> Path:
    """The backup that a user named: a path, or a file name among the library's own backups.

    Raises:
        BadInput: there is no such file.
    """
    for path in (Path(named).expanduser(), folder / "backups" / named):
        if path.is_file():
            return path
    raise BadInput(f"There is no backup {named}; “trocar backup --list” names those that exist.")
