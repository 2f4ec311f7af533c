"""The library: cases, human work, the audit log, backups; predictions in a file per case.

Opened by any thread; reads on the calling thread through its own read-only connection, writes on
the store thread through ``library.writer``.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from app.core.case import Case
from app.core.correction import Annotation, Bookmark, Correction, HumanTimeline
from app.core.errors import BadInput, EnvironmentProblem, Refused, TrocarError
from app.core.frame import FrameIdentity
from app.core.labels import LabelFile
from app.core.recording import Fragment, Recording
from app.store import (
    audit,
    corrections,
    db,
    files,
    label_rows,
    opening,
    recordings,
    rows,
    schema,
    verify,
    work_rows,
)
from app.store.backups import Backup, Backups
from app.store.corrections import HistoryEntry
from app.store.lock import WriterLock
from app.store.opening import DATABASE, HEAD
from app.store.predictions import PredictionStore
from app.store.writer import Writer

log = logging.getLogger(__name__)

CACHE = "cache"
RUNS = "runs"
BALLAST_BYTES = 64 * 2**20
PREDICTIONS_AWAKE = 24
BACKUP_EVERY_S = 30 * 60


class Library:
    """An open library; use ``Library.open`` and close it, or use it as a context manager.

    Attributes:
        folder: where it lies.
        problems: sentences about what was found at opening, such as lost changes or the entry of a
            case that is damaged.
        backup_problem: why the last try of an automatic backup failed, None where it did not.
    """

    def __init__(self, folder: Path, readers: db.Readers, clock: audit.Clock) -> None:
        self.folder = folder
        self.problems: tuple[str, ...] = ()
        self._readers = readers
        self._lock: WriterLock | None = None
        self._writer: Writer | None = None
        self._backups = Backups(folder / DATABASE, folder / "backups", clock)
        self.backup_problem: TrocarError | None = None
        self._closing = threading.Event()
        self._backup_thread: threading.Thread | None = None
        self._predictions: dict[str, PredictionStore] = {}
        self._guard = threading.Lock()

    @classmethod
    def open(
        cls,
        folder: Path,
        mode: Literal["write", "read"] = "write",
        *,
        ballast_bytes: int = BALLAST_BYTES,
        backup_every_s: float = BACKUP_EVERY_S,
        retry_s: float = 1.0,
        clock: audit.Clock = audit.utc_now_ms,
    ) -> Library:
        """Open the library in ``folder``; ``write`` makes it where there is none.

        Args:
            folder: of the library.
            mode: ``write`` takes the library's lock.
            ballast_bytes: disk space kept back for the moment the disk is full.
            backup_every_s: seconds between two looks whether a backup is due.
            retry_s: seconds between two tries to save while the disk is full.
            clock: wall clock in milliseconds since 1970.

        Raises:
            Refused: on a network drive, written by a newer Trocar, or another process writes it.
            BadInput: the folder holds no library, or the file is not one.
            EnvironmentProblem: it cannot be read or written here.
        """
        folder = folder.expanduser().absolute()
        if files.on_network(folder) or files.on_network(folder.resolve()):
            raise Refused(
                f"The library in {folder} lies on a network drive, where it could be damaged; "
                "keep it on a disk of this computer and name that folder with --library."
            )
        if mode == "read":
            return cls._open_for_reading(folder, clock)
        return cls._open_for_writing(folder, ballast_bytes, backup_every_s, retry_s, clock)

    @classmethod
    def _open_for_reading(cls, folder: Path, clock: audit.Clock) -> Library:
        database = folder / DATABASE
        if not database.is_file():
            raise BadInput(
                f"There is no library in {folder}; name its folder with --library, or make one by "
                "analysing a video."
            )
        opening.refuse_empty_file(database)
        readers = db.Readers(database)
        try:
            version = opening.identity(readers.get(), database)
            if version < schema.VERSION:
                raise Refused(
                    f"The library in {folder} was written by an older Trocar; open it once for "
                    "writing (start the window) and it is brought up to date."
                )
        except BaseException:
            readers.close()
            raise
        library = cls(folder, readers, clock)
        library.problems = library._damaged_entries()
        return library

    @classmethod
    def _open_for_writing(
        cls,
        folder: Path,
        ballast_bytes: int,
        backup_every_s: float,
        retry_s: float,
        clock: audit.Clock,
    ) -> Library:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentProblem(
                f"The folder {folder} cannot be made ({error.strerror}); choose another one with "
                "--library.",
                f"{type(error).__name__} {error.errno}",
            ) from error
        lock = WriterLock(folder)
        lock.acquire()
        try:
            problems, unfinished = opening.prepare(folder, clock)
            library = cls(folder, db.Readers(folder / DATABASE), clock)
            library._writer = Writer(
                folder / DATABASE,
                head_file=folder / HEAD,
                ballast=files.Ballast(folder / "ballast.bin", ballast_bytes),
                before_close=library._back_up_if_changed,
                erase_files=library._erase_files,
                clock=clock,
                retry_s=retry_s,
            )
        except BaseException:
            lock.release()
            raise
        library._lock = lock
        library.problems = (*problems, *library._damaged_entries())
        if problems:
            library._writer.note("found loss", "audit log")
        if unfinished:
            library._writer.finish_deletions()
        with library._reading() as conn:
            is_new = audit.head(conn).seq <= 1
        library._backup_thread = threading.Thread(
            target=library._keep_backups, args=(backup_every_s, is_new), name="trocar-backup"
        )
        library._backup_thread.start()
        return library

    def close(self) -> None:
        """Save what waits, make a backup if anything changed, give the lock back."""
        self._closing.set()
        if self._backup_thread is not None:
            self._backup_thread.join()
            self._backup_thread = None
        with self._guard:
            for store in self._predictions.values():
                store.close()
            self._predictions.clear()
        self._readers.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def writer(self) -> Writer:
        """The store thread's door.

        Raises:
            Refused: the library is open for reading only.
        """
        if self._writer is None:
            raise Refused(
                f"The library in {self.folder} is open for reading only; close what else writes "
                "it, then start again."
            )
        return self._writer

    @property
    def cache_folder(self) -> Path:
        """For files that can be made again; emptied when a case is deleted, may be missing."""
        return self.folder / CACHE

    @property
    def runs_folder(self) -> Path:
        """Of training runs: each in a folder of its own, its frozen set in ``set``."""
        return self.folder / RUNS

    @property
    def is_writable(self) -> bool:
        """Whether this process holds the library's lock."""
        return self._writer is not None

    def cases(self) -> tuple[Case, ...]:
        """All cases, oldest first; without those whose entry is damaged (see ``problems``)."""
        with self._reading() as conn:
            return rows.intact_cases(conn)[0]

    def case(self, case_id: str) -> Case:
        """One case.

        Raises:
            BadInput: there is no such case.
        """
        with self._reading() as conn:
            return rows.read_case(conn, case_id)

    def annotations(
        self, asset_id: str, first_pts: int | None = None, last_pts: int | None = None
    ) -> tuple[Annotation, ...]:
        """Annotations in force with first_pts <= pts <= last_pts, by frame."""
        low = -(2**63) if first_pts is None else first_pts
        high = 2**63 - 1 if last_pts is None else last_pts
        where = "asset_id = ? AND pts BETWEEN ? AND ?"
        with self._reading() as conn:
            return tuple(work_rows.read_annotations(conn, where, (asset_id, low, high)))

    def reviewed_frames(self, asset_id: str) -> tuple[FrameIdentity, ...]:
        """Frames of which a human said that all is annotated, by pts."""
        with self._reading() as conn:
            found = work_rows.read_reviews(conn, "asset_id = ?", (asset_id,))
            return tuple(r.frame for r in found)

    def worked_frames(self) -> dict[str, int]:
        """How many frames of each asset a human outlined something on or called complete."""
        with self._reading() as conn:
            return work_rows.count_worked(conn)

    def bookmarks(self, asset_id: str) -> tuple[Bookmark, ...]:
        """The moments that a human marked in an asset, by pts."""
        with self._reading() as conn:
            return tuple(work_rows.read_bookmarks(conn, "asset_id = ?", (asset_id,)))

    def human_timeline(self, asset_id: str) -> HumanTimeline | None:
        """The human tier of an asset, None where nobody made one."""
        with self._reading() as conn:
            return work_rows.read_timeline(conn, asset_id)

    def recordings(self, case_id: str | None = None) -> tuple[Recording, ...]:
        """What Trocar recorded of live sources, of a case or of all, oldest first.

        Damaged entries are left out; ``verify`` names them.
        """
        with self._reading() as conn:
            return tuple(recordings.read(conn, case_id, intact_only=True))

    def label_files(self, case_id: str) -> tuple[LabelFile, ...]:
        """The label files that a case was imported from, as they were written."""
        with self._reading() as conn:
            return tuple(label_rows.read(conn, case_id))

    def labels_of(self, case_id: str, asset_id: str) -> tuple[LabelFile, ...]:
        """The label files that speak of a recording: those of its case, where it is the first one,
        onto which they were laid."""
        first = next(iter(self.case(case_id).assets), None)
        if first is None or first.asset_id != asset_id:
            return ()
        return self.label_files(case_id)

    def fragments(self, asset_id: str) -> tuple[Fragment, ...]:
        """What of a live recording is known to be on the disk, until it is final."""
        with self._reading() as conn:
            return tuple(recordings.read_fragments(conn, asset_id))

    def corrections(self, case_id: str) -> tuple[HistoryEntry, ...]:
        """A case's history: corrections, undos and redos, oldest first."""
        with self._reading() as conn:
            return corrections.history(conn, case_id)

    def correction(self, seq: int) -> Correction:
        """What one row of the history changed."""
        with self._reading() as conn:
            return corrections.read(conn, seq)

    def undo_title(self, case_id: str) -> str | None:
        """What undo would take back, None where there is nothing."""
        with self._reading() as conn:
            return corrections.next_title(conn, case_id, undone=0)

    def redo_title(self, case_id: str) -> str | None:
        """What redo would do again, None where there is nothing."""
        with self._reading() as conn:
            return corrections.next_title(conn, case_id, undone=1)

    def audit(self, last: int | None = None) -> tuple[audit.AuditEntry, ...]:
        """The audit log, oldest first; its last rows where a number is given."""
        with self._reading() as conn:
            return audit.entries(conn, last)

    def predictions(self, case_id: str) -> PredictionStore:
        """What models said about a case. Of many, those that were asked longest ago rest."""
        with self._reading() as conn:
            row = conn.execute("SELECT uid FROM cases WHERE case_id = ?", (case_id,)).fetchone()
            if row is None:
                rows.read_case(conn, case_id)
        with self._guard:
            if case_id not in self._predictions:
                self._predictions[case_id] = PredictionStore(
                    self.folder / "predictions" / f"{case_id}.sqlite",
                    row[0],
                    writable=self.is_writable,
                    runs_named=partial(self._highest_run_named, case_id),
                )
            chosen = self._predictions[case_id]
            # A case holds five files open; a system allows a program about a thousand.
            awake = [s for s in self._predictions.values() if s.is_awake and s is not chosen]
            for store in sorted(awake, key=lambda s: s.used_s)[: 1 - PREDICTIONS_AWAKE]:
                store.rest()
            return chosen

    def predictions_stamp(self, case_id: str) -> tuple[int, ...]:
        """Other numbers than before where what models said about a case may have changed.

        From the files' sizes and times alone: nothing is opened.
        """
        path = self.folder / "predictions" / f"{case_id}.sqlite"
        return (*files.stamp(path), *files.stamp(path.with_name(path.name + "-wal")))

    def verify(self) -> verify.Report:
        """Check pages, audit chain, every row's hash, the predictions and the newest backup."""
        with self._reading() as conn:
            report = verify.check_database(conn, self.folder / HEAD)
        problems = [*report.problems, *verify.check_backup(self.last_backup())]
        checked = report.rows_checked
        for case_id in self._case_ids():
            try:
                count, found = self.predictions(case_id).verify()
            except TrocarError as error:
                count, found = 0, [f"Predictions of case {case_id}: {error.user_message}"]
            checked += count
            problems += found
        return verify.Report(cases=report.cases, rows_checked=checked, problems=tuple(problems))

    def back_up(self, folder: Path | None = None) -> Backup | None:
        """Copy the human work now, among the library's own backups or into another folder.

        Predictions are not copied. A case that is deleted later stays in copies made elsewhere.

        Returns:
            The new backup; None where nothing changed since the newest one.

        Raises:
            EnvironmentProblem: the disk is full or may not be written.
        """
        if folder is None:
            return self._backups.make()
        clock = self._writer.clock if self._writer else audit.utc_now_ms
        elsewhere = Backups(self.folder / DATABASE, folder.expanduser().absolute(), clock)
        return elsewhere.make(thin=False)

    def backups(self) -> tuple[Backup, ...]:
        """The library's own backups, oldest first."""
        return self._backups.all()

    def last_backup(self) -> Backup | None:
        """The newest of the library's own backups."""
        return next(reversed(self.backups()), None)

    def changed_since_backup_utc_ms(self) -> int | None:
        """When the oldest change was made that no backup of the library's own holds, if any."""
        newest = self.last_backup()
        # The first row of the log is the library's making.
        with self._reading() as conn:
            (oldest,) = conn.execute(
                "SELECT min(utc_ms) FROM audit WHERE seq > ?", (newest.seq if newest else 1,)
            ).fetchone()
        return None if oldest is None else int(oldest)

    def thumbnail_path(self, case_id: str) -> Path:
        """Where the picture of a case in the list lies, made or not."""
        return self.folder / "thumbnails" / f"{case_id}.jpg"

    def save_thumbnail(self, case_id: str, jpeg: bytes) -> Path:
        """Keep the picture of a case in the list.

        Raises:
            EnvironmentProblem: the disk is full or may not be written.
        """
        path = self.thumbnail_path(case_id)
        try:
            path.parent.mkdir(exist_ok=True)
            files.write_file(path, jpeg)
        except OSError as error:
            raise EnvironmentProblem(
                f"The picture of case {case_id} was not kept ({error.strerror}); check the disk.",
                f"{type(error).__name__} {error.errno}",
            ) from error
        return path

    def _damaged_entries(self) -> tuple[str, ...]:
        try:
            with self._reading() as conn:
                return rows.intact_cases(conn)[1]
        except TrocarError as error:
            return (error.user_message,)

    def _highest_run_named(self, case_id: str) -> int:
        with self._reading() as conn:
            return work_rows.highest_run_named(conn, case_id)

    def _case_ids(self) -> tuple[str, ...]:
        try:
            with self._reading() as conn:
                return rows.case_ids(conn)
        except TrocarError:
            return ()

    def _keep_backups(self, every_s: float, is_new: bool) -> None:
        if not is_new:
            self._back_up_if_changed()
        while not self._closing.wait(every_s):
            self._back_up_if_changed()

    def _back_up_if_changed(self) -> None:
        try:
            self._backups.make()
        except TrocarError as error:
            self.backup_problem = error
            log.info("no backup was made: %s", error.detail)
        else:
            self.backup_problem = None

    def _erase_files(self, case_id: str, uid: str) -> None:
        """On the store thread: what a deleted case has outside the database."""
        with self._guard:
            store = self._predictions.pop(case_id, None)
            if store is not None:
                store.close()
        # Whose recordings the cache speaks of is not written anywhere: all of it goes.
        rest = (("predictions", f"{case_id}.sqlite"), ("thumbnails", f"{case_id}.jpg"), (CACHE, ""))
        for folder, name in rest:
            for path in (self.folder / folder).glob(name + "*"):
                path.unlink(missing_ok=True)
        # A frozen training set counts as a whole: without the case's part it is of no use. Nor do
        # pictures stay that show how a network saw it, nor what an encoder made of it.
        of_set = (f"*/set/frames/{case_id}_*", f"*/set/labels/case-{case_id}-*")
        for run in {f.parents[2] for part in of_set for f in self.runs_folder.glob(part)}:
            shutil.rmtree(run / "set")
            shutil.rmtree(run / "samples", ignore_errors=True)
        for features in self.runs_folder.glob(f"*/features/case-{case_id}-*"):
            features.unlink(missing_ok=True)
        self._backups.erase_case(uid)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One snapshot for all that is read within."""
        conn = self._readers.get()
        try:
            conn.execute("BEGIN")
            yield conn
        except sqlite3.Error as error:
            raise db.as_trocar_error(error) from error
        finally:
            if conn.in_transaction:
                conn.execute("ROLLBACK")
