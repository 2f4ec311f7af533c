"""Opening, adding, listing and deleting cases. GUI thread; the reading is done on ``trocar-io``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from app.core.case import Asset, Case, CaseState
from app.core.correction import CaseFields, Change, Correction
from app.core.errors import TrocarError
from app.core.taxonomy import UNKNOWN_PROCEDURE
from app.core.timeline import Timeline, timeline_of_run
from app.ui.background import Background
from app.ui.case_cards import Card
from app.ui.human_work import HumanWork
from app.ui.load_case import (
    PHASES,
    Loaded,
    Readings,
    load_case,
    load_predictions,
    load_work,
    newest_run,
)
from app.ui.messages import Message, Tone, from_error
from app.ui.player_bridge import PlayerBridge
from app.ui.session import CASE, Session
from app.ui.settings import Settings
from app.ui.words import count, length, moment

if TYPE_CHECKING:
    from app.inference.relink import FoundFile, MissingFile, Relinked
    from app.store import Library, Saved
    from app.video.player_state import PlayerState
    from app.video.split.joining import Found

RENAME, READING = "Rename the case", "reading"

log = logging.getLogger(__name__)
T = TypeVar("T")


class Cases(QObject):
    """The library in the window.

    Signals:
        opening: a case is being opened; the workspace changes at once.
        opened: (Loaded) it is open.
        not_opened: it could not be opened; the one before, if any, still is.
        listed: (list of Card) the library was read.
        pictured: (case id, QImage) a thumbnail was made.
        find_asked: the user wants to show where missing files lie.
        said: (Message)
        reported: (Path) a report was written.
        found: (Found) what a folder or several files hold.
        looking: (files looked at, all of them)
        not_found: they hold no recording, ``said`` tells why; or it was stopped.
        relinked: (Relinked) files were looked for.
        not_relinked: (sentence) they could not be looked for.
        found_again: (case id) files of the open case were found; it is opened again.
    """

    find_asked = Signal()
    opening = Signal()
    not_opened = Signal()
    opened = Signal(object)
    listed = Signal(object)
    pictured = Signal(str, QImage)
    said = Signal(object)
    reported = Signal(object)
    found = Signal(object)
    looking = Signal(int, int)
    not_found = Signal()
    relinked = Signal(object)
    not_relinked = Signal(str)
    found_again = Signal(str)

    def __init__(
        self, library: Library, settings: Settings, session: Session, player: PlayerBridge
    ) -> None:
        super().__init__()
        self._library = library
        self._settings = settings
        self._session = session
        self._readings = Readings()
        self._player = player
        self._io = Background("trocar-io")
        # Files from outside may take minutes, which opening a case of the library does not.
        self._reading = Background("trocar-reading")
        self._asked = 0
        self._slow = Background("trocar-slow")
        # What the user wants gone waits for no hash of hours, and closing does not drop it.
        self._deleting = Background("trocar-delete")
        self._closing = False
        self._stop_looking, self._stop_reading = threading.Event(), threading.Event()
        player.changed.connect(self._tell_growth)
        session.fields_changed.connect(self.reread_case)
        session.reread_asked.connect(self.reread_work)
        session.saved.connect(lambda _: self._working())

    def close(self) -> None:
        """End the threads."""
        self._closing = True
        self._io.close()
        self._reading.close()
        self._slow.close()
        self._deleting.close()

    def open_files(
        self, paths: Sequence[Path], procedure: str = UNKNOWN_PROCEDURE, title: str | None = None
    ) -> None:
        """Make a case of every file and open the first one."""
        self.open_recordings([(path,) for path in paths], procedure, title)

    def open_recordings(
        self,
        recordings: Sequence[Sequence[Path]],
        procedure: str = UNKNOWN_PROCEDURE,
        title: str | None = None,
    ) -> None:
        """Make a case of every recording, whose parts are in order, and open the first one."""
        if not recordings:
            return
        self.opening.emit()
        models = self._settings.values.models
        stop = self._stop_reading
        first, *others = recordings
        if self._session.case is None:
            # Its picture does not wait for the case, which needs the whole of a long recording.
            self._player.preview(first[0])

        def work() -> Loaded | None:
            case = self._case_of(first, procedure, title, stop=stop)
            return load_case(self._library, case.case_id, models) if case else None

        asked = self._ask()
        self._reading.run(work, lambda made: self._show_made(made, asked), self._not_opened)
        for parts in others:
            self._reading.run(
                lambda p=parts: self._case_of(p, procedure, title, stop=stop),
                lambda _case: self.refresh(),
                self._failed,
            )

    def stop_reading(self) -> None:
        """The user does not want the cases that are being made; those that are made stay."""
        self._stop_reading.set()
        self._stop_reading = threading.Event()

    def open_stream(self, path: Path, stream: int) -> None:
        """Open one video of a file that holds several; it is a case of its own."""
        self.opening.emit()
        models, procedure = self._settings.values.models, UNKNOWN_PROCEDURE
        stop = self._stop_reading

        def work() -> Loaded | None:
            case = self._case_of((path,), procedure, None, stream, stop=stop)
            return load_case(self._library, case.case_id, models) if case else None

        asked = self._ask()
        self._reading.run(work, lambda made: self._show_made(made, asked), self._not_opened)

    def _case_of(
        self,
        parts: Sequence[Path],
        procedure: str,
        title: str | None,
        stream: int | None = None,
        *,
        stop: threading.Event,
    ) -> Case | None:
        """On the thread: the case of a recording, None where nobody waits for it any more."""
        from app.inference.new_case import case_of
        from app.video import OpenCancelled

        try:
            return case_of(
                self._library,
                parts,
                joined=len(parts) > 1,
                procedure=procedure,
                title=title,
                stream=stream,
                cancelled=lambda: self._closing or stop.is_set(),
            )
        except OpenCancelled:
            return None

    def _ask(self) -> int:
        """Something is to be shown: the number of the wish, of which the newest counts."""
        self._asked += 1
        return self._asked

    def _show_made(self, loaded: Loaded | None, asked: int) -> None:
        if loaded is not None:
            if asked == self._asked:
                self._show(loaded)
            else:
                self.refresh()
            return
        self._leave_preview()
        self.not_opened.emit()

    def _leave_preview(self) -> None:
        """Nobody waits any more for the case of the file that is shown."""
        if self._player.previewed is not None:
            self._player.leave()

    def look_through(self, paths: Sequence[Path]) -> None:
        """Find out which recordings folders and files hold; ``found`` tells of the newest look."""
        self._stop_looking.set()
        stop = self._stop_looking = threading.Event()

        def tell(done: int, files: int) -> None:
            if not stop.is_set():
                self.looking.emit(done, files)

        def work() -> Found | None:
            from app.video import OpenCancelled, find_recordings

            try:
                return find_recordings(paths, tell, lambda: self._closing or stop.is_set())
            except OpenCancelled:
                return None

        def failed(error: TrocarError) -> None:
            if stop is self._stop_looking:
                self.not_found.emit()
                self.import_labels(paths, otherwise=error)

        def done(found: Found | None) -> None:
            if stop is not self._stop_looking:
                return
            if found is None or stop.is_set():
                self.not_found.emit()
                return
            self.found.emit(found)
            self._look_for_labels(paths)

        self._reading.run(work, done, failed, newest="look")

    def _look_for_labels(self, paths: Sequence[Path]) -> None:
        """Where labels lie beside recordings, offer to lay them on those that are opened."""
        offer = Message(
            text="Labels lie beside the recordings. Once these are cases, the labels can be laid "
            "on those that are called as they are.",
            button="Lay them on",
            action=lambda: self.lay_by_name(paths),
            lasting_s=120,
            key="labels",
        )

        def work() -> bool:
            from app.exchange.labels.reading import has_labels

            return has_labels(paths)

        # No recording waits for other files to be read.
        self._slow.run(
            work,
            lambda there: self.said.emit(offer) if there else None,
            lambda error: log.info("labels were not looked for: %s", error.detail),
        )

    def lay_by_name(self, paths: Sequence[Path]) -> None:
        """Make labels the phases of the recordings that are called as they are."""

        def work() -> tuple[int, tuple[str, ...]]:
            from app.exchange.labels.library import import_by_name

            done = import_by_name(self._library, paths)
            return len(done.cases), done.notes

        def show(done: tuple[int, tuple[str, ...]]) -> None:
            many, notes = done
            words = "1 recording has" if many == 1 else f"{count(many)} recordings have"
            words = f"{words} the labels now." if many else "The recordings have their labels."
            text = " ".join((words, *notes))
            self.said.emit(Message(text=text, tone=Tone.OK, lasting_s=8, key="labels"))
            if self._session.case is not None and self._session.asset is not None:
                self.open_case(self._session.case.case_id, self._session.asset.asset_id)
            self.refresh()

        # Behind the recordings that are being read.
        self._reading.run(work, show, self._failed)

    def import_labels(self, paths: Sequence[Path], otherwise: TrocarError | None = None) -> None:
        """Make cases of label files, and open the first one.

        Where a recording without phases is open, one operation's labels are offered to it.

        Args:
            paths: files and folders.
            otherwise: what to say where they hold no labels, for lack of recordings.
        """
        models, onto = self._settings.values.models, self._open_without_phases()
        is_free = self._session.case is None

        def work() -> tuple[str, Loaded | None, str]:
            from app.exchange.labels.library import import_cases
            from app.exchange.labels.reading import has_labels

            if otherwise is not None and not has_labels(paths):
                raise otherwise
            done = import_cases(self._library, paths)
            many = len(done.cases)
            words = f"{count(many)} cases were made of the labels."
            if many < 2:
                words = "A case was made of the labels." if done.cases else "No case was made."
            if done.known:
                words += (
                    f" {count(done.known)} {'was' if done.known == 1 else 'were'} there already."
                )
            words = " ".join((words, *done.notes))
            timed = next((c for c in done.cases if c.assets), None)
            alone = timed.case_id if timed and many == 1 else ""
            # Of many none takes the place of what is open.
            shown = timed is not None and (many == 1 or is_free)
            loaded = load_case(self._library, timed.case_id, models) if timed and shown else None
            return words, loaded, alone

        def show(done: tuple[str, Loaded | None, str]) -> None:
            words, loaded, alone = done
            if loaded is not None:
                self.opening.emit()
                self._show(loaded)
            self.refresh()
            told = Message(text=words, lasting_s=6, key="labels")
            if alone and onto:
                told = Message(
                    text=words,
                    button=f"Lay them on case {onto}",
                    action=lambda: self.lay_labels(paths, onto, instead_of=alone),
                    lasting_s=20,
                    key="labels",
                )
            self.said.emit(told)

        self._io.run(work, show, self._failed)

    def lay_labels(
        self, paths: Sequence[Path], case_id: str, *, instead_of: str, anyway: bool = False
    ) -> None:
        """Make labels the phases of a case's recording, and open it.

        Args:
            paths: of one operation.
            case_id: the case with the recording.
            instead_of: the case that was made of them; it goes, unless somebody worked on it.
            anyway: also where they seem to be of another length or rate.
        """
        models = self._settings.values.models

        def work() -> tuple[Loaded, tuple[str, ...]]:
            from app.exchange.labels.library import import_onto

            done = import_onto(self._library, case_id, paths, anyway=anyway)
            if self._library.case(instead_of).corrections <= 1:
                self._library.writer.delete_case(instead_of).result()
            return load_case(self._library, case_id, models), done.notes

        def show(done: tuple[Loaded, tuple[str, ...]]) -> None:
            self.opening.emit()
            self._show(done[0])
            words = " ".join(("The labels are the phases of this recording now.", *done[1]))
            self.said.emit(Message(text=words, tone=Tone.OK, lasting_s=8, key="labels"))

        def failed(error: TrocarError) -> None:
            from app.exchange.labels.library import DoesNotFit

            if not isinstance(error, DoesNotFit):
                self._failed(error)
                return
            self.said.emit(
                Message(
                    text=error.user_message,
                    tone=Tone.ERROR,
                    button="Lay them on all the same",
                    action=lambda: self.lay_labels(
                        paths, case_id, instead_of=instead_of, anyway=True
                    ),
                    key="labels",
                )
            )

        self._io.run(work, show, failed)

    def _open_without_phases(self) -> str:
        """The open case, where it has a recording and no phases by a human; "" else."""
        session = self._session
        if session.case is None or session.asset is None or not session.asset.has_recording:
            return ""
        line = session.human_timeline
        return "" if line is not None and line.segments else session.case.case_id

    def stop_looking(self) -> None:
        """The user does not want to know any more what a folder holds."""
        self._stop_looking.set()

    def open_case(self, case_id: str, asset_id: str = "") -> None:
        """Open a case of the library, at its first recording or at the one that is named."""
        self.opening.emit()
        models, asked = self._settings.values.models, self._ask()
        self._io.run(
            lambda: load_case(self._library, case_id, models, asset_id),
            lambda loaded: self._show_made(loaded, asked),
            self._not_opened,
        )

    def _tell_growth(self, state: PlayerState) -> None:
        if self._player.previewed is None or not state.grows or state.info is None:
            return
        known, about = moment(state.info.duration_ms), moment(state.estimated_ms)
        text = f"Reading through the recording: {known} of about {about}."
        self.said.emit(
            Message(text=text, button="Stop", action=self.stop_reading, key=READING, lasting_s=2.0)
        )

    def _show(self, loaded: Loaded) -> None:
        self._player.previewed = None
        session = self._session
        session.open(
            loaded.case,
            loaded.work,
            loaded.gone,
            loaded.missing,
            loaded.label_lanes,
            imported=loaded.imported,
        )
        session.segment_run = loaded.run
        session.show_model(loaded.model)
        self.opened.emit(loaded)
        self.refresh()
        if loaded.missing:
            self._player.leave()
            self.say_missing(loaded.missing)
            return
        if not loaded.case.assets[0].has_recording:
            self._player.leave()
            return
        self._player.player.open(loaded.case.assets[0])
        self._look_after(loaded.case)
        if loaded.gone:
            self.say_missing(_gone_words(loaded.case.assets[0], loaded.gone), Tone.WARN)

    def say_missing(self, sentence: str, tone: Tone = Tone.ERROR) -> None:
        """Say which file is not there, and offer to find it."""
        self.said.emit(
            Message(
                text=sentence,
                tone=tone,
                button="Find it",
                action=self.find_asked.emit,
                key="missing",
            )
        )

    def relink(self, places: Sequence[Path]) -> None:
        """Look for missing files where the user says; what is found is opened again."""

        def work() -> Relinked:
            from app.inference.relink import look_for

            # In full, it would be read through first; that is done behind the open case.
            return look_for(self._library, places, in_full=False, cancelled=lambda: self._closing)

        def store(done: Relinked) -> None:
            stored = [
                self._library.writer.replace_file(f.missing.asset_id, f.missing.file, f.now)
                for f in done.found
            ]
            if not stored:
                self.relinked.emit(done)
                return
            # The last one is stored after all others.
            self._io.follow(stored[-1], lambda _: self._relinked(done), self._failed)

        self._reading.run(work, store, lambda error: self.not_relinked.emit(error.user_message))

    def read_missing(self, done: Callable[[tuple[MissingFile, ...]], object]) -> None:
        """Which files of the library are not where they were."""

        def work() -> tuple[MissingFile, ...]:
            from app.inference.relink import missing_files

            return missing_files(self._library)

        self._io.run(work, done, self._failed)

    def _relinked(self, done: Relinked) -> None:
        case = self._session.case
        if case is not None and any(f.missing.case_id == case.case_id for f in done.found):
            self.found_again.emit(case.case_id)
            asset = self._session.asset
            self.open_case(case.case_id, asset.asset_id if asset is not None else "")
        self.refresh()
        self.relinked.emit(done)
        for one in done.found:
            self._slow.run(
                lambda f=one: _same_in_full(f, lambda: self._closing),
                lambda same, f=one: None if same else self._say_other(f),
                lambda error: log.info("not compared in full: %s", error.detail),
            )

    def _say_other(self, found: FoundFile) -> None:
        self.said.emit(
            Message(
                text=f"{Path(found.now.path).name} begins and ends like the recording of case "
                f"{found.missing.case_id}, but is not the same inside. Check what it shows.",
                tone=Tone.WARN,
            )
        )

    def _store(self, work: Callable[[], Future[T]], done: Callable[[], object]) -> None:
        """Hand something to the store on the thread; a full disk holds up only its answer."""
        self._io.run(
            work,
            lambda stored: self._io.follow(stored, lambda _: done(), self._failed),
            self._failed,
        )

    def refresh_predictions(self) -> None:
        """Read again what the models said about the open case."""
        case, asset = self._session.case, self._session.asset
        if case is None or asset is None:
            return
        models = self._settings.values.models

        def show(found: tuple[object, object]) -> None:
            if self._session.case is not None and self._session.case.case_id == case.case_id:
                self._session.segment_run = found[0]  # type: ignore[assignment]
                self._session.show_model(found[1])  # type: ignore[arg-type]

        self._io.run(
            lambda: load_predictions(self._library, case.case_id, asset, models, self._readings),
            show,
            self._failed,
            newest="predictions",
        )

    def set_procedure(self, procedure: str) -> None:
        """The user said which operation the open case is; remembered for the next one."""
        case = self._session.case
        if case is None or case.procedure == procedure:
            return
        self._settings.set(procedure=procedure)
        self._commit_fields("Change the procedure", procedure=procedure)

    def rename(self, case_id: str, title: str) -> None:
        """Give a case another name; undone like other changes of the case."""
        open_case = self._session.case
        if open_case is not None and open_case.case_id == case_id:
            if title != open_case.title:
                self._commit_fields(RENAME, title=title)
            return

        def work() -> Future[Saved]:
            correction = _changed_fields(self._library.case(case_id), RENAME, title=title)
            return self._library.writer.commit(correction)

        self._store(work, self.refresh)

    def set_done(self) -> None:
        """Mark the open case as done, or as not done again."""
        case = self._session.case
        if case is not None:
            done = case.state is CaseState.DONE
            state = CaseState.WORKING if done else CaseState.DONE
            title = "Take the case up again" if done else "Mark the case as done"
            self._commit_fields(title, state=str(state))

    def _commit_fields(self, step: str, /, **changed: str) -> None:
        case = self._session.case
        assert case is not None  # noqa: S101 - asked by the callers
        self._session.commit(_changed_fields(case, step, **changed))

    def reread_case(self) -> None:
        """The open case's own fields changed, by undo for one."""
        case = self._session.case
        if case is None:
            return

        def show(read: Case) -> None:
            if self._session.case is not None and self._session.case.case_id == read.case_id:
                self._session.replace_case(read)
            self.refresh()

        self._io.run(lambda: self._library.case(case.case_id), show, self._failed)

    def reread_work(self) -> None:
        """A change was not stored: show what the library holds."""
        asset, edits = self._session.asset, self._session.edits
        if asset is None:
            return

        def show(work: HumanWork) -> None:
            if self._session.asset is not None and self._session.asset.asset_id == asset.asset_id:
                self._session.replace_work(work, edits)

        self._io.run(lambda: load_work(self._library, asset), show, self._failed)

    def _working(self) -> None:
        """Human work on a new case: it is being worked on."""
        case = self._session.case
        if case is not None and case.state is CaseState.NEW:
            stored = self._library.writer.set_state(case.case_id, CaseState.WORKING)
            self._io.follow(stored, lambda _: self.refresh(), self._failed)
            self._session.case = replace(case, state=CaseState.WORKING)

    def delete(self, case_id: str, *, with_recording: bool = False) -> None:
        """Delete a case everywhere; the caller has asked the user.

        Args:
            case_id: which.
            with_recording: the file too that Trocar recorded of it.
        """
        if self._session.case is not None and self._session.case.case_id == case_id:
            self._session.close()
        if with_recording:

            def work() -> None:
                from app.live import delete_with_recording

                delete_with_recording(self._library, case_id)

            self._deleting.run(work, lambda _: self.refresh(), self._not_deleted)
            return
        deleted = self._library.writer.delete_case(case_id)
        self._io.follow(deleted, lambda _: self.refresh(), self._failed)

    def _not_deleted(self, error: TrocarError) -> None:
        self._failed(error)
        self.refresh()  # the case may have gone, and its file not

    def write_report(self, case_id: str, path: Path) -> None:
        """Write the report of a case, a PDF where the file is named so."""

        def work() -> Path:
            if path.suffix.lower() == ".pdf":
                from app.ui.report_pdf import write_report_pdf

                write_report_pdf(self._library, case_id, path)
            else:
                from app.analysis.report import write_report

                write_report(self._library, case_id, path)
            return path

        self._io.run(work, self.reported.emit, self._failed)

    def refresh(self) -> None:
        """List the library again."""
        self._io.run(self._list, self.listed.emit, self._failed, newest="list")

    def _list(self) -> list[Card]:
        return [self._card(case) for case in self._library.cases()]

    def _card(self, case: Case) -> Card:
        asset = case.assets[0] if case.assets else None
        human: Timeline | None = None
        model: Timeline | None = None
        damage = ""
        if asset is not None:
            try:
                said = self._library.human_timeline(asset.asset_id)
                human = said.timeline if said else None
                model = self._model_timeline(case, asset)
            # Of this case alone; the others are listed as they are.
            except TrocarError as error:
                damage = error.user_message
            except ValueError as error:  # what is stored contradicts itself
                log.info("case %s: %s", case.case_id, error)
                damage = "What is stored of its phases contradicts itself, so they are not shown."
        path = self._library.thumbnail_path(case.case_id)
        return Card(
            case=case,
            picture=QImage(str(path)) if path.exists() else QImage(),
            human=human,
            model=model,
            damage=damage,
            missing=asset is not None and not all(Path(f.path).is_file() for f in asset.files),
        )

    def _model_timeline(self, case: Case, asset: Asset) -> Timeline | None:
        store = self._library.predictions(case.case_id)
        run = newest_run(
            store, asset.asset_id, PHASES, self._settings.values.models.get(PHASES, "")
        )
        if run is None:
            return None
        phases = store.phases(run.run_id)
        return timeline_of_run(run, phases, asset.start_pts, asset.end_pts)

    def _look_after(self, case: Case) -> None:
        """Thumbnail and full hash of a case that was just opened, in the background."""
        asset = case.assets[0]
        if not self._library.is_writable:
            return
        if not self._library.thumbnail_path(case.case_id).exists():
            self._slow.run(
                lambda: self._make_picture(case, asset),
                lambda image: self.pictured.emit(case.case_id, image),
                lambda error: log.info("no thumbnail: %s", error.detail),
            )
        if not all(f.sha256 and f.pictures for f in asset.files):
            self._slow.run(
                lambda: self._take_fingerprints(asset),
                failed=lambda error: log.info("no hash: %s", error.detail),
            )

    def _make_picture(self, case: Case, asset: Asset) -> QImage:
        from app.inference.new_case import save_thumbnail

        save_thumbnail(self._library, case.case_id, asset)
        return QImage(str(self._library.thumbnail_path(case.case_id)))

    def _take_fingerprints(self, asset: Asset) -> None:
        """Full hash and pictures of every file, by which it is known again when it was moved."""
        from app.video import fingerprinted

        for file in asset.files:
            found = fingerprinted(file, cancelled=lambda: self._closing)
            if found is not None:
                self._library.writer.replace_file(asset.asset_id, file, found)

    def _not_opened(self, error: TrocarError) -> None:
        self._leave_preview()
        self._failed(error)
        self.not_opened.emit()

    def _failed(self, error: TrocarError) -> None:
        self.said.emit(from_error(error, key="open"))


def _changed_fields(case: Case, step: str, /, **changed: str) -> Correction:
    before = CaseFields(title=case.title, procedure=case.procedure, state=str(case.state))
    change = Change(object_id=CASE, before=before, after=replace(before, **changed))
    return Correction(case_id=case.case_id, title=step, changes=(change,))


def _gone_words(asset: Asset, gone: frozenset[int]) -> str:
    files = [asset.files[i] for i in sorted(gone)]
    lost_ms = sum(float((f.end_pts - f.first_pts) * asset.time_base * 1000) for f in files)
    names = ", ".join(Path(f.path).name for f in files[:3]) + (", …" if len(files) > 3 else "")
    are = "is not where it was" if len(files) == 1 else "are not where they were"
    return f"{names} {are}: {length(lost_ms / 1000)} cannot be shown."


def _same_in_full(found: FoundFile, cancelled: Callable[[], bool]) -> bool:
    """Whether a file that was found is the old one to the last byte, where that is known."""
    from app.video import full_hash

    known = "" if found.is_remuxed else found.missing.file.sha256
    return not known or full_hash(found.now.path, cancelled=cancelled) in (known, "")
