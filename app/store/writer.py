"""What may be asked of the store thread: the library's only door for writes. Any thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from app.core.case import Asset, Case, CaseState, Part
from app.core.correction import Correction
from app.core.errors import EnvironmentProblem
from app.core.labels import LabelFile, LabelledCase
from app.core.recording import Fragment, Recording
from app.store import audit, cases, corrections, label_rows, recordings
from app.store.corrections import Saved
from app.store.files import Ballast
from app.store.store_thread import Outcome, StoreThread


class Writer(StoreThread):
    """Requests by name. See ``StoreThread`` for how they are served.

    Args:
        database, head_file, ballast, before_close, clock, retry_s: see ``StoreThread``.
        erase_files: removes what a deleted case (id, uid) has outside the database.
    """

    def __init__(
        self,
        database: Path,
        *,
        head_file: Path,
        ballast: Ballast,
        before_close: Callable[[], None],
        erase_files: Callable[[str, str], None],
        clock: audit.Clock = audit.utc_now_ms,
        retry_s: float = 1.0,
    ) -> None:
        self._erase_files = erase_files
        super().__init__(
            database,
            head_file=head_file,
            ballast=ballast,
            before_close=before_close,
            clock=clock,
            retry_s=retry_s,
        )

    def create_case(
        self, title: str, procedure: str, assets: tuple[Asset, ...] = ()
    ) -> Future[Case]:
        """A new case; its id is given here."""

        def work(conn: sqlite3.Connection) -> Outcome[Case]:
            return Outcome(cases.create(conn, self.clock, title, procedure, assets))

        return self.submit(work)

    def commit(self, correction: Correction) -> Future[Saved]:
        """Store a correction. ``Refused`` where its object was changed meanwhile."""

        def work(conn: sqlite3.Connection) -> Outcome[Saved]:
            saved = corrections.commit(conn, self.clock, correction)
            return Outcome(saved, saved)

        return self.submit(work)

    def undo(self, case_id: str) -> Future[Correction | None]:
        """Take back the last step; what was applied, or None where there is nothing to undo."""
        return self._step(corrections.undo, case_id)

    def redo(self, case_id: str) -> Future[Correction | None]:
        """Do the last undone step again; what was applied, or None."""
        return self._step(corrections.redo, case_id)

    def update_asset(self, asset: Asset) -> Future[None]:
        """New path or hash of a known recording."""

        def work(conn: sqlite3.Connection) -> Outcome[None]:
            cases.update_asset(conn, self.clock, asset)
            return Outcome(None)

        return self.submit(work)

    def replace_file(self, asset_id: str, before: Part, after: Part) -> Future[bool]:
        """Where a recording's file lies, or what became known of it; False: it lies elsewhere."""

        def work(conn: sqlite3.Connection) -> Outcome[bool]:
            return Outcome(cases.replace_file(conn, self.clock, asset_id, before, after))

        return self.submit(work)

    def set_state(self, case_id: str, state: CaseState) -> Future[None]:
        """Where the work on a case stands, as the program found it; not an undo step."""

        def work(conn: sqlite3.Connection) -> Outcome[None]:
            cases.set_state(conn, self.clock, case_id, state)
            return Outcome(None)

        return self.submit(work)

    def begin_recording(
        self, recording: Recording, asset: Asset, title: str, procedure: str
    ) -> Future[Case]:
        """A recording that begins, as a recording of its case; a new one where it names none."""

        def work(conn: sqlite3.Connection) -> Outcome[Case]:
            case = recordings.begin(conn, self.clock, recording, asset, title, procedure)
            return Outcome(case)

        return self.submit(work)

    def put_recording(self, recording: Recording, asset: Asset | None = None) -> Future[None]:
        """How far a recording has come, and what that makes of its asset, in one step."""

        def work(conn: sqlite3.Connection) -> Outcome[None]:
            if asset is not None:
                cases.update_asset(conn, self.clock, asset)
            recordings.put(conn, self.clock, recording)
            return Outcome(None)

        return self.submit(work)

    def put_fragment(self, asset_id: str, fragment: Fragment) -> Future[None]:
        """A stretch of a recording is safely on the disk."""

        def work(conn: sqlite3.Connection) -> Outcome[None]:
            recordings.put_fragment(conn, asset_id, fragment)
            return Outcome(None)

        return self.submit(work)

    def import_cases(
        self, found: Sequence[tuple[str, LabelledCase]]
    ) -> Future[tuple[Case | None, ...]]:
        """Cases of labels alone, by title, all of them or none.

        Resolves to the new case of each; None for one whose labels a case holds already.
        """

        def work(conn: sqlite3.Connection) -> Outcome[tuple[Case | None, ...]]:
            known = [label_rows.case_of(conn, one.files[0]) for _, one in found]
            return Outcome(
                tuple(
                    None if case_id else label_rows.make(conn, self.clock, one, title)
                    for case_id, (title, one) in zip(known, found, strict=True)
                )
            )

        return self.submit(work)

    def import_labels(self, correction: Correction, files: Sequence[LabelFile]) -> Future[Saved]:
        """Labels for a case that is there: what they change, and their files, in one step."""

        def work(conn: sqlite3.Connection) -> Outcome[Saved]:
            saved = corrections.commit(conn, self.clock, correction)
            label_rows.put(conn, self.clock, correction.case_id, files)
            return Outcome(saved, saved)

        return self.submit(work)

    def delete_case(self, case_id: str) -> Future[None]:
        """Remove a case everywhere: rows, predictions, picture, every backup.

        Only the tombstone in the audit log stays. Resolves when all of it is gone; what a crash or
        a full disk left over is removed at the next opening.
        """

        def work(conn: sqlite3.Connection) -> Outcome[None]:
            uid = cases.erase(conn, self.clock, case_id)
            return Outcome(None, then=lambda conn: self._erase_rest(conn, case_id, uid))

        return self.submit(work)

    def finish_deletions(self) -> Future[None]:
        """Remove what earlier deletions could not."""

        def rest(conn: sqlite3.Connection) -> None:
            for case_id, uid in conn.execute("SELECT case_id, uid FROM erasing").fetchall():
                self._erase_rest(conn, case_id, uid)

        return self.submit(lambda _: Outcome(None, then=rest))

    def note(self, action: str, object_: str) -> Future[None]:
        """Add a row to the audit log. ``object_`` carries ids only, never a title or a path."""

        def work(conn: sqlite3.Connection) -> Outcome[None]:
            audit.append(conn, self.clock, action, object_)
            return Outcome(None)

        return self.submit(work)

    def flush(self) -> Future[None]:
        """Resolves when all that was asked before is durable."""
        return self.submit(lambda _: Outcome(None))

    def _step(
        self,
        step: Callable[[sqlite3.Connection, audit.Clock, str], tuple[Correction, Saved] | None],
        case_id: str,
    ) -> Future[Correction | None]:
        def work(conn: sqlite3.Connection) -> Outcome[Correction | None]:
            done = step(conn, self.clock, case_id)
            return Outcome(None) if done is None else Outcome(*done)

        return self.submit(work)

    def _erase_rest(self, conn: sqlite3.Connection, case_id: str, uid: str) -> None:
        self._erase_files(case_id, uid)
        conn.execute("VACUUM")
        (busy, *_) = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise EnvironmentProblem(
                f"Case {case_id} is deleted, but another program is still reading the library; "
                "its last traces go when the library is opened next."
            )
        conn.execute("DELETE FROM erasing WHERE uid = ?", (uid,))
