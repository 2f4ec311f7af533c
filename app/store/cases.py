"""Making, changing and erasing cases. Runs on the store thread in its transaction."""

from __future__ import annotations

import sqlite3
import uuid

from app.core import validate
from app.core.case import Asset, Case, CaseState, Part
from app.core.correction import CaseFields
from app.core.errors import BadInput
from app.store import audit, rows
from app.store.states import digest

DELETED = "delete case"


def create(
    conn: sqlite3.Connection,
    clock: audit.Clock,
    title: str,
    procedure: str,
    assets: tuple[Asset, ...],
) -> Case:
    """Store a new case."""
    validate.not_empty("Case.title", title)
    case = Case(
        case_id=rows.next_case_id(conn),
        title=title,
        procedure=procedure,
        created_utc_ms=clock(),
        assets=assets,
    )
    uid = uuid.uuid4().hex
    rows.insert_case(conn, case, uid)
    audit.append(
        conn, clock, "create case", f"case {case.case_id} {uid}", after=digest(title, procedure)
    )
    return case


def update_asset(conn: sqlite3.Connection, clock: audit.Clock, asset: Asset) -> None:
    """Store what is new about a known recording."""
    row = conn.execute(
        "SELECT case_id, position, fields FROM assets WHERE asset_id = ?", (asset.asset_id,)
    ).fetchone()
    if row is None:
        raise BadInput("That recording is no longer in this library; nothing was changed.")
    case_id, position, before = row
    rows.insert_asset(conn, case_id, position, asset)
    (after,) = conn.execute(
        "SELECT fields FROM assets WHERE asset_id = ?", (asset.asset_id,)
    ).fetchone()
    audit.append(
        conn,
        clock,
        "update asset",
        f"case {case_id} asset {asset.asset_id}",
        before=digest(before),
        after=digest(after),
    )


def replace_file(
    conn: sqlite3.Connection, clock: audit.Clock, asset_id: str, before: Part, after: Part
) -> bool:
    """Store where a file of a recording lies, or what became known of it; False: nothing to do.

    ``before`` says which file is meant: one that lies elsewhere by now is left alone.
    """
    row = conn.execute("SELECT case_id FROM assets WHERE asset_id = ?", (asset_id,)).fetchone()
    for asset in rows.read_assets(conn, row[0]) if row else ():
        for position, present in enumerate(asset.files if asset.asset_id == asset_id else ()):
            meant = (present.path, present.quick_hash) == (before.path, before.quick_hash)
            if meant and present != after:
                update_asset(conn, clock, asset.with_file(position, after))
                return True
    return False


def set_state(conn: sqlite3.Connection, clock: audit.Clock, case_id: str, state: CaseState) -> None:
    """Store where the work on a case stands."""
    case = rows.read_case(conn, case_id)
    if case.state == state:
        return
    fields = CaseFields(title=case.title, procedure=case.procedure, state=state.value)
    rows.write_case_fields(conn, case_id, fields)
    audit.append(
        conn,
        clock,
        "set state",
        f"case {case_id}",
        before=digest(case.state.value),
        after=digest(state.value),
    )


def erase(conn: sqlite3.Connection, clock: audit.Clock, case_id: str) -> str:
    """Delete every row of a case and leave a tombstone in the audit log. Returns the case's uid.

    The row in ``erasing`` stays until its files are gone too.
    """
    row = conn.execute("SELECT uid FROM cases WHERE case_id = ?", (case_id,)).fetchone()
    if row is None:
        raise BadInput(f"There is no case {case_id} in this library; “trocar cases” lists them.")
    conn.execute("INSERT INTO erasing VALUES (?, ?)", (case_id, row[0]))
    for statement in (
        "DELETE FROM label_files WHERE case_id = ?",
        "DELETE FROM fragments WHERE asset_id IN (SELECT asset_id FROM assets WHERE case_id = ?)",
        "DELETE FROM recordings WHERE case_id = ?",
        "DELETE FROM segments WHERE asset_id IN (SELECT asset_id FROM assets WHERE case_id = ?)",
        "DELETE FROM timelines WHERE case_id = ?",
        "DELETE FROM reviews WHERE case_id = ?",
        "DELETE FROM bookmarks WHERE case_id = ?",
        "DELETE FROM annotations WHERE case_id = ?",
        "DELETE FROM steps WHERE case_id = ?",
        "DELETE FROM corrections WHERE case_id = ?",
        "DELETE FROM assets WHERE case_id = ?",
        "DELETE FROM cases WHERE case_id = ?",
    ):
        conn.execute(statement, (case_id,))
    audit.append(conn, clock, DELETED, f"case {case_id} {row[0]}")
    return str(row[0])


def tombstones(conn: sqlite3.Connection) -> dict[str, str]:
    """What the audit log names as deleted, by the uid of each case that ever was."""
    found = conn.execute("SELECT object FROM audit WHERE action = ?", (DELETED,))
    return {str(r[0]).rsplit(" ", 1)[-1]: str(r[0]) for r in found}
