"""Frame features as rows of a prediction file: one vector in half precision per looked-at frame.

What a network of frame features reads, and what a moment is found again by. Rows carry a SHA-256
like all others; a damaged one counts as missing. Called by the prediction store alone.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.store.states import digest

log = logging.getLogger(__name__)

TABLE = """
CREATE TABLE IF NOT EXISTS features (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    pts INTEGER NOT NULL,
    vector BLOB NOT NULL,
    row_sha BLOB NOT NULL,
    UNIQUE (run_id, pts)
) STRICT
"""
IS_THERE = "SELECT 1 FROM sqlite_schema WHERE name = 'features'"
OF_RUN = "SELECT pts, vector, row_sha FROM features WHERE run_id = ? ORDER BY pts"


def put(
    conn: sqlite3.Connection, run_id: int, vectors: Sequence[tuple[int, NDArray[np.float16]]]
) -> None:
    """Write (pts, float16 (C,)) of a run; what is there already is replaced."""
    rows = []
    for pts, vector in vectors:
        blob = np.ascontiguousarray(vector, "<f2").tobytes()
        rows.append((run_id, pts, blob, digest(run_id, pts, blob)))
    conn.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?)", rows)


def decoded(
    run_id: int, rows: Iterable[tuple[int, bytes, bytes]]
) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Rows of ``OF_RUN`` as pts (T,) and vectors (T, C); damaged ones are left out."""
    pts, vectors = [], []
    for at, blob, sha in rows:
        if digest(run_id, at, blob) != sha:
            log.info("stored features of run %d at pts %d are damaged", run_id, at)
            continue
        pts.append(at)
        vectors.append(np.frombuffer(blob, "<f2"))
    found = np.stack(vectors) if vectors else np.zeros((0, 0), np.float16)
    return np.array(pts, np.int64), found
