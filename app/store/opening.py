"""Making, checking and migrating the library's file before it is used. Under the writer's lock."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from app.core.errors import BadInput, EnvironmentProblem
from app.store import audit, db, files, schema
from app.store.backups import Backups

DATABASE = "library.sqlite"
HEAD = "audit-head.json"


def refuse_empty_file(database: Path) -> None:
    """Raise ``BadInput`` for a file of no bytes, which SQLite would take for a new database."""
    if files.size(database) == 0:
        raise BadInput(
            f"{database.name} in {database.parent} is empty, so it is not a library any more; "
            "restore a backup with “trocar restore”. It was left as it is."
        )


def identity(conn: sqlite3.Connection, database: Path) -> int:
    """The schema version of our own file; see ``schema.check_identity``."""
    try:
        return schema.check_identity(
            conn, database, application_id=schema.APPLICATION_ID, newest=schema.VERSION
        )
    except sqlite3.Error as error:
        raise db.as_trocar_error(error) from error


def prepare(folder: Path, clock: audit.Clock) -> tuple[list[str], bool]:
    """Make or migrate the database under the lock.

    Returns:
        What is wrong with it, as sentences, and whether a deletion was interrupted.
    """
    database = folder / DATABASE
    for leftover in (*folder.glob("*.tmp*"), *(folder / "backups").glob("*.tmp*")):
        leftover.unlink(missing_ok=True)
    if not database.exists():
        _refuse_remains(folder)
        _make(database, clock)
    refuse_empty_file(database)
    try:
        with closing(db.connect_reader(database)) as conn:
            version = identity(conn, database)
        with closing(db.connect_writer(database)) as conn:
            pages = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
            if pages != "ok":
                raise BadInput(
                    f"The library in {folder} is damaged; restore a backup with “trocar restore”. "
                    "It can still be opened for reading.",
                    str(pages),
                )
            if version < schema.VERSION:
                Backups(database, folder / "backups", clock).make()
                schema.migrate(conn)
            problems = audit.check_head(conn, folder / HEAD)
            unfinished = conn.execute("SELECT count(*) FROM erasing").fetchone()[0] > 0
            return problems, unfinished
    except sqlite3.Error as error:
        raise db.as_trocar_error(error) from error


def _refuse_remains(folder: Path) -> None:
    """Raise ``BadInput`` where a library was whose file is gone: a new one would hide the loss.

    A log that was left behind would even be replayed into the new file.
    """
    known = files.read_json(folder / HEAD) or {}
    begun = known.get("seq", 0) != 1 and bool(known)  # row 1 is written before the file is there
    left = files.size(folder / (DATABASE + "-wal")) or any((folder / "backups").glob("library-*"))
    if begun or left:
        raise BadInput(
            f"The library in {folder} lacks its file {DATABASE}, which was moved or deleted; put "
            "it back or restore a backup with “trocar restore”. For a new library, name another "
            "folder with --library."
        )


def _make(database: Path, clock: audit.Clock) -> None:
    """A new library comes into being whole, or not at all."""
    temporary = database.with_name(database.name + ".tmp")
    try:
        with closing(db.connect_writer(temporary, synchronous="OFF")) as conn:
            schema.migrate(conn)
            conn.execute("BEGIN IMMEDIATE")
            head = audit.append(conn, clock, "create library", "library")
            conn.execute("COMMIT")
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        audit.write_head(database.with_name(HEAD), head)
        files.replace_file(temporary, database)
    except sqlite3.Error as error:
        raise db.as_trocar_error(error) from error
    except OSError as error:
        raise EnvironmentProblem(
            f"The library in {database.parent} cannot be made ({error.strerror}); check the disk.",
            f"{type(error).__name__} {error.errno}",
        ) from error
