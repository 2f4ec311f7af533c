"""A live source: packets for the recorder, the newest picture for the screen.

``trocar-capture`` reads and times packets; ``trocar-live-decode`` decodes them. Neither waits for
who looks: a picture that comes too late is left out, its packet is not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from app.core.errors import TrocarError
from app.core.recording import Raster
from app.video.live.clock import LiveClock
from app.video.live.connection import (
    OPEN_TIMEOUT_S,
    READ_TIMEOUT_S,
    LiveConnection,
    SignalLost,
    SourcePacket,
)
from app.video.live.decoder import LiveDecoder
from app.video.live.spec import LiveSpec, parse_spec
from app.video.live.state import (
    LIVE_TIME_BASE,
    Gap,
    LiveFrame,
    LivePacket,
    LiveState,
    LiveStatus,
    StreamFormat,
)

__all__ = ["Capture", "Gap", "LiveFrame", "LivePacket", "LiveState", "LiveStatus", "StreamFormat"]

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 5.0
_LISTEN_AGAIN_S = 0.1
_RATE_OVER_S = 2.0
_JOIN_S = 2.5
_OVER = (LiveStatus.ENDED, LiveStatus.FAILED)

log = logging.getLogger(__name__)


class Capture:
    """A live source that is connected to, and connected to again, until it is closed.

    Callbacks run on the threads named above and must return soon.

    Args:
        spec: the source as the user named it, or parsed.
        on_frame: the newest picture.
        on_state: something other than the counts changed.
        on_packet: every packet, in decode order, on the capture thread; may block it for as long
            as the source's own buffer holds.
        on_raster: from a picture on they have another size; on the decode thread.
        speed: of a ``file:`` source, 1 as recorded; 0 as fast as it can be read.
        open_timeout_s: for a call to be answered, or a sender to come.
        read_timeout_s: silence that counts as a lost signal.
        first_retry_s: before the first try to connect again; doubles up to five seconds.
    """

    def __init__(
        self,
        spec: LiveSpec | str,
        *,
        on_frame: Callable[[LiveFrame], None] = lambda _frame: None,
        on_state: Callable[[LiveState], None] = lambda _state: None,
        on_packet: Callable[[LivePacket], None] = lambda _packet: None,
        on_raster: Callable[[Raster], None] = lambda _raster: None,
        speed: float = 1.0,
        open_timeout_s: float = OPEN_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        self.spec = parse_spec(spec) if isinstance(spec, str) else spec
        self._on_state, self._on_packet, self._on_raster = on_state, on_packet, on_raster
        self._speed, self._timeouts_s = speed, (open_timeout_s, read_timeout_s)
        self._first_retry_s = first_retry_s
        self._clock = self._new_clock()
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._begins_again = threading.Event()
        self._state = LiveState(
            status=LiveStatus.CONNECTING, sentence=f"Connecting to {self.spec.name}"
        )
        self._arrivals: deque[float] = deque(maxlen=600)
        self._began: tuple[float, int] | None = None
        self._decoder = LiveDecoder(on_frame, self._resized)
        self._thread = threading.Thread(target=self._run, name="trocar-capture", daemon=True)

    @property
    def state(self) -> LiveState:
        """Where it stands now; from any thread."""
        with self._guard:
            return replace(self._state, **self._counts(), rate=self._rate())

    @property
    def newest_pts(self) -> int:
        """Of the newest packet, in 1/90000."""
        return self._clock.last_pts

    def begin_clock_again(self) -> None:
        """From the next keyframe on, pts begin at the start again; from any thread."""
        self._begins_again.set()

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._decoder.start()
        self._thread.start()

    def close(self) -> None:
        """End both threads.

        A read that is under way ends within its timeout and is waited for; a call that nobody
        answers is left to run into its own, unheard.
        """
        self._closing.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_S)
        self._decoder.close()

    # What follows runs on the capture thread.

    def _run(self) -> None:
        try:
            self._announce()
            self._connect_again_and_again()
        except TrocarError as error:
            log.info("a live source is given up: %s", error.detail)
            self._say(LiveStatus.FAILED, error.user_message)
        finally:
            # Whatever ended it, nobody waits for it for ever.
            over = self._closing.is_set() or self._state.status in _OVER
            if not over:
                self._say(LiveStatus.FAILED, f"{self.spec.name} failed; choose the source again.")

    def _connect_again_and_again(self) -> None:
        retry_s = self._first_retry_s
        while not self._closing.is_set():
            attempts, began_s = self._state.attempts + 1, time.monotonic()
            self._change(attempts=attempts)
            try:
                with LiveConnection(self.spec, *self._timeouts_s) as connection:
                    self._clock.connected()
                    self._decoder.restart()
                    for packet in connection.packets():
                        if self._closing.is_set():
                            return
                        self._take(packet, connection.coding)
                self._decoder.restart()
                self._say(LiveStatus.ENDED, f"{self.spec.name} has come to its end.")
                return
            except SignalLost as lost:
                reason = str(lost)
                if self._state.status is LiveStatus.LIVE:
                    retry_s = self._first_retry_s
                    self._say(LiveStatus.LOST, f"The signal of {self.spec.name} is lost: {lost}.")
                else:
                    self._say_trying(reason)
            except TrocarError as error:
                # What was live may be so again: a device that is plugged in, a server that starts.
                if not self._arrivals or self.spec.is_file:
                    raise
                reason = error.user_message.rstrip(".")
                self._say_trying(reason)
            # A sender that comes while nobody listens is refused, and some do not come again.
            failed_at_once = time.monotonic() - began_s < _LISTEN_AGAIN_S
            listen_s = _LISTEN_AGAIN_S if failed_at_once else 0.0
            self._closing.wait(listen_s if self.spec.listens else retry_s)
            if self._state.status is LiveStatus.LOST:
                self._say_trying(reason)
            else:
                retry_s = min(retry_s * 2, LAST_RETRY_S)

    def _say_trying(self, reason: str) -> None:
        status = LiveStatus.RECONNECTING if self._arrivals else LiveStatus.CONNECTING
        if self.spec.listens:
            sentence = f"Waiting for a sender at {self.spec.name}: {reason}."
        else:
            sentence = f"Connecting to {self.spec.name} again: {reason}."
        self._say(status, sentence)

    def _take(self, packet: SourcePacket, coding: StreamFormat) -> None:
        if self._is_before_a_keyframe(packet):
            return
        if packet.is_keyframe and self._begins_again.is_set():
            self._begins_again.clear()
            self._clock, self._began = self._new_clock(), None
            self._decoder.restart(forget=True)
        arrived_s = time.monotonic()
        pts, dts, gap = self._clock.stamp(packet.pts, packet.dts, packet.time_base, arrived_s)
        if self.spec.is_file and self._speed > 0:
            self._pace(dts)
            arrived_s = time.monotonic()
        if self._state.status is not LiveStatus.LIVE:
            self._came_back()
        if gap is not None:
            self._change(gaps=(*self._state.gaps, gap))
            self._announce()
        taken = LivePacket(
            data=packet.data,
            pts=pts,
            dts=dts,
            is_keyframe=packet.is_keyframe,
            arrived_s=arrived_s,
            coding=coding,
        )
        with self._guard:
            self._arrivals.append(arrived_s)
        if packet.is_damaged:
            self._change(damaged=self._state.damaged + 1)
        self._on_packet(taken)
        self._decoder.put(taken)

    def _new_clock(self) -> LiveClock:
        return LiveClock(follows_wall=not self.spec.is_file)

    def _is_before_a_keyframe(self, packet: SourcePacket) -> bool:
        """Whether it leans on pictures that were sent before this connection."""
        return self._state.status is not LiveStatus.LIVE and not packet.is_keyframe

    def _came_back(self) -> None:
        again = bool(self._arrivals)
        self._change(attempts=0, reconnects=self._state.reconnects + again)
        self._say(LiveStatus.LIVE, f"{self.spec.name} is live.")

    def _pace(self, dts: int) -> None:
        """A file comes no faster than it was recorded."""
        now_s = time.monotonic()
        if self._began is None:
            self._began = now_s, dts
        due_s = self._began[0] + float((dts - self._began[1]) * LIVE_TIME_BASE) / self._speed
        self._closing.wait(max(0.0, due_s - now_s))

    def _rate(self) -> float:
        newest_s = time.monotonic()
        recent = [s for s in self._arrivals if newest_s - s <= _RATE_OVER_S]
        span_s = recent[-1] - recent[0] if len(recent) > 1 else 0.0
        return (len(recent) - 1) / span_s if span_s > 0 else 0.0

    def _counts(self) -> dict[str, int]:
        decoder = self._decoder
        damaged = self._state.damaged + decoder.damaged
        return {"frames": decoder.frames, "dropped": decoder.dropped, "damaged": damaged}

    def _resized(self, raster: Raster) -> None:
        """On the decode thread: the pictures have another size."""
        self._change(size_px=(raster.width_px, raster.height_px))
        self._on_raster(raster)
        self._announce()

    def _say(self, status: LiveStatus, sentence: str) -> None:
        self._change(status=status, sentence=sentence)
        self._announce()

    def _change(self, **fields: object) -> None:
        with self._guard:
            self._state = replace(self._state, **fields)

    def _announce(self) -> None:
        if not self._closing.is_set():
            self._on_state(self.state)
