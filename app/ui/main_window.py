"""The window: top bar, workspaces, message slot, status bar, keys. GUI thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, QEventLoop, QSize, Qt
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.case import Case
from app.core.errors import TrocarError
from app.core.recording import recorded_files
from app.core.resources import demo_recording
from app.core.taxonomy import UNKNOWN_PROCEDURE
from app.ui import style, theme
from app.ui.actions import ACTIONS
from app.ui.adjust_plate import AdjustPlate
from app.ui.ask import ProcedureLine
from app.ui.bars import WORKSPACES, StatusBar, TopBar
from app.ui.case_name import DEFAULT_TITLE
from app.ui.closing import Closing, ask_to_close
from app.ui.deleting import Deletion, ask_to_delete
from app.ui.figures import Figures
from app.ui.keys import KeyMap, Scope
from app.ui.library_view import LibraryWorkspace
from app.ui.load_case import Loaded
from app.ui.looking import Looking
from app.ui.message_slot import MessageSlot
from app.ui.messages import Message, Tone, from_error
from app.ui.pictures import copy_moment, copy_picture, save_snapshot
from app.ui.playing import Playing
from app.ui.recording_view import RecordingView
from app.ui.review import ReviewWorkspace
from app.ui.services import Services
from app.ui.session import READ_ONLY
from app.ui.settings_sheet import wanted_theme
from app.ui.stage import Stage
from app.ui.stretching import Stretching
from app.ui.tab_order import begin_at
from app.ui.window_sheets import WindowSheets
from app.ui.words import date

if TYPE_CHECKING:
    from app.analysis.moments import Moment
    from app.ui.annotate.workspace import AnnotateWorkspace
    from app.ui.live.control import LiveControl
    from app.ui.live.workspace import LiveWorkspace
    from app.video.player import PlayerState

DEMO_PROCEDURE, DEMO_TITLE = "cholecystectomy", "Demo case"
SIZE, SMALLEST = QSize(1680, 1050), QSize(1180, 680)
FRAME = QSize(16, 48)
VIDEO_FILTER = (
    "Video (*.mp4 *.mkv *.mov *.avi *.mpg *.mpeg *.ts *.m2ts *.mts *.m4v *.wmv *.webm *.mxf *.flv "
    "*.dcm DICOMDIR);;Labels of public data sets (*.txt *.csv *.json);;All files (*)"
)
SCOPES = {
    "library": (Scope.LIBRARY,),
    "review": (Scope.PLAYER,),
    "annotate": (Scope.PLAYER, Scope.ANNOTATE),
    "live": (Scope.LIVE,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Where a window was, or goes: case, its recording (the first one when ""), frame index (or
    milliseconds) and workspace."""

    case_id: str | None
    index: int
    workspace: str
    time_ms: float | None = None
    asset_id: str = ""


class MainWindow(QMainWindow):
    """Trocar's window.

    Args:
        services: everything it works with.
        locked: why the library is open for reading only, in a sentence.

    Attributes:
        resume: set when it closes to be opened again in another text size.
    """

    def __init__(self, services: Services, locked: str = "") -> None:
        super().__init__()
        self.setWindowTitle("Trocar")
        # A laptop at 150 % has less room than the layout wants: nothing may lie off the screen.
        self.setMinimumSize(SMALLEST.boundedTo(self.screen().availableSize() - FRAME))
        self.setAcceptDrops(True)
        self.services = services
        self.keys = KeyMap(self, ACTIONS)
        self._workspace = ""
        self.resume: Resume | None = None
        self._play_when_open = self._asking_to_close = False
        self._resumed: Resume | None = None
        self._chooser: ProcedureLine | None = None
        self.top = TopBar(self.keys)
        self.status = StatusBar()
        self.library = LibraryWorkspace(self.keys, demo=demo_recording())
        self.review = ReviewWorkspace(
            services.session, services.player, services.thumbnails, self.keys
        )
        self.annotate: AnnotateWorkspace | None = None
        self.live: LiveWorkspace | None = None
        self.live_control: LiveControl | None = None
        self.pages: dict[str, QWidget] = {"library": self.library, "review": self.review}
        self.stack = QStackedWidget()
        for page in self.pages.values():
            self.stack.addWidget(page)
        self.top.show_lock("" if services.library.is_writable else locked or READ_ONLY)
        self.top.show_case("", "")
        self.library.may_rename = services.library.is_writable
        self._lay_out()
        self.slot = MessageSlot(self)
        self.sheets = WindowSheets(self, services, self.keys)
        self.playing = Playing(services, self.review, self.slot, self.keys)
        self.looking = Looking(services, self.review, self.playing, self.sheets, self.keys)
        self.stretching = Stretching(self, services, self.review, self.slot, self.keys)
        self.recording_view = RecordingView(services, self.review, self.slot, self.keys)
        self.adjusting = AdjustPlate(self.keys, services.clearing, self)
        self.figures = Figures(services, self.top, self.status, self.review)
        self._bind_keys()
        self._connect()
        self._restore()
        style.watch(self)
        self.show_workspace("library")
        services.cases.refresh()

    # Layout and connections

    def _lay_out(self) -> None:
        body = QWidget()
        body.setObjectName("window")
        body.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        layout = QVBoxLayout(body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.top)
        layout.addWidget(self.stack, 1)
        layout.addWidget(self.status)
        self.setCentralWidget(body)
        begin_at(self.library.view, self.library)

    def _connect(self) -> None:
        s = self.services
        s.said.connect(self.slot.say)
        self.looking.said.connect(self.slot.say)
        self.looking.case_asked.connect(self._open_case)
        s.recovery.recovered.connect(s.cases.refresh)
        self.top.chosen.connect(self.show_workspace)
        self.top.lock.clicked.connect(
            lambda: self.slot.say(Message(text=self.top.lock.toolTip(), key="locked"))
        )
        self.top.name.renamed.connect(self._rename_open_case)
        self.top.name.left.connect(self._focus_page)
        self.slot.left.connect(self._focus_page)
        self.library.model.renamed.connect(s.cases.rename)
        self.library.opened.connect(lambda case_id: self._open_case(case_id))
        self.library.add_asked.connect(self.ask_for_file)
        self.library.demo_asked.connect(self.open_demo)
        self.library.moments_asked.connect(self.sheets.find_words)
        self.library.delete_asked.connect(self.ask_to_delete)
        s.cases.opening.connect(lambda: self.show_workspace("review"))
        s.cases.opened.connect(self._case_opened)
        s.cases.not_opened.connect(self._case_not_opened)
        s.cases.found_again.connect(self._stay_where_it_is)
        s.cases.listed.connect(self.library.set_cards)
        s.analysis.changed.connect(lambda: self.library.model.set_analysis(s.analysis.states()))
        s.cases.pictured.connect(self.library.set_picture)
        self.sheets.find.opened.connect(self._open_moment)
        self.sheets.recordings.may_open = self._left_live
        self.sheets.recordings.may_add = self._may_add
        self.sheets.recordings.looking.connect(self.slot.say)
        self.sheets.recordings.looked.connect(self.slot.clear)
        s.session.case_opened.connect(self._name_case)
        s.session.human_changed.connect(self._phases_changed)
        s.session.model_changed.connect(self._phases_changed)
        s.analysis.changed.connect(self._suggest_procedure)
        s.player.changed.connect(self._player_changed)
        s.player.failed.connect(self._player_failed)
        self.adjusting.moved.connect(s.playback.adjust)
        self.adjusting.closed.connect(self.show_adjusting)
        self.sheets.settings.theme_changed.connect(lambda: self._new_theme())
        self._hints = QGuiApplication.styleHints()  # must outlive what it hands out
        self._hints.accessibility().contrastPreferenceChanged.connect(
            lambda asked: self._new_theme(asked)
        )
        self.sheets.settings.layout_reset.connect(self.reset_layout)
        self.sheets.settings.size_changed.connect(self._new_size)
        self.status.device_clicked.connect(self.sheets.show_models)
        self.review.ribbon.analyse.connect(s.analysis.start)
        self.review.ribbon.opened.connect(lambda _: self.show_workspace("annotate"))

    def _bind_keys(self) -> None:
        bind, s = self.keys.bind, self.services
        bind("zoom_in", lambda: self.current_stage().zoom_by(1.25))
        bind("zoom_out", lambda: self.current_stage().zoom_by(0.8))
        bind("fit", lambda: self.current_stage().fit())
        bind("pixels", lambda: self.current_stage().show_pixels())
        for name, x, y in (("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1)):
            bind(f"pan_{name}", lambda x=x, y=y: self.current_stage().pan_share(x, y))
        bind("adjust", self.show_adjusting)
        bind("adjust_reset", self.adjusting.show_as_recorded)
        bind("clear_smoke", s.clearing.toggle)
        bind("full_screen", self.toggle_full_screen)
        bind("snapshot", self.save_snapshot)
        bind("snapshot_plain", lambda: self.save_snapshot(with_overlay=False))
        bind("snapshot_shown", lambda: self.save_snapshot(as_shown=True))
        bind("copy_moment", self._copy_moment)
        bind("copy_picture", lambda: self.slot.say(copy_picture(self.current_stage())))
        bind("procedure", self.ask_procedure)
        bind("rename", self.top.name.edit)
        bind("case_done", s.cases.set_done)
        bind("undo", s.session.undo)
        bind("redo", s.session.redo)
        bind("analyse", s.analysis.toggle)
        for name in WORKSPACES:
            bind(f"workspace_{name}", lambda n=name: self.show_workspace(n))
        bind("next_region", lambda: self._next_region(1))
        bind("previous_region", lambda: self._next_region(-1))
        bind("escape", self._escape)
        bind("reset_layout", self.reset_layout)
        bind("quit", self.close)
        bind("open", self.ask_for_file)
        bind("demo", self.open_demo)
        bind("find_case", self.library.find)
        bind("open_case", self.library.open_chosen)
        bind("rename_case", self.library.rename_chosen)
        bind("delete_case", self.library.delete_chosen)

    # Workspaces

    @property
    def workspace(self) -> str:
        """The workspace on screen."""
        return self._workspace

    def current_stage(self) -> Stage:
        """The stage of the workspace on screen."""
        if self._workspace == "annotate" and self.annotate is not None:
            return self.annotate.canvas
        if self._workspace == "live" and self.live is not None:
            return self.live.stage
        return self.review.stage

    def show_workspace(self, name: str) -> None:
        """Go to a workspace; Review and Annotate need an open case or one being opened."""
        if name == self._workspace or (name == "annotate" and self.services.session.case is None):
            return
        if self._workspace == "live" and not self._leave_live():
            self.top.show_workspace("live")
            return
        if name == "annotate":
            self._make_annotate()
        if name == "live":
            self._make_live()
        self._workspace = name
        self.stack.setCurrentWidget(self.pages[name])
        self.top.show_workspace(name)
        self.keys.set_workspace(SCOPES[name])
        self.top.show_words(name)
        self._place_slot()
        self.adjusting.hide()
        if name == "library":
            self._drop_chooser()
            self.services.player.pause()
            self.library.view.setFocus(Qt.FocusReason.OtherFocusReason)
            begin_at(self.library.view, self.library)
            self.services.cases.refresh()
        elif name == "live":
            self._enter_live()
        else:
            stage = self.current_stage()
            self.services.playback.set_stage(stage)
            stage.setFocus(Qt.FocusReason.OtherFocusReason)
        self.services.settings.set(workspace=name)

    def _make_annotate(self) -> None:
        """Annotate is built when it is first wanted: the window opens without it."""
        if self.annotate is not None:
            return
        from app.ui.annotate.workspace import AnnotateWorkspace

        self.annotate = AnnotateWorkspace(self.services, self.keys, self.library.model)
        self.pages["annotate"] = self.annotate
        self.stack.addWidget(self.annotate)
        self.annotate.canvas.view_changed.connect(self._place_slot)
        self.annotate.canvas.show_use(shown=self.isFullScreen())

    def _make_live(self) -> None:
        """Live is built when it is first wanted."""
        if self.live is not None:
            return
        from app.ui.live.actions import ACTIONS as LIVE_ACTIONS
        from app.ui.live.control import LiveControl
        from app.ui.live.workspace import LiveWorkspace

        self.keys.add(LIVE_ACTIONS)
        self.live = LiveWorkspace(self.services.settings, self.keys)
        self.pages["live"] = self.live
        self.stack.addWidget(self.live)
        self.live_control = control = LiveControl(self.services, self.live, self.keys)
        self.keys.bind("live_full_screen", self.toggle_full_screen)
        control.said.connect(self.slot.say)
        control.unsaid.connect(self.slot.clear)
        control.case_asked.connect(self._open_case)
        control.source_named.connect(self.top.show_case)
        self.figures.live_words = control.figures

    def _enter_live(self) -> None:
        assert self.live_control is not None  # noqa: S101 - just made
        self._drop_chooser()
        self.services.player.pause()
        self.current_stage().setFocus(Qt.FocusReason.OtherFocusReason)
        self.top.show_case("", "")
        self.live_control.enter()
        begin_at(self.current_stage(), self.pages["live"])

    def _leave_live(self, *, closing: bool = False) -> bool:
        """Let the live source go; a recording that runs is asked about first."""
        control = self.live_control
        if control is None:
            return True
        if control.is_recording:
            from app.ui.live.asking import may_end_recording

            if not may_end_recording(self, closing=closing):
                return False
        if not closing:
            control.leave()
            self._name_case(stay=True)
        return True

    def _left_live(self) -> bool:
        """Whether the live picture is not, or no longer, what the window shows."""
        if self._workspace == "live":
            self.show_workspace("library")
        return self._workspace != "live"

    def _next_region(self, direction: int) -> None:
        page = self.pages[self._workspace]
        regions = [self.top, *page.regions(), self.status]
        focus = self.focusWidget()
        within = [
            i for i, r in enumerate(regions) if focus and (r is focus or r.isAncestorOf(focus))
        ]
        at = within[-1] if within else 0
        for step in range(1, len(regions) + 1):
            region = regions[(at + direction * step) % len(regions)]
            target = _first_stop(region)
            if target is not None and region.isVisible():
                target.setFocus(Qt.FocusReason.ShortcutFocusReason)
                return

    def _escape(self) -> None:
        if self.sheets.close_open_one():
            return
        if self.adjusting.isVisible():
            self.show_adjusting()
        elif self._workspace == "live" and self.live is not None and self.live.escape():
            self.current_stage().setFocus(Qt.FocusReason.ShortcutFocusReason)
        elif self.slot.close_newest():
            return
        elif self.isFullScreen():
            self.toggle_full_screen()
        elif self._workspace != "library" and not self.stretching.escape():
            self.current_stage().setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _place_slot(self) -> None:
        """Messages lie under the top bar, and never on Live's research banner or a tool's plate."""
        top, over = 0 if self.top.isHidden() else self.top.height(), None
        if self._workspace == "live" and self.live is not None:
            top += self.live.banner.height()
        elif self._workspace == "annotate" and self.annotate is not None:
            canvas = self.annotate.canvas
            top += theme.px(canvas.chips_top_px)
            over = canvas.mapTo(self, canvas.rect().topLeft()).x(), canvas.width()
        self.slot.set_top(top, over)

    def toggle_full_screen(self) -> None:
        """Picture and ribbon alone, or the window again."""
        full = not self.isFullScreen()
        self.top.setVisible(not full)
        self.status.setVisible(not full)
        for stage in (self.review.stage, *((self.annotate.canvas,) if self.annotate else ())):
            stage.show_use(shown=full)  # as the status bar says it
        # Toggled, not shown normal: a window that filled the screen before fills it again.
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        self._place_slot()

    # Cases

    def open_files(self, paths: list[Path]) -> None:
        """Make cases of recordings and open the first; folders are looked through."""
        if paths:
            self.sheets.recordings.open(paths)

    def _open_case(self, case_id: str, asset_id: str = "") -> None:
        """Open a case; its thumbnail stands, dimmed, until the first frame comes."""
        self.services.player.pause()  # its pictures would take the thumbnail's place
        self.services.cases.open_case(case_id, asset_id)
        picture = next(
            (c.picture for c in self.library.model.cards if c.case.case_id == case_id), None
        )
        if picture is not None and not picture.isNull():
            self.review.stage.set_picture(picture)

    def _open_moment(self, found: Moment) -> None:
        """Go to a moment that was found, in the workspace that is open."""
        self.sheets.find.close_sheet()
        asset = self.services.session.asset
        if asset is not None and asset.asset_id == found.asset.asset_id:
            self.services.player.player.seek_ms(found.time_ms)
            self._focus_page()
            return
        self._resumed = Resume(
            case_id=found.case.case_id, index=0, workspace=self._workspace, time_ms=found.time_ms
        )
        self._open_case(found.case.case_id, found.asset.asset_id)

    def open_demo(self) -> None:
        """Open the demo case."""
        found = demo_recording()
        if found is not None:
            self.services.cases.open_files([found], procedure=DEMO_PROCEDURE, title=DEMO_TITLE)

    def ask_for_file(self) -> None:
        """The system's own file dialog."""
        if not self._may_add():
            return
        names, _ = QFileDialog.getOpenFileNames(self, "Add a case", "", VIDEO_FILTER)
        if names:
            self.open_files([Path(n) for n in names])

    def _may_add(self) -> bool:
        """Whether the library takes a new case; where it does not, that is said at once."""
        if self.services.library.is_writable:
            return True
        locked = self.top.lock.toolTip()
        words = f"No case can be added before the library is free and Trocar starts anew. {locked}"
        self.slot.say(Message(text=words, tone=Tone.WARN, key="locked"))
        return False

    def ask_to_delete(self, case: Case) -> None:
        """Deleting cannot be undone, so it is asked: the one modal question."""
        if not self.services.library.is_writable:
            self.slot.say(Message(text=READ_ONLY, tone=Tone.WARN, lasting_s=4, key="locked"))
            return
        recorded = recorded_files(case, self.services.library.recordings(case.case_id))
        answer = ask_to_delete(self, case, recorded)
        if answer is Deletion.NOTHING:
            return
        both = answer is Deletion.CASE_AND_RECORDING
        delete_now = partial(self.services.cases.delete, case.case_id, with_recording=both)
        session = self.services.session
        if session.case is not None and session.case.case_id == case.case_id:
            session.close()
            self.services.player.leave()  # Windows deletes no file that is open
        self.services.analysis.leave(case.case_id, delete_now)

    def _case_opened(self, loaded: Loaded) -> None:
        for key in ("missing", "analysis"):
            self.slot.clear(key)
        self._drop_chooser()
        if loaded.case.procedure == UNKNOWN_PROCEDURE and self.services.library.is_writable:
            self._ask_procedure(self.services.settings.values.procedure)
        self._play_when_open = not loaded.missing
        if self._resumed is not None and (
            loaded.missing or self._resumed.case_id != loaded.case.case_id
        ):
            self._resumed = None

    def _stay_where_it_is(self, case_id: str) -> None:
        """The open case is opened again, since files of it were found; it goes on at its frame."""
        self._resumed = replace(self._here(), case_id=case_id)

    def _case_not_opened(self) -> None:
        """Back to what was on screen: the open case's own picture, or the ways in."""
        self._resumed = None
        session, stage = self.services.session, self.review.stage
        if session.case is None:
            stage.set_picture(None)
            self.show_workspace("library")
        else:
            stage.set_frame(session.frame)
            self.services.playback.refresh_view()

    def ask_procedure(self) -> None:
        """Ask which operation the open case is."""
        case = self.services.session.case
        if case is not None:
            self._ask_procedure(case.procedure).setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _ask_procedure(self, chosen: str) -> QWidget:
        self._drop_chooser()
        services = self.services
        self._chooser = ProcedureLine(
            self.slot, chosen, services.analysis.fit, services.cases.set_procedure
        )
        self.slot.add(self._chooser)
        self._suggest_procedure()
        return self._chooser.combo

    def _suggest_procedure(self) -> None:
        if self._chooser in self.slot.lines:
            self._chooser.suggest(self.services.analysis.suggested_procedure())

    def _drop_chooser(self) -> None:
        if self._chooser is not None:
            self.slot.remove(self._chooser)
            self._chooser = None

    def _name_case(self, *, stay: bool = False) -> None:
        session = self.services.session
        has = session.case is not None
        for name in ("review", "annotate"):
            self.top.offer(name, offered=has, why_not="Open a case first")
        if session.case is None:
            self.top.show_case("", "")
            if self._workspace not in ("library", "live"):
                self.show_workspace("library")
            return
        if self._workspace == "live" and not stay:
            return
        case = session.case
        known = case.procedure != UNKNOWN_PROCEDURE
        if known:
            self._drop_chooser()
        named = case.title if case.title != DEFAULT_TITLE or not known else session.taxonomy.name
        about = f"Case {case.case_id} · {date(case.created_utc_ms)}"
        self.top.show_case(named, about, case.title)
        self._phases_changed()
        self.services.playback.refresh_view()

    def _rename_open_case(self, title: str) -> None:
        case = self.services.session.case
        if case is not None:
            self.services.cases.rename(case.case_id, title)

    def _focus_page(self) -> None:
        """The keys belong to the workspace again."""
        library = self._workspace == "library"
        place = self.library.view if library else self.current_stage()
        place.setFocus(Qt.FocusReason.OtherFocusReason)

    def _phases_changed(self) -> None:
        self.review.refresh_phases(self.services.analysis.tail_words())

    # Playing

    def _player_changed(self, state: PlayerState) -> None:
        asset = self.services.session.asset
        is_here = asset is not None and state.info is not None and state.path == Path(asset.path)
        if self._play_when_open and is_here:  # else of the recording that played before
            self._play_when_open = False
            if state.speed < 0:  # there is nothing before its first frame
                self.services.player.player.set_speed(1.0)
            if self._resumed is None:
                self.services.player.player.play()
            else:
                if self._resumed.time_ms is None:
                    self.services.player.player.seek_index(self._resumed.index)
                else:
                    self.services.player.player.seek_ms(self._resumed.time_ms)
                self.show_workspace(self._resumed.workspace)
                self._resumed = None

    def _player_failed(self, error: TrocarError) -> None:
        from app.video import MissingPart

        if isinstance(error, MissingPart):
            self.services.cases.say_missing(error.user_message, Tone.WARN)
            return
        self.slot.say(from_error(error, key="player"))

    def save_snapshot(self, *, with_overlay: bool = True, as_shown: bool = False) -> None:
        """Save the frame with its overlay and the research mark, or bare, or as the eye sees it."""
        told = save_snapshot(
            self.current_stage(),
            self.services.session,
            with_overlay=with_overlay,
            as_shown=as_shown,
        )
        if told is not None:
            self.slot.say(told)

    def _copy_moment(self) -> None:
        told = copy_moment(self.services.session)
        if told is not None:
            self.slot.say(told)

    def show_adjusting(self) -> None:
        """Show the sliders of how the picture looks to the eye, or take them away."""
        plate = self.adjusting
        if plate.isVisible():
            plate.hide()
            self._focus_page()
        elif self.services.session.frame is not None:
            plate.show_adjustment(self.services.playback.adjuster.now)
            plate.show()
            self._place_adjusting()
            plate.sliders["brightness"].setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _place_adjusting(self) -> None:
        if self.adjusting.isVisible():
            stage = self.current_stage()
            corner = stage.mapTo(self, stage.rect().topRight())
            self.adjusting.adjustSize()
            self.adjusting.move(corner.x() - self.adjusting.width() - 24, corner.y() + 110)
            self.adjusting.raise_()

    # Qt's events

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Held keys and digits that nobody else wanted."""
        if not self.keys.press(event):
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """The end of a held key."""
        if not self.keys.release(event):
            super().keyReleaseEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """A hold must not outlive the window's focus."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and not self.isActiveWindow():
            self.services.playback.hold(held=False)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files are welcome."""
        if any(u.isLocalFile() for u in event.mimeData().urls()):
            event.acceptProposedAction()
            self.slot.say(Message(text="Let go, and Trocar opens it where it lies.", key="drop"))

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """They were taken elsewhere."""
        self.slot.clear("drop")

    def dropEvent(self, event: QDropEvent) -> None:
        """A dropped recording becomes a case and plays."""
        self.slot.clear("drop")
        paths = [Path(u.toLocalFile()) for u in event.mimeData().urls() if u.isLocalFile()]
        event.acceptProposedAction()
        self.open_files(paths)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The message slot and the sliders follow."""
        super().resizeEvent(event)
        self._place_adjusting()
        self._place_slot()

    def showEvent(self, event: QShowEvent) -> None:
        """The message slot lies below the top bar."""
        super().showEvent(event)
        self._place_slot()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask while anything is not saved; then save the layout, end every thread, and go."""
        if self._asking_to_close:
            event.ignore()
            return
        self._asking_to_close = True
        self.services.player.pause()
        if not self._leave_live(closing=True):
            self._asking_to_close = False
            self.resume = None
            event.ignore()
            return
        answer = ask_to_close(self, self.services)
        if answer is Closing.STAY:
            self._asking_to_close = False
            self.resume = None
            event.ignore()
            return
        geometry = self.saveGeometry().toBase64().data().decode()
        # A thread may need seconds to its end, as one that is loading torch does.
        self.hide()
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
        self.services.give_up(lose=answer is Closing.LOSE)
        if self.live_control is not None:
            self.live_control.close()
        self._asking_to_close = False
        self.stop()
        self.services.settings.set(geometry=geometry)
        self.services.close(lose=answer is Closing.LOSE)
        super().closeEvent(event)

    def _new_theme(self, asked: Qt.ContrastPreference | None = None) -> None:
        application = QApplication.instance()
        assert isinstance(application, QApplication)  # noqa: S101 - this is a widget
        theme.apply(application, wanted_theme(self.services.settings, asked), theme.scale())
        self.services.playback.refresh_view()

    def _new_size(self) -> None:
        """Heights follow the text size from the start: open the window again where it is."""
        self.resume = self._here()
        self.close()

    def _here(self) -> Resume:
        """What is on screen now."""
        session = self.services.session
        return Resume(
            case_id=session.case.case_id if session.case else None,
            index=session.frame.index if session.frame else 0,
            workspace=self._workspace,
            asset_id=session.asset.asset_id if session.asset else "",
        )

    def go_on(self, resume: Resume) -> None:
        """Go on where another window was."""
        if resume.case_id is not None:
            self._resumed = resume
            self.services.cases.open_case(resume.case_id, resume.asset_id)

    def reset_layout(self) -> None:
        """Every part of the window as wide as at first."""
        self.services.settings.set(layout={}, geometry="")
        self.looking.reset_layout()
        if self.annotate is not None:
            self.annotate.reset_layout()
        if self.isFullScreen():
            self.toggle_full_screen()
        self.showNormal()
        self.resize(SIZE)
        self.appear()

    def stop(self) -> None:
        """Stop the window's timers; its services go on."""
        self.figures.stop()
        self.looking.stop()
        self.slot.stop()
        self.sheets.recordings.stop()
        self.review.stage.stop()
        self.review.transport.stop()
        if self.annotate is not None:
            self.annotate.stop()
        if self.live is not None:
            self.live.stop()

    def _restore(self) -> None:
        saved = QByteArray.fromBase64(self.services.settings.values.geometry.encode())
        if saved.isEmpty() or not self.restoreGeometry(saved):
            self.resize(SIZE)

    def appear(self) -> None:
        """Show the window where it was, at first as drawn, or on all of a smaller screen."""
        framed = self.size() + FRAME  # a larger screen may be gone since it was there
        if framed.boundedTo(self.screen().availableSize()) != framed and not self.isFullScreen():
            self.showMaximized()
        else:
            self.show()


def _first_stop(region: QWidget) -> QWidget | None:
    """The widget of a region that takes the focus."""
    if region.focusPolicy() != Qt.FocusPolicy.NoFocus:
        return region
    stops = (
        w
        for w in region.findChildren(QWidget)
        if w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.isVisible() and w.isEnabled()
    )
    return next(stops, None)
