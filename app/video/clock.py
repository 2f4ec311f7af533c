"""The playback clock: where in the video the picture should be now. Used by the decode thread."""

from __future__ import annotations

import threading
import time

MIN_SPEED, MAX_SPEED = 0.1, 16.0


class PlaybackClock:
    """Runs along the video at a speed; a test gives it another time and another way to wait."""

    def __init__(self) -> None:
        self.speed = 1.0
        self.running = False
        self._from_ms = 0.0
        self._since_s = 0.0

    def now_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait on a held condition for at most ``seconds``."""
        condition.wait(seconds)

    def start(self, at_ms: float) -> None:
        """Run on from ``at_ms`` of the video."""
        self._from_ms, self._since_s, self.running = at_ms, self.now_s(), True

    def stop(self) -> None:
        """Stand still where it is."""
        self._from_ms, self.running = self.position_ms(), False

    def set_speed(self, speed: float) -> None:
        """Go on from here at another speed; negative plays backwards."""
        if self.running:
            self.start(self.position_ms())
        self.speed = speed

    def position_ms(self) -> float:
        """Milliseconds from the video's first frame."""
        if not self.running:
            return self._from_ms
        return self._from_ms + (self.now_s() - self._since_s) * 1000 * self.speed

    def seconds_until(self, time_ms: float) -> float:
        """Seconds until the position reaches ``time_ms``; 0 when it has passed."""
        return max(0.0, (time_ms - self.position_ms()) / 1000 / self.speed)


def bounded_speed(speed: float) -> float:
    """The nearest speed that can be played: 0.1 to 16 in either direction."""
    size = min(max(abs(float(speed)), MIN_SPEED), MAX_SPEED)
    return -size if speed < 0 else size
