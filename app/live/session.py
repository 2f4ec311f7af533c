"""A live session: a source, what is recorded of it, and the case that this becomes. No Qt.

Methods return at once; what touches the disk or the library runs on the thread ``trocar-live``.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from app.core.case import Asset, Case
from app.core.correction import Bookmark
from app.core.errors import Refused, TrocarError
from app.core.frame import FrameIdentity
from app.core.recording import LIVE_TIME_BASE, Fragment, Gap, Raster, Recording
from app.core.taxonomy import UNKNOWN_PROCEDURE
from app.core.timeline import Timeline
from app.live.annotations import keyed, marked, timeline_correction
from app.live.finishing import complete, finish_recording
from app.video.index import OpenCancelled
from app.video.live import Capture
from app.video.live_spec import LiveSpec
from app.video.live_state import LiveFrame, LivePacket, LiveState
from app.video.pre_roll import PreRoll
from app.video.record import Recorder
from app.video.record_state import RecordingState

if TYPE_CHECKING:
    from app.store import Library

PRE_ROLL_S = 10.0
MARK_S = 30.0
REACTION_MS = 400.0
"""From seeing to pressing a key, where the answer is a choice."""
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
        spec: the source, see ``app.video.live_spec.parse_spec``.
        folder: where recordings are written.
        procedure: of the case that a recording becomes.
        title: of that case; never a patient's name.
        case_id: the case that gets the recordings, "" for a new one.
        joins: recordings after the first one join its case; else each makes a new one.
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
        case_id: str = "",
        joins: bool = True,
        pre_roll_s: float = PRE_ROLL_S,
        on_frame: Callable[[LiveFrame], None] = lambda _frame: None,
        on_state: Callable[[LiveState], None] = lambda _state: None,
        on_recording: Callable[[RecordingState], None] = lambda _state: None,
        on_case: Callable[[Case], None] = lambda _case: None,
        on_problem: Callable[[TrocarError], None] = lambda _problem: None,
        speed: float = 1.0,
    ) -> None:
        library.writer  # noqa: B018 - refuses a library that is open for reading
        self._library, self._folder = library, folder
        self._procedure, self._title, self._case_id = procedure, title, case_id
        self._joins = joins
        self._on_frame, self._on_state, self._on_recording = on_frame, on_state, on_recording
        self._on_case, self._on_problem = on_case, on_problem
        self._guard = threading.Lock()
        self._pre_roll = PreRoll(pre_roll_s)
        self._recorder: Recorder | None = None
        self._is_begun = False
        self._recording: Recording | None = None
        self._asset: Asset | None = None
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
        recorder = self._recorder
        return None if recorder is None else recorder.state

    @property
    def asset(self) -> Asset | None:
        """The recording that runs or was the last one, as a recording of its case.

        While it runs, ``app.video.open_source(asset)`` opens it as far as it has come; opened
        again, it is longer.
        """
        return self._asset

    @property
    def case_id(self) -> str:
        """The case of the recordings, "" before the first picture of the first one."""
        return self._case_id

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

    def mark(self, last_s: float = MARK_S, note: str = "") -> Future[Bookmark]:
        """Mark what was seen in the last seconds: a bookmark where they begin.

        The future fails with ``Refused`` where nothing is being recorded.
        """
        now_pts = self._shown_pts
        return self._later(lambda: self._mark(now_pts, last_s, note))

    def key_phase(
        self,
        phase: str | None,
        *,
        reaction_ms: float = REACTION_MS,
        seen_pts: int | None = None,
    ) -> Future[Timeline]:
        """The phase that is seen began a reaction time ago; None: no phase.

        Args:
            phase: key of the procedure's taxonomy.
            reaction_ms: from seeing to pressing.
            seen_pts: of the picture on screen when the key was pressed; default: the newest one.
        """
        seen = self._shown_pts if seen_pts is None else seen_pts
        return self._later(lambda: self._key_phase(phase, seen - round(reaction_ms * 90), seen))

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
            recorder = self._recorder
            if recorder is None:
                self._pre_roll.add(packet)
                return
            begins = not self._is_begun
            if begins and (not packet.is_keyframe or packet.pts > LATEST_START_PTS):
                return
            self._is_begun = True
        recorder.put(packet)
        if begins:
            self._later(lambda: self._make_case(packet))

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
            self._later(self._end)

    def _on_the_disk(self, asset_id: str, fragment: Fragment) -> None:
        # Behind the case in the queue; the store's own thread reports what fails.
        self._later(lambda: self._library.writer.put_fragment(asset_id, fragment))

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
        if self._recorder is not None:
            return
        asset_id = uuid.uuid4().hex
        if not self._joins:
            self._case_id, self._asset = "", None
        recorder = Recorder(
            self._new_path(),
            on_state=self._recorded,
            on_fragment=lambda fragment: self._on_the_disk(asset_id, fragment),
        )
        self._recording = Recording(
            asset_id=asset_id,
            case_id=self._case_id,
            path=str(recorder.path.absolute()),
            source=self.capture.spec.name,
            started_utc_ms=0,
        )
        if self.capture.newest_pts > LATEST_START_PTS:
            self.capture.begin_clock_again()
        with self._guard:
            before = self._pre_roll.take()
            if before and before[-1].pts > LATEST_START_PTS:
                before = []
            for packet in before:
                recorder.put(packet)
            self._is_begun = bool(before)
            self._recorder = recorder
        if before:
            self._make_case(before[0])

    def _new_path(self) -> Path:
        now = datetime.now().astimezone()
        base = self._folder / f"Trocar {now:%Y-%m-%d %H-%M-%S}.ts"
        number = 2
        path = base
        while path.exists() or path.with_suffix(".mp4").exists():
            path = base.with_name(f"{base.stem} {number}.ts")
            number += 1
        return path

    def _make_case(self, first: LivePacket) -> None:
        """The first picture is on its way to the file: from here on there is a case."""
        recording = self._recording
        if recording is None:
            return
        raster = self._raster or Raster(
            first_pts=first.pts,
            width_px=first.coding.width_px or 16,
            height_px=first.coding.height_px or 16,
        )
        asset = Asset(
            asset_id=recording.asset_id,
            path=recording.path,
            quick_hash="",
            stream=0,
            time_base=LIVE_TIME_BASE,
            start_pts=first.pts,
            end_pts=first.pts + 1,
            frames=1,
            width_px=raster.width_px,
            height_px=raster.height_px,
            codec=first.coding.codec,
        )
        recording = replace(
            recording,
            started_utc_ms=self._library.writer.clock(),
            rasters=(replace(raster, first_pts=first.pts),),
        )
        case = self._library.writer.begin_recording(
            recording, asset, self._title, self._procedure
        ).result()
        self._case_id = case.case_id
        self._recording = replace(recording, case_id=case.case_id)
        self._asset = asset
        self._on_case(case)

    def _note_raster(self, raster: Raster) -> None:
        recording = self._recording
        if recording is None or not recording.rasters:
            return
        last = recording.rasters[-1]
        if (last.width_px, last.height_px) == (raster.width_px, raster.height_px):
            return
        self._recording = replace(recording, rasters=(*recording.rasters, raster))
        self._library.writer.put_recording(self._recording).result()

    def _note_gap(self, gap: Gap) -> None:
        recording, asset = self._recording, self._asset
        if recording is None or asset is None or gap.start_pts < asset.start_pts:
            return
        if not recording.gaps or recording.gaps[-1] != gap:
            self._recording = replace(recording, gaps=(*recording.gaps, gap))
            self._library.writer.put_recording(self._recording).result()

    def _running(self) -> tuple[Recorder, Recording, Asset]:
        if self._recorder is None or self._recording is None or self._asset is None:
            raise Refused("Nothing is being recorded; start a recording first.")
        return self._recorder, self._recording, self._asset

    def _mark(self, now_pts: int, last_s: float, note: str) -> Bookmark:
        recorder, recording, asset = self._running()
        pts = recorder.pts_from(max(asset.start_pts, now_pts - round(last_s * _UNITS)))
        frame = FrameIdentity(
            asset_id=asset.asset_id, stream=0, pts=asset.start_pts if pts is None else pts
        )
        there = {b.frame: b for b in self._library.bookmarks(asset.asset_id)}
        words = note.strip() or f"{last_s:.0f} s, marked live"
        step = marked(recording.case_id, frame, there.get(frame), words)
        self._library.writer.commit(step).result()
        return Bookmark(frame=frame, note=words)

    def _key_phase(self, phase: str | None, at_pts: int, now_pts: int) -> Timeline:
        _, recording, asset = self._running()
        before = self._library.human_timeline(asset.asset_id)
        after = keyed(
            None if before is None else before.timeline,
            phase,
            start_pts=asset.start_pts,
            at_pts=max(at_pts, asset.start_pts),
            now_pts=now_pts,
        )
        title = "End a phase live" if phase is None else "Begin a phase live"
        step = timeline_correction(recording.case_id, asset.asset_id, before, after, title)
        if step is not None:
            self._library.writer.commit(step).result()
        return after

    def _end(self) -> Case | None:
        with self._guard:
            recorder, self._recorder = self._recorder, None
        if recorder is None:
            return None
        state = recorder.stop()
        recording, self._recording = self._recording, None
        if recording is None or self._asset is None or not state.frames:
            recorder.path.unlink(missing_ok=True)
            return None
        recording = replace(recording, sha256=state.sha256)
        written, self._asset = complete(self._library, recording, self._asset, recorder.index())
        case = self._library.case(written.case_id)
        self._on_case(case)
        self._later(lambda: self._finish(written), self._after)
        return case

    def _finish(self, written: Recording) -> None:
        """On a thread of its own: the MP4, in the place of what was recorded."""
        final = finish_recording(self._library, written, self._closing.is_set)
        if self._asset is not None and self._asset.asset_id == final.asset_id:
            self._asset = final
        self._on_case(self._library.case(written.case_id))
