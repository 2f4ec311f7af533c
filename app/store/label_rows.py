"""Rows of label files that cases were imported from, and the import itself.

Written on the store thread in its transaction, read on any thread.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
import zlib
from collections.abc import Iterator, Sequence

from app.core.case import Asset, Case
from app.core.correction import Change, Correction, HumanTimeline
from app.core.labels import LabelFile, LabelledCase
from app.store import audit, cases, corrections, rows
from app.store.states import digest

_FILE = "case_id, position, layout, name, sha256, numbers, content"


def make(conn: sqlite3.Connection, clock: audit.Clock, labelled: LabelledCase, title: str) -> Case:
    """A case of labels alone: an asset without a recording, its phases as the human tier."""
    assets: tuple[Asset, ...] = ()
    if labelled.length:
        assets = (
            Asset(
                asset_id=uuid.uuid4().hex,
                path="",
                quick_hash="",
                stream=0,
                time_base=labelled.time_base,
                start_pts=0,
                end_pts=labelled.length,
                frames=labelled.length,
                width_px=0,
                height_px=0,
                codec="",
            ),
        )
    case = cases.create(conn, clock, title, labelled.procedure, assets)
    put(conn, clock, case.case_id, labelled.files)
    if assets and labelled.phases is not None:
        after = HumanTimeline(asset_id=assets[0].asset_id, timeline=labelled.phases)
        change = Change(object_id=f"timeline:{after.asset_id}", before=None, after=after)
        done = Correction(case_id=case.case_id, title="Import the phases", changes=(change,))
        corrections.commit(conn, clock, done)
    return rows.read_case(conn, case.case_id)


def put(
    conn: sqlite3.Connection, clock: audit.Clock, case_id: str, files: Sequence[LabelFile]
) -> None:
    """Keep the files that a case has labels of, after those that it has."""
    (count,) = conn.execute(
        "SELECT count(*) FROM label_files WHERE case_id = ?", (case_id,)
    ).fetchone()
    for position, file in enumerate(files, count):
        packed = zlib.compress(file.content, 6)
        numbers = json.dumps(file.numbers)
        values = (case_id, position, file.layout, file.name, file.sha256, numbers, packed)
        rows.insert(conn, "label_files", _FILE, values)
    names = digest(*(f.sha256 for f in files))
    audit.append(conn, clock, "import labels", f"case {case_id}", after=names)


def read(conn: sqlite3.Connection, case_id: str) -> Iterator[LabelFile]:
    """A case's label files in order.

    Raises:
        BadInput: a row is damaged.
    """
    for *values, sha in conn.execute(
        f"SELECT {_FILE}, row_sha FROM label_files WHERE case_id = ? "  # noqa: S608
        "ORDER BY position",
        (case_id,),
    ):
        if digest(*values) != sha:
            raise rows.damaged(f"A label file of case {case_id}")
        _, _, layout, name, whole_sha, numbers, packed = values
        yield LabelFile(
            layout=layout,
            name=name,
            sha256=whole_sha,
            content=zlib.decompress(packed),
            numbers=tuple(json.loads(numbers)),
        )


def case_of(conn: sqlite3.Connection, file: LabelFile) -> str | None:
    """The case that has these lines of this file already."""
    row = conn.execute(
        "SELECT case_id FROM label_files WHERE sha256 = ? AND numbers = ? AND layout = ?",
        (file.sha256, json.dumps(file.numbers), file.layout),
    ).fetchone()
    return None if row is None else str(row[0])
