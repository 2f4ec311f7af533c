"""What models foresee as rows of a prediction file: one per looked-at frame.

Rows carry a SHA-256 like all others; a damaged one counts as missing. Numbers are kept in single
precision. Called by the prediction store alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from app.core.foreseen import Foreseen
from app.store.states import digest

TABLE = """
CREATE TABLE IF NOT EXISTS foreseen (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    pts INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,
    next_probabilities BLOB NOT NULL,
    minutes_to BLOB NOT NULL,
    minutes_left BLOB NOT NULL,
    row_sha BLOB NOT NULL,
    UNIQUE (run_id, pts)
) STRICT
"""
IS_THERE = "SELECT 1 FROM sqlite_schema WHERE name = 'foreseen'"
OF_RUN = (
    "SELECT pts, frame_index, next_probabilities, minutes_to, minutes_left, row_sha "
    "FROM foreseen WHERE run_id = ? ORDER BY pts"
)
Row = tuple[int, int, bytes, bytes, bytes, bytes]


def put(conn: sqlite3.Connection, run_id: int, classes: int, rows: Sequence[Foreseen]) -> None:
    """Write what a run of so many classes foresees; what is there already is replaced.

    Raises:
        ValueError: a row speaks of another number of classes.
    """
    values = []
    for row in rows:
        if len(row.next_probabilities) != classes + 1:
            raise ValueError(
                f"put_foreseen: expected {classes + 1} probabilities of what follows, got "
                f"{len(row.next_probabilities)}"
            )
        blobs = [
            np.asarray(numbers, "<f4").tobytes()
            for numbers in (row.next_probabilities, row.minutes_to, row.minutes_left)
        ]
        sha = digest(run_id, row.pts, row.index, *blobs)
        values.append((run_id, row.pts, row.index, *blobs, sha))
    conn.executemany("INSERT OR REPLACE INTO foreseen VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def decoded(run_id: int, rows: Iterable[Row]) -> Iterator[tuple[int, Foreseen | None]]:
    """Rows of ``OF_RUN`` as pts and what was foreseen, None where the row is damaged."""
    for pts, index, *blobs, sha in rows:
        if digest(run_id, pts, index, *blobs) != sha:
            yield pts, None
            continue
        following, to, left = (np.frombuffer(b, "<f4").tolist() for b in blobs)
        yield (
            pts,
            Foreseen(
                pts=pts,
                index=index,
                next_probabilities=tuple(following),
                minutes_to=tuple(to),
                minutes_left=(left[0], left[1], left[2]),
            ),
        )
