"""The playback clock: where in the video the picture should be now.

The decode thread sets it; the sound's thread reads it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

MIN_SPEED, MAX_SPEED = 0.1, 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """How the clock goes since its last change; immutable, so that any thread may read it.

    Attributes:
        running: whether it moves.
        from_ms: milliseconds of the video at ``since_s``.
        since_s: monotonic seconds of the last change.
        speed: negative backwards.
    """

    running: bool = False
    from_ms: float = 0.0
    since_s: float = 0.0
    speed: float = 1.0

    def position_ms(self, at_s: float) -> float:
        """Milliseconds from the video's first frame at a monotonic moment."""
        if not self.running:
            return self.from_ms
        return self.from_ms + (at_s - self.since_s) * 1000 * self.speed


class PlaybackClock:
    """Runs along the video at a speed; a test gives it another time and another way to wait."""

    def __init__(self) -> None:
        self.reading = ClockReading()

    def now_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait on a held condition for at most ``seconds``."""
        condition.wait(seconds)

    @property
    def running(self) -> bool:
        """Whether it moves."""
        return self.reading.running

    @property
    def speed(self) -> float:
        """Times the video's own; negative backwards."""
        return self.reading.speed

    def start(self, at_ms: float) -> None:
        """Run on from ``at_ms`` of the video."""
        self._set(at_ms, running=True, speed=self.speed)

    def stop(self) -> None:
        """Stand still where it is."""
        if self.running:
            self._set(self.position_ms(), running=False, speed=self.speed)

    def set_speed(self, speed: float) -> None:
        """Go on from here at another speed; negative plays backwards."""
        self._set(self.position_ms(), running=self.running, speed=speed)

    def position_ms(self) -> float:
        """Milliseconds from the video's first frame."""
        return self.reading.position_ms(self.now_s())

    def seconds_until(self, time_ms: float) -> float:
        """Seconds until the position reaches ``time_ms``; 0 when it has passed."""
        return max(0.0, (time_ms - self.position_ms()) / 1000 / self.speed)

    def _set(self, at_ms: float, *, running: bool, speed: float) -> None:
        # One assignment of one value: another thread never sees half of a change.
        self.reading = ClockReading(
            running=running, from_ms=at_ms, since_s=self.now_s(), speed=speed
        )


def bounded_speed(speed: float) -> float:
    """The nearest speed that can be played: 0.1 to 16 in either direction."""
    size = min(max(abs(float(speed)), MIN_SPEED), MAX_SPEED)
    return -size if speed < 0 else size
