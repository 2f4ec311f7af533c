"""SQLite's real errors as the sentence a user reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.core.errors import BadInput, EnvironmentProblem
from app.store import db


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with one table."""
    path = tmp_path / "one.sqlite"
    with closing(db.connect_writer(path)) as conn:
        conn.execute("CREATE TABLE one (a INTEGER NOT NULL UNIQUE) STRICT")
    return path


def _locked(path: Path) -> None:
    with closing(db.connect_writer(path)) as first, closing(db.connect_writer(path)) as second:
        second.execute("PRAGMA busy_timeout=0")
        first.execute("BEGIN IMMEDIATE")
        second.execute("BEGIN IMMEDIATE")


def _read_only(path: Path) -> None:
    with closing(db.connect_reader(path)) as conn:
        conn.execute("INSERT INTO one VALUES (1)")


def _missing(path: Path) -> None:
    db.connect_reader(path.with_name("none.sqlite"))


def _no_database(path: Path) -> None:
    path.write_bytes(b"noise" * 2000)
    db.connect_reader(path)


def _full(path: Path) -> None:
    with closing(db.connect_writer(path)) as conn:
        pages = conn.execute("PRAGMA page_count").fetchone()[0]
        conn.execute(f"PRAGMA max_page_count={pages}")
        conn.execute("CREATE TABLE two AS SELECT zeroblob(100000)")


@pytest.mark.parametrize(
    ("provoke", "kind", "words", "passes"),
    [
        (_locked, EnvironmentProblem, "Another program", True),
        (_full, EnvironmentProblem, "full; free some space", True),
        (_read_only, EnvironmentProblem, "not written", False),
        (_missing, EnvironmentProblem, "cannot be opened", False),
        (_no_database, BadInput, "restore a backup", False),
    ],
)
def test_each_condition_has_its_sentence(
    database: Path, provoke: Callable[[Path], None], kind: type, words: str, passes: bool
) -> None:
    with pytest.raises(sqlite3.Error) as caught:
        provoke(database)
    problem = db.as_trocar_error(caught.value)
    assert isinstance(problem, kind)
    assert words in str(problem)
    assert db.is_passing(caught.value) == passes


def test_a_broken_rule_is_a_bug(database: Path) -> None:
    with closing(db.connect_writer(database)) as conn:
        with pytest.raises(sqlite3.IntegrityError) as caught:
            conn.execute("INSERT INTO one VALUES (NULL)")
        assert db.as_trocar_error(caught.value) is caught.value


def test_readers_close_for_every_thread(database: Path) -> None:
    readers = db.Readers(database)
    first = readers.get()
    assert readers.get() is first
    readers.close()
    with pytest.raises(sqlite3.ProgrammingError):
        first.execute("SELECT 1")
    assert readers.get().execute("SELECT count(*) FROM one").fetchone() == (0,)
    readers.close()
