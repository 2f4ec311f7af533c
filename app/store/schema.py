"""The library's tables, and how an older library becomes a newer one. Runs where it is opened.

Each migration is one transaction (sqlite-utils keeps the record of what was applied in the same
one); ``user_version`` counts them, so that an older program can tell a newer library.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.errors import BadInput, Refused

if TYPE_CHECKING:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

APPLICATION_ID = 0x54524F43
VERSION = 4

_HUMAN_WORK = """
CREATE TABLE cases (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    case_id TEXT NOT NULL UNIQUE,
    uid TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    procedure TEXT NOT NULL,
    state TEXT NOT NULL,
    created_utc_ms INTEGER NOT NULL,
    row_sha BLOB NOT NULL
) STRICT;
CREATE TABLE assets (
    asset_id TEXT NOT NULL UNIQUE,
    case_id TEXT NOT NULL REFERENCES cases (case_id),
    position INTEGER NOT NULL,
    fields TEXT NOT NULL,
    row_sha BLOB NOT NULL
) STRICT;
CREATE INDEX assets_of_case ON assets (case_id, position);
CREATE TABLE corrections (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    case_id TEXT NOT NULL REFERENCES cases (case_id),
    utc_ms INTEGER NOT NULL,
    user TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('do', 'undo', 'redo')),
    target INTEGER,
    title TEXT NOT NULL,
    changes BLOB NOT NULL,
    row_sha BLOB NOT NULL
) STRICT;
CREATE INDEX corrections_of_case ON corrections (case_id, seq);
CREATE TABLE steps (
    seq INTEGER PRIMARY KEY REFERENCES corrections (seq),
    case_id TEXT NOT NULL,
    undone INTEGER NOT NULL CHECK (undone IN (0, 1))
) STRICT;
CREATE INDEX steps_of_case ON steps (case_id, undone, seq);
CREATE TABLE annotations (
    annotation_id TEXT NOT NULL UNIQUE,
    case_id TEXT NOT NULL REFERENCES cases (case_id),
    asset_id TEXT NOT NULL REFERENCES assets (asset_id),
    stream INTEGER NOT NULL,
    pts INTEGER NOT NULL,
    label TEXT NOT NULL,
    verdict TEXT NOT NULL,
    source_run INTEGER,
    source_instance INTEGER,
    track INTEGER,
    mask BLOB NOT NULL,
    seq INTEGER NOT NULL,
    row_sha BLOB NOT NULL
) STRICT;
CREATE INDEX annotations_of_frame ON annotations (asset_id, pts);
CREATE INDEX annotations_of_case ON annotations (case_id);
CREATE TABLE reviews (
    object_id TEXT NOT NULL UNIQUE,
    case_id TEXT NOT NULL REFERENCES cases (case_id),
    asset_id TEXT NOT NULL REFERENCES assets (asset_id),
    stream INTEGER NOT NULL,
    pts INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    row_sha BLOB NOT NULL
) STRICT;
CREATE INDEX reviews_of_frame ON reviews (asset_id, pts);
CREATE TABLE timelines (
    asset_id TEXT NOT NULL UNIQUE REFERENCES assets (asset_id),
    case_id TEXT NOT NULL REFERENCES cases (case_id),
    start_pts INTEGER NOT NULL,
    end_pts INTEGER NOT NULL,
    segments INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    row_sha BLOB NOT NULL
) STRICT;
CREATE TABLE segments (
    asset_id TEXT NOT NULL REFERENCES timelines (asset_id),
    position INTEGER NOT NULL,
    start_pts INTEGER NOT NULL,
    end_pts INTEGER NOT NULL,
    phase TEXT NOT NULL,
    row_sha BLOB NOT NULL,
    UNIQUE (asset_id, position)
) STRICT;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    utc_ms INTEGER NOT NULL,
    monotonic_ms INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    user TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before_sha TEXT NOT NULL,
    after_sha TEXT NOT NULL,
    prev TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE TABLE erasing (case_id TEXT NOT NULL, uid TEXT NOT NULL) STRICT;
"""
_BOOKMARKS = (
    """CREATE TABLE bookmarks (
    object_id TEXT NOT NULL UNIQUE,
    case_id TEXT NOT NULL REFERENCES cases (case_id),
    asset_id TEXT NOT NULL REFERENCES assets (asset_id),
    stream INTEGER NOT NULL,
    pts INTEGER NOT NULL,
    note TEXT NOT NULL,
    seq INTEGER NOT NULL,
    row_sha BLOB NOT NULL
) STRICT""",
    "CREATE INDEX bookmarks_of_frame ON bookmarks (asset_id, pts)",
)
_RECORDINGS = (
    """CREATE TABLE recordings (
    asset_id TEXT NOT NULL UNIQUE REFERENCES assets (asset_id),
    case_id TEXT NOT NULL REFERENCES cases (case_id),
    fields TEXT NOT NULL,
    row_sha BLOB NOT NULL
) STRICT""",
    """CREATE TABLE fragments (
    asset_id TEXT NOT NULL REFERENCES recordings (asset_id),
    position INTEGER NOT NULL,
    first_pts INTEGER NOT NULL,
    last_pts INTEGER NOT NULL,
    first_byte INTEGER NOT NULL,
    end_byte INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    row_sha BLOB NOT NULL,
    UNIQUE (asset_id, position)
) STRICT""",
)
_LABEL_FILES = """CREATE TABLE label_files (
    case_id TEXT NOT NULL REFERENCES cases (case_id),
    position INTEGER NOT NULL,
    layout TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    numbers TEXT NOT NULL,
    content BLOB NOT NULL,
    row_sha BLOB NOT NULL,
    UNIQUE (case_id, position)
) STRICT"""
_TRIGGERS = (
    """CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER corrections_are_never_changed BEFORE UPDATE ON corrections
    BEGIN SELECT RAISE(ABORT, 'corrections are append-only'); END""",
    """CREATE TRIGGER corrections_go_with_their_case BEFORE DELETE ON corrections
    WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE case_id = OLD.case_id)
    BEGIN SELECT RAISE(ABORT, 'corrections are append-only'); END""",
)


def migrations() -> Migrations:
    """All migrations in order. Imported late: an up-to-date library opens without sqlite-utils."""
    from sqlite_utils.migrations import Migrations

    steps = Migrations("trocar-library")

    @steps()
    def human_work(db: Database) -> None:
        for statement in (*_HUMAN_WORK.split(";\n"), *_TRIGGERS):
            if statement.strip():
                db.execute(statement)
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute("PRAGMA user_version=1")

    @steps()
    def bookmarks(db: Database) -> None:
        for statement in _BOOKMARKS:
            db.execute(statement)
        db.execute("PRAGMA user_version=2")

    @steps()
    def recordings(db: Database) -> None:
        for statement in _RECORDINGS:
            db.execute(statement)
        db.execute("PRAGMA user_version=3")

    @steps()
    def label_files(db: Database) -> None:
        db.execute(_LABEL_FILES)
        db.execute("PRAGMA user_version=4")

    return steps


def migrate(conn: sqlite3.Connection, steps: Migrations | None = None) -> None:
    """Apply what is pending, one transaction per migration."""
    from sqlite_utils import Database

    (steps or migrations()).apply(Database(conn, execute_plugins=False))


def update(conn: sqlite3.Connection) -> None:
    """Bring a copy of an older library up to date."""
    if conn.execute("PRAGMA user_version").fetchone()[0] < VERSION:
        migrate(conn)


def check_identity(
    conn: sqlite3.Connection, path: Path, *, application_id: int, newest: int
) -> int:
    """The schema version of a file that is ours.

    Raises:
        BadInput: the file belongs to another program.
        Refused: a newer Trocar wrote it.
    """
    (found,) = conn.execute("PRAGMA application_id").fetchone()
    (version,) = conn.execute("PRAGMA user_version").fetchone()
    if found != application_id:
        raise BadInput(
            f"{path.name} in {path.parent} was not made by Trocar; it was left as it is. "
            "Name another folder for the library."
        )
    if version > newest:
        raise Refused(
            f"The library in {path.parent} was written by a newer Trocar (version {version} of "
            f"its tables; this one knows {newest}); update Trocar to open it. Nothing was changed."
        )
    return int(version)
