"""Rows of human work as it stands now: outlines, reviewed frames, bookmarks, timelines. Any thread.

A row that does not match its hash is read from the correction that wrote it, which is a second
copy with a hash of its own.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator

from app.core.correction import (
    Annotation,
    Bookmark,
    Change,
    FrameReview,
    HumanTimeline,
    PredictionRef,
    State,
    Verdict,
)
from app.core.errors import BadInput
from app.core.frame import FrameIdentity
from app.core.mask import Mask
from app.core.timeline import Segment, Timeline
from app.store import rows
from app.store.states import decode_changes, digest

log = logging.getLogger(__name__)

_ANNOTATION = (
    "annotation_id, case_id, asset_id, stream, pts, label, verdict, source_run, source_instance, "
    "track, mask, seq"
)
_REVIEW = "object_id, case_id, asset_id, stream, pts, seq"
_BOOKMARK = "object_id, case_id, asset_id, stream, pts, note, seq"
_TIMELINE = "asset_id, case_id, start_pts, end_pts, segments, seq"
_SEGMENT = "asset_id, position, start_pts, end_pts, phase"


def _from_history(conn: sqlite3.Connection, seq: int, object_id: str, what: str) -> State:
    changes: Iterable[Change] = ()
    try:
        changes = decode_changes(rows.read_correction(conn, seq)[-1])
    except BadInput as error:
        raise rows.damaged(what) from error
    for change in changes:
        if change.object_id == object_id and change.after is not None:
            log.info("%s was damaged and was read from correction %d", what, seq)
            return change.after
    raise rows.damaged(what)


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
            raise rows.damaged(what)
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


def highest_run_named(conn: sqlite3.Connection, case_id: str) -> int:
    """The highest number of a run that a case's annotations answer, 0 where they answer none."""
    found = conn.execute(
        "SELECT coalesce(max(source_run), 0) FROM annotations WHERE case_id = ?", (case_id,)
    )
    return int(found.fetchone()[0])


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
    rows.insert(conn, "annotations", _ANNOTATION, values)


def count_worked(conn: sqlite3.Connection) -> dict[str, int]:
    """Frames with annotations or a review, by asset."""
    frames = "SELECT asset_id, stream, pts FROM annotations UNION SELECT asset_id, stream, pts"
    query = f"SELECT asset_id, COUNT(*) FROM ({frames} FROM reviews) GROUP BY asset_id"  # noqa: S608
    return dict(conn.execute(query).fetchall())


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
                raise rows.damaged(what)
            state = _from_history(conn, row[-1], row[0], what)
        if isinstance(state, FrameReview):
            yield state


def write_review(
    conn: sqlite3.Connection, case_id: str, id_: str, state: FrameReview, seq: int
) -> None:
    """Store that a frame was reviewed."""
    f = state.frame
    rows.insert(conn, "reviews", _REVIEW, (id_, case_id, f.asset_id, f.stream, f.pts, seq))


def read_bookmarks(
    conn: sqlite3.Connection, where: str, values: tuple[object, ...], *, heal: bool = True
) -> Iterator[Bookmark]:
    """Bookmarks in order."""
    for *row, sha in conn.execute(
        f"SELECT {_BOOKMARK}, row_sha FROM bookmarks WHERE {where} "  # noqa: S608
        "ORDER BY asset_id, pts",
        values,
    ):
        frame = FrameIdentity(asset_id=row[2], stream=row[3], pts=row[4])
        state: State = Bookmark(frame=frame, note=row[5])
        if digest(*row) != sha:
            what = f"A bookmark of case {row[1]}"
            if not heal:
                raise rows.damaged(what)
            state = _from_history(conn, row[-1], row[0], what)
        if isinstance(state, Bookmark):
            yield state


def write_bookmark(
    conn: sqlite3.Connection, case_id: str, id_: str, state: Bookmark, seq: int
) -> None:
    """Store a bookmark."""
    f = state.frame
    values = (id_, case_id, f.asset_id, f.stream, f.pts, state.note, seq)
    rows.insert(conn, "bookmarks", _BOOKMARK, values)


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
        raise rows.damaged(what)
    state = _from_history(conn, row[5], f"timeline:{asset_id}", what)
    return state if isinstance(state, HumanTimeline) else None


def write_timeline(conn: sqlite3.Connection, case_id: str, state: HumanTimeline, seq: int) -> None:
    """Store a human tier whole."""
    line = state.timeline
    head = (state.asset_id, case_id, line.start_pts, line.end_pts, len(line.segments), seq)
    rows.insert(conn, "timelines", _TIMELINE, head)
    for i, s in enumerate(line.segments):
        rows.insert(
            conn, "segments", _SEGMENT, (state.asset_id, i, s.start_pts, s.end_pts, s.phase)
        )
