"""How an older library becomes a newer one: each step wholly or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from app.core.errors import Refused
from app.store import Library, db, schema
from tests.helpers.human_work import asset
from tests.store.conftest import open_small

NEWER = schema.VERSION + 1


def _newer(*, fails: bool) -> Migrations:
    steps = schema.migrations()

    @steps()
    def notes(db: Database) -> None:
        db.execute("CREATE TABLE notes (text TEXT NOT NULL) STRICT")
        db.execute("INSERT INTO notes SELECT title FROM cases")
        if fails:
            raise RuntimeError("the power went")
        db.execute(f"PRAGMA user_version={NEWER}")

    return steps


@pytest.fixture
def conn(own_library: Path) -> Iterator[sqlite3.Connection]:
    """A library of today's version, closed, with its file open for migrating."""
    with open_small(own_library) as library:
        library.writer.create_case("Case", "unknown", (asset(),)).result()
    with closing(db.connect_writer(own_library / "library.sqlite")) as opened:
        yield opened


def _version(conn: sqlite3.Connection) -> int:
    return int(conn.execute("PRAGMA user_version").fetchone()[0])


def test_a_step_is_applied_once(conn: sqlite3.Connection) -> None:
    schema.migrate(conn, _newer(fails=False))
    schema.migrate(conn, _newer(fails=False))
    assert conn.execute("SELECT text FROM notes").fetchall() == [("Case",)]
    assert _version(conn) == NEWER


def test_a_step_that_fails_leaves_the_old_version(
    conn: sqlite3.Connection, own_library: Path
) -> None:
    with pytest.raises(RuntimeError, match="power"):
        schema.migrate(conn, _newer(fails=True))
    assert _version(conn) == schema.VERSION
    assert conn.execute("SELECT name FROM sqlite_schema WHERE name = 'notes'").fetchall() == []
    with Library.open(own_library, "read") as library:
        assert library.verify().ok


def test_an_older_library_is_brought_up_to_date_by_a_writer_only(
    own_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_small(own_library) as library:
        library.writer.create_case("Case", "unknown", (asset(),)).result()
    monkeypatch.setattr(schema, "VERSION", NEWER)
    newer = _newer(fails=False)
    monkeypatch.setattr(schema, "migrations", lambda: newer)
    with pytest.raises(Refused, match="older Trocar"):
        Library.open(own_library, "read")
    with open_small(own_library) as library:
        assert library.verify().ok
    with Library.open(own_library, "read") as library:
        assert [c.title for c in library.cases()] == ["Case"]


def test_the_tables_are_strict_and_hardened(conn: sqlite3.Connection) -> None:
    tables = conn.execute("PRAGMA table_list").fetchall()
    ours = [t for t in tables if t[0] == "main" and not t[1].startswith(("sqlite_", "_sqlite"))]
    assert len(ours) == 14
    assert all(strict and not without_rowid for *_, without_rowid, strict in ours)
    values = {
        name: conn.execute(f"PRAGMA {name}").fetchone()[0]
        for name in (
            "journal_mode", "synchronous", "foreign_keys", "trusted_schema", "cell_size_check",
            "secure_delete", "application_id", "wal_autocheckpoint",
        )
    }  # fmt: skip
    assert values == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "secure_delete": 1,
        "application_id": schema.APPLICATION_ID,
        "wal_autocheckpoint": 0,
    }
