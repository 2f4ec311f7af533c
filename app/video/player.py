"""Plays a file: one thread, ``trocar-decode``, which owns the source, the clock and the cache.

Qt-free. The newest seek wins; late frames are dropped while playing, never while stepping.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import av

from app.core.case import Asset
from app.core.errors import TrocarError
from app.core.frame import Frame
from app.video.clock import PlaybackClock, bounded_speed
from app.video.decoder import SeekCancelled, UndecodableFrame
from app.video.first_look import SPARE
from app.video.index import OpenCancelled
from app.video.opening import not_there, unreadable
from app.video.opening import open_source as open_any
from app.video.player_state import PlayerState, ShownFrame
from app.video.playing import GROWTH_S, Playing
from app.video.source import VideoSource

CACHE_BYTES = 512 << 20
_NOTHING = Path()
_JOIN_S = 2.0
_UNFORESEEN = (OSError, av.FFmpegError)
"""What a failing drive raises where no reader has made a sentence of it."""

log = logging.getLogger(__name__)


class Player:
    """Plays one file at a time. All methods return at once; callbacks run on the decode thread.

    Args:
        on_frame: a picture to show.
        on_state: opened, playing, speed, end: something other than the position changed.
        on_error: the file cannot be opened, or a frame that was asked for does not decode.
        cache_bytes: room for decoded frames.
        clock: the playback clock.
        open_source: how a file is opened.
    """

    def __init__(
        self,
        *,
        on_frame: Callable[[ShownFrame], None],
        on_state: Callable[[PlayerState], None] = lambda _state: None,
        on_error: Callable[[TrocarError], None] = lambda _error: None,
        cache_bytes: int = CACHE_BYTES,
        clock: PlaybackClock | None = None,
        open_source: Callable[..., VideoSource] = open_any,
    ) -> None:
        self._on_frame, self._on_state, self._on_error = on_frame, on_state, on_error
        self._cache_bytes = cache_bytes
        self._open_source = open_source
        self._clock = clock or PlaybackClock()
        self._changed = threading.Condition()
        self._state = self._announced = PlayerState()
        self._closing = False
        self._wanted: Path | Asset | None = None
        self._seek: int | None = None
        # What was asked for and is not known yet.
        self._beyond: Callable[[VideoSource], int | None] | None = None
        self._steps: deque[int] = deque()
        self._source: VideoSource | None = None
        self._deinterlaces = self._source_deinterlaces = True
        self._last: Frame | None = None
        self._settled = False
        self._heading = 0
        self._previews: Path | None = None
        self._playing = Playing(
            self._clock,
            show=self._show,
            wait=self._wait,
            is_stale=self._is_stale,
            has_request=self._has_request,
        )
        self._thread = threading.Thread(target=self._run, name="trocar-decode", daemon=True)
        self._thread.start()

    @property
    def state(self) -> PlayerState:
        """Where it stands now; from any thread."""
        with self._changed:
            return self._state

    def open(self, recording: Path | str | Asset) -> None:
        """Open a file or a case's recording and show its first frame.

        ``on_state`` tells when it is there.
        """
        with self._changed:
            self._wanted = recording if isinstance(recording, Asset) else Path(recording)
            self._seek = None
            self._beyond = None
            self._steps.clear()
            self._changed.notify()

    def leave(self) -> None:
        """Close the file: nothing is open any more; ``on_state`` tells when."""
        with self._changed:
            self._wanted, self._previews = _NOTHING, None
            self._seek = self._beyond = None
            self._steps.clear()
            self._changed.notify()

    def preview(self, path: Path | str) -> None:
        """Show a file whose case is still being made; ``open`` with the case goes on with it."""
        self.open(path)
        with self._changed:
            self._previews = Path(path)

    def play(self) -> None:
        """Play from here; from the start when it stands at the end."""
        with self._changed:
            state = self._state
            if state.info is None or state.playing:
                return
            if not state.grows and state.speed > 0 and state.index >= state.info.frames - 1:
                self._seek = state.loop[0] if state.loop else 0
            self._state = replace(state, playing=True, at_end=False)
            self._steps.clear()
            self._changed.notify()

    def pause(self) -> None:
        """Stop at the frame on screen."""
        with self._changed:
            self._state = replace(self._state, playing=False)
            self._changed.notify()

    def seek_index(self, index: int) -> None:
        """Go to a frame (clamped); replaces a seek that is still under way.

        One that is not known yet, of a long file, is gone to once it is known.
        """
        self._go(lambda source: index if index < len(source) or not source.grows else None)

    def seek_ms(self, time_ms: float) -> None:
        """Go to the frame that is on screen at a moment, exact at any frame rate."""

        def place(source: VideoSource) -> int | None:
            is_known = time_ms < source.info.duration_ms or not source.grows
            return source.index_at_ms(time_ms) if is_known else None

        self._go(place)

    def _go(self, place: Callable[[VideoSource], int | None]) -> None:
        source = None if self._wanted is not None else self._source
        index = None if source is None else place(source)
        with self._changed:
            self._seek, self._beyond = index, None if index is not None else place
            self._state = replace(self._state, awaits=source is not None and index is None)
            self._steps.clear()
            self._changed.notify()

    def index_at_ms(self, time_ms: float) -> int:
        """Index of the frame on screen at a moment, clamped; 0 without a file."""
        source = self._source
        return 0 if source is None else source.index_at_ms(time_ms)

    def time_ms(self, index: int) -> float:
        """Milliseconds of a frame from the first one, clamped; 0 without a file."""
        source = self._source
        return 0.0 if source is None else source.time_ms(min(max(index, 0), len(source) - 1))

    def step(self, frames: int = 1) -> None:
        """Pause and move by ``frames``; every step is shown."""
        with self._changed:
            self._state = replace(self._state, playing=False, awaits=False)
            self._beyond = None
            self._steps.append(frames)
            self._changed.notify()

    def set_speed(self, speed: float) -> None:
        """0.1 to 16 times, clamped; negative plays backwards."""
        with self._changed:
            speed = bounded_speed(speed)
            self._clock.set_speed(speed)
            self._state = replace(self._state, speed=speed, at_end=False)
            self._changed.notify()

    def set_deinterlacing(self, *, on: bool) -> None:
        """Make pictures of two fields whole, or show them woven as they are stored."""
        with self._changed:
            self._deinterlaces = on
            if self._seek is None:
                self._seek = self._state.index
            self._changed.notify()

    def set_loop(self, first: int, last: int | None = None) -> None:
        """Play the frames ``first`` to ``last`` over and over; without ``last``, no loop.

        A seek out of the loop is heeded: play goes round once it has come into the loop again.
        """
        with self._changed:
            loop = None if last is None else (max(0, min(first, last)), max(first, last))
            self._state = replace(self._state, loop=loop)
            self._changed.notify()

    def shuttle(self, direction: int) -> None:
        """Editors' J (-1), K (0) and L (1): again doubles the speed, the other way turns round."""
        state = self.state
        if direction == 0:
            self.pause()
            self.set_speed(1.0)
            return
        same_way = state.playing and (state.speed > 0) == (direction > 0)
        self.set_speed(state.speed * 2 if same_way else float(direction))
        self.play()

    def close(self) -> None:
        """End the thread and release the file; waits at most 2 seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_S)

    # What follows runs on the decode thread.

    def _run(self) -> None:
        try:
            while not self._closing:
                try:
                    self._turn()
                except TrocarError as error:
                    self._fail(error)
                except _UNFORESEEN as error:
                    self._let_go(error)
        finally:
            SPARE.end()
            if self._source is not None:
                self._source.close()

    def _turn(self) -> None:
        self._grow()
        self._announce()
        with self._changed:
            wanted, self._wanted = self._wanted, None
            seek, step = self._seek, None
            if wanted is None and self._source is not None:
                self._seek = None
                if seek is None and self._steps:
                    step = self._steps.popleft()
            state = self._state
        if wanted is not None:
            self._open(wanted)
        elif self._source is None:
            self._wait(None)
        elif seek is not None:
            self._heading = 0
            self._go_to(self._source, seek, scrubbing=True)
        elif step is not None:
            self._heading = -1 if step < 0 else 1
            self._go_to(self._source, state.index + step, scrubbing=False)
        elif state.playing:
            self._play_on(self._source, state)
        elif not self._settled:
            self._settle(self._source, state.index)
        else:
            self._clock.stop()
            self._wait(None)

    def _grow(self) -> None:
        """Take in what became known of a long file that is still being indexed."""
        source = self._source
        if source is None or not source.grows:
            return
        on_screen = source.pts(min(self.state.index, len(source) - 1))
        try:
            if not source.grow():
                return
        except TrocarError as error:
            self._stay_with_known(source, error)
            return
        except _UNFORESEEN as error:
            self._stay_with_known(source, unreadable(source.path, error))
            return
        with self._changed:
            self._find_awaited(source)
            self._state = replace(
                self._state,
                info=source.info,
                index=source.index_of(on_screen),
                is_whole=source.is_whole,
                grows=source.grows,
                estimated_ms=source.estimated_ms,
                awaits=self._beyond is not None,
            )

    def _stay_with_known(self, source: VideoSource, error: TrocarError) -> None:
        """The file could not be read to its end: say so, and show what is known of it."""
        with self._changed:
            self._beyond = None
            self._state = replace(
                self._state, grows=False, estimated_ms=source.estimated_ms, awaits=False
            )
        self._on_error(error)

    def _find_awaited(self, source: VideoSource) -> None:
        """What was asked for before it was known, while a file was opened for one; locked."""
        if self._beyond is not None and (found := self._beyond(source)) is not None:
            self._seek, self._beyond = found, None

    def _fail(self, error: TrocarError) -> None:
        """Stop where it is: the file was taken away, or a picture of it may not be shown."""
        with self._changed:
            self._state = replace(self._state, playing=False)
        self._settled = True
        self._on_error(error)

    def _let_go(self, error: OSError | av.FFmpegError) -> None:
        """Close a file whose drive fails, and say so."""
        path = self.state.path
        source, self._source, self._last = self._source, None, None
        self._clock.stop()
        with self._changed:
            self._state = PlayerState(speed=self._state.speed)
        if source is not None:
            with suppress(*_UNFORESEEN):
                source.close()
        self._announce()
        self._on_error(unreadable(path or Path("The recording"), error))

    def _announce(self) -> None:
        state = self.state
        still = replace(state, index=0, shown=0, dropped=0)
        if still != self._announced:
            self._announced = still
            self._on_state(state)

    def _wait(self, seconds: float | None) -> None:
        with self._changed:
            idle = self._source is None or not self._state.playing
            if self._has_request() or (seconds is None and not idle):
                return
            if seconds is None and self._source is not None and self._source.grows:
                seconds = GROWTH_S
            self._clock.wait(self._changed, seconds)

    def _has_request(self) -> bool:
        return self._is_stale() or (self._source is not None and bool(self._steps))

    def _is_stale(self) -> bool:
        """Whether what is being decoded towards is no longer wanted."""
        seek = self._source is not None and self._seek is not None
        return self._closing or self._wanted is not None or seek

    def _goes_on_with(self, recording: Path | Asset) -> bool:
        """Whether a case's recording is the file that was shown while the case was made."""
        source, previewed = self._source, self._previews
        if source is None or not isinstance(recording, Asset) or recording.parts:
            return False
        self._previews = None
        return (
            Path(recording.path) == previewed
            and recording.stream == source.info.stream
            and not not_there(recording.files[0])
        )

    def _open(self, recording: Path | Asset) -> None:
        if self._source is not None and self._goes_on_with(recording):
            with self._changed:
                self._find_awaited(self._source)
            self._announced = PlayerState()
            self._announce()
            self._go_to(self._source, self.state.index, scrubbing=False)
            return
        if self._source is not None:
            self._source.close()
        self._source = self._last = None
        self._source_deinterlaces = True
        self._clock.stop()
        with self._changed:
            path = Path(recording.path) if isinstance(recording, Asset) else recording
            self._state = PlayerState(
                path=None if path is _NOTHING else path, speed=self._state.speed
            )
        if path is _NOTHING:
            return
        self._announced = PlayerState()  # the same file again is told of too
        try:
            self._source = self._open_source(
                recording,
                cache_bytes=self._cache_bytes,
                cancelled=lambda: self._closing or self._wanted is not None,
            )
        except OpenCancelled:
            return
        except TrocarError as error:
            with self._changed:
                self._state = replace(self._state, path=None)
            self._on_error(error)
            return
        with self._changed:
            self._find_awaited(self._source)
            self._state = replace(
                self._state,
                info=self._source.info,
                is_whole=self._source.is_whole,
                grows=self._source.grows,
                estimated_ms=self._source.estimated_ms,
                awaits=self._beyond is not None,
            )
        self._announce()
        if not self._is_stale():
            self._go_to(self._source, 0, scrubbing=False)
        # For the next file.
        SPARE.prepare()

    def _go_to(self, source: VideoSource, index: int, *, scrubbing: bool) -> None:
        index = min(max(index, 0), len(source) - 1)
        with self._changed:
            self._state = replace(self._state, index=index, at_end=False)
        self._settled = False
        if self._deinterlaces != self._source_deinterlaces:
            self._source_deinterlaces = self._deinterlaces
            source.set_deinterlacing(on=self._deinterlaces)
        try:
            if scrubbing:
                self._show_glimpse(source, index)
            self._show(source, index)
        except SeekCancelled:
            return
        except UndecodableFrame as error:
            self._on_error(error)
        if self.state.playing:
            self._clock.start(source.time_ms(index))

    def _show_glimpse(self, source: VideoSource, index: int) -> None:
        """Show something near a frame that takes long to reach."""
        frame = source.glimpse(index, self._is_stale)
        if frame is not None:
            self._on_frame(ShownFrame(path=source.path, frame=frame, index=index, exact=False))

    def _show(self, source: VideoSource, index: int, dropped: int = 0) -> None:
        """Show the exact frame, or the last good one in its place.

        Raises:
            UndecodableFrame: after the last good picture was shown.
            SeekCancelled: another file or frame is wanted.
        """
        failure = None
        try:
            self._last = source.frame(index, self._is_stale)
        except UndecodableFrame as error:
            failure = error
        with self._changed:
            state = self._state
            self._state = replace(
                state,
                index=index,
                shown=state.shown + (failure is None),
                dropped=state.dropped + dropped,
                undecodable=state.undecodable + (failure is not None),
                lost=state.lost if failure is None else state.lost | {index},
            )
        if self._last is not None:
            shown = ShownFrame(
                path=source.path, frame=self._last, index=index, exact=failure is None
            )
            self._on_frame(shown)
        if failure is not None:
            raise failure

    def _play_on(self, source: VideoSource, state: PlayerState) -> None:
        self._settled = False
        if self._playing.goes_on(source, state):
            return
        self._clock.stop()
        with self._changed:
            self._state = replace(self._state, playing=False, at_end=state.speed > 0)

    def _settle(self, source: VideoSource, index: int) -> None:
        """Decode what lies around the playhead, so that steps both ways are at hand."""
        try:
            more = source.read_ahead(index, self._heading, self._is_wanted)
        except SeekCancelled:
            return
        self._settled = not more

    def _is_wanted(self) -> bool:
        """Whether there is something better to do than to read ahead."""
        return self._has_request() or self._state.playing
