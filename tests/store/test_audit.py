"""The audit log: nothing can be changed, removed or cut off without showing."""

from __future__ import annotations

import getpass
import json
import re
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from app.core.case import Case
from app.store import Library
from tests.helpers.human_work import asset, correction, draw, fields
from tests.helpers.human_work import change as change_of
from tests.store.conftest import open_small


def _fill(folder: Path, drawn: int = 10) -> Case:
    with open_small(folder) as library:
        case = library.writer.create_case("Secret title", "unknown", (asset(),)).result()
        for i in range(drawn):
            library.writer.commit(draw(case.case_id, f"a{i}", i)).result()
        library.writer.undo(case.case_id).result()
        return case


def test_every_change_is_logged_with_the_users_name(own_library: Path) -> None:
    case = _fill(own_library, 2)
    with Library.open(own_library, "read") as library:
        log = library.audit()
        assert [e.action for e in log] == [
            "create library",
            "create case",
            "correct",
            "correct",
            "undo",
        ]
        assert {e.user for e in log} == {getpass.getuser()}
        assert [e.seq for e in log] == [1, 2, 3, 4, 5]
        assert all(b.prev == a.hash for a, b in pairwise(log))
        assert log[2].object == f"case {case.case_id} correction 1"
        assert "Secret" not in repr(log)
        assert library.audit(2) == log[-2:]


def test_the_log_and_the_history_are_append_only(own_library: Path) -> None:
    _fill(own_library)
    with closing(sqlite3.connect(own_library / "library.sqlite")) as conn:
        for statement in (
            "UPDATE audit SET user = 'nobody'",
            "DELETE FROM audit",
            "UPDATE corrections SET title = 'nothing'",
            "DELETE FROM corrections",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                conn.execute(statement)


def _tamper(folder: Path, *statements: str) -> tuple[str, ...]:
    """Change the file as somebody with access to it could. Returns what verify says."""
    with closing(sqlite3.connect(folder / "library.sqlite")) as conn:
        triggers = conn.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        kept = triggers.fetchall()
        for name, _ in kept:
            conn.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            conn.execute(statement)
        for _, sql in kept:
            conn.execute(sql)
        conn.commit()
    with Library.open(folder, "read") as library:
        report = library.verify()
        assert not report.ok
        return report.problems


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (["UPDATE audit SET user = 'nobody' WHERE seq = 5"], "Row 5 of the audit log was altered"),
        (["UPDATE audit SET utc_ms = utc_ms + 1 WHERE seq = 7"], "Row 7 .* altered"),
        (["DELETE FROM audit WHERE seq = 4"], "lacks row 4"),
        (["DELETE FROM audit WHERE seq >= 9"], "last changes are lost"),
        (
            [
                "UPDATE audit SET seq = -1 WHERE seq = 5",
                "UPDATE audit SET seq = 5 WHERE seq = 6",
                "UPDATE audit SET seq = 6 WHERE seq = -1",
            ],
            "Row 5 .* altered",
        ),
        (["UPDATE corrections SET title = 'x' WHERE seq = 3"], "Correction 3 is damaged"),
        (["UPDATE corrections SET user = 'x' WHERE seq = 2"], "Correction 2 is damaged"),
        (["UPDATE annotations SET label = 'x' WHERE annotation_id = 'a4'"], "An annotation of"),
        (["UPDATE cases SET title = 'x'"], "The entry of case 0001 is damaged"),
        (["UPDATE assets SET position = 3"], "entry of a recording"),
        (["UPDATE steps SET undone = 1 WHERE seq = 1"], "not what the history says"),
    ],
)
def test_tampering_is_named(own_library: Path, statements: list[str], sentence: str) -> None:
    _fill(own_library)
    problems = _tamper(own_library, *statements)
    assert any(re.search(sentence, p) for p in problems), problems


def test_a_missing_or_foreign_head_is_named(own_library: Path) -> None:
    _fill(own_library)
    head = own_library / "audit-head.json"
    known = json.loads(head.read_bytes())
    head.write_text(json.dumps({**known, "hash": "0" * 64}))
    with Library.open(own_library, "read") as library:
        assert any("not the one that was written" in p for p in library.verify().problems)
    head.unlink()
    with Library.open(own_library, "read") as library:
        assert any("head is missing" in p for p in library.verify().problems)


def test_loss_is_told_once_and_kept_in_the_log(own_library: Path) -> None:
    _fill(own_library)
    _tamper(own_library, "DELETE FROM audit WHERE seq >= 9")
    with open_small(own_library) as library:
        assert len(library.problems) == 1
        assert "lost" in library.problems[0]
        library.writer.flush().result()
        assert library.audit()[-1].action == "found loss"
    with open_small(own_library) as library:
        assert library.problems == ()


def test_a_clock_that_goes_backwards_changes_no_order(own_library: Path) -> None:
    now = [2_000_000_000_000]

    def clock() -> int:
        now[0] -= 86_400_000
        return now[0]

    with open_small(own_library, clock=clock) as library:
        case = library.writer.create_case("Case", "unknown", (asset(),)).result()
        for title in ("b", "c", "d"):
            before = library.case(case.case_id).title
            step = correction(case.case_id, f"To {title}", change_of(fields(before), fields(title)))
            library.writer.commit(step).result()
        library.writer.undo(case.case_id).result()
        assert library.case(case.case_id).title == "c"
        times = [e.utc_ms for e in library.corrections(case.case_id)]
        assert times == sorted(times, reverse=True)
        assert library.undo_title(case.case_id) == "To c"
        assert library.verify().ok
