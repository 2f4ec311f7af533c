"""The audit log: who changed what, append-only and chained by hash.

Rows are written on the store thread in the transaction of the change itself. The head of the chain
is copied to ``audit-head.json`` beside the library, so that a log cut short shows. Somebody with
access to both files can still rewrite them: the chain detects, it does not prevent.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import sqlite3
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from app.store import files
from app.store.states import canonical

GENESIS = "0" * 64
_COLUMNS = "seq, utc_ms, monotonic_ms, boot_id, user, action, object, before_sha, after_sha, prev"

Clock = Callable[[], int]


def utc_now_ms() -> int:
    """The wall clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@cache
def user_name() -> str:
    """The operating system's name of who runs this."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


@cache
def _boot_id() -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(psutil.boot_time())))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One row of the log; hashes are hexadecimal SHA-256 or empty."""

    seq: int
    utc_ms: int
    monotonic_ms: int
    boot_id: str
    user: str
    action: str
    object: str
    before_sha: str
    after_sha: str
    prev: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of the chain: number and hash of its last row."""

    seq: int
    hash: str


def head(conn: sqlite3.Connection) -> Head:
    """The end of the chain in a database."""
    row = conn.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return Head(seq=row[0], hash=row[1]) if row else Head(seq=0, hash=GENESIS)


def append(
    conn: sqlite3.Connection,
    clock: Clock,
    action: str,
    object_: str,
    *,
    before: bytes = b"",
    after: bytes = b"",
) -> Head:
    """Add one row within the open transaction. ``object_`` carries ids only, never a title."""
    last = head(conn)
    row = (
        last.seq + 1,
        clock(),
        time.monotonic_ns() // 1_000_000,
        _boot_id(),
        user_name(),
        action,
        object_,
        before.hex(),
        after.hex(),
        last.hash,
    )
    own = _row_hash(row)
    conn.execute(f"INSERT INTO audit ({_COLUMNS}, hash) VALUES ({'?,' * 10} ?)", (*row, own))  # noqa: S608
    return Head(seq=row[0], hash=own)


def _row_hash(row: tuple[object, ...]) -> str:
    return hashlib.sha256(str(row[-1]).encode() + canonical(list(row[:-1]))).hexdigest()


def entries(conn: sqlite3.Connection, last: int | None = None) -> tuple[AuditEntry, ...]:
    """The log, oldest first; only its ``last`` rows where given."""
    rows = conn.execute(
        f"SELECT {_COLUMNS}, hash FROM audit ORDER BY seq DESC LIMIT ?",  # noqa: S608
        (-1 if last is None else last,),
    ).fetchall()
    names = AuditEntry.__slots__
    return tuple(AuditEntry(**dict(zip(names, row, strict=True))) for row in reversed(rows))


def check_chain(conn: sqlite3.Connection) -> list[str]:
    """Problems of the chain as sentences; the first bad row ends the check."""
    expected, prev = 1, GENESIS
    for *row, own in conn.execute(f"SELECT {_COLUMNS}, hash FROM audit ORDER BY seq"):  # noqa: S608
        if row[0] != expected:
            return [f"The audit log lacks row {expected}: rows were removed."]
        if row[-1] != prev or own != _row_hash(tuple(row)):
            return [f"Row {expected} of the audit log was altered or damaged."]
        expected, prev = expected + 1, own
    return []


def write_head(path: Path, value: Head, *, also: Head | None = None) -> None:
    """Copy the head outside the database. ``also``: a second head that a restore may lead to."""
    content: dict[str, object] = {"seq": value.seq, "hash": value.hash}
    if also is not None:
        content["or"] = {"seq": also.seq, "hash": also.hash}
    files.write_json(path, content)


def check_head(conn: sqlite3.Connection, path: Path) -> list[str]:
    """Whether the log still reaches the head that was copied outside, as sentences."""
    known = files.read_json(path)
    if known is None:
        return ["The copy of the audit log's head is missing; whether rows were lost is unknown."]
    wanted = [known, known["or"]] if isinstance(known.get("or"), dict) else [known]
    found = None
    for candidate in wanted:
        seq = candidate.get("seq")
        row = conn.execute("SELECT hash FROM audit WHERE seq = ?", (seq,)).fetchone()
        if row is not None and row[0] == candidate.get("hash"):
            return []
        found = found or row
    if found is None:
        last = head(conn).seq
        return [
            f"The audit log ends at row {last}, but row {known.get('seq')} was written: the last "
            "changes are lost. Restore a backup with “trocar restore” or enter them again."
        ]
    return [f"Row {known.get('seq')} of the audit log is not the one that was written."]
