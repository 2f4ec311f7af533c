"""What the Live workspace does: a source, its recording, marks, phases, looking back. GUI thread.

The session's own threads capture, write and store; what comes back is delivered by signals. What
waits for sockets or disks is asked on ``trocar-live-io`` and never here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QImage

from app.core.case import Case
from app.core.errors import TrocarError
from app.core.taxonomy import Taxonomy, find_taxonomy
from app.ui.background import Background
from app.ui.keys import KeyMap
from app.ui.live.bridge import LiveBridge
from app.ui.live.chooser import recordings_folder
from app.ui.live.closing import end_in_order
from app.ui.live.models import LiveModels
from app.ui.live.notes import LiveNotes
from app.ui.live.screen import LiveScreen
from app.ui.live.showing import Showing
from app.ui.live.words import mode_words, picture
from app.ui.live.workspace import LiveWorkspace
from app.ui.messages import Message, Tone, from_error
from app.ui.pictures import NOT_SAVED, picture_folder
from app.ui.playback import overlay_style
from app.ui.services import Services
from app.ui.session import READ_ONLY
from app.ui.transport import DIAL_WORDS
from app.ui.words import moment

if TYPE_CHECKING:
    from app.core.correction import Bookmark, Correction
    from app.core.timeline import Timeline
    from app.live import LiveSession
    from app.video import VideoSource
    from app.video.live.capture import LiveFrame, LiveState
    from app.video.record.state import RecordingState

MARK_S = 30.0
_TICK_MS = 50
_STEPS_MS = {"live_back": -5e3, "live_on": 5e3, "live_jump_back": -30e3, "live_jump_on": 30e3}


class LiveControl(QObject):
    """Makes the workspace work.

    Signals:
        said: (Message)
        case_asked: (case id) open the case of what was recorded.
        unsaid: (key) what was said is settled.
        source_named: (name, format) what is watched, "" for nothing.

    Attributes:
        session: the source that is watched, None while none is.
        state: of the source.
        recording: of the recorder, None where nothing was recorded.
        case: of the recording, as it was told last.
        stopping: the recording is being ended.
        models, screen, notes: see their classes; notes are None where nothing is recorded.
    """

    said = Signal(object)
    case_asked = Signal(str)
    source_named = Signal(str, str)
    unsaid = Signal(str)
    _recorded = Signal(object, object)
    _cased = Signal(object, object)
    _troubled = Signal(object, object)

    def __init__(self, services: Services, workspace: LiveWorkspace, keys: KeyMap) -> None:
        super().__init__(workspace)
        self._services, self._page, self._keys = services, workspace, keys
        self._settings = services.settings
        self._io = Background("trocar-live-io")
        self._ending = Background("trocar-live-ending")
        self._bridge = LiveBridge()
        self._bridge.adjust = services.clearing.of_arriving
        self.models = LiveModels(services, self._io)
        self.screen = LiveScreen(workspace.stage, services.clearing)
        self.taxonomy: Taxonomy = find_taxonomy(services.settings.values.procedure)
        self.session: LiveSession | None = None
        self._sessions: list[LiveSession] = []
        self._watched: object = None
        self._closing = False
        self.state: LiveState | None = None
        self.recording: RecordingState | None = None
        self.case: Case | None = None
        self.notes: LiveNotes | None = None
        self.silent_since_s: float | None = None
        self._wants_recording = self.stopping = self._has_ended_one = False
        self._showing = Showing(self, workspace)
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self._each_tick)
        self._connect()
        self._bind()

    def _connect(self) -> None:
        page = self._page
        page.chooser.chosen.connect(self.watch)
        page.chooser.devices_asked.connect(self.list_devices)
        page.chooser.pedals_changed.connect(self.set_pedals)
        self._bridge.shown.connect(self._take_frame)
        self._bridge.changed.connect(self._take_state)
        self._recorded.connect(self._take_recording)
        self._cased.connect(self._take_case)
        self._troubled.connect(self._take_problem)
        self.models.drawn.connect(self.screen.take_drawn)
        self.models.named.connect(self.screen.take_pace)
        self.models.said.connect(self.said)
        self.screen.moved.connect(self._showing.refresh)
        self.screen.failed.connect(lambda error: self.said.emit(from_error(error, key="live")))
        page.stage.view_changed.connect(self.set_look)
        page.strip.seek.connect(self.look_back_to)
        page.strip.live_asked.connect(self.screen.to_live)
        page.plate.pressed.connect(self.screen.to_live)
        page.plate.pressed.connect(page.stage.setFocus)
        page.done_plate.pressed.connect(self._open_case)
        page.record.started.connect(self.record)
        page.record.stopped.connect(self.stop_recording)
        page.record.let_go.connect(self._let_go_of_stop)
        page.mark.clicked.connect(self.mark)
        page.phase.clicked.connect(self.choose_phase)
        page.picker.picked.connect(self.key_phase)
        page.pause.clicked.connect(self.pause)
        page.snapshot.clicked.connect(self.snapshot)
        page.source.clicked.connect(self.choose_source)
        page.hide_overlay.pressed.connect(lambda: self.screen.hold_tissue(held=True))
        page.hide_overlay.released.connect(lambda: self.screen.hold_tissue(held=False))

    def _bind(self) -> None:
        bind, stage = self._keys.bind, self._page.stage
        bind("live_mark", self.mark)
        bind("live_phase", self.choose_phase)
        bind("live_pause", self.pause)
        bind("live_snapshot", self.snapshot)
        bind("live_clear_smoke", self._services.clearing.toggle)
        bind("live_edge", self.screen.to_live)
        bind("live_undo", self.undo)
        bind("live_overlay", self.next_dial)
        bind("live_source", self.choose_source)
        for name, step_ms in _STEPS_MS.items():
            bind(name, lambda ms=step_ms: self.look_by(ms))
        bind("live_zoom_in", lambda: stage.zoom_by(1.25))
        bind("live_zoom_out", lambda: stage.zoom_by(0.8))
        bind("live_fit", stage.fit)
        self._keys.held.connect(self._held)
        self._keys.released.connect(self._released)
        self._keys.digit.connect(self._digit)
        self.set_pedals()

    # Coming and going

    def enter(self) -> None:
        """The workspace is on screen."""
        if self.session is None:
            self._page.show_chooser(choosing=True)
            self.list_devices()
            if self._services.analysis.device is None:
                # Loads what computes now, while nobody watches a picture that it would hold up.
                self._services.analysis.worker.ask_device()
        self._showing.refresh()

    def figures(self) -> tuple[str, str] | None:
        """For the status bar: what comes and is dropped, how fast it is answered."""
        session = self.session
        if session is None:
            return None
        state = session.state
        lost = state.dropped + self._bridge.skipped
        dropped = f"{lost:,} not shown" if lost else "all shown"
        rate = f"{state.rate:.0f} per second, {dropped}" if state.status == "live" else "no signal"
        pace = self.screen.pace
        if not pace.compute_ms:
            return rate, ""
        return rate, f"Answer in {pace.compute_ms:.0f} ms, {pace.age_ms:.0f} ms old when it comes"

    @property
    def limit_ms(self) -> int:
        """No outline is shown that is older."""
        return self._settings.values.live_limit_ms

    @property
    def is_recording(self) -> bool:
        """Whether a recording runs, or is about to."""
        running = self.recording is not None and self.recording.is_running
        return self._wants_recording or running

    def leave(self) -> None:
        """Let the source go; a recording is ended and becomes its case."""
        self._tick.stop()
        self._page.stop_holding()
        self._page.picker.hide()
        self._let_go()
        self._page.show_chooser(choosing=True)

    def close(self) -> None:
        """The window closes: end every thread; what was recorded is finished at the next start."""
        self._closing = True
        self._tick.stop()
        self.blockSignals(True)  # noqa: FBT003 - Qt's own; nobody reads what comes now
        self._bridge.renew()
        self._bridge.tap = None
        self.screen.close()
        self.session = None
        # A session that is just being opened is there once its thread has ended.
        end_in_order(
            self._close_sessions,
            self._io.close,
            self._close_sessions,
            self._ending.close,
            self.models.close(),
        )

    def _close_sessions(self) -> None:
        for session in tuple(self._sessions):
            session.close()

    def list_devices(self) -> None:
        """Cameras and capture cards, on a thread of its own: drivers may take a while."""

        def work() -> list[tuple[str, list[tuple[str, str]]]]:
            from app.video.live.devices import list_devices

            return [(d.name, [(mode_words(m), str(m)) for m in d.modes]) for d in list_devices()]

        self._io.run(work, self._page.chooser.show_devices, self._failed, newest="devices")

    def choose_source(self) -> None:
        """Another source; while something is recorded it has to be ended first."""
        if self.is_recording:
            self._showing.toast("Hold Stop first", "then choose another source", "square")
            return
        self.leave()
        self.list_devices()

    def watch(self, source: str) -> None:
        """Watch a source."""
        if not self._services.library.is_writable:
            self.said.emit(Message(text=READ_ONLY, tone=Tone.WARN, lasting_s=4, key="locked"))
            return
        self._let_go()
        watched = self._watched = object()
        procedure = self._page.chooser.procedure
        on_frame, on_state = self._bridge.renew()
        folder = recordings_folder(self._settings.values.live_folder)

        def open_session() -> LiveSession:
            from app.live import LiveSession

            session = LiveSession(
                self._services.library,
                source,
                folder=folder,
                procedure=procedure,
                on_frame=on_frame,
                on_state=on_state,
                on_recording=lambda state: self._recorded.emit(session, state),
                on_case=lambda case: self._cased.emit(session, case),
                on_problem=lambda problem: self._troubled.emit(session, problem),
            )
            session.start()
            self._sessions.append(session)
            return session

        def opened(session: LiveSession) -> None:
            if watched is not self._watched:  # another one was chosen meanwhile, or Live was left
                self._end(session)
                return
            self._begin(session, procedure)
            self._page.chooser.remember(source)

        self._io.run(open_session, opened, self._failed)

    def _begin(self, session: LiveSession, procedure: str) -> None:
        if self._closing:
            return
        self.unsaid.emit("live")
        self.session, self.state = session, session.state
        self.taxonomy = find_taxonomy(procedure)
        self.recording = self.case = self.notes = None
        self.silent_since_s = time.monotonic()
        self._wants_recording = self.stopping = self._has_ended_one = False
        self._page.show_chooser(choosing=False)
        self._page.stage.setFocus(Qt.FocusReason.OtherFocusReason)
        self.set_look()
        self.models.start(procedure, self._feed)
        self._tick.start()
        if self._settings.values.live_record_at_once:
            self.record()
        self._showing.refresh()

    def _feed(self) -> None:
        self._bridge.tap = self.models.feed

    def _let_go(self) -> None:
        self._watched = None
        self._bridge.renew()
        self._bridge.tap = None
        self.models.stop()
        self.screen.clear()
        session, self.session = self.session, None
        self.state = self.recording = self.notes = None
        self._wants_recording = False
        if session is not None:
            self._end(session)

    def _end(self, session: LiveSession) -> None:
        """Close a session and finish its file, however long that takes."""

        def done(_: object) -> None:
            self._sessions.remove(session)
            self._services.cases.refresh()

        self._ending.run(lambda: session.close(finish=True), done, self._failed)

    # The recording

    def record(self) -> None:
        """Begin to record, with the seconds before.

        After a recording that was ended by hand this is another operation. Before the first one,
        and after one that stopped by itself, the operation may be running already: what was seen of
        it counts.
        """
        if self.session is None or self.is_recording:
            return
        if self._has_ended_one:
            self._has_ended_one = False
            self.models.begin_anew()
        self._wants_recording, self.stopping = True, False
        self.recording = self.case = self.notes = None
        self._io.follow(self.session.record(), failed=lambda _: self._not_recording())
        self._showing.refresh()

    def stop_recording(self) -> None:
        """End the recording; it becomes a case."""
        if self.session is None or not self.is_recording or self.stopping:
            return
        self.stopping = self._has_ended_one = True
        self.models.keep_no_more()
        self.screen.to_live()
        self._io.follow(self.session.stop_recording(), self._stopped, self._stop_failed)
        self._showing.refresh()

    def _let_go_of_stop(self) -> None:
        self._showing.toast("Hold Stop for 2 s", "", "square")

    def _stopped(self, case: Case | None) -> None:
        self._not_recording()
        self.stopping = False
        if case is None:
            self.case = None
            self._has_ended_one = False  # nor is an operation over
            self._showing.toast("Nothing was recorded", "no picture came", "circle-alert")
        self._services.cases.refresh()
        self._showing.refresh()

    def _stop_failed(self, error: TrocarError) -> None:
        """The file is kept; the sentence says what is to be done with it."""
        self._not_recording()
        self.stopping = False
        self._failed(error)
        self._services.cases.refresh()
        self._showing.refresh()

    def _not_recording(self) -> None:
        self._wants_recording = False
        self._showing.refresh()

    def _open_case(self) -> None:
        if self.case is not None:
            case_id = self.case.case_id
            self.leave()
            self.case_asked.emit(case_id)

    # Marks and phases

    def mark(self) -> None:
        """Mark the last 30 seconds of what is on screen."""
        session, notes, shown = self.session, self.notes, self.screen.shown
        if session is None or shown is None or not self._can_note():
            return
        image, pts = self._thumbnail(), shown.pts

        def marked(bookmark: Bookmark) -> None:
            if notes is not self.notes or notes is None:
                return
            notes.add_mark(bookmark, pts, image)
            span = f"{moment(notes.ms(bookmark.frame.pts))} to {moment(notes.ms(pts))}"
            self._showing.toast(f"Marked {span}", "", "bookmark-check")

        self._io.follow(session.mark(MARK_S, seen_pts=pts), marked)

    def _digit(self, digit: int, modifiers: Qt.KeyboardModifier) -> None:
        if modifiers == Qt.KeyboardModifier.NoModifier and self._page.isVisible():
            self.key_phase(digit)

    def key_phase(self, digit: int) -> None:
        """The phase of a digit began, by the reaction time, a moment ago; 0 ends the phase."""
        session, notes, shown = self.session, self.notes, self.screen.shown
        if session is None or shown is None or not self._can_note():
            return
        phases = self.taxonomy.phases
        if digit > len(phases):
            words = "Choose the operation before watching" if not phases else "No such phase"
            self._showing.toast(words, "", "circle-alert")
            return
        key = phases[digit - 1].key if digit else None
        reaction_ms = self._settings.values.live_reaction_ms

        def keyed(timeline: Timeline) -> None:
            if notes is self.notes and notes is not None:
                notes.timeline = timeline
                name = self.taxonomy.phase_name(key) if key else "No phase"
                at = moment(max(0.0, notes.ms(shown.pts) - reaction_ms))
                self._showing.toast(f"{name} from {at}", f"{reaction_ms} ms earlier", "check")

        future = session.key_phase(key, reaction_ms=float(reaction_ms), seen_pts=shown.pts)
        self._io.follow(future, keyed)

    def choose_phase(self) -> None:
        """Phases to touch, for hands that have gloves on."""
        if self.session is None or not self._can_note():
            return
        if not self.taxonomy.phases:
            self.key_phase(1)  # says that the operation has to be chosen
            return
        self._page.picker.offer(self.taxonomy)

    def undo(self) -> None:
        """Take the last mark or phase back."""
        notes = self.notes
        if self.session is None or notes is None or not self.session.case_id:
            return

        def undone(correction: Correction | None) -> None:
            if correction is not None and notes is self.notes:
                notes.apply(correction)
                is_mark = correction.changes[0].object_id.startswith("bookmark:")
                words = "The last mark" if is_mark else "The last phase"
                self._showing.toast(f"{words} is taken back", "", "undo-2")

        stored = self._services.library.writer.undo(self.session.case_id)
        self._io.follow(stored, undone, self._failed)

    def _can_note(self) -> bool:
        if self.notes is not None and self.is_recording:
            return True
        if self.is_recording:
            words = "Not noted: no case yet", "it is tried again; press once more in a moment"
        else:
            words = "Nothing is being recorded", "press Record first"
        self._showing.toast(*words, "circle-alert")
        return False

    def _thumbnail(self) -> QImage:
        """The picture on screen, small: every n-th pixel costs next to nothing."""
        assert self.screen.shown is not None  # noqa: S101 - asked by the caller
        rgb = self.screen.shown.rgb
        step = max(1, rgb.shape[0] // 126)
        small = np.ascontiguousarray(rgb[::step, ::step])
        height, width, _ = small.shape
        kind = QImage.Format.Format_RGB888
        return QImage(small.data, width, height, small.strides[0], kind).copy()

    # Looking back, and the picture

    def pause(self) -> None:
        """Hold the picture; go on from there; the recording goes on meanwhile."""
        screen = self.screen
        if self.session is None or screen.shown is None:
            return
        if not screen.behind:
            if self.notes is not None and self.is_recording:
                self.look_back_to(self.notes.ms(screen.shown.pts), stay=True)
            screen.stand_still()
        elif screen.playing:
            screen.stand_still()
        elif screen.can_go_on:
            screen.go_on()
        else:
            screen.to_live()

    def look_by(self, ms: float) -> None:
        """Look back or on again by some milliseconds."""
        if self.notes is not None and self.screen.at_pts is not None:
            self.look_back_to(self.notes.ms(self.screen.at_pts) + ms)

    def look_back_to(self, ms: float, *, stay: bool = False) -> None:
        """Show a moment of the recording that runs; ``stay``: also at the live edge."""
        session, notes = self.session, self.notes
        if session is None or notes is None or session.asset is None:
            return
        pts = notes.start_pts + round(max(0.0, ms) * 90)
        asset = session.asset

        def open_recording() -> VideoSource:
            from app.video.opening import open_source

            return open_source(asset)

        self.screen.look_back(pts, open_recording, stay=stay)

    def snapshot(self) -> None:
        """Save the picture on screen with its overlay and the research mark."""
        if self.screen.shown is None:
            return
        picture = self._page.stage.snapshot()
        number = self.session.case_id if self.session else ""
        pts = self.screen.shown.pts
        path = picture_folder() / f"live-{number or 'not-recorded'}-{pts}.png"

        def save() -> bool:
            path.parent.mkdir(parents=True, exist_ok=True)
            return bool(picture.save(str(path), "PNG"))

        def saved(good: bool) -> None:
            words = ("Picture saved", path.name, "camera") if good else (NOT_SAVED, "", "x")
            self._showing.toast(*words)

        self._io.run(save, saved, self._failed)

    def next_dial(self) -> None:
        """Nothing, outline, fill, labels, confidence, and round again."""
        playback = self._services.playback
        playback.set_dial((playback.dial + 1) % len(DIAL_WORDS))
        self.set_look()
        self._showing.toast(f"Overlay: {DIAL_WORDS[playback.dial].lower()}", "", "check")

    def set_look(self) -> None:
        """Draw overlays for the stage as it is now."""
        stage, playback = self._page.stage, self._services.playback
        rect, ratio = stage.fitted_rect(), stage.devicePixelRatioF() * min(stage.zoom, 2.0)
        size = max(2, round(rect.width() * ratio)), max(2, round(rect.height() * ratio))
        fill = self._settings.values.fill
        self.models.drawer.set_look(overlay_style(self, playback.dial, fill, ratio), size)

    def set_pedals(self) -> None:
        """Listen to the keys that pedals send."""
        problem = self._keys.set_pedals(self._settings.values.live_pedals)
        if problem:
            self.said.emit(Message(text=problem, tone=Tone.WARN, key="pedals", lasting_s=8))

    def _held(self, action: str) -> None:
        if action == "live_record":
            self._page.record.press_hold()
        elif action == "live_tissue":
            self.screen.hold_tissue(held=True)

    def _released(self, action: str) -> None:
        if action == "live_record":
            self._page.record.release_key()
        elif action == "live_tissue":
            self.screen.hold_tissue(held=False)

    # What comes from the session's threads

    @Slot(object)
    def _take_frame(self, frame: LiveFrame) -> None:
        if self.session is not None:
            self.silent_since_s = None
            self.screen.take(frame, self._bridge.view)

    @Slot(object)
    def _take_state(self, state: LiveState) -> None:
        before, self.state = self.state, state
        if state.status == "live":
            self.silent_since_s = None
            if before and before.size_px and state.size_px and before.size_px != state.size_px:
                words = "{} x {}".format(*state.size_px)
                self._showing.toast(f"The picture is now {words}", "the source changed", "video")
        elif self.silent_since_s is None:
            self.silent_since_s = time.monotonic()
        if self.session is not None:
            self.source_named.emit(self.session.capture.spec.name, picture(state.size_px))
        self._showing.refresh()

    @Slot(object, object)
    def _take_recording(self, session: LiveSession, state: RecordingState) -> None:
        if session is not self.session:
            return
        self.recording = state
        if state.is_running:
            self._wants_recording = False
        if state.stopped_early and not state.is_running:
            self.models.keep_no_more()
            self.said.emit(Message(text=state.sentence, tone=Tone.ERROR, key="recording"))
        self._showing.refresh()

    @Slot(object, object)
    def _take_case(self, session: LiveSession, case: Case) -> None:
        self._services.cases.refresh()
        if session is not self.session or case.case_id != session.case_id:
            return  # the MP4 of an earlier recording is there
        self.case = case
        asset = session.asset
        if self.notes is None and asset is not None and self.is_recording:
            self.unsaid.emit("live")  # why there was no case, if there was none at first
            self.notes = LiveNotes(asset.start_pts)
            self.models.keep(case.case_id, asset)
        self._showing.refresh()

    @Slot(object, object)
    def _take_problem(self, session: LiveSession, problem: TrocarError) -> None:
        self._failed(problem)

    def _failed(self, error: TrocarError) -> None:
        self.said.emit(from_error(error, key="live"))

    def _each_tick(self) -> None:
        self.screen.refresh()
        self._showing.tick()
