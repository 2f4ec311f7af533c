"""Rows of cases, recordings and history, and the hash that every row carries. Any thread.

SQLite does not notice when the content of a page changes (measured: 11 of 200 damaged pages);
therefore every row is stored with the SHA-256 of its content.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from app.core.case import Asset, Case, CaseState, Part
from app.core.correction import (
    CaseFields,
)
from app.core.errors import BadInput, Refused
from app.store.states import digest

log = logging.getLogger(__name__)

_CASE = "case_id, uid, title, procedure, state, created_utc_ms"
_CORRECTION = "seq, case_id, utc_ms, user, kind, target, title, changes"


def insert(conn: sqlite3.Connection, table: str, columns: str, values: tuple[object, ...]) -> None:
    """Insert a row with its hash. Table and columns come from this room's own constants."""
    marks = "?," * len(values)
    conn.execute(
        f"INSERT INTO {table} ({columns}, row_sha) VALUES ({marks} ?)",  # noqa: S608
        (*values, digest(*values)),
    )


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
    fields = asdict(asset)
    del fields["asset_id"]
    return json.dumps(fields, default=str, sort_keys=True)


def _part(values: dict[str, Any]) -> Part:
    return Part(**{**values, "time_base": Fraction(values["time_base"])})


def read_assets(conn: sqlite3.Connection, case_id: str) -> tuple[Asset, ...]:
    """A case's recordings in order."""
    out = []
    for asset_id, owner, position, fields, sha in conn.execute(
        "SELECT asset_id, case_id, position, fields, row_sha FROM assets WHERE case_id = ? "
        "ORDER BY position",
        (case_id,),
    ):
        if digest(asset_id, owner, position, fields) != sha:
            raise damaged(f"The entry of a recording of case {case_id}")
        values = json.loads(fields)
        values["time_base"] = Fraction(values["time_base"])
        values["parts"] = tuple(_part(p) for p in values.get("parts", ()))
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
        raise damaged(f"The entry of case {case_id}")
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


def intact_cases(conn: sqlite3.Connection) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """The cases whose entries are intact, oldest first, and a sentence for each that is not."""
    intact, damages = [], []
    for case_id in case_ids(conn):
        try:
            intact.append(read_case(conn, case_id))
        except BadInput as error:
            damages.append(error.user_message)
    return tuple(intact), tuple(damages)


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
        raise damaged(f"Correction {seq}")
    out: tuple[int, str, int, str, str, int | None, str, bytes] = row[:-1]
    return out


def damaged(what: str) -> BadInput:
    """What to raise for a row that does not match its hash."""
    return BadInput(
        f"{what} is damaged on the disk; “trocar verify” lists what is, and “trocar restore” "
        "brings back a backup."
    )
