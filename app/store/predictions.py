"""What models said about one case.

One row per frame holds all its instances with a SHA-256; a row that does not match counts as
missing, so that it is computed again. Written by one thread at a time of the process that holds the
library's lock; read from any thread.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.core.errors import BadInput, Refused
from app.core.foreseen import Foreseen
from app.core.prediction import FramePrediction, Instance, PhasePrediction, Run
from app.core.tools import ToolsTold
from app.store import db, foreseen, vectors
from app.store.prediction_file import (
    belongs_to,
    decode_instances,
    decode_track,
    encode_instances,
    open_for_writing,
    put_aside,
)
from app.store.states import digest

log = logging.getLogger(__name__)

CHECKPOINT_EVERY = 16
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Presence:
    """In how many frames of each second a run saw each class.

    Attributes:
        classes: the run's class keys.
        looked_at: int32 (S,), frames of that second that were computed.
        present: int32 (S, C), those of them that hold at least one instance of the class.
    """

    classes: tuple[str, ...]
    looked_at: NDArray[np.int32]
    present: NDArray[np.int32]


class PredictionStore:
    """Predictions of one case.

    Args:
        path: the case's file; made where missing when ``writable``.
        uid: the case's own id for life; a file of another case of the same number is replaced.
        writable: this process holds the library's lock.
        runs_named: highest number of a run that human work of the case names.

    Attributes:
        is_awake: whether it holds files open.
        used_s: when it was last asked, on the monotonic clock.
    """

    def __init__(
        self, path: Path, uid: str, *, writable: bool, runs_named: Callable[[], int]
    ) -> None:
        self._path = path
        self._lock = threading.RLock()
        # SQLite ends the process where a connection is closed under a thread that reads by it.
        self._stepping = threading.Lock()
        self._reads: set[object] = set()
        self._writer: sqlite3.Connection | None = None
        self._damaged: dict[int, set[int]] = {}
        self._runs: dict[int, tuple[Run, int, Fraction]] = {}
        self._begin = partial(open_for_writing, path, uid, runs_named)
        if writable:
            self._writer = self._begin()
        self._begun = 1
        self._writable = writable
        self.is_awake = True
        self.used_s = time.monotonic()
        self._commits = 0
        self._readers = db.Readers(path)
        self._present = path.exists() and (writable or self._is_of(uid))

    def _is_of(self, uid: str) -> bool:
        """Whether the file is of the case; a reader cannot put another one's aside."""
        try:
            conn = self._readers.get()
            begun = conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] > 0
            return begun and belongs_to(conn, self._path, uid)
        except sqlite3.Error as error:
            raise self._in_words(error, 0) from error

    def close(self) -> None:
        """Close all connections, also under who reads; the log is folded into the file."""
        with self._lock:
            self._reads.clear()
            self.rest()
            self._writable = False

    def rest(self) -> None:
        """Give the files back to the system until the store is next asked; not while one reads."""
        with self._lock:
            if self._reads:
                return
            self._close_readers()
            if self._writer is not None:
                try:
                    self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                except sqlite3.Error as error:
                    log.info("the log of predictions was not folded into its file: %s", error)
                self._writer.close()
                self._writer = None
            self.is_awake = False

    def _close_readers(self) -> None:
        with self._stepping:
            self._readers.close()

    def _wake(self) -> None:
        self.used_s = time.monotonic()
        with self._lock:
            if self._writable and self._writer is None:
                self._writer = self._begin()
            self.is_awake = True

    def start_run(
        self,
        *,
        asset: Asset,
        model: str,
        task: str,
        weights_sha256: str,
        classes: Sequence[str],
        settings: dict[str, str | int | float | bool],
        sample_every: int,
        frames_expected: int,
    ) -> Run:
        """Make a new run. See ``app.core.prediction.Run`` for the fields."""
        with self._transaction() as conn:
            cursor = conn.execute(
                "INSERT INTO runs (asset_id, start_pts, time_base, model, task, weights_sha256, "
                "classes, settings, sample_every, frames_expected, finished) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    asset.asset_id,
                    asset.start_pts,
                    str(asset.time_base),
                    model,
                    task,
                    weights_sha256,
                    json.dumps(list(classes)),
                    json.dumps(settings),
                    sample_every,
                    frames_expected,
                ),
            )
            run_id = cursor.lastrowid
        return next(r for r in self.runs() if r.run_id == run_id)

    def runs(self, asset_id: str | None = None) -> tuple[Run, ...]:
        """All runs, oldest first; of one asset where named."""
        return tuple(
            Run(
                run_id=r[0],
                asset_id=r[1],
                model=r[2],
                task=r[3],
                weights_sha256=r[4],
                classes=tuple(json.loads(r[5])),
                settings=json.loads(r[6]),
                sample_every=r[7],
                frames_expected=r[8],
                finished=bool(r[9]),
            )
            for r in self._read(
                "SELECT run_id, asset_id, model, task, weights_sha256, classes, settings, "
                "sample_every, frames_expected, finished FROM runs "
                "WHERE asset_id = ?1 OR ?1 IS NULL ORDER BY run_id",
                (asset_id,),
            )
        )

    def amend(self, run_id: int, settings: Mapping[str, str | int | float | bool]) -> Run:
        """Keep settings with a run that were not known, or were others, when it began."""
        run = next(r for r in self.runs() if r.run_id == run_id)
        whole = json.dumps({**run.settings, **settings})
        with self._transaction() as conn:
            conn.execute("UPDATE runs SET settings = ? WHERE run_id = ?", (whole, run_id))
        self._runs.pop(run_id, None)
        return next(r for r in self.runs() if r.run_id == run_id)

    def finish(self, run_id: int, frames: int | None = None) -> None:
        """Mark that the whole asset has been looked at.

        Args:
            run_id: which run.
            frames: how many it holds, where that was not known when it began (live).
        """
        with self._transaction() as conn:
            conn.execute(
                "UPDATE runs SET finished = 1, frames_expected = coalesce(?, frames_expected) "
                "WHERE run_id = ?",
                (frames, run_id),
            )

    def put_frames(self, run_id: int, frames: Sequence[FramePrediction]) -> None:
        """Store a batch in one transaction; a frame that is there already is replaced."""
        if not frames:
            return
        run, start_pts, time_base = self._about(run_id)
        place = {name: i for i, name in enumerate(run.classes)}
        rows = []
        for f in frames:
            labels, payload = encode_instances(f.instances, place)
            sha = digest(run_id, f.pts, f.index, labels, payload)
            rows.append((run_id, f.pts, f.index, f.computed_ms, labels, payload, sha))
        seconds = {int((f.pts - start_pts) * time_base) for f in frames}
        with self._transaction() as conn:
            conn.executemany("INSERT OR REPLACE INTO frames VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            for second in seconds:
                first = start_pts + ceil(second / time_base)
                last = start_pts + ceil((second + 1) / time_base) - 1
                _count_second(conn, run_id, second, first, last, len(run.classes))
        self._damaged.get(run_id, set()).difference_update(f.pts for f in frames)

    def frames(self, run_id: int, first_pts: int, last_pts: int) -> tuple[FramePrediction, ...]:
        """Stored frames with first_pts <= pts <= last_pts, in order; damaged rows are left out."""
        run, _, _ = self._about(run_id)
        return tuple(self._decoded(run, first_pts, last_pts))

    def frame(self, run_id: int, pts: int) -> FramePrediction | None:
        """One frame, None where it is not stored or its row is damaged."""
        return next(iter(self.frames(run_id, pts, pts)), None)

    def track(
        self, run_id: int, track: int, first_pts: int, last_pts: int
    ) -> tuple[tuple[int, int, Instance], ...]:
        """(pts, place in the frame, instance) of one object over a stretch, in order of time."""
        run, _, _ = self._about(run_id)
        return tuple(
            (pts, place, instance)
            for pts, _, _, payload in self._intact_rows(run, first_pts, last_pts)
            for place, instance in decode_track(payload, run.classes, track)
        )

    def stored_pts(self, run_id: int, *, verify: bool = False) -> NDArray[np.int64]:
        """pts (int64, sorted) of what need not be computed again: frames, phases, the foreseen.

        ``verify`` reads every row and checks its hash, as a resumed analysis should; else rows that
        were found damaged before are left out.
        """
        run, _, _ = self._about(run_id)
        if verify:
            self._check_rows(run)
        tables = ("frames", "phases", *(("foreseen",) if self._foresees() else ()))
        found = self._read(
            " UNION ".join(f"SELECT pts FROM {t} WHERE run_id = ?1" for t in tables)  # noqa: S608
            + " ORDER BY pts",
            (run_id,),
        )
        bad = self._damaged.get(run_id, set())
        return np.array([p for (p,) in found if p not in bad], np.int64)

    def presence(self, run_id: int) -> Presence:
        """Per second, how many frames hold each class."""
        run, _, _ = self._about(run_id)
        found = list(
            self._read(
                "SELECT second, looked_at, present FROM presence WHERE run_id = ? ORDER BY second",
                (run_id,),
            )
        )
        seconds = found[-1][0] + 1 if found else 0
        looked_at = np.zeros(seconds, np.int32)
        present = np.zeros((seconds, len(run.classes)), np.int32)
        for second, count, blob in found:
            looked_at[second] = count
            present[second] = np.frombuffer(blob, "<i4")
        return Presence(classes=run.classes, looked_at=looked_at, present=present)

    def put_phases(self, run_id: int, phases: Sequence[PhasePrediction]) -> None:
        """Store phase probabilities in one transaction; what is there already is replaced."""
        rows = []
        for p in phases:
            blob = np.asarray(p.probabilities, "<f8").tobytes()
            rows.append((run_id, p.pts, p.index, blob, digest(run_id, p.pts, p.index, blob)))
        with self._transaction() as conn:
            conn.executemany("INSERT OR REPLACE INTO phases VALUES (?, ?, ?, ?, ?)", rows)
        self._damaged.get(run_id, set()).difference_update(p.pts for p in phases)

    def phases(self, run_id: int) -> tuple[PhasePrediction, ...]:
        """All phase probabilities of a run in order of time; damaged rows are left out."""
        out = []
        for pts, index, blob, sha in self._read(
            "SELECT pts, frame_index, probabilities, row_sha FROM phases WHERE run_id = ? "
            "ORDER BY pts",
            (run_id,),
        ):
            if digest(run_id, pts, index, blob) != sha:
                self._note_damage(run_id, pts)
                continue
            values = tuple(np.frombuffer(blob, "<f8").tolist())
            out.append(PhasePrediction(pts=pts, index=index, probabilities=values))
        return tuple(out)

    def put_features(self, run_id: int, rows: Sequence[tuple[int, NDArray[np.float16]]]) -> None:
        """Keep frame features, (pts, float16 (C,)) each; what is there already is replaced."""
        self._put_vectors(vectors.Kind.FEATURES, run_id, rows)

    def features(self, run_id: int) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        """pts (T,) and frame features (T, C) of a run, in order of time; damaged ones left out."""
        return self._vectors(vectors.Kind.FEATURES, run_id)

    def put_tools(self, run_id: int, rows: Sequence[tuple[int, NDArray[np.float16]]]) -> None:
        """Keep what a run tells of its tools, (pts, float16 (M,)) each, probabilities in the order
        of ``Run.tools``; what is there already is replaced.

        Raises:
            ValueError: a row speaks of another number of tools.
        """
        tools = len(self._about(run_id)[0].tools)
        if any(row.shape != (tools,) for _, row in rows):
            raise ValueError(f"put_tools: expected {tools} probabilities a row")
        self._put_vectors(vectors.Kind.TOOLS, run_id, rows)

    def tools(self, run_id: int) -> ToolsTold:
        """What a run tells of its tools, in order of time; damaged rows are left out."""
        keys = self._about(run_id)[0].tools
        pts, found = self._vectors(vectors.Kind.TOOLS, run_id)
        return ToolsTold(keys=keys, pts=pts, probabilities=found.reshape(len(pts), len(keys)))

    def _put_vectors(
        self, kind: vectors.Kind, run_id: int, rows: Sequence[tuple[int, NDArray[np.float16]]]
    ) -> None:
        with self._transaction() as conn:
            vectors.put(conn, kind, run_id, rows)

    def _vectors(
        self, kind: vectors.Kind, run_id: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        there = any(self._read(kind.is_there))
        return vectors.decoded(kind, run_id, self._read(kind.of_run, (run_id,)) if there else ())

    def put_foreseen(self, run_id: int, rows: Sequence[Foreseen]) -> None:
        """Store what is foreseen in one transaction; what is there already is replaced."""
        classes = len(self._about(run_id)[0].classes)
        with self._transaction() as conn:
            foreseen.put(conn, run_id, classes, rows)
        self._damaged.get(run_id, set()).difference_update(row.pts for row in rows)

    def foreseen(self, run_id: int) -> tuple[Foreseen, ...]:
        """All that a run foresaw in order of time; damaged rows are left out."""
        out = []
        rows = self._read(foreseen.OF_RUN, (run_id,)) if self._foresees() else ()
        for pts, row in foreseen.decoded(run_id, rows):
            if row is None:
                self._note_damage(run_id, pts)
            else:
                out.append(row)
        return tuple(out)

    def _foresees(self) -> bool:
        """Whether the file has a place for what is foreseen; one that is only read may not."""
        return any(self._read(foreseen.IS_THERE))

    def put_state(self, run_id: int, pts: int, snapshot: bytes) -> None:
        """Keep a network's carried state after the frame at ``pts``."""
        blob = zlib.compress(snapshot, 1)
        row = (run_id, pts, blob, digest(run_id, pts, blob))
        with self._transaction() as conn:
            conn.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?)", row)

    def state_before(self, run_id: int, pts: int) -> tuple[int, bytes] | None:
        """The newest intact state at or before ``pts`` with its own pts, None without one."""
        for at, blob, sha in self._read(
            "SELECT pts, snapshot, row_sha FROM states WHERE run_id = ? AND pts <= ? "
            "ORDER BY pts DESC",
            (run_id, pts),
        ):
            if digest(run_id, at, blob) == sha:
                return at, zlib.decompress(blob)
            log.info("a carried state of run %d is damaged and is not used", run_id)
        return None

    def verify(self) -> tuple[int, list[str]]:
        """Rows checked, and problems as sentences."""
        checked, problems = 0, []
        for run in self.runs():
            checked += self._check_rows(run)
            if bad := len(self._damaged.get(run.run_id, ())):
                problems.append(
                    f"{bad} stored predictions of run {run.run_id} ({run.model}) are damaged; "
                    "analyse the case again and they are computed anew."
                )
        return checked, problems

    def _read(self, sql: str, values: tuple[object, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if not self._present:
            return
        token = object()
        with self._lock:
            self._wake()
            self._reads.add(token)
        begun = self._begun
        try:
            with self._stepping:
                cursor = self._readers.get().execute(sql, values)
                rows = cursor.fetchmany(_ROWS_AT_ONCE)
            while rows:
                yield from rows
                with self._stepping:
                    rows = cursor.fetchmany(_ROWS_AT_ONCE)
        except sqlite3.Error as error:
            raise self._in_words(error, begun) from error
        finally:
            self._reads.discard(token)

    def _in_words(self, error: sqlite3.Error, begun: int) -> Exception:
        """What an error means; a damaged file is put aside, so that the next try begins anew."""
        if not db.is_damage(error):
            return db.as_trocar_error(error)
        with self._lock:
            if self._writer is not None and begun == self._begun:
                log.info("stored predictions are damaged and are computed anew: %s", error)
                self._close_readers()
                self._writer.close()
                put_aside(self._path)
                self._writer = self._begin()
                self._begun += 1
                self._runs.clear()
                self._damaged.clear()
        return BadInput(
            "What the models said about this case is damaged on the disk; analyse it again. "
            "Corrections are kept elsewhere and are not touched.",
            str(error),
        )

    def _about(self, run_id: int) -> tuple[Run, int, Fraction]:
        if run_id not in self._runs:
            run = next((r for r in self.runs() if r.run_id == run_id), None)
            if run is None:
                raise BadInput(f"There is no run {run_id} in this case; it may have been removed.")
            sql = "SELECT start_pts, time_base FROM runs WHERE run_id = ?"
            start_pts, time_base = next(self._read(sql, (run_id,)))
            self._runs[run_id] = (run, start_pts, Fraction(time_base))
        return self._runs[run_id]

    def _intact_rows(
        self, run: Run, first_pts: int, last_pts: int
    ) -> Iterator[tuple[int, int, float, bytes]]:
        for pts, index, computed_ms, labels, payload, sha in self._read(
            "SELECT pts, frame_index, computed_ms, labels, payload, row_sha FROM frames "
            "WHERE run_id = ? AND pts BETWEEN ? AND ? ORDER BY pts",
            (run.run_id, first_pts, last_pts),
        ):
            if digest(run.run_id, pts, index, labels, payload) == sha:
                yield pts, index, computed_ms, payload
            else:
                self._note_damage(run.run_id, pts)

    def _check_rows(self, run: Run) -> int:
        """How many rows of a run are intact; the others are noted as damaged."""
        frames = sum(1 for _ in self._intact_rows(run, -(2**63), 2**63 - 1))
        return frames + len(self.phases(run.run_id)) + len(self.foreseen(run.run_id))

    def _decoded(self, run: Run, first_pts: int, last_pts: int) -> Iterator[FramePrediction]:
        for pts, index, computed_ms, payload in self._intact_rows(run, first_pts, last_pts):
            yield FramePrediction(
                pts=pts,
                index=index,
                instances=decode_instances(payload, run.classes),
                computed_ms=computed_ms,
            )

    def _note_damage(self, run_id: int, pts: int) -> None:
        known = self._damaged.setdefault(run_id, set())
        if pts not in known:
            known.add(pts)
            log.info("a stored prediction of run %d at pts %d is damaged", run_id, pts)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._wake()
            conn = self._writer
            if conn is None:
                raise Refused(
                    "Predictions cannot be stored: the library is open for reading only, or the "
                    "case was removed."
                )
            try:
                conn.execute("BEGIN IMMEDIATE")
                yield conn
                conn.execute("COMMIT")
                self._checkpoint_when_long(conn)
            except sqlite3.Error as error:
                raise self._in_words(error, self._begun) from error
            finally:
                if conn is self._writer and conn.in_transaction:
                    conn.execute("ROLLBACK")

    def _checkpoint_when_long(self, conn: sqlite3.Connection) -> None:
        self._commits += 1
        if self._commits % CHECKPOINT_EVERY == 0:
            conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _count_second(
    conn: sqlite3.Connection, run_id: int, second: int, first: int, last: int, classes: int
) -> None:
    present = np.zeros(classes, "<i4")
    looked_at = 0
    for (labels,) in conn.execute(
        "SELECT labels FROM frames WHERE run_id = ? AND pts BETWEEN ? AND ?", (run_id, first, last)
    ):
        looked_at += 1
        present[np.frombuffer(labels, "<u2")] += 1
    conn.execute(
        "INSERT OR REPLACE INTO presence VALUES (?, ?, ?, ?)",
        (run_id, second, looked_at, present.tobytes()),
    )
