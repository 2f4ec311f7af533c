"""The Annotate workspace: cases, tools, canvas, panels, timeline. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QByteArray, QPoint, Qt, QTimer
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QMenu,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.correction import Correction
from app.overlay import Dial, OverlayStyle, ShownInstance
from app.ui import style, theme
from app.ui.annotate.actions import ACTIONS
from app.ui.annotate.canvas import Canvas
from app.ui.annotate.case_list import CaseList
from app.ui.annotate.choice import DeleteChoice
from app.ui.annotate.details import Details
from app.ui.annotate.editor import Editor, key_of
from app.ui.annotate.instance_list import InstanceList
from app.ui.annotate.model_tab import ModelTab
from app.ui.annotate.rail import Rail
from app.ui.annotate.segments_tab import SegmentsTab
from app.ui.annotate.splitter import Splitter
from app.ui.background import Background
from app.ui.case_cards import CaseModel
from app.ui.joins import joins_of
from app.ui.keys import KeyMap, Scope, set_widget_scope
from app.ui.messages import Message, Tone
from app.ui.services import Services
from app.ui.session import READ_ONLY
from app.ui.stage_menu import FIND, PICTURE, open_menu
from app.ui.timeline.commands import ACTIONS as TIMELINE_ACTIONS
from app.ui.timeline.commands import TimelineCommands
from app.ui.timeline.data import timeline_data
from app.ui.timeline.widget import Timeline
from app.ui.volume import sound_menu
from app.ui.widgets import Label, line, mark

LEFT_PX, RIGHT_PX, TIMELINE_PX = 272, 324, 330
NARROW_PX, LOW_PX = 1500, 760
COUNT_AFTER_MS = 1500
_LAYOUT, _ROWS = "annotate", "annotate rows"
Spans = tuple[tuple[float, float], ...]


class AnnotateWorkspace(QWidget):
    """Correct outlines and phases of the open case.

    Args:
        services: of the window.
        keys: of the window; Annotate adds its own actions and binds them.
        cases: the library's cases, as the library workspace lists them.

    Attributes:
        canvas: the stage to hand to ``Playback.set_stage``.
        timeline: phases below.
        editor: outlines and their edits.
    """

    def __init__(self, services: Services, keys: KeyMap, cases: CaseModel) -> None:
        super().__init__()
        self._services = services
        self._keys = keys
        self._unsaved: object = None
        self._asked: object = None
        self._own_edit = False
        self._narrow = self._low = False
        self._tracks: dict[tuple[str, int, int], Spans] = {}
        self._background = Background("trocar-tracks")
        self._counted = QTimer(self, singleShot=True, interval=COUNT_AFTER_MS)
        self._counted.timeout.connect(services.cases.refresh)
        keys.add((*ACTIONS, *TIMELINE_ACTIONS))
        self.editor = Editor(services.session, services.library)
        self.canvas = Canvas(self.editor)
        self.canvas.style_source = self._overlay_style
        self.timeline = Timeline()
        self.commands = TimelineCommands(self.timeline)
        self.rail = Rail(self.canvas, keys)
        self.cases = CaseList(cases)
        self.instances = InstanceList(self.editor, self.canvas.colour_of, self._is_unsaved)
        self.details = Details(self.editor, keys, self._instruments)
        self.segments = SegmentsTab(self.timeline, self.commands, keys)
        self.model_tab = ModelTab(services.session, self.editor, keys)
        self.choice = DeleteChoice(
            self.canvas,
            keys,
            self.editor.delete_here,
            lambda: self.editor.delete_track(from_here=True),
            lambda: self.editor.delete_track(from_here=False),
        )
        set_widget_scope(self.canvas, Scope.CANVAS)
        set_widget_scope(self.instances, Scope.CANVAS)
        set_widget_scope(self.timeline, Scope.TIMELINE)
        self._lay_out()
        self._bind()
        self._connect()
        self._restore()
        style.watch(self)
        if not services.library.is_writable:
            self.set_locked(READ_ONLY)
        self._case_opened()
        self.editor.changed.emit()  # without the recording no picture will come that tells

    # Layout

    def _lay_out(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.addTab(self._instances_page(), "Instances")
        self.tabs.addTab(self.segments, "Segments")
        self.tabs.addTab(_scrolled(self.model_tab), "Model")
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setAccessibleName("Panels")
        self.tabs.tabBar().setExpanding(False)
        right = QFrame()
        mark(right, "panel")
        box = QVBoxLayout(right)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.tabs)
        middle = QWidget()
        row = QHBoxLayout(middle)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.rail)
        row.addWidget(line(vertical=True))
        row.addWidget(self.canvas, 1)
        self.upper = Splitter(Qt.Orientation.Horizontal)
        self.outer = Splitter(Qt.Orientation.Vertical)
        for part in (self.cases, middle, right):
            self.upper.addWidget(part)
        self.upper.setStretchFactor(1, 1)
        self.outer.addWidget(self.upper)
        self.outer.addWidget(self.timeline)
        self.outer.setStretchFactor(0, 1)
        self.cases.setMinimumWidth(theme.px(200))
        right.setMinimumWidth(theme.px(264))
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.outer)

    def _instances_page(self) -> QWidget:
        page = QWidget()
        box = QVBoxLayout(page)
        box.setContentsMargins(0, 10, 0, 0)
        box.setSpacing(6)
        head = QHBoxLayout()
        head.setContentsMargins(16, 0, 16, 0)
        head.addWidget(Label("On this frame", "caption", "3"), 1)
        self._count = Label("", "caption", "3")
        head.addWidget(self._count)
        self._nothing = Label("", "body", "3")
        self._nothing.setWordWrap(True)
        self._nothing.setContentsMargins(16, 6, 16, 6)
        box.addLayout(head)
        box.addWidget(self._nothing)
        box.addWidget(self.instances)
        box.addWidget(line())
        box.addWidget(self.details)
        box.addStretch(1)
        return _scrolled(page)

    def _restore(self) -> None:
        layout = self._services.settings.values.layout
        self.timeline.set_folded(filter(None, layout.get(_ROWS, "").split("|")))
        saved = layout.get(_LAYOUT, "")
        parts = saved.split(" ")
        if len(parts) == 2:
            self.upper.restoreState(QByteArray.fromBase64(parts[0].encode()))
            self.outer.restoreState(QByteArray.fromBase64(parts[1].encode()))
            return
        self.reset_layout()

    def reset_layout(self) -> None:
        """Every part as wide as at first, the cases beside the picture where there is room."""
        self.cases.setVisible(not self._narrow)
        self.timeline.set_folded(())
        self.upper.setSizes([theme.px(LEFT_PX), 1040, theme.px(RIGHT_PX)])
        below = theme.px(204 if self._low else TIMELINE_PX)
        self.outer.setSizes([max(620, self.outer.height() - below), below])

    def save_layout(self) -> None:
        """Remember the sizes of the parts."""
        parts = (bytes(s.saveState().toBase64().data()).decode() for s in (self.upper, self.outer))
        settings = self._services.settings
        rows = "|".join(sorted(self.timeline.folded))
        layout = {**settings.values.layout, _LAYOUT: " ".join(parts), _ROWS: rows}
        settings.set(layout=layout)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """On a small window the cases fold away and the timeline is lower."""
        super().resizeEvent(event)
        narrow = event.size().width() < theme.px(NARROW_PX)
        if narrow != self._narrow:
            self._narrow = narrow
            self.cases.setVisible(not narrow)
        low = event.size().height() < theme.px(LOW_PX)
        if low != self._low:
            self._low = low
            below = theme.px(204 if low else TIMELINE_PX)
            self.outer.setSizes([event.size().height() - below, below])
        self.choice.place()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what happened while another workspace was on screen."""
        super().showEvent(event)
        self._services.sound.want_waveform()
        self._player_changed()
        session = self._services.session
        if session.frame is not None:
            self.show_frame(session.frame.time_ms, exact=True)
        elif session.asset is not None and not session.asset.has_recording:
            self.show_frame(self._services.playback.labels_ms, exact=True)

    def hideEvent(self, event: QHideEvent) -> None:
        """Another workspace is on screen."""
        super().hideEvent(event)
        self.choice.hide()

    # Wiring

    def regions(self) -> tuple[QWidget, ...]:
        """What F6 visits, in order."""
        return (
            self.cases,
            self.rail,
            self.canvas,
            self.tabs.tabBar(),
            self.tabs.currentWidget(),
            self.timeline,
        )

    def show_frame(self, time_ms: float, *, exact: bool) -> None:
        """The frame on screen changed."""
        self.canvas.time_ms, self.canvas.exact = time_ms, exact
        session = self._services.session
        if session.frame is not None:
            self.timeline.set_playhead(session.frame.pts, follow=self.canvas.playing)
        elif session.asset is not None:
            self.timeline.set_playhead(session.asset.pts(time_ms))
        self._show_strip()

    def set_locked(self, reason: str) -> None:
        """Nothing can be edited, for this reason; "" unlocks."""
        self.editor.locked_reason = self.timeline.locked_reason = reason
        self.rail.lock(reason)
        self.details.refresh()
        self.segments.refresh()

    def stop(self) -> None:
        """The window closes: remember the layout, end the threads."""
        self.save_layout()
        self._counted.stop()
        self.editor.stop()
        self._background.close()

    def _connect(self) -> None:
        s, editor = self._services, self.editor
        editor.said.connect(s.said)
        editor.changed.connect(self._outlines_changed)
        editor.changed.connect(self._forget_question)
        editor.selection_changed.connect(self._forget_question)
        editor.selection_changed.connect(self._show_strip)
        self.canvas.pause_wanted.connect(self._pause)
        self.canvas.menu_wanted.connect(self.open_menu)
        self.canvas.frame_menu_wanted.connect(
            lambda at: open_menu(self, self._keys, at, FIND, PICTURE)
        )
        self.canvas.space_tapped.connect(lambda: self._keys.trigger("play"))
        self.canvas.view_changed.connect(self.choice.place)
        self.details.delete_asked.connect(self.ask_delete)
        self.timeline.corrected.connect(self._correct)
        self.timeline.seek_requested.connect(self._seek)
        self.timeline.analyse_requested.connect(self._analyse)
        self.timeline.refused.connect(self._refused)
        self.timeline.sound_menu_requested.connect(self.open_sound_menu)
        s.sound.waveform_changed.connect(self._show_sound)
        self.cases.chosen.connect(s.cases.open_case)
        s.session.case_opened.connect(self._case_opened)
        s.session.human_changed.connect(self._timeline_changed)
        s.session.model_changed.connect(self._timeline_changed)
        s.session.frames_touched.connect(self._go_to_touched)
        s.session.saving.connect(self._saving)
        s.session.saved.connect(self._saved)
        s.player.changed.connect(self._player_changed)
        s.loop.changed.connect(self._show_loop)
        s.thumbnails.grew.connect(self._show_pictures)
        s.playback.time_changed.connect(lambda ms, exact: self.show_frame(ms, exact=exact))
        s.playback.dial_changed.connect(lambda _: self.canvas.update())
        for signal in (self._keys.held, self._keys.released):
            signal.connect(lambda _: self.canvas.update())
        self._keys.digit.connect(self._digit)

    def _bind(self) -> None:
        canvas, editor, keys = self.canvas, self.editor, self._keys
        table: dict[str, Callable[[], object]] = {
            **self.commands.table(),
            **{t.id: lambda i=t.id: canvas.set_tool(i) for t in canvas.tools},
            "brush_smaller": lambda: canvas.resize_brush(1 / 1.15),
            "brush_larger": lambda: canvas.resize_brush(1.15),
            "tool_finish": canvas.finish,
            "tool_back": self._back,
            "corner_on": lambda: canvas.select_tool.step_corner(1),
            "corner_back": lambda: canvas.select_tool.step_corner(-1),
            "tool_tap": canvas.tap_pointer,
            "outline_accept": editor.accept,
            "outline_reject": editor.reject,
            "outline_accept_all": editor.accept_all,
            "outline_next_open": self._next_open,
            "work_back": lambda: self._go_to_work(-1),
            "work_on": lambda: self._go_to_work(1),
            "outline_delete": self.ask_delete,
            "outline_delete_on": lambda: self._delete_track(from_here=True),
            "outline_delete_track": lambda: self._delete_track(from_here=False),
            "frame_complete": lambda: editor.set_complete(complete=not editor.is_complete),
            "cases_dock": lambda: self.cases.setVisible(not self.cases.isVisible()),
            "annotate_escape": self.escape,
        }
        for name, dx, dy in (
            ("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1),
        ):  # fmt: skip
            table[f"nudge_{name}"] = lambda x=dx, y=dy: canvas.nudge_pointer(x, y)
            table[f"leap_{name}"] = lambda x=dx, y=dy: canvas.nudge_pointer(10 * x, 10 * y)
        for n in range(1, 10):
            table[f"class_{n}"] = lambda place=n - 1: self._take_class(place)
        for action_id, act in table.items():
            keys.bind(action_id, act)

    # What happens

    def _case_opened(self) -> None:
        session = self._services.session
        self._tracks.clear()
        self.cases.show_open(session.case.case_id if session.case else "")
        self.choice.hide()
        self._timeline_changed()
        self._show_loop()
        self._show_pictures()
        self._show_sound()

    def _show_sound(self) -> None:
        self.timeline.set_sound(self._services.sound.waveform)

    def open_sound_menu(self, at: QPoint) -> QMenu:
        """Sound on or off, and which of the recording's tracks."""
        menu = sound_menu(self, self._services.sound, self._keys.hint("sound"))
        menu.popup(at)
        return menu

    def _show_loop(self) -> None:
        asset, loop = self._services.session.asset, self._services.loop
        if asset is not None:
            start, end = (None if ms is None else float(asset.pts(ms)) for ms in loop.span_ms())
            self.timeline.set_looped(start, end, on=loop.on)

    def _show_pictures(self) -> None:
        self.timeline.set_strip(self._services.thumbnails.strip)

    def _timeline_changed(self) -> None:
        session = self._services.session
        if session.case is None or session.asset is None:
            self.timeline.set_data(None)
        else:
            model = session.model
            named = len(session.taxonomy.phases)
            digits = f"Press 1 to {min(named, 9)}" if named else "Choose the operation first"
            self.timeline.hint_you = (
                f"{digits} to start a phase at the playhead" if named else digits
            )
            analysing = model is not None and model.run is not None
            self.timeline.hint_model = "Analysing" if analysing else "Not analysed yet"
            analysed = model.analysed_to_pts if model else None
            if not session.asset.has_recording:
                self.timeline.hint_model = "No recording to analyse"
                analysed = session.asset.end_pts
            self.timeline.set_data(
                timeline_data(
                    session.case.case_id,
                    session.asset,
                    session.taxonomy,
                    words=session.shown_taxonomy,
                    you=session.human_timeline,
                    model=model.timeline if model and model.timeline.segments else None,
                    confidence=model.confidence if model else (),
                    analysed_to_pts=analysed,
                    marks=session.work.annotated_pts if session.work else (),
                    bookmarks=session.bookmarked_pts,
                    joins=joins_of(session.asset, session.gone),
                    lanes=session.lanes,
                    beside=model.beside.timeline if model and model.beside else None,
                    apart=model.differences if model else None,
                    imported=session.imported,
                )
            )
        if session.frame is not None:
            self.timeline.set_playhead(session.frame.pts)
        self.segments.refresh()

    def _outlines_changed(self) -> None:
        count = len(self.editor.instances)
        self._count.setText(str(count))
        self.instances.setVisible(count > 0)
        self._nothing.setVisible(count == 0)
        session = self._services.session
        if session.frame is None:
            words = "No picture yet."
        elif session.segment_run is None and not count:
            words = "No outlines yet. Take the brush (B) or the polygon (G) and draw one."
        else:
            words = "No outlines on this frame."
        self._nothing.setText(words)
        picture = f"{count} outline" + ("" if count == 1 else "s")
        shown = self.editor.selected
        chosen = f", {self.editor.name_of(shown).lower()} selected" if shown else ""
        self.canvas.setAccessibleDescription(picture + chosen)

    def _correct(self, correction: Correction) -> None:
        self._own_edit = True
        self._services.session.commit(correction)
        self._own_edit = False

    def _go_to_touched(self, touched: frozenset[int] | None) -> None:
        """Undo and redo show what they changed, wherever it is."""
        session = self._services.session
        if not self.isVisible() or self._own_edit or not touched or session.frame is None:
            return
        if session.frame.pts not in touched:
            self._seek(min(touched))

    def _seek(self, pts: int) -> None:
        asset = self._services.session.asset
        if asset is not None:
            self._services.playback.go_to(asset.time_ms(pts))

    def _pause(self) -> None:
        if self._services.player.state.playing:
            self._services.player.toggle()

    def _player_changed(self, _state: object = None) -> None:
        playing = self._services.player.state.playing
        self.commands.playing = playing
        self.canvas.set_playing(playing=playing)

    def _digit(self, digit: int, modifiers: Qt.KeyboardModifier) -> None:
        if not self.isVisible() or modifiers != Qt.KeyboardModifier.NoModifier:
            return
        if self._services.session.taxonomy.phases:
            self.commands.digit(digit)
        else:
            self._refused("Say which operation this is; then digits name its phases.")

    def _analyse(self) -> None:
        if self._keys.is_bound("analyse"):
            self._keys.trigger("analyse")

    def _refused(self, why: str) -> None:
        self._services.said.emit(Message(text=why, tone=Tone.WARN, lasting_s=4, key="locked"))

    def _take_class(self, place: int) -> None:
        known = self._instruments()
        if place < len(known):
            self.editor.relabel(known[place][0])
            self.details.refresh()

    def _instruments(self) -> tuple[tuple[str, str], ...]:
        return tuple((i.key, i.name) for i in self._services.session.taxonomy.instruments)

    def _overlay_style(self) -> tuple[OverlayStyle, bool]:
        playback = self._services.playback
        overlay = playback.style()
        return overlay, overlay.dial == Dial.NOTHING != playback.dial

    def _back(self) -> None:
        canvas = self.canvas
        select = canvas.select_tool
        if not (canvas.polygon_tool.back() or (canvas.tool is select and select.remove_corner())):
            self._keys.trigger("speed_normal")

    def escape(self) -> None:
        """Leave the question, the tool's work, the marks or the selection; else the window's."""
        focus = QApplication.focusWidget()
        inside = focus is not None and (focus is self or self.isAncestorOf(focus))
        if inside:
            if self.choice.isVisible():
                self.choice.hide()
                self.canvas.setFocus(Qt.FocusReason.OtherFocusReason)
                return
            in_timeline = focus in (self.timeline, self.segments.table)
            if (self.commands if in_timeline else self.canvas).escape():
                return
        self._keys.trigger("escape")

    # Deleting and the menu

    def ask_delete(self) -> None:
        """Delete the selected outline; of a tracked one, ask on which frames."""
        shown = self.editor.selected
        if shown is None or shown.track is None or self.choice.isVisible():
            self.choice.hide()
            self.editor.delete_here()
        elif not self.editor.locked_reason:
            self._asked = self._question_of(shown)
            self.choice.ask(self.editor.name_of(shown).lower())

    def _question_of(self, shown: ShownInstance | None) -> object:
        """What the question is about: it must not outlive the frame, the outline or its name."""
        return shown and (self.editor.identity, key_of(shown), self.editor.name_of(shown))

    def _forget_question(self) -> None:
        if self.choice.isVisible() and self._question_of(self.editor.selected) != self._asked:
            self.choice.hide()

    def _next_open(self) -> None:
        if not self.editor.select_next(open_only=True):
            done = "Nothing on this frame is left to decide."
            self._services.said.emit(Message(text=done, lasting_s=3, key="pick"))

    def _go_to_work(self, by: int) -> None:
        """To the nearest frame before or after with outlines that a human decided on."""
        session = self._services.session
        if session.work is None or session.frame is None:
            return
        here, found = session.frame.pts, session.work.annotated_pts
        there = [p for p in found if (p - here) * by > 0]
        if there:
            self._seek(min(there) if by > 0 else max(there))
        else:
            way = "after" if by > 0 else "before"
            none = f"No frame {way} this one has outlines of yours."
            self._services.said.emit(Message(text=none, lasting_s=3, key="work"))

    def _delete_track(self, *, from_here: bool) -> None:
        self.choice.hide()
        self.editor.delete_track(from_here=from_here)

    def open_menu(self, at: QPoint) -> QMenu:
        """What can be done with the selected outline."""
        menu = QMenu(self)
        menu.setAccessibleName("Outline")
        for action in ("outline_accept", "outline_reject", "outline_delete"):
            text = f"{self._keys.tooltip(action).split('  (')[0]}\t{self._keys.hint(action)}"
            menu.addAction(text).triggered.connect(lambda _=False, a=action: self._keys.trigger(a))
        menu.addSeparator()
        shown = self.editor.selected
        for key, name in self._instruments():
            entry = menu.addAction(name)
            entry.setCheckable(True)
            entry.setChecked(shown is not None and shown.label == key)
            entry.triggered.connect(lambda _=False, label=key: self.editor.relabel(label))
        menu.setEnabled(not self.editor.locked_reason)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(at)
        return menu

    # Saved state and track strip

    def _is_unsaved(self, shown: ShownInstance) -> bool:
        return self._unsaved is not None and key_of(shown) == self._unsaved

    def _saving(self) -> None:
        shown = self.editor.selected
        self._unsaved = key_of(shown) if shown else None
        self.instances.viewport().update()

    def _saved(self, _utc_ms: int) -> None:
        self._unsaved = None
        self._counted.start()
        self.instances.viewport().update()

    def _show_strip(self) -> None:
        """Where the selected object was seen; read once per track, off the GUI thread."""
        shown, session = self.editor.selected, self._services.session
        asset, run, frame = session.asset, session.segment_run, session.frame
        if shown is None or asset is None or frame is None or run is None:
            return
        if shown.track is None or not self.editor.is_of_run(shown):
            return
        track, case = shown.track, session.case
        assert case is not None  # noqa: S101 - it has an asset
        whole = asset.end_pts - asset.start_pts
        key = (asset.asset_id, run.run_id, track)
        now = (frame.pts - asset.start_pts) / whole
        self.details.strip.show_track(self._tracks.get(key, ()), now, self.canvas.colour_of(shown))
        if key in self._tracks:
            return
        step = whole / asset.frames * max(1, run.sample_every)

        def read() -> Spans:
            found = self._services.library.predictions(case.case_id).track(
                run.run_id, track, asset.start_pts, asset.end_pts
            )
            return _spans([p - asset.start_pts for p, _, _ in found], step, whole)

        def keep(spans: Spans) -> None:
            if run.finished:
                self._tracks[key] = spans
            if self.editor.selected is not None and self.editor.selected.track == track:
                self.details.strip.show_track(spans, now, self.canvas.colour_of(shown))

        self._background.run(read, keep, newest="strip")


def _spans(pts: list[int], step: float, whole: int) -> Spans:
    """Stretches of frames that follow one another, as shares of the whole."""
    out: list[tuple[float, float]] = []
    for at in pts:
        start, end = at / whole, (at + step) / whole
        if out and start - out[-1][1] <= step / whole:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return tuple(out)


def _scrolled(page: QWidget) -> QScrollArea:
    """A page that scrolls where it has no room, so that it takes none from the timeline."""
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    scroll.setWidget(page)
    return scroll
