"""Bookmarks: stored, undone, audited, healed from history, deleted with their case, migrated to."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from app.annotate import bookmarks
from app.core.case import Case
from app.core.correction import Bookmark
from app.core.frame import FrameIdentity
from app.store import Library
from tests.helpers.human_work import asset
from tests.store.conftest import open_small


def _frame(case: Case, pts: int) -> FrameIdentity:
    return FrameIdentity(asset_id=case.assets[0].asset_id, stream=0, pts=pts)


def test_a_bookmark_is_there_changed_undone_redone_and_audited(
    library: Library, case: Case
) -> None:
    first, second = _frame(case, 500), _frame(case, 100)
    commit = library.writer.commit
    commit(bookmarks.mark(case.case_id, first, None, " bleeding ")).result()
    commit(bookmarks.mark(case.case_id, second, None)).result()
    asset_id = case.assets[0].asset_id
    marked = Bookmark(frame=first, note="bleeding")
    assert library.bookmarks(asset_id) == (Bookmark(frame=second), marked)
    commit(bookmarks.mark(case.case_id, first, marked, "clip slipped")).result()
    commit(bookmarks.remove(case.case_id, Bookmark(frame=second))).result()
    assert [b.note for b in library.bookmarks(asset_id)] == ["clip slipped"]
    library.writer.undo(case.case_id).result()
    library.writer.undo(case.case_id).result()
    assert [b.note for b in library.bookmarks(asset_id)] == ["", "bleeding"]
    library.writer.redo(case.case_id).result()
    assert [b.note for b in library.bookmarks(asset_id)] == ["", "clip slipped"]
    assert [e.action for e in library.audit()[-3:]] == ["undo", "undo", "redo"]
    assert library.verify().ok


def test_a_changed_row_is_found_and_read_from_the_history(own_library: Path) -> None:
    with open_small(own_library) as library:
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
        library.writer.commit(bookmarks.mark(case.case_id, _frame(case, 7), None, "here")).result()
    with closing(sqlite3.connect(own_library / "library.sqlite")) as conn:
        conn.execute("UPDATE bookmarks SET note = 'there'")
        conn.commit()
    with open_small(own_library) as library:
        assert [b.note for b in library.bookmarks(case.assets[0].asset_id)] == ["here"]
        assert any("bookmark" in p for p in library.verify().problems)


def test_they_go_with_their_case(library: Library, case: Case) -> None:
    library.writer.commit(bookmarks.mark(case.case_id, _frame(case, 7), None, "here")).result()
    library.writer.delete_case(case.case_id).result()
    assert library.bookmarks(case.assets[0].asset_id) == ()


def test_a_library_without_bookmarks_gets_them(own_library: Path) -> None:
    with open_small(own_library) as library:
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
    with closing(sqlite3.connect(own_library / "library.sqlite")) as conn:
        conn.execute("DROP TABLE bookmarks")
        conn.execute("DELETE FROM _sqlite_migrations WHERE name = 'bookmarks'")
        conn.execute("PRAGMA user_version=1")
        conn.commit()
    with open_small(own_library) as library:
        library.writer.commit(bookmarks.mark(case.case_id, _frame(case, 7), None)).result()
        assert len(library.bookmarks(case.assets[0].asset_id)) == 1
        assert library.verify().ok
