"""Corrections, undo and redo as appended rows. Runs on the store thread in its transaction.

``steps`` says which corrections are in force. All that are done precede all that are undone, since
a new correction drops what could be redone; so undo takes the last done step of a case and redo
the first undone one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.correction import (
    Annotation,
    Bookmark,
    CaseFields,
    Change,
    Correction,
    FrameReview,
    HumanTimeline,
    State,
)
from app.core.errors import BadInput, Refused
from app.store import audit, rows, work_rows
from app.store.states import decode_changes, encode_changes, object_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A correction, undo or redo that is durable.

    Attributes:
        seq: number of its row, rising within the library, never used again.
        utc_ms: when.
        case_id: of which case.
    """

    seq: int
    utc_ms: int
    case_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One row of a case's history.

    Attributes:
        seq, utc_ms, user, title: which, when, by whom, what.
        kind: ``do``, ``undo`` or ``redo``.
        target: the correction that was undone or redone, None for ``do``.
        in_force: of a correction, whether it is done now; False for undo and redo rows.
    """

    seq: int
    utc_ms: int
    user: str
    kind: str
    target: int | None
    title: str
    in_force: bool


def commit(conn: sqlite3.Connection, clock: audit.Clock, correction: Correction) -> Saved:
    """Store one correction.

    Raises:
        Refused: an object is no longer in the state that the correction starts from.
        BadInput: the case is not there.
    """
    conn.execute("DELETE FROM steps WHERE case_id = ? AND undone = 1", (correction.case_id,))
    saved = _store(conn, clock, "do", None, correction)
    conn.execute("INSERT INTO steps VALUES (?, ?, 0)", (saved.seq, correction.case_id))
    return saved


def undo(
    conn: sqlite3.Connection, clock: audit.Clock, case_id: str
) -> tuple[Correction, Saved] | None:
    """Take back the last correction in force; None where there is none."""
    found = _step(conn, case_id, undone=0)
    if found is None:
        return None
    seq, done = found
    back = replace(done, changes=tuple(c.reversed() for c in reversed(done.changes)))
    saved = _store(conn, clock, "undo", seq, back)
    conn.execute("UPDATE steps SET undone = 1 WHERE seq = ?", (seq,))
    return back, saved


def redo(
    conn: sqlite3.Connection, clock: audit.Clock, case_id: str
) -> tuple[Correction, Saved] | None:
    """Do again what was undone last; None where there is nothing."""
    found = _step(conn, case_id, undone=1)
    if found is None:
        return None
    seq, again = found
    saved = _store(conn, clock, "redo", seq, again)
    conn.execute("UPDATE steps SET undone = 0 WHERE seq = ?", (seq,))
    return again, saved


def next_title(conn: sqlite3.Connection, case_id: str, *, undone: int) -> str | None:
    """The title of the step that undo (0) or redo (1) would take."""
    seq = _step_seq(conn, case_id, undone)
    return None if seq is None else rows.read_correction(conn, seq)[6]


def history(conn: sqlite3.Connection, case_id: str) -> tuple[HistoryEntry, ...]:
    """All rows of a case's history, oldest first."""
    found = conn.execute(
        "SELECT c.seq, utc_ms, user, kind, target, title, coalesce(s.undone = 0, 0) "
        "FROM corrections c LEFT JOIN steps s ON s.seq = c.seq WHERE c.case_id = ? ORDER BY c.seq",
        (case_id,),
    )
    return tuple(
        HistoryEntry(
            seq=r[0], utc_ms=r[1], user=r[2], kind=r[3], target=r[4], title=r[5],
            in_force=bool(r[6]),
        )
        for r in found
    )  # fmt: skip


def read(conn: sqlite3.Connection, seq: int) -> Correction:
    """The changes of one row of history as they were applied."""
    row = rows.read_correction(conn, seq)
    return Correction(case_id=row[1], title=row[6], changes=decode_changes(row[7]))


def _step_seq(conn: sqlite3.Connection, case_id: str, undone: int) -> int | None:
    which = "min" if undone else "max"
    (seq,) = conn.execute(
        f"SELECT {which}(seq) FROM steps WHERE case_id = ? AND undone = ?",  # noqa: S608
        (case_id, undone),
    ).fetchone()
    return None if seq is None else int(seq)


def _step(conn: sqlite3.Connection, case_id: str, *, undone: int) -> tuple[int, Correction] | None:
    seq = _step_seq(conn, case_id, undone)
    return None if seq is None else (seq, read(conn, seq))


def _store(
    conn: sqlite3.Connection,
    clock: audit.Clock,
    kind: str,
    target: int | None,
    correction: Correction,
) -> Saved:
    case_id, changes = correction.case_id, correction.changes
    if conn.execute("SELECT 1 FROM cases WHERE case_id = ?", (case_id,)).fetchone() is None:
        raise BadInput(f"Case {case_id} is no longer in this library; nothing was changed.")
    utc_ms = clock()
    payload, before, after = encode_changes(changes)
    seq = rows.insert_correction(
        conn, case_id, utc_ms, audit.user_name(), kind, target, correction.title, payload
    )
    _apply(conn, case_id, changes, seq)
    action = {"do": "correct", "undo": "undo", "redo": "redo"}[kind]
    audit.append(
        conn, clock, action, f"case {case_id} correction {seq}", before=before, after=after
    )
    return Saved(seq=seq, utc_ms=utc_ms, case_id=case_id)


def _apply(conn: sqlite3.Connection, case_id: str, changes: Sequence[Change], seq: int) -> None:
    assets = {
        r[0] for r in conn.execute("SELECT asset_id FROM assets WHERE case_id = ?", (case_id,))
    }
    for change in changes:
        for state in (change.before, change.after):
            _check_names(change, state, case_id, assets)
        kind = change.after or change.before
        if isinstance(kind, CaseFields):
            _apply_case_fields(conn, case_id, change)
            continue
        if _current(conn, case_id, change) != change.before:
            raise _changed_meanwhile(case_id)
        _remove(conn, change)
        _write(conn, case_id, change, seq)


def _changed_meanwhile(case_id: str) -> Refused:
    return Refused(
        f"What this would change in case {case_id} was changed meanwhile; look at it again and "
        "repeat. Nothing was changed."
    )


def _check_names(change: Change, state: State | None, case_id: str, assets: set[str]) -> None:
    if state is None:
        return
    if object_id(state) != change.object_id:
        raise ValueError(f"Change: {change.object_id} does not name {object_id(state)}")
    asset_id = None
    if isinstance(state, Annotation | FrameReview | Bookmark):
        asset_id = state.frame.asset_id
    elif isinstance(state, HumanTimeline):
        asset_id = state.asset_id
    if asset_id is not None and asset_id not in assets:
        raise ValueError(f"Change: asset {asset_id} is not of case {case_id}")


def _apply_case_fields(conn: sqlite3.Connection, case_id: str, change: Change) -> None:
    """Only the fields that differ: a state that an analysis set since then stays."""
    before, after = change.before, change.after
    if not isinstance(before, CaseFields) or not isinstance(after, CaseFields):
        raise ValueError("Change: a case's fields exist before and after")
    case = rows.read_case(conn, case_id)
    now = CaseFields(title=case.title, procedure=case.procedure, state=case.state.value)
    for name in CaseFields.__slots__:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if getattr(now, name) != old:
            raise _changed_meanwhile(case_id)
        now = replace(now, **{name: new})
    rows.write_case_fields(conn, case_id, now)


def _current(conn: sqlite3.Connection, case_id: str, change: Change) -> State | None:
    kind = change.after or change.before
    if isinstance(kind, Annotation):
        where = "annotation_id = ? AND case_id = ?"
        return next(work_rows.read_annotations(conn, where, (change.object_id, case_id)), None)
    if isinstance(kind, FrameReview):
        return next(work_rows.read_reviews(conn, "object_id = ?", (change.object_id,)), None)
    if isinstance(kind, Bookmark):
        return next(work_rows.read_bookmarks(conn, "object_id = ?", (change.object_id,)), None)
    if isinstance(kind, HumanTimeline):
        return work_rows.read_timeline(conn, kind.asset_id)
    raise ValueError("Change: unknown kind of object")


def _remove(conn: sqlite3.Connection, change: Change) -> None:
    if isinstance(change.before, Annotation):
        conn.execute("DELETE FROM annotations WHERE annotation_id = ?", (change.object_id,))
    elif isinstance(change.before, FrameReview):
        conn.execute("DELETE FROM reviews WHERE object_id = ?", (change.object_id,))
    elif isinstance(change.before, Bookmark):
        conn.execute("DELETE FROM bookmarks WHERE object_id = ?", (change.object_id,))
    elif isinstance(change.before, HumanTimeline):
        asset_id = change.before.asset_id
        conn.execute("DELETE FROM segments WHERE asset_id = ?", (asset_id,))
        conn.execute("DELETE FROM timelines WHERE asset_id = ?", (asset_id,))


def _write(conn: sqlite3.Connection, case_id: str, change: Change, seq: int) -> None:
    after = change.after
    if isinstance(after, Annotation):
        work_rows.write_annotation(conn, case_id, after, seq)
    elif isinstance(after, FrameReview):
        work_rows.write_review(conn, case_id, change.object_id, after, seq)
    elif isinstance(after, Bookmark):
        work_rows.write_bookmark(conn, case_id, change.object_id, after, seq)
    elif isinstance(after, HumanTimeline):
        work_rows.write_timeline(conn, case_id, after, seq)
