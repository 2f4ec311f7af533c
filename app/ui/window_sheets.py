"""The window's sheets, and what is saved to a place the user names. GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QWidget

from app.core.prediction import SEGMENTATION
from app.ui.export_sheet import ExportSheet
from app.ui.find_sheet import FindSheet, Source
from app.ui.key_sheet import KeySheet
from app.ui.keys import KeyMap
from app.ui.leaving import ExportOrder
from app.ui.messages import Message, Tone
from app.ui.model_sheet import ModelSheet
from app.ui.recordings import Recordings
from app.ui.services import Services
from app.ui.settings_sheet import SettingsSheet
from app.ui.sheet import Sheet
from app.ui.teach_sheet import TeachSheet
from app.ui.teach_words import result_words
from app.ui.training.sheet import TrainingSheet
from app.ui.words import fine_moment

PDF = "PDF (*.pdf)"


class WindowSheets(QObject):
    """Keys, settings, models, teaching and trainings; report and export."""

    def __init__(self, window: QWidget, services: Services, keys: KeyMap) -> None:
        super().__init__(window)
        self._window = window
        self._services = services
        self._keys = keys
        self.keys = KeySheet(window, keys)
        self.settings = SettingsSheet(window, services.settings)
        self.models = ModelSheet(window)
        self.teach = TeachSheet(window, services.teaching, services.library)
        self.trainings = TrainingSheet(window, services.trainings, services.teaching)
        self.export = ExportSheet(window)
        self.find = FindSheet(window, services.finder)
        self.recordings = Recordings(window, services)
        self.all: tuple[Sheet, ...] = (
            self.keys,
            self.settings,
            self.models,
            self.teach,
            self.trainings,
            self.export,
            self.find,
            *self.recordings.sheets,
        )
        for sheet in self.all:
            self._follow(sheet)
        keys.bind("keys", lambda: self.toggle(self.keys))
        keys.bind("settings", lambda: self.toggle(self.settings))
        keys.bind("models", self.show_models)
        keys.bind("teach", self.show_teaching)
        keys.bind("trainings", lambda: self.toggle(self.trainings))
        self._lead("trainings", self.teach, lambda: self.toggle(self.trainings))
        self._lead("teach", self.trainings, self.show_teaching)
        keys.bind("report", self.save_report)
        keys.bind("export", self.export_case)
        keys.bind("more_like", self.find_like)
        services.analysis.changed.connect(self._analysis_changed)
        services.cases.listed.connect(lambda _: self._offer_cases())
        services.cases.listed.connect(lambda _: self.find.ask())
        self.find.analyse_asked.connect(services.analysis.queue)
        services.session.model_changed.connect(self.find.ask_if_unknown)
        services.cases.reported.connect(self._report_saved)
        services.teaching.taught.connect(self._taught)
        services.teaching.ended.connect(self._offer_anew)
        services.teaching.found.connect(self._tell_found)
        self.models.model_chosen.connect(services.analysis.choose)
        self.settings.fill_changed.connect(services.playback.set_fill)
        self.teach.use_asked.connect(self._use_taught)
        self.teach.curves_asked.connect(self._show_training)
        self.export.chosen.connect(self._export)
        self.recordings.sheet_asked.connect(self.toggle)
        keys.bind("relink", self.recordings.find_missing)
        keys.bind("open_folder", self.recordings.ask_for_folder)

    def add(self, *sheets: Sheet) -> None:
        """Let one of these be the open one too."""
        self.all = (*self.all, *sheets)
        for sheet in sheets:
            self._follow(sheet)

    def _follow(self, sheet: Sheet) -> None:
        sheet.closed.connect(lambda: self._keys.block(blocked=False))

    def _lead(self, action_id: str, sheet: Sheet, there: Callable[[], object]) -> None:
        """Let an action's keys work over a sheet, too, that belongs to what they open."""
        action = next(a for a in self._keys.actions if a.id == action_id)
        for key in action.keys:
            shortcut = QShortcut(QKeySequence(key), sheet)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(there)

    def close_open_one(self) -> bool:
        """Close the sheet that is open; False when none is."""
        sheet = next((x for x in self.all if x.isVisible()), None)
        if sheet is not None:
            sheet.close_sheet()
        return sheet is not None

    def toggle(self, sheet: Sheet) -> None:
        """Open a sheet in the place of any other, or close it."""
        was_open = sheet.isVisible()
        self.close_open_one()
        if not was_open:
            self._keys.block(blocked=True)
            sheet.open_sheet()

    def show_models(self) -> None:
        """Open the sheet of models and device."""
        analysis = self._services.analysis
        if not self.models.isVisible():
            analysis.read_cards(self._fill_models)
            if analysis.device is None:
                analysis.worker.ask_device()
            self._fill_models()
        self.toggle(self.models)

    def _analysis_changed(self) -> None:
        if self.models.isVisible():
            self._fill_models()

    def _fill_models(self) -> None:
        analysis = self._services.analysis
        chosen = {task: card.name for task, card in analysis.in_use().items()}
        taxonomy = self._services.session.taxonomy
        self.models.show_facts(analysis.facts(), analysis.cards, chosen, taxonomy)

    def show_teaching(self) -> None:
        """Open the sheet that teaches a model from corrections."""
        self.toggle(self.teach)
        if self.teach.isVisible() and not self._services.teaching.running:
            self.teach.wait()
            self._services.analysis.read_cards(self._offer_cases)

    def _tell_found(self, name: str) -> None:
        message = Message(
            text=f"{name} is still being taught.",
            button="Show",
            action=lambda: self._show_training(name),
            lasting_s=12,
            key="teaching",
        )
        self._services.said.emit(message)

    def _offer_anew(self) -> None:
        """Another model may be there to start from."""
        if self.teach.isVisible():
            self.teach.wait()
            self._services.analysis.read_cards(self._offer_cases)

    def _show_training(self, name: str) -> None:
        """Open the sheet of trainings on the one that teaches this model, if any."""
        self.trainings.choose_by_name(name)
        self.toggle(self.trainings)

    def _offer_cases(self) -> None:
        if self.teach.isVisible() and not self._services.teaching.running:
            case = self._services.session.case
            self.teach.offer(self._services.analysis.cards, case.case_id if case else "")

    def _use_taught(self, task: str, name: str) -> None:
        self.teach.close_sheet()
        analysis = self._services.analysis
        analysis.read_cards(lambda: analysis.choose(task, name))

    def _taught(self, result: dict[str, object]) -> None:
        name, task = str(result["model"]), str(result.get("task", SEGMENTATION))
        if self.teach.isVisible():
            return
        self._services.said.emit(
            Message(
                text=f"{name} is ready. {result_words(result)}",
                tone=Tone.OK,
                button="Use it",
                action=lambda: self._use_taught(task, name),
            )
        )

    def save_report(self) -> None:
        """Write the report of the open case where the user wants it."""
        case = self._services.session.case
        if case is None:
            return
        name, kind = QFileDialog.getSaveFileName(
            self._window,
            "Save the report",
            str(_documents() / f"case-{case.case_id}.html"),
            f"Report (*.html);;{PDF}",
        )
        if name:
            path = Path(name)
            if kind == PDF or not path.suffix:
                path = path.with_suffix(".pdf" if kind == PDF else ".html")
            self._services.cases.write_report(case.case_id, path)

    def _report_saved(self, path: Path) -> None:
        url = QUrl.fromLocalFile(str(path))
        self._services.said.emit(
            Message(
                text="Report saved.",
                tone=Tone.OK,
                button="Open",
                action=lambda: QDesktopServices.openUrl(url),
                lasting_s=8,
            )
        )

    def export_case(self) -> None:
        """Ask what of the open case is written, and where."""
        session, loop = self._services.session, self._services.loop
        if session.case is None:
            return
        start, end = loop.span_ms()
        marked = loop.stretch is not None and start is not None and end is not None
        self.export.offer(
            (start / 1000, end / 1000) if marked else None,
            f"{fine_moment(start)} to {fine_moment(end)}" if marked else "",
            has_masks=bool(session.work and session.work.annotated_pts),
            has_recording=session.asset is not None and session.asset.has_recording,
            imported=session.imported,
        )
        self.toggle(self.export)

    def find_like(self) -> None:
        """Open the sheet of moments that look like the frame on screen."""
        session = self._services.session
        case, asset, frame = session.case, session.asset, session.frame
        if case is None or asset is None or frame is None or not asset.has_recording:
            words = "There is no picture here that others could be like."
            self._services.said.emit(Message(text=words, lasting_s=4, key="find"))
            return
        self._services.player.pause()
        time_ms = asset.time_ms(frame.pts)
        tier = session.human_timeline or (session.model.timeline if session.model else None)
        phase = (tier.phase_at(frame.pts) or "") if tier is not None else ""
        self._look_from(Source(case=case, asset=asset, time_ms=time_ms, phase=phase))
        self._services.finder.shrink(frame.rgb, self.find.set_picture)

    def find_words(self) -> None:
        """Open the sheet without a frame: words can be looked for in the whole library."""
        self._look_from(Source())

    def _look_from(self, source: Source) -> None:
        self.toggle(self.find)
        used = self._services.analysis.in_use().values()
        in_use = frozenset(n for card in used for n in (card.name, card.features_of) if n)
        self.find.look_from(source, in_use)

    def _export(self, order: ExportOrder) -> None:
        case = self._services.session.case
        if case is None:
            return
        name = QFileDialog.getExistingDirectory(
            self._window, "Export into a folder", str(_documents())
        )
        if name:
            self.export.close_sheet()
            folder = Path(name) / f"trocar-case-{case.case_id}"
            self._services.leaving.write(case.case_id, folder, order)


def _documents() -> Path:
    """Where people look for what they saved; never the folder that Trocar was started from."""
    places = QStandardPaths.standardLocations(QStandardPaths.StandardLocation.DocumentsLocation)
    return next((Path(p) for p in places if Path(p).is_dir()), Path.home())
