"""Opening, adding, listing and deleting cases. GUI thread; the reading is done on ``trocar-io``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from app.core.case import Asset, Case, CaseState
from app.core.correction import CaseFields, Change, Correction
from app.core.errors import BadInput, TrocarError
from app.core.taxonomy import UNKNOWN_PROCEDURE
from app.core.timeline import Timeline, timeline_of_run
from app.ui.background import Background
from app.ui.case_cards import Card
from app.ui.human_work import HumanWork
from app.ui.load_case import (
    PHASES,
    Loaded,
    load_case,
    load_predictions,
    load_work,
    newest_run,
)
from app.ui.messages import Message, Tone, from_error
from app.ui.player_bridge import PlayerBridge
from app.ui.session import CASE, Session
from app.ui.settings import Settings

if TYPE_CHECKING:
    from app.store import Library, Saved

RENAME = "Rename the case"

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
        find_asked: (Asset) the user wants to show where a recording lies.
        said: (Message)
        reported: (Path) a report was written.
    """

    find_asked = Signal(object)
    opening = Signal()
    not_opened = Signal()
    opened = Signal(object)
    listed = Signal(object)
    pictured = Signal(str, QImage)
    said = Signal(object)
    reported = Signal(object)

    def __init__(
        self, library: Library, settings: Settings, session: Session, player: PlayerBridge
    ) -> None:
        super().__init__()
        self._library = library
        self._settings = settings
        self._session = session
        self._player = player
        self._io = Background("trocar-io")
        self._slow = Background("trocar-slow")
        self._closing = False
        session.fields_changed.connect(self.reread_case)
        session.reread_asked.connect(self.reread_work)
        session.saved.connect(lambda _: self._working())

    def close(self) -> None:
        """End both threads."""
        self._closing = True
        self._io.close()
        self._slow.close()

    def open_files(
        self, paths: Sequence[Path], procedure: str = UNKNOWN_PROCEDURE, title: str | None = None
    ) -> None:
        """Make a case of every recording and open the first one."""
        if not paths:
            return
        self.opening.emit()
        models = self._settings.values.models
        first, *others = paths

        def work() -> Loaded:
            case = _case_of(self._library, first, procedure, title)
            return load_case(self._library, case.case_id, models)

        self._io.run(work, self._show, self._not_opened)
        for path in others:
            self._io.run(
                lambda p=path: _case_of(self._library, p, procedure, title),
                lambda _case: self.refresh(),
                self._failed,
            )

    def open_case(self, case_id: str) -> None:
        """Open a case of the library."""
        self.opening.emit()
        models = self._settings.values.models
        self._io.run(
            lambda: load_case(self._library, case_id, models), self._show, self._not_opened
        )

    def _show(self, loaded: Loaded) -> None:
        session = self._session
        session.open(loaded.case, loaded.work)
        session.segment_run = loaded.run
        session.show_model(loaded.model)
        self.opened.emit(loaded)
        self.refresh()
        if loaded.missing:
            self._player.pause()
            asset = loaded.case.assets[0]
            self.said.emit(
                Message(
                    text=loaded.missing,
                    tone=Tone.ERROR,
                    button="Find it",
                    action=lambda: self.find_asked.emit(asset),
                    key="missing",
                )
            )
            return
        self._player.player.open(loaded.case.assets[0].path)
        self._look_after(loaded.case)

    def relink(self, asset: Asset, path: Path) -> None:
        """The user showed where a recording lies now."""

        def work() -> Future[None]:
            from app.video import quick_hash

            if quick_hash(path) != asset.quick_hash:
                raise BadInput(f"{path.name} is another recording; choose the one of this case.")
            return self._library.writer.update_asset(replace(asset, path=str(path.absolute())))

        case = self._session.case
        if case is not None:
            self._store(work, lambda: self.open_case(case.case_id))

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
            lambda: load_predictions(self._library, case.case_id, asset, models),
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

    def delete(self, case_id: str) -> None:
        """Delete a case everywhere; the caller has asked the user."""
        if self._session.case is not None and self._session.case.case_id == case_id:
            self._session.close()
        deleted = self._library.writer.delete_case(case_id)
        self._io.follow(deleted, lambda _: self.refresh(), self._failed)

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
            except TrocarError as error:  # of this case alone; the others are listed as they are
                damage = error.user_message
        path = self._library.thumbnail_path(case.case_id)
        return Card(
            case=case,
            picture=QImage(str(path)) if path.exists() else QImage(),
            human=human,
            model=model,
            damage=damage,
            missing=asset is not None and not Path(asset.path).is_file(),
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
        self._failed(error)
        self.not_opened.emit()

    def _failed(self, error: TrocarError) -> None:
        self.said.emit(from_error(error, key="open"))


def _changed_fields(case: Case, step: str, /, **changed: str) -> Correction:
    before = CaseFields(title=case.title, procedure=case.procedure, state=str(case.state))
    change = Change(object_id=CASE, before=before, after=replace(before, **changed))
    return Correction(case_id=case.case_id, title=step, changes=(change,))


def _case_of(library: Library, path: Path, procedure: str, title: str | None) -> Case:
    from app.inference.new_case import case_of

    return case_of(library, [path], procedure=procedure, title=title)
