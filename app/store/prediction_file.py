"""The file of one case's predictions: its tables, how it is opened, how a frame becomes bytes.

It can be computed again, therefore it is not in backups and a damaged one is put aside.
"""

from __future__ import annotations

import logging
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from math import isnan, nan
from pathlib import Path

import numpy as np

from app.core.errors import BadInput, Refused
from app.core.mask import Mask
from app.core.prediction import Instance
from app.store import db, foreseen, schema, vectors

log = logging.getLogger(__name__)

APPLICATION_ID = 0x54524F50
VERSION = 1
_TABLES = """
CREATE TABLE about (uid TEXT NOT NULL) STRICT;
CREATE TABLE runs (
    run_id INTEGER PRIMARY KEY AUTOINCREMENT,
    asset_id TEXT NOT NULL,
    start_pts INTEGER NOT NULL,
    time_base TEXT NOT NULL,
    model TEXT NOT NULL,
    task TEXT NOT NULL,
    weights_sha256 TEXT NOT NULL,
    classes TEXT NOT NULL,
    settings TEXT NOT NULL,
    sample_every INTEGER NOT NULL,
    frames_expected INTEGER NOT NULL,
    finished INTEGER NOT NULL
) STRICT;
CREATE TABLE frames (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    pts INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,
    computed_ms REAL NOT NULL,
    labels BLOB NOT NULL,
    payload BLOB NOT NULL,
    row_sha BLOB NOT NULL,
    UNIQUE (run_id, pts)
) STRICT;
CREATE TABLE phases (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    pts INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,
    probabilities BLOB NOT NULL,
    row_sha BLOB NOT NULL,
    UNIQUE (run_id, pts)
) STRICT;
CREATE TABLE states (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    pts INTEGER NOT NULL,
    snapshot BLOB NOT NULL,
    row_sha BLOB NOT NULL,
    UNIQUE (run_id, pts)
) STRICT;
CREATE TABLE presence (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    second INTEGER NOT NULL,
    looked_at INTEGER NOT NULL,
    present BLOB NOT NULL,
    UNIQUE (run_id, second)
) STRICT;
"""
_INSTANCE = struct.Struct("<HdiI")
_NO_TRACK = -1


def open_for_writing(path: Path, uid: str, runs_named: Callable[[], int]) -> sqlite3.Connection:
    """The one connection that writes the file; made anew where it is missing or cannot be read.

    Args:
        path: of the file.
        uid: the case's own id for life.
        runs_named: highest number of a run that human work of the case names; the runs of a new
            file begin above it, so that no answer to a lost run is taken for one to a new run.

    Raises:
        Refused: a newer Trocar wrote it.
        EnvironmentProblem: the disk is full or may not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _connect(path, uid, runs_named)
    except BadInput as error:
        log.info("stored predictions cannot be read and are computed anew: %s", error.detail)
        put_aside(path)
        return _connect(path, uid, runs_named)


def put_aside(path: Path) -> None:
    """Keep a file that nobody has open under another name, in the place of an earlier one."""
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(path.with_name(f"{path.name}.damaged{suffix}"))


def _connect(path: Path, uid: str, runs_named: Callable[[], int]) -> sqlite3.Connection:
    conn = None
    try:
        conn = db.connect_writer(path, synchronous="NORMAL")
        if conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            _make_tables(conn, uid, runs_named())
        if not belongs_to(conn, path, uid):
            raise BadInput("The stored predictions belong to another case.", "another case's file")
        # Files of before these were kept do without them, and so does an older Trocar.
        for kind in vectors.Kind:
            conn.execute(kind.table)
        conn.execute(foreseen.TABLE)
    except sqlite3.Error as error:
        if conn is not None:
            conn.close()
        raise db.as_trocar_error(error) from error
    except (BadInput, Refused):
        if conn is not None:
            conn.close()
        raise
    return conn


def belongs_to(conn: sqlite3.Connection, path: Path, uid: str) -> bool:
    """Whether the predictions are of the case of this uid.

    Raises:
        BadInput: the file is not one of predictions.
        Refused: a newer Trocar wrote it.
    """
    schema.check_identity(conn, path, application_id=APPLICATION_ID, newest=VERSION)
    return bool(conn.execute("SELECT uid FROM about").fetchone() == (uid,))


def _make_tables(conn: sqlite3.Connection, uid: str, runs_named: int) -> None:
    conn.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            conn.execute(statement)
    conn.execute("INSERT INTO about VALUES (?)", (uid,))
    conn.execute("INSERT INTO sqlite_sequence VALUES ('runs', ?)", (runs_named,))
    conn.execute(f"PRAGMA application_id={APPLICATION_ID}")
    conn.execute(f"PRAGMA user_version={VERSION}")
    conn.execute("COMMIT")


def encode_instances(instances: Sequence[Instance], place: dict[str, int]) -> tuple[bytes, bytes]:
    """The classes of a frame (uint16 each, once), and all its instances."""
    parts, labels = [], set()
    for instance in instances:
        if instance.label not in place:
            raise ValueError(f"put_frames: {instance.label} is not a class of the run")
        label = place[instance.label]
        labels.add(label)
        mask = instance.mask.to_bytes()
        score = nan if instance.score is None else instance.score
        track = _NO_TRACK if instance.track is None else instance.track
        parts.append(_INSTANCE.pack(label, score, track, len(mask)) + mask)
    return np.array(sorted(labels), "<u2").tobytes(), b"".join(parts)


def decode_instances(payload: bytes, classes: Sequence[str]) -> tuple[Instance, ...]:
    """The inverse of ``encode_instances``."""
    out, at = [], 0
    while at < len(payload):
        label, score, track, size = _INSTANCE.unpack_from(payload, at)
        at += _INSTANCE.size
        out.append(
            Instance(
                label=classes[label],
                mask=Mask.from_bytes(payload[at : at + size]),
                score=None if isnan(score) else score,
                track=None if track == _NO_TRACK else track,
            )
        )
        at += size
    return tuple(out)


def decode_track(
    payload: bytes, classes: Sequence[str], track: int
) -> Iterator[tuple[int, Instance]]:
    """(place in the frame, instance) of one object; masks of others are not unpacked."""
    at = place = 0
    while at < len(payload):
        _, _, found, size = _INSTANCE.unpack_from(payload, at)
        end = at + _INSTANCE.size + size
        if found == track:
            yield place, decode_instances(payload[at:end], classes)[0]
        at, place = end, place + 1
