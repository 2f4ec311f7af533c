"""Backups: made when something changed, verified, thinned by number, restored whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadInput, EnvironmentProblem, Refused
from app.store import Backup, Library, db
from app.store.backups import thinned
from app.store.restore import find_backup, restore
from tests.helpers.human_work import asset, draw
from tests.store.conftest import open_small

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _backup(number: int, made: datetime) -> Backup:
    return Backup(path=Path(str(number)), number=number, made=made, seq=number, head="0" * 8)


def test_a_year_of_backups_thins_to_days_weeks_and_months() -> None:
    daily = [_backup(i, START + timedelta(days=i)) for i in range(365)]
    gone = {b.number for b in thinned(tuple(daily))}
    kept = [b for b in daily if b.number not in gone]
    assert 12 + 7 <= len(kept) <= 12 + 10 + 9
    assert [b.number for b in kept[-12:]] == list(range(353, 365))
    months = {(b.made.year, b.made.month) for b in kept}
    assert len(months) == 9


def test_thinning_step_by_step_keeps_what_thinning_at_once_keeps_of_the_last_days() -> None:
    kept: tuple[Backup, ...] = ()
    for i in range(400):
        kept = (*kept, _backup(i, START + timedelta(hours=12 * i)))
        gone = set(thinned(kept))
        kept = tuple(b for b in kept if b not in gone)
    assert {b.made.date() for b in kept} >= {
        (START + timedelta(hours=12 * 399) - timedelta(days=d)).date() for d in range(12)
    }
    assert len(kept) <= 12 + 10 + 9 + 3


@given(st.lists(st.integers(-4000, 4000), max_size=60))
def test_whatever_the_clock_says_the_newest_three_stay(days: list[int]) -> None:
    made = tuple(_backup(i, START + timedelta(days=d)) for i, d in enumerate(days))
    gone = {b.number for b in thinned(made)}
    assert not gone & set(range(len(days) - 3, len(days)))
    kept = tuple(b for b in made if b.number not in gone)
    assert thinned(kept) == ()


def test_a_clock_years_ahead_removes_nothing_real() -> None:
    real = [_backup(i, START + timedelta(days=i)) for i in range(5)]
    ahead = [_backup(5 + i, START + timedelta(days=3650, hours=i)) for i in range(4)]
    gone = thinned((*real, *ahead))
    assert {b.number for b in gone} <= {b.number for b in ahead}


def test_backups_are_made_when_something_changed(own_library: Path) -> None:
    with open_small(own_library) as library:
        assert library.back_up() is None
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
        first = library.back_up()
        assert first is not None
        assert library.back_up() is None
        library.writer.commit(draw(case.case_id, "a")).result()
    with Library.open(own_library, "read") as library:
        made = library.backups()
        assert [b.number for b in made] == [1, 2]
        assert made[0] == first
        assert library.last_backup() == made[1]
    with open_small(own_library):
        pass
    with Library.open(own_library, "read") as library:
        assert library.backups() == made


def test_backups_are_made_while_the_library_is_open(own_library: Path) -> None:
    with open_small(own_library, backup_every_s=0.02) as library:
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
        for i in range(400):
            library.writer.commit(draw(case.case_id, f"a{i}")).result()
            if library.last_backup() is not None:
                break
        assert library.last_backup() is not None


def test_the_newest_backup_is_the_last_made_whatever_the_clock_said(own_library: Path) -> None:
    ahead, behind = 4_000_000_000_000, 1_000_000_000_000
    with open_small(own_library, clock=lambda: ahead) as library:
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
    with open_small(own_library, clock=lambda: behind) as library:
        library.writer.commit(draw(case.case_id, "a")).result()
        newest = library.back_up()
        assert newest is not None
        assert library.last_backup() == newest
        assert [b.made.year for b in library.backups()] == [2096, 2001]


def test_a_backup_opens_by_itself_and_holds_no_predictions(
    own_library: Path, tmp_path: Path
) -> None:
    with open_small(own_library) as library:
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
        library.writer.commit(draw(case.case_id, "a")).result()
        made = library.back_up(tmp_path / "second disk")
        assert made is not None
    assert [p.name for p in (tmp_path / "second disk").iterdir()] == [made.path.name]
    with closing(sqlite3.connect(made.path)) as conn:
        assert conn.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert conn.execute("SELECT count(*) FROM annotations").fetchone() == (1,)


def test_a_damaged_library_makes_no_backup(own_library: Path) -> None:
    with open_small(own_library) as library:
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
        library.writer.commit(draw(case.case_id, "a")).result()
    with closing(sqlite3.connect(own_library / "library.sqlite")) as conn:
        conn.execute("DROP TRIGGER audit_is_never_changed")
        conn.execute("UPDATE audit SET user = 'x' WHERE seq = 2")
        conn.execute("INSERT INTO audit SELECT 99, 1, 1, '', '', '', '', '', '', '', ''")
        conn.commit()
    with Library.open(own_library, "read") as library, pytest.raises(BadInput, match="damaged"):
        library.back_up()


def _two_states(folder: Path) -> tuple[Path, str]:
    """A library with a backup of one annotation, and two annotations now."""
    with open_small(folder) as library:
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
        library.writer.commit(draw(case.case_id, "a")).result()
        backup = library.back_up()
        assert backup is not None
        library.writer.commit(draw(case.case_id, "b")).result()
    return backup.path, case.case_id


def test_restore_brings_the_backup_back_and_keeps_what_was_there(own_library: Path) -> None:
    path, case_id = _two_states(own_library)
    done = restore(own_library, find_backup(own_library, path.name))
    assert done.cases == 1
    assert done.safety_copy is not None
    with open_small(own_library) as library:
        assert library.problems == ()
        assert [a.annotation_id for a in library.annotations("asset-1")] == ["a"]
        assert library.verify().ok
        assert library.audit()[-1].action == "restore"
        seq = library.writer.commit(draw(case_id, "c")).result().seq
        assert seq == 3
    restore(own_library, done.safety_copy)
    with open_small(own_library) as library:
        assert [a.annotation_id for a in library.annotations("asset-1")] == ["a", "b"]
        assert library.verify().ok


@pytest.mark.parametrize("damage", ["empty", "noise", "missing", "header"])
def test_restore_replaces_a_library_that_cannot_be_read(own_library: Path, damage: str) -> None:
    path, _ = _two_states(own_library)
    database = own_library / "library.sqlite"
    if damage == "missing":
        database.unlink()
    else:
        whole = database.read_bytes()
        broken = {"empty": b"", "noise": b"noise" * 4000, "header": bytes(100) + whole[100:]}
        database.write_bytes(broken[damage])
    done = restore(own_library, path)
    assert (done.safety_copy is None) == (damage == "missing")
    with open_small(own_library) as library:
        assert library.problems == ()
        assert len(library.annotations("asset-1")) == 1
        assert library.verify().ok


@pytest.mark.parametrize(
    "make",
    [
        lambda p: p.write_bytes(b""),
        lambda p: p.write_bytes(b"not a database" * 1000),
        lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    ],
)
def test_a_bad_backup_changes_nothing(own_library: Path, make) -> None:
    path, _ = _two_states(own_library)
    make(path)
    with pytest.raises(BadInput, match=r"choose another one|damaged"):
        restore(own_library, path)
    with open_small(own_library) as library:
        assert len(library.annotations("asset-1")) == 2
        assert library.verify().ok


def test_restore_needs_the_lock_and_a_file(own_library: Path) -> None:
    path, _ = _two_states(own_library)
    with open_small(own_library), pytest.raises(Refused, match="being written"):
        restore(own_library, path)
    with pytest.raises(BadInput, match="no backup nothing"):
        find_backup(own_library, "nothing")


def test_a_newer_backup_is_refused(own_library: Path) -> None:
    path, _ = _two_states(own_library)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA user_version=99")
    with pytest.raises(Refused, match="newer Trocar"):
        restore(own_library, path)


def test_restore_into_a_library_in_which_nothing_was_done_yet(
    own_library: Path, tmp_path: Path
) -> None:
    with open_small(own_library) as library:
        library.writer.create_case("One", "unknown", (asset(),)).result()
        outside = library.back_up(tmp_path / "elsewhere")
        assert outside is not None
    open_small(tmp_path / "new computer").close()
    done = restore(tmp_path / "new computer", outside.path)
    assert (done.safety_copy, done.cases) == (None, 1)
    with open_small(tmp_path / "new computer") as library:
        assert [c.title for c in library.cases()] == ["One"]
        assert library.verify().ok


def test_a_deleted_case_stays_deleted_over_two_restores(own_library: Path, tmp_path: Path) -> None:
    with open_small(own_library) as library:
        library.writer.create_case("Other", "unknown").result()
        before = library.back_up(tmp_path / "before")
        case = library.writer.create_case("Deleted", "unknown", (asset(),)).result()
        holds_it = library.back_up(tmp_path / "holds it")
        assert before is not None
        assert holds_it is not None
        library.writer.delete_case(case.case_id).result()
    restore(own_library, before.path)
    restore(own_library, holds_it.path)
    with open_small(own_library) as library:
        assert [c.title for c in library.cases()] == ["Other"]
        assert library.verify().ok


def test_a_damaged_backup_goes_with_a_deleted_case(own_library: Path) -> None:
    with open_small(own_library) as library:
        case = library.writer.create_case("Deleted", "unknown", (asset(),)).result()
        damaged = library.back_up()
        library.writer.create_case("Other", "unknown").result()
        whole = library.back_up()
    assert damaged is not None
    assert whole is not None
    with closing(sqlite3.connect(damaged.path)) as conn:
        conn.execute("DROP TRIGGER audit_is_never_changed")
        conn.execute("UPDATE audit SET utc_ms = 0")
        conn.commit()
    with open_small(own_library) as library:
        library.writer.delete_case(case.case_id).result()
    assert whole.path.exists()
    assert not damaged.path.exists()
    assert [p.name for p in own_library.rglob("*") if b"Deleted" in _content(p)] == []


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def test_a_backup_that_cannot_be_opened_now_is_no_damaged_one(
    own_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_small(own_library) as library:
        case = library.writer.create_case("Deleted", "unknown", (asset(),)).result()
        backup = library.back_up() or library.last_backup()  # the first automatic one may be late
        assert backup is not None

        def out_of_handles(_path: Path) -> sqlite3.Connection:
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(db, "connect_reader", out_of_handles)
            with pytest.raises(EnvironmentProblem, match="still holds the deleted case"):
                library.writer.delete_case(case.case_id).result()
        assert backup.path.exists()
    with open_small(own_library) as library:
        library.writer.flush().result()
        assert b"Deleted" not in backup.path.read_bytes()


def test_a_deleted_case_goes_from_backups_of_an_older_trocar_and_they_stay(
    own_library: Path,
) -> None:
    with open_small(own_library) as library:
        case = library.writer.create_case("Deleted", "unknown", (asset(),)).result()
        library.writer.create_case("Other", "unknown").result()
        backup = library.back_up() or library.last_backup()
    assert backup is not None
    with closing(sqlite3.connect(backup.path)) as conn:
        conn.executescript(
            "DROP TABLE bookmarks; PRAGMA user_version=1; "
            "DELETE FROM _sqlite_migrations WHERE name = 'bookmarks'"
        )
    with open_small(own_library) as library:
        library.writer.delete_case(case.case_id).result()
    assert b"Deleted" not in backup.path.read_bytes()
    restore(own_library, backup.path)
    with open_small(own_library) as library:
        assert [c.title for c in library.cases()] == ["Other"]
        assert library.verify().ok
