"""kill -9 during backup, restore, deletion and migration: the old state or the new one."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.store import Library, schema
from app.store.backups import check_sound
from tests.crash.conftest import Kill
from tests.helpers.human_work import annotation, asset, change, correction, draw

NEWER = schema.VERSION + 1
MARKER = b"Zwetschge-4711"
KILLS = [4, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(1500)])]


@pytest.fixture
def library_folder(own_library: Path) -> Path:
    """Two cases, the second one marked, and backups that hold both."""
    with Library.open(own_library, ballast_bytes=0, backup_every_s=3600) as library:
        library.writer.create_case("Case", "x", (asset(),)).result()
        second = library.writer.create_case(MARKER.decode(), "x", (asset("asset-2"),)).result()
        for i in range(30):
            library.writer.commit(draw("0001", f"a{i}", i)).result()
            mine = annotation(f"m{i}", i, asset_id="asset-2", label=MARKER.decode() * 30)
            library.writer.commit(correction(second.case_id, "D", change(None, mine))).result()
            if i % 10 == 0:
                library.back_up()
        library.save_thumbnail("0002", MARKER)
        library.predictions("0002")
    return own_library


def _marked(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.is_file() and MARKER in p.read_bytes()]


def _again(folder: Path, work: Path) -> Path:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder, work)
    return work


def _open_and_check(folder: Path) -> tuple[str, ...]:
    """Titles of the cases of a library that must be sound and free of leftovers."""
    with Library.open(folder, ballast_bytes=0) as library:
        library.writer.flush().result()
        assert library.problems == ()
        assert library.verify().problems == ()
        titles = tuple(c.title for c in library.cases())
    assert not list(folder.rglob("*.tmp*"))
    return titles


@pytest.mark.parametrize("kills", KILLS)
def test_deletion(library_folder: Path, tmp_path: Path, kill_after: Kill, kills: int) -> None:
    rng = random.Random(1)
    gone = 0
    for _ in range(kills):
        work = _again(library_folder, tmp_path / "work")
        acknowledged = kill_after(rng.uniform(0, 0.25), "delete", work) == ["deleted"]
        titles = _open_and_check(work)
        assert titles[0] == "Case"
        if MARKER.decode() in titles:
            assert not acknowledged
        else:
            gone += 1
            assert _marked(work) == []
    assert gone


@pytest.mark.parametrize("kills", KILLS)
def test_restore(library_folder: Path, tmp_path: Path, kill_after: Kill, kills: int) -> None:
    rng = random.Random(2)
    backup = tmp_path / "chosen.sqlite"
    with Library.open(library_folder, "read") as library:
        shutil.copy(library.backups()[0].path, backup)
        now = len(library.annotations("asset-1"))
    with closing(sqlite3.connect(backup)) as conn:
        (then,) = conn.execute(
            "SELECT count(*) FROM annotations WHERE asset_id = 'asset-1'"
        ).fetchone()
    assert then != now
    seen: set[int] = set()
    for _ in range(kills):
        work = _again(library_folder, tmp_path / "work")
        acknowledged = kill_after(rng.uniform(0, 0.12), "put_back", work, backup) == ["restored"]
        assert len(_open_and_check(work)) == 2
        with Library.open(work, "read") as library:
            count = len(library.annotations("asset-1"))
        assert count in ((then,) if acknowledged else (then, now))
        seen.add(count)
    assert seen


@pytest.mark.parametrize("kills", KILLS)
def test_backup(library_folder: Path, kill_after: Kill, kills: int) -> None:
    rng = random.Random(3)
    made = 0
    for _ in range(kills):
        made += len(kill_after(rng.uniform(0, 0.3), "back_up", library_folder))
        with Library.open(library_folder, "read") as library:
            for backup in library.backups():
                with closing(sqlite3.connect(backup.path)) as conn:
                    check_sound(conn)
        assert len(_open_and_check(library_folder)) == 2
    assert made


@pytest.mark.parametrize("kills", KILLS)
def test_migration(library_folder: Path, tmp_path: Path, kill_after: Kill, kills: int) -> None:
    rng = random.Random(4)
    versions: list[int] = []
    for _ in range(kills):
        work = _again(library_folder, tmp_path / "work")
        acknowledged = kill_after(rng.uniform(0, 0.6), "migrate", work) == ["migrated"]
        with closing(sqlite3.connect(work / "library.sqlite")) as conn:
            (version,) = conn.execute("PRAGMA user_version").fetchone()
            check_sound(conn)
            found = conn.execute("SELECT name FROM sqlite_schema WHERE name = 'notes'").fetchall()
            assert bool(found) == (version == NEWER)
            if version == NEWER:
                (rows,) = conn.execute("SELECT count(*) FROM notes").fetchone()
                assert rows == 400 * 60
        assert version == NEWER or not acknowledged
        versions.append(version)
        if version == NEWER - 1:
            assert len(_open_and_check(work)) == 2
    assert versions
