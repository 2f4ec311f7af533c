"""Rows of the library's tables as the field's types and back. SQL on a given connection.

Every row of human work carries the SHA-256 of its content, because SQLite does not notice when
the content of a page changes (measured: 11 of 200 damaged pages). A row that does not match is
read from the correction that wrote it, which is a second copy with a hash of its own.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from fractions import Fraction

from app.core.case import Asset, Case, CaseState
from app.core.correction import (
    Annotation,
    CaseFields,
    Change,
    FrameReview,
    HumanTimeline,
    PredictionRef,
    State,
    Verdict,
)
from app.core.errors import BadInput, Refused
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.core.timeline import Segment, Timeline
from app.store.states import decode_changes, digest

log = logging.getLogger(__name__)

_ANNOTATION = (
    "annotation_id, case_id, asset_id, stream, pts, label, verdict, source_run, source_instance, "
    "track, mask, seq"
)
_REVIEW = "object_id, case_id, asset_id, stream, pts, seq"
_TIMELINE = "asset_id, case_id, start_pts, end_pts, segments, seq"
_SEGMENT = "asset_id, position, start_pts, end_pts, phase"
_CASE = "case_id, uid, title, procedure, state, created_utc_ms"
_CORRECTION = "seq, case_id, utc_ms, user, kind, target, title, changes"


def insert(conn: sqlite3.Connection, table: str, columns: str, values: tuple[object, ...]) -> None:
    """Insert a row with its hash. Table and columns come from this room's own constants."""
    marks = "?," * len(values)
    conn.execute(
        f"INSERT INTO {table} ({columns}, row_sha) VALUES ({marks} ?)",  # noqa: S608
        (*values, digest(*values)),
    )


# Cases and assets


def insert_case(conn: sqlite3.Connection, case: Case, uid: str) -> None:
    """Store a new case with its assets."""
    fields = (case.title, case.procedure, case.state.value, case.created_utc_ms)
    insert(conn, "cases", _CASE, (case.case_id, uid, *fields))
    for position, asset in enumerate(case.assets):
        insert_asset(conn, case.case_id, position, asset)


def next_case_id(conn: sqlite3.Connection) -> str:
    """A case id that no case of this library has had."""
    row = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'cases'").fetchone()
    return f"{(row[0] if row else 0) + 1:04d}"


def insert_asset(conn: sqlite3.Connection, case_id: str, position: int, asset: Asset) -> None:
    """Store one asset; an asset of that id is replaced."""
    values = (asset.asset_id, case_id, position, _asset_fields(asset))
    conn.execute(
        "INSERT INTO assets (asset_id, case_id, position, fields, row_sha) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (asset_id) DO UPDATE SET fields = excluded.fields, row_sha = excluded.row_sha "
        "WHERE case_id = excluded.case_id",
        (*values, digest(*values)),
    )
    if conn.execute("SELECT changes()").fetchone()[0] == 0:
        raise Refused("That recording already belongs to another case of this library.")


def _asset_fields(asset: Asset) -> str:
    names = [n for n in Asset.__dataclass_fields__ if n != "asset_id"]
    return json.dumps({n: getattr(asset, n) for n in names}, default=str, sort_keys=True)


def read_assets(conn: sqlite3.Connection, case_id: str) -> tuple[Asset, ...]:
    """A case's recordings in order."""
    out = []
    for asset_id, owner, position, fields, sha in conn.execute(
        "SELECT asset_id, case_id, position, fields, row_sha FROM assets WHERE case_id = ? "
        "ORDER BY position",
        (case_id,),
    ):
        if digest(asset_id, owner, position, fields) != sha:
            raise _damaged(f"The entry of a recording of case {case_id}")
        values = json.loads(fields)
        values["time_base"] = Fraction(values["time_base"])
        out.append(Asset(asset_id=asset_id, **values))
    return tuple(out)


def read_case(conn: sqlite3.Connection, case_id: str) -> Case:
    """One case.

    Raises:
        BadInput: there is none of that id, or its row is damaged.
    """
    row = conn.execute(
        f"SELECT {_CASE}, row_sha FROM cases WHERE case_id = ?",  # noqa: S608
        (case_id,),
    ).fetchone()
    if row is None:
        raise BadInput(f"There is no case {case_id} in this library; “trocar cases” lists them.")
    *values, sha = row
    if digest(*values) != sha:
        raise _damaged(f"The entry of case {case_id}")
    (count,) = conn.execute(
        "SELECT count(*) FROM steps WHERE case_id = ? AND undone = 0", (case_id,)
    ).fetchone()
    return Case(
        case_id=case_id,
        title=values[2],
        procedure=values[3],
        state=CaseState(values[4]),
        created_utc_ms=values[5],
        assets=read_assets(conn, case_id),
        corrections=count,
    )


def write_case_fields(conn: sqlite3.Connection, case_id: str, fields: CaseFields) -> None:
    """Replace what may change about a case itself."""
    uid, created = conn.execute(
        "SELECT uid, created_utc_ms FROM cases WHERE case_id = ?", (case_id,)
    ).fetchone()
    values = (case_id, uid, fields.title, fields.procedure, fields.state, created)
    conn.execute(
        "UPDATE cases SET title = ?, procedure = ?, state = ?, row_sha = ? WHERE case_id = ?",
        (fields.title, fields.procedure, fields.state, digest(*values), case_id),
    )


def case_ids(conn: sqlite3.Connection) -> tuple[str, ...]:
    """All case ids, oldest first."""
    return tuple(r[0] for r in conn.execute("SELECT case_id FROM cases ORDER BY number"))


# Corrections


def insert_correction(
    conn: sqlite3.Connection,
    case_id: str,
    utc_ms: int,
    user: str,
    kind: str,
    target: int | None,
    title: str,
    changes: bytes,
) -> int:
    """Append one row of history and return its number."""
    last = conn.execute("SELECT seq FROM sqlite_sequence WHERE name = 'corrections'").fetchone()
    seq = (last[0] if last else 0) + 1
    values = (seq, case_id, utc_ms, user, kind, target, title, changes)
    insert(conn, "corrections", _CORRECTION, values)
    return seq


def read_correction(
    conn: sqlite3.Connection, seq: int
) -> tuple[int, str, int, str, str, int | None, str, bytes]:
    """The row (seq, case_id, utc_ms, user, kind, target, title, changes).

    Raises:
        BadInput: the row is missing or damaged.
    """
    row = conn.execute(
        f"SELECT {_CORRECTION}, row_sha FROM corrections WHERE seq = ?",  # noqa: S608
        (seq,),
    ).fetchone()
    if row is None or digest(*row[:-1]) != row[-1]:
        raise _damaged(f"Correction {seq}")
    out: tuple[int, str, int, str, str, int | None, str, bytes] = row[:-1]
    return out


def _damaged(what: str) -> BadInput:
    return BadInput(
        f"{what} is damaged on the disk; “trocar verify” lists what is, and “trocar restore” "
        "brings back a backup."
    )


def _from_history(conn: sqlite3.Connection, seq: int, object_id: str, what: str) -> State:
    changes: Iterable[Change] = ()
    try:
        changes = decode_changes(read_correction(conn, seq)[-1])
    except BadInput as error:
        raise _damaged(what) from error
    for change in changes:
        if change.object_id == object_id and change.after is not None:
            log.info("%s was damaged and was read from correction %d", what, seq)
            return change.after
    raise _damaged(what)


# Annotations


def read_annotations(
    conn: sqlite3.Connection, where: str, values: tuple[object, ...], *, heal: bool = True
) -> Iterator[Annotation]:
    """Annotations in order of frame. ``where`` is one of this room's own conditions.

    Raises:
        BadInput: a row and its copy in the history are damaged (or the row, unless ``heal``).
    """
    for *row, sha in conn.execute(
        f"SELECT {_ANNOTATION}, row_sha FROM annotations WHERE {where} "  # noqa: S608
        "ORDER BY asset_id, pts, stream, seq, annotation_id",
        values,
    ):
        if digest(*row) == sha:
            yield _annotation(row)
            continue
        what = f"An annotation of case {row[1]} at pts {row[4]}"
        if not heal:
            raise _damaged(what)
        state = _from_history(conn, row[-1], row[0], what)
        if isinstance(state, Annotation):
            yield state


def _annotation(row: list[object]) -> Annotation:
    id_, _, asset, stream, pts, label, verdict, run, instance, track, mask, _ = row
    return Annotation(
        annotation_id=str(id_),
        frame=FrameIdentity(asset_id=str(asset), stream=_int(stream), pts=_int(pts)),
        label=str(label),
        mask=Mask.from_bytes(mask if isinstance(mask, bytes) else b""),
        verdict=Verdict(str(verdict)),
        source=None if run is None else PredictionRef(run_id=_int(run), instance=_int(instance)),
        track=None if track is None else _int(track),
    )


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"expected a whole number in the row, got {value!r}")
    return value


def write_annotation(conn: sqlite3.Connection, case_id: str, state: Annotation, seq: int) -> None:
    """Store a new state of an annotation."""
    source, frame = state.source, state.frame
    values = (
        state.annotation_id,
        case_id,
        frame.asset_id,
        frame.stream,
        frame.pts,
        state.label,
        state.verdict.value,
        source and source.run_id,
        source and source.instance,
        state.track,
        state.mask.to_bytes(),
        seq,
    )
    insert(conn, "annotations", _ANNOTATION, values)


# Reviewed frames


def read_reviews(
    conn: sqlite3.Connection, where: str, values: tuple[object, ...], *, heal: bool = True
) -> Iterator[FrameReview]:
    """Reviewed frames in order."""
    for *row, sha in conn.execute(
        f"SELECT {_REVIEW}, row_sha FROM reviews WHERE {where} ORDER BY asset_id, pts",  # noqa: S608
        values,
    ):
        state: State = FrameReview(frame=FrameIdentity(asset_id=row[2], stream=row[3], pts=row[4]))
        if digest(*row) != sha:
            what = f"A reviewed frame of case {row[1]}"
            if not heal:
                raise _damaged(what)
            state = _from_history(conn, row[-1], row[0], what)
        if isinstance(state, FrameReview):
            yield state


def write_review(
    conn: sqlite3.Connection, case_id: str, id_: str, state: FrameReview, seq: int
) -> None:
    """Store that a frame was reviewed."""
    f = state.frame
    insert(conn, "reviews", _REVIEW, (id_, case_id, f.asset_id, f.stream, f.pts, seq))


# Human timelines


def read_timeline(
    conn: sqlite3.Connection, asset_id: str, *, heal: bool = True
) -> HumanTimeline | None:
    """The human tier of an asset, None where nobody made one."""
    row = conn.execute(
        f"SELECT {_TIMELINE}, row_sha FROM timelines WHERE asset_id = ?",  # noqa: S608
        (asset_id,),
    ).fetchone()
    if row is None:
        return None
    parts = conn.execute(
        f"SELECT {_SEGMENT}, row_sha FROM segments WHERE asset_id = ? ORDER BY position",  # noqa: S608
        (asset_id,),
    ).fetchall()
    intact = digest(*row[:-1]) == row[-1] and len(parts) == row[4]
    if intact and all(digest(*p[:-1]) == p[-1] for p in parts):
        segments = tuple(Segment(start_pts=p[2], end_pts=p[3], phase=p[4]) for p in parts)
        line = Timeline(start_pts=row[2], end_pts=row[3], segments=segments)
        return HumanTimeline(asset_id=asset_id, timeline=line)
    what = f"A phase timeline of case {row[1]}"
    if not heal:
        raise _damaged(what)
    state = _from_history(conn, row[5], f"timeline:{asset_id}", what)
    return state if isinstance(state, HumanTimeline) else None


def write_timeline(conn: sqlite3.Connection, case_id: str, state: HumanTimeline, seq: int) -> None:
    """Store a human tier whole."""
    line = state.timeline
    head = (state.asset_id, case_id, line.start_pts, line.end_pts, len(line.segments), seq)
    insert(conn, "timelines", _TIMELINE, head)
    for i, s in enumerate(line.segments):
        insert(conn, "segments", _SEGMENT, (state.asset_id, i, s.start_pts, s.end_pts, s.phase))
