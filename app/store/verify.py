"""Checks of a whole library: pages, audit chain, row hashes, history, predictions, newest backup.

Runs on the calling thread over a read-only connection.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import BadInput, TrocarError
from app.store import audit, label_rows, recordings, rows, work_rows
from app.store.backups import Backup, open_backup
from app.store.states import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found.

    Attributes:
        cases: how many there are.
        rows_checked: rows whose hash was compared.
        problems: sentences; empty when all is well.
    """

    cases: int
    rows_checked: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check_database(conn: sqlite3.Connection, head_file: Path) -> Report:
    """Check the library's file within one snapshot; ``conn`` has not read yet."""
    problems: list[str] = []
    checked = 0
    cases = 0
    steps: tuple[Callable[[], tuple[int, list[str]]], ...] = (
        lambda: (0, audit.check_head(conn, head_file)),
        lambda: (0, _pages(conn)),
        lambda: (audit.head(conn).seq, audit.check_chain(conn)),
        lambda: _rows(conn),
        lambda: _history(conn),
    )
    for step in steps:
        try:
            count, found = step()
        except sqlite3.DatabaseError as error:
            problems.append(f"A part of the library cannot be read ({error}); restore a backup.")
            continue
        checked += count
        problems += found
    try:
        cases = len(rows.case_ids(conn))
    except sqlite3.DatabaseError as error:
        problems.append(f"The list of cases cannot be read ({error}); restore a backup.")
    return Report(cases=cases, rows_checked=checked, problems=tuple(problems))


def check_backup(backup: Backup | None) -> list[str]:
    """Whether the newest backup is sound."""
    if backup is None:
        return []
    try:
        with closing(open_backup(backup.path)):
            return []
    except TrocarError as error:
        return [f"The newest backup {backup.path.name}: {error.user_message}"]


def _pages(conn: sqlite3.Connection) -> list[str]:
    found = [str(r[0]) for r in conn.execute("PRAGMA integrity_check(5)")]
    return [] if found == ["ok"] else [f"SQLite found damage: {line}." for line in found]


def _rows(conn: sqlite3.Connection) -> tuple[int, list[str]]:
    checked, problems = 0, []
    for case_id in rows.case_ids(conn):
        for read in _readers(conn, case_id):
            try:
                checked += sum(1 for _ in read())
            except BadInput as error:
                problems.append(error.user_message)
            except (ValueError, TypeError, KeyError, zlib.error) as error:
                problems.append(f"A row of case {case_id} cannot be understood ({error}).")
    return checked, problems


def _readers(conn: sqlite3.Connection, case_id: str) -> tuple[Callable[[], Iterator[object]], ...]:
    def case() -> Iterator[object]:
        yield rows.read_case(conn, case_id)

    def assets() -> Iterator[object]:
        yield from rows.read_assets(conn, case_id)

    def annotations() -> Iterator[object]:
        yield from work_rows.read_annotations(conn, "case_id = ?", (case_id,), heal=False)

    def reviews() -> Iterator[object]:
        yield from work_rows.read_reviews(conn, "case_id = ?", (case_id,), heal=False)

    def bookmarks() -> Iterator[object]:
        yield from work_rows.read_bookmarks(conn, "case_id = ?", (case_id,), heal=False)

    def timelines() -> Iterator[object]:
        found = conn.execute("SELECT asset_id FROM timelines WHERE case_id = ?", (case_id,))
        for (asset_id,) in found.fetchall():
            line = work_rows.read_timeline(conn, asset_id, heal=False)
            yield line
            yield from line.timeline.segments if line else ()

    def live() -> Iterator[object]:
        for recording in recordings.read(conn, case_id):
            yield recording
            yield from recordings.read_fragments(conn, recording.asset_id)

    def labels() -> Iterator[object]:
        yield from label_rows.read(conn, case_id)

    return case, assets, annotations, reviews, bookmarks, timelines, live, labels


def _history(conn: sqlite3.Connection) -> tuple[int, list[str]]:
    """Every correction against its hash and its audit row, and ``steps`` against the rows."""
    logged = dict(
        conn.execute(
            "SELECT object, before_sha || after_sha FROM audit "
            "WHERE action IN ('correct', 'undo', 'redo')"
        )
    )
    checked, problems = 0, []
    done: dict[str, list[int]] = {}
    undone: dict[str, list[int]] = {}
    for (seq,) in conn.execute("SELECT seq FROM corrections ORDER BY seq").fetchall():
        try:
            _, case_id, _, _, kind, target, _, changes = rows.read_correction(conn, seq)
        except BadInput as error:
            problems.append(error.user_message)
            continue
        checked += 1
        if logged.get(f"case {case_id} correction {seq}") != _state_hashes(changes):
            problems.append(f"Correction {seq} is not the one that the audit log names.")
        past, future = done.setdefault(case_id, []), undone.setdefault(case_id, [])
        if kind == "do":
            past.append(seq)
            future.clear()
        else:
            source, sink = (past, future) if kind == "undo" else (future, past)
            if not source or source.pop() != target:
                problems.append(f"Correction {seq} does not follow from the history before it.")
                continue
            sink.append(int(target or 0))
    expected = {s: 0 for v in done.values() for s in v} | {s: 1 for v in undone.values() for s in v}
    if not problems and expected != dict(conn.execute("SELECT seq, undone FROM steps")):
        problems.append("What can be undone is not what the history says.")
    return checked, problems


def _state_hashes(changes: bytes) -> str:
    _, before, after = json.loads(zlib.decompress(changes))
    return digest(before).hex() + digest(after).hex()
