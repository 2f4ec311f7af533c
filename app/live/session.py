"""A live session: a source, what is recorded of it, and the case that this becomes. No Qt.

Methods return at once; what touches the disk or the library runs on the thread ``trocar-live``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from app.core.case import Asset, Case
from app.core.correction import Bookmark
from app.core.errors import Refused, TrocarError
from app.core.recording import LIVE_TIME_BASE, Fragment, Gap, Raster, Recording
from app.core.taxonomy import UNKNOWN_PROCEDURE
from app.core.timeline import Timeline
from app.live.finishing import finish_recording
from app.live.recording import LiveRecording
from app.video.index import OpenCancelled
from app.video.live.capture import Capture
from app.video.live.spec import LiveSpec
from app.video.live.state import LiveFrame, LivePacket, LiveState
from app.video.record.pre_roll import PreRoll
from app.video.record.state import RecordingState

if TYPE_CHECKING:
    from app.store import Library

PRE_ROLL_S = 10.0
MARK_S = 30.0
REACTION_MS = 400.0
"""From seeing to pressing a key, where the answer is a choice."""
NOT_NOTED = (
    "Not noted: the library cannot take the recording yet. The recording goes on, and Trocar tries "
    "again; press once more in a moment."
)
_UNITS = int(1 / LIVE_TIME_BASE)
LATEST_START_PTS = 12 * 3600 * _UNITS
"""Of a recording: a source's clock that has gone on for longer begins again, since that of MPEG-TS
ends after 26 hours."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class LiveSession:
    """One live source from ``start`` to ``close``. Callbacks run on its threads.

    Args:
        library: open for writing.
        spec: the source, see ``app.video.live.spec.parse_spec``.
        folder: where recordings are written.
        procedure: of the case that each recording becomes.
        title: of that case; never a patient's name.
        pre_roll_s: how much of what came before ``record`` is recorded too.
        on_frame: the newest picture, to be shown and analysed.
        on_state: of the capture.
        on_recording: of the recorder, about once a second, and when it has stopped by itself.
        on_case: a recording's case: when it begins, when it is whole, when its MP4 is there.
        on_problem: something on the session's thread failed; a sentence for the user.
        speed: of a ``file:`` source.

    Raises:
        BadInput: the source is not one that Trocar knows.
        Refused: the library is open for reading only.
    """

    def __init__(
        self,
        library: Library,
        spec: LiveSpec | str,
        *,
        folder: Path,
        procedure: str = UNKNOWN_PROCEDURE,
        title: str = "Live recording",
        pre_roll_s: float = PRE_ROLL_S,
        on_frame: Callable[[LiveFrame], None] = lambda _frame: None,
        on_state: Callable[[LiveState], None] = lambda _state: None,
        on_recording: Callable[[RecordingState], None] = lambda _state: None,
        on_case: Callable[[Case], None] = lambda _case: None,
        on_problem: Callable[[TrocarError], None] = lambda _problem: None,
        speed: float = 1.0,
    ) -> None:
        if not library.is_writable:
            raise Refused(
                "This library is open for reading only, so nothing can be recorded into it; close "
                "the other window or command that writes it."
            )
        self._library, self._folder = library, folder
        self._procedure, self._title = procedure, title
        self._on_frame, self._on_state, self._on_recording = on_frame, on_state, on_recording
        self._on_case, self._on_problem = on_case, on_problem
        self._guard = threading.Lock()
        self._pre_roll = PreRoll(pre_roll_s)
        self._running: LiveRecording | None = None
        self._last: LiveRecording | None = None
        self._is_begun = False
        self._raster: Raster | None = None
        self._shown_pts = 0
        self._closing = threading.Event()
        self._work = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trocar-live")
        # An MP4 of hours takes minutes; the next recording must not wait for it.
        self._after = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trocar-live-finish")
        self.capture = Capture(
            spec,
            on_frame=self._frame,
            on_state=self._stated,
            on_packet=self._packet,
            on_raster=self._resized,
            speed=speed,
        )

    def start(self) -> None:
        """Begin to connect."""
        self.capture.start()

    @property
    def state(self) -> LiveState:
        """Of the capture; from any thread."""
        return self.capture.state

    @property
    def recording(self) -> RecordingState | None:
        """Of the recorder; None where nothing is being recorded."""
        running = self._running
        return None if running is None else running.recorder.state

    @property
    def asset(self) -> Asset | None:
        """The recording that runs or was the last one, as a recording of its case.

        While it runs, ``app.video.open_source(asset)`` opens it as far as it has come; opened
        again, it is longer.
        """
        last = self._last
        return None if last is None else last.asset

    @property
    def case_id(self) -> str:
        """The case of the recording that runs or was the last one, "" before its first picture."""
        last = self._last
        return "" if last is None else last.case_id

    def record(self) -> Future[None]:
        """Begin a recording, with what came in the seconds before; nothing where one runs.

        The future fails with ``EnvironmentProblem`` where the file cannot be made.
        """
        return self._later(self._begin)

    def stop_recording(self) -> Future[Case | None]:
        """End the recording; its case, or None where nothing was recorded.

        The MP4 is made after that, in the background; ``on_case`` tells.
        """
        return self._later(self._end)

    def mark(
        self, last_s: float = MARK_S, note: str = "", *, seen_pts: int | None = None
    ) -> Future[Bookmark]:
        """Mark what was seen in the last seconds: a bookmark where they begin.

        The future fails with ``Refused`` where nothing is being recorded, or the library has not
        taken the recording yet.

        Args:
            last_s: how long what is marked lasted.
            note: default: how long it is.
            seen_pts: of the picture on screen; default: the newest one.
        """
        now_pts = self._shown_pts if seen_pts is None else seen_pts
        return self._later(lambda: self._noting().mark(now_pts, last_s, note))

    def key_phase(
        self,
        phase: str | None,
        *,
        reaction_ms: float = REACTION_MS,
        seen_pts: int | None = None,
    ) -> Future[Timeline]:
        """The phase that is seen began a reaction time ago; None: no phase. Fails as ``mark``.

        Args:
            phase: key of the procedure's taxonomy.
            reaction_ms: from seeing to pressing.
            seen_pts: of the picture on screen when the key was pressed; default: the newest one.
        """
        seen = self._shown_pts if seen_pts is None else seen_pts
        began = seen - round(reaction_ms * _UNITS / 1000)
        return self._later(lambda: self._noting().key_phase(phase, began, seen))

    def close(self, *, finish: bool = False) -> None:
        """End everything: capture, recorder, case. Waits for them.

        Args:
            finish: wait for the MP4 too; else it is made at the next start (``recover``).
        """
        if self._closing.is_set():
            return
        if not finish:
            self._closing.set()
        self.capture.close()
        # What it queues itself is done too, or given up, before the thread ends.
        wait([self._later(self._end)])
        self._work.shutdown(wait=True)
        self._after.shutdown(wait=True)
        self._closing.set()

    # On the capture's threads.

    def _frame(self, frame: LiveFrame) -> None:
        self._shown_pts = frame.pts
        self._on_frame(frame)

    def _packet(self, packet: LivePacket) -> None:
        with self._guard:
            running = self._running
            if running is None:
                self._pre_roll.add(packet)
                return
            begins = not self._is_begun
            if begins and (not packet.is_keyframe or packet.pts > LATEST_START_PTS):
                return
            self._is_begun = True
            if begins:
                # Here: on the session's thread another recording may have taken its place.
                running.begins_with(packet, self._raster)
        running.recorder.put(packet)
        if begins:
            self._later(lambda: self._see_to_case(running))

    def _stated(self, state: LiveState) -> None:
        if state.gaps:
            self._later(lambda: self._note_gap(state.gaps[-1]))
        self._on_state(state)

    def _resized(self, raster: Raster) -> None:
        self._raster = raster
        self._later(lambda: self._note_raster(raster))

    # On the recorder's thread.

    def _recorded(self, state: RecordingState) -> None:
        self._on_recording(state)
        if state.stopped_early and not state.is_running:
            self._later(lambda: self._end_early(state.path))

    def _on_the_disk(self, recording: LiveRecording, fragment: Fragment) -> None:
        self._later(lambda: self._keep(recording, fragment))

    # On the session's thread.

    def _later(self, work: Callable[[], T], pool: ThreadPoolExecutor | None = None) -> Future[T]:
        try:
            future = (pool or self._work).submit(work)
        except RuntimeError:
            future = Future()
            future.set_exception(Refused("This live session is closed."))
            return future
        future.add_done_callback(self._tell)
        return future

    def _tell(self, future: Future[T]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, TrocarError):
            self._on_problem(error)
        elif error is not None and not isinstance(error, OpenCancelled):
            log.error("live session: %s", type(error).__name__, exc_info=error)

    def _begin(self) -> None:
        if self._running is not None:
            if self._running.recorder.state.is_running:
                return
            self._end()
        running = LiveRecording(
            self._library,
            self._folder,
            self.capture.spec.name,
            self._recorded,
            self._on_the_disk,
        )
        self._last = running
        if self.capture.newest_pts > LATEST_START_PTS:
            self.capture.begin_clock_again()
        with self._guard:
            before = self._pre_roll.take()
            if before and before[-1].pts > LATEST_START_PTS:
                before = []
            for packet in before:
                running.recorder.put(packet)
            self._is_begun = bool(before)
            if before:
                running.begins_with(before[0], self._raster)
            self._running = running
        if before:
            # By itself: the recording runs, whether the library takes it at once or later.
            self._later(lambda: self._see_to_case(running))

    def _see_to_case(self, recording: LiveRecording) -> None:
        """The case of a recording that has a picture and no case yet."""
        if recording.lacks_case:
            self._on_case(recording.make_case(self._title, self._procedure))

    def _keep(self, recording: LiveRecording, fragment: Fragment) -> None:
        recording.keep(fragment)
        # Every two seconds: what the library could not take at first, it may take now.
        self._try_again(recording)

    def _try_again(self, recording: LiveRecording) -> None:
        try:
            self._see_to_case(recording)
        except TrocarError as error:
            log.info("a recording has no case yet: %s", error.detail)

    def _note_raster(self, raster: Raster) -> None:
        if self._running is not None:
            self._running.note_raster(raster)

    def _note_gap(self, gap: Gap) -> None:
        if self._running is not None:
            self._running.note_gap(gap)

    def _noting(self) -> LiveRecording:
        if self._running is None:
            raise Refused("Nothing is being recorded; start a recording first.")
        try:
            self._see_to_case(self._running)
        except TrocarError as error:
            raise Refused(NOT_NOTED, error.user_message) from error
        return self._running

    def _end(self) -> Case | None:
        with self._guard:
            running, self._running = self._running, None
        if running is not None:
            self._try_again(running)
        written = None if running is None else running.end()
        if running is None or written is None:
            return None
        case = self._library.case(written.case_id)
        self._on_case(case)
        self._later(lambda: self._finish(running, written), self._after)
        return case

    def _end_early(self, path: Path) -> None:
        """A recorder stopped by itself; another one may have taken its place since."""
        running = self._running
        if running is not None and running.recorder.path == path:
            self._end()

    def _finish(self, running: LiveRecording, written: Recording) -> None:
        """On a thread of its own: the MP4, in the place of what was recorded."""
        running.asset = finish_recording(self._library, written, self._closing.is_set)
        self._on_case(self._library.case(written.case_id))
