"""Vectors as rows of a prediction file: one in half precision per looked-at frame and kind.

Features are what a network of frame features reads, and what a moment is found again by; tools are
the probabilities that each of a run's tools is in the picture. Rows carry a SHA-256 like all
others; a damaged one counts as missing. Called by the prediction store alone.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.store.states import digest

log = logging.getLogger(__name__)


class Kind(StrEnum):
    """What the vectors are; also the name of their table."""

    FEATURES = "features"
    TOOLS = "tools"

    @property
    def table(self) -> str:
        """The statement that makes the table where it is missing."""
        return (
            f"CREATE TABLE IF NOT EXISTS {self} ("
            "run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE, "
            "pts INTEGER NOT NULL, vector BLOB NOT NULL, row_sha BLOB NOT NULL, "
            "UNIQUE (run_id, pts)) STRICT"
        )

    @property
    def is_there(self) -> str:
        """The statement that finds the table; a file that is only read may not have it."""
        return f"SELECT 1 FROM sqlite_schema WHERE name = '{self}'"  # noqa: S608

    @property
    def of_run(self) -> str:
        """The statement that reads a run's rows in order of time."""
        return f"SELECT pts, vector, row_sha FROM {self} WHERE run_id = ? ORDER BY pts"  # noqa: S608


def put(
    conn: sqlite3.Connection,
    kind: Kind,
    run_id: int,
    vectors: Sequence[tuple[int, NDArray[np.float16]]],
) -> None:
    """Write (pts, float16 (C,)) of a run; what is there already is replaced."""
    rows = []
    for pts, vector in vectors:
        blob = np.ascontiguousarray(vector, "<f2").tobytes()
        rows.append((run_id, pts, blob, digest(run_id, pts, blob)))
    conn.executemany(f"INSERT OR REPLACE INTO {kind} VALUES (?, ?, ?, ?)", rows)  # noqa: S608


def decoded(
    kind: Kind, run_id: int, rows: Iterable[tuple[int, bytes, bytes]]
) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Rows of ``of_run`` as pts (T,) and vectors (T, C); damaged ones are left out."""
    pts, vectors = [], []
    for at, blob, sha in rows:
        if digest(run_id, at, blob) != sha:
            log.info("stored %s of run %d at pts %d are damaged", kind, run_id, at)
            continue
        pts.append(at)
        vectors.append(np.frombuffer(blob, "<f2"))
    found = np.stack(vectors) if vectors else np.zeros((0, 0), np.float16)
    return np.array(pts, np.int64), found
