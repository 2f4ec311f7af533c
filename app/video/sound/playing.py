"""Plays the sound of what a ``Player`` plays, on the thread ``trocar-sound``, by its clock.

Muted until somebody turns it on; only then is the thread started and the device opened. Qt-free.
It plays forwards at half to twice the speed, its pitch kept, and is silent otherwise.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

import numpy as np

from app.core.case import Asset
from app.core.errors import TrocarError
from app.video.clock import ClockReading, PlaybackClock
from app.video.sound.file import Samples, silence
from app.video.sound.sinks import PortAudioSink, Sink
from app.video.sound.tempo import MAX_TEMPO, MIN_TEMPO, Tempo
from app.video.sound.track import SoundTrack

_BLOCK_S = 0.02
_POLL_S = 0.02
_JOIN_S = 2.0
# Further away from the clock than this, it begins anew: a seek, or a stall.
_LOST_MS = 60.0
# Further away than this on average, it drifts back by so much in every block.
_DRIFT_MS, _BACK_S = 5.0, 0.001
_SMOOTHING = 0.1

log = logging.getLogger(__name__)


class Sound:
    """The sound beside a player. All methods return at once, from any thread.

    Args:
        clock: the player's.
        open_sink: opens the device, on the sound's thread; raises ``EnvironmentProblem``.
        on_problem: the sound went off for this reason; runs on the sound's thread.
    """

    def __init__(
        self,
        clock: PlaybackClock,
        *,
        open_sink: Callable[[], Sink] = PortAudioSink,
        on_problem: Callable[[TrocarError], None] = lambda _error: None,
    ) -> None:
        self._clock = clock
        self._open_sink = open_sink
        self._on_problem = on_problem
        self._changed = threading.Condition()
        self._asset: Asset | None = None
        self._choice = 0
        self._muted, self._volume, self._closing = True, 1.0, False
        self._thread: threading.Thread | None = None
        # What follows belongs to the thread.
        self._sink: Sink | None = None
        self._voice: _Voice | None = None

    @property
    def is_muted(self) -> bool:
        """Whether it is silent by the user's wish, as it is at first, or after a problem."""
        return self._muted

    def load(self, asset: Asset | None, choice: int = 0) -> None:
        """Play this recording's sound from now on, nothing for None.

        Args:
            asset: what the player plays.
            choice: which of its sound tracks.
        """
        with self._changed:
            self._asset, self._choice = asset, choice
            self._changed.notify()

    def set_muted(self, muted: bool) -> None:
        """Fall silent and give the device back, or open it and play along."""
        with self._changed:
            self._muted = muted
            if not muted and self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="trocar-sound", daemon=True)
                self._thread.start()
            self._changed.notify()

    def set_volume(self, volume: float) -> None:
        """0 to 1; heard as even steps."""
        self._volume = min(max(volume, 0.0), 1.0)

    def close(self) -> None:
        """End the thread and give the device back; waits at most 2 seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    # What follows runs on the sound's thread.

    def _run(self) -> None:
        try:
            while not self._closing:
                try:
                    self._turn()
                except TrocarError as error:
                    self._muted = True
                    self._release()
                    self._on_problem(error)
        finally:
            self._release()

    def _turn(self) -> None:
        with self._changed:
            asset, choice, muted = self._asset, self._choice, self._muted
        reading = self._clock.reading
        heard = asset is not None and reading.running
        heard = heard and MIN_TEMPO <= reading.speed <= MAX_TEMPO
        if muted:
            self._release()
            self._wait(None)
        elif not heard or asset is None:
            if self._sink is not None:
                self._sink.stop()
            if self._voice is not None:
                self._voice.lost = True
            self._wait(_POLL_S)
        else:
            self._play(asset, choice, reading)

    def _wait(self, seconds: float | None) -> None:
        with self._changed:
            if not self._closing and (seconds is not None or self._muted):
                self._changed.wait(seconds)

    def _play(self, asset: Asset, choice: int, reading: ClockReading) -> None:
        """Write the next block, where the clock will be when it is heard."""
        if self._sink is None:
            self._sink = self._open_sink()
        sink, voice = self._sink, self._voice
        if voice is None or not voice.is_of(asset, choice):
            if voice is not None:
                voice.close()
            voice = self._voice = _Voice(asset, choice, sink.rate_hz)
        sink.start()
        due = partial(self._due_ms, sink, reading)
        if voice.is_lost(due(), reading.speed):
            # What waits in the device is of another moment.
            sink.stop()
            sink.start()
            voice.begin(due, reading.speed)
        else:
            voice.keep_to(due())
        block = voice.block(round(_BLOCK_S * sink.rate_hz), self._volume**2)
        # Whoever paused or turned it off meanwhile must not hear it.
        if self._clock.reading.running and not self._muted and self._asset is asset:
            sink.write(block)

    def _due_ms(self, sink: Sink, reading: ClockReading) -> float:
        return reading.position_ms(self._clock.now_s() + sink.delay_s())

    def _release(self) -> None:
        if self._voice is not None:
            self._voice.close()
        if self._sink is not None:
            self._sink.close()
        self._sink = self._voice = None


class _Voice:
    """A recording's sound as blocks that keep to a clock."""

    def __init__(self, asset: Asset, choice: int, rate_hz: int) -> None:
        self._asset, self._choice, self._rate_hz = asset, choice, rate_hz
        self._track = SoundTrack(asset, rate_hz, choice)
        self._tempo = Tempo(self._track, rate_hz)
        self._last = silence(0)
        self._gain = self._offset_ms = 0.0
        self._shift = 0
        self.lost = True

    def is_of(self, asset: Asset, choice: int) -> bool:
        """Whether it is the sound of this recording and track."""
        return self._asset is asset and self._choice == choice

    def close(self) -> None:
        """Release the files."""
        self._track.close()

    def is_lost(self, due_ms: float, speed: float) -> bool:
        """Whether it has to begin anew: it was silent, or is far from where it should be."""
        away_ms = abs(self._tempo.position_ms - due_ms)
        return self.lost or speed != self._tempo.speed or away_ms > _LOST_MS

    def begin(self, due_ms: Callable[[], float], speed: float) -> None:
        """Go to where the recording is when what is written next is heard.

        Args:
            due_ms: that moment; asked again, since getting there takes time.
            speed: of the clock, within what ``Tempo`` can do.
        """
        self._tempo.begin(due_ms(), speed)
        self._tempo.skip(due_ms() - self._tempo.position_ms)
        self.lost, self._gain, self._offset_ms, self._shift = False, 0.0, 0.0, 0
        self._last = silence(0)

    def keep_to(self, due_ms: float) -> None:
        """Note how far it is from where it should be; the next block makes up for some of it."""
        speed, offset_ms = self._tempo.speed, self._tempo.position_ms - due_ms
        self._offset_ms += _SMOOTHING * (offset_ms - self._offset_ms)
        self._shift = 0
        if abs(self._offset_ms) > _DRIFT_MS:
            most = round(_BACK_S * self._rate_hz)
            wanted = round(-self._offset_ms / speed / 1000 * self._rate_hz)
            self._shift = min(max(wanted, -most), most)
            self._offset_ms += self._shift / self._rate_hz * 1000 * speed

    def block(self, count: int, gain: float) -> Samples:
        """The next ``count`` samples: float32 (count, 2), some skipped or repeated."""
        shift = self._shift if self._shift > 0 or len(self._last) >= -self._shift else 0
        fresh = self._tempo.read(count + shift)
        if shift > 0:
            fresh = _faded(fresh[:count], fresh[shift:])
        elif shift < 0:
            again = np.concatenate([self._last[shift:], fresh])
            fresh = _faded(np.concatenate([fresh, again[shift:]]), again)
        self._last = fresh
        steps = np.linspace(self._gain, gain, count, dtype=np.float32)[:, None]
        self._gain = gain
        return (fresh * steps).clip(-1.0, 1.0)


def _faded(before: Samples, after: Samples) -> Samples:
    """From one stretch over into another of the same length."""
    share = np.linspace(0, 1, len(after), dtype=np.float32)[:, None]
    return before * (1 - share) + after * share
