"""Rows of recordings that Trocar makes, and of what of them is safely on the disk.

Written on the store thread in its transaction, read on any thread.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, replace

from app.core.case import Asset, Case
from app.core.recording import Fragment, Gap, Raster, Recording, RecordingStage
from app.store import audit, cases, rows
from app.store.states import digest

log = logging.getLogger(__name__)

_RECORDING = "asset_id, case_id, fields"
_FRAGMENT = "asset_id, position, first_pts, last_pts, first_byte, end_byte, frames"


def begin(
    conn: sqlite3.Connection,
    clock: audit.Clock,
    recording: Recording,
    asset: Asset,
    title: str,
    procedure: str,
) -> Case:
    """The case of a recording that begins: a new one, or one that gets another recording."""
    case_id = recording.case_id
    if case_id:
        position = len(rows.read_case(conn, case_id).assets)
        rows.insert_asset(conn, case_id, position, asset)
    else:
        case_id = cases.create(conn, clock, title, procedure, (asset,)).case_id
    put(conn, clock, replace(recording, case_id=case_id))
    return rows.read_case(conn, case_id)


def put(conn: sqlite3.Connection, clock: audit.Clock, recording: Recording) -> None:
    """Store a new state of a recording."""
    fields = json.dumps(
        {k: v for k, v in asdict(recording).items() if k not in ("asset_id", "case_id")},
        sort_keys=True,
    )
    values = (recording.asset_id, recording.case_id, fields)
    before = conn.execute(
        "SELECT fields FROM recordings WHERE asset_id = ?", (recording.asset_id,)
    ).fetchone()
    conn.execute(
        f"INSERT INTO recordings ({_RECORDING}, row_sha) VALUES (?, ?, ?, ?) "  # noqa: S608
        "ON CONFLICT (asset_id) DO UPDATE SET fields = excluded.fields, row_sha = excluded.row_sha",
        (*values, digest(*values)),
    )
    if recording.stage is RecordingStage.FINAL:
        # The file that they describe has no use any more.
        conn.execute("DELETE FROM fragments WHERE asset_id = ?", (recording.asset_id,))
    audit.append(
        conn,
        clock,
        f"recording {recording.stage.value}",
        f"case {recording.case_id} asset {recording.asset_id}",
        before=b"" if before is None else digest(before[0]),
        after=digest(fields),
    )


def put_fragment(conn: sqlite3.Connection, asset_id: str, fragment: Fragment) -> None:
    """Store that a stretch of a recording is on the disk."""
    values = tuple(asdict(fragment).values())
    rows.insert(conn, "fragments", _FRAGMENT, (asset_id, *values))


def read(
    conn: sqlite3.Connection, case_id: str | None = None, *, intact_only: bool = False
) -> Iterator[Recording]:
    """Recordings of a case, or of all, oldest first.

    Raises:
        BadInput: a row is damaged, and not only the intact ones are asked for.
    """
    for asset_id, owner, fields, sha in conn.execute(
        f"SELECT {_RECORDING}, row_sha FROM recordings "  # noqa: S608
        "WHERE case_id = coalesce(?, case_id) ORDER BY rowid",
        (case_id,),
    ):
        if digest(asset_id, owner, fields) != sha:
            problem = rows.damaged(f"The entry of a live recording of case {owner}")
            if not intact_only:
                raise problem
            log.info("%s", problem.user_message)
            continue
        values = json.loads(fields)
        values["stage"] = RecordingStage(values["stage"])
        values["gaps"] = tuple(Gap(**gap) for gap in values["gaps"])
        values["rasters"] = tuple(Raster(**raster) for raster in values["rasters"])
        yield Recording(asset_id=asset_id, case_id=owner, **values)


def read_fragments(conn: sqlite3.Connection, asset_id: str) -> Iterator[Fragment]:
    """What of a recording is on the disk, in order.

    Raises:
        BadInput: a row is damaged.
    """
    for *row, sha in conn.execute(
        f"SELECT {_FRAGMENT}, row_sha FROM fragments "  # noqa: S608
        "WHERE asset_id = ? ORDER BY position",
        (asset_id,),
    ):
        if digest(*row) != sha:
            raise rows.damaged("The entry of a part of a live recording")
        yield Fragment(**dict(zip(_FRAGMENT.split(", ")[1:], row[1:], strict=True)))
