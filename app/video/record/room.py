"""How much longer the disk has room for a recording. Asked by the recorder once a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil

from app.core.errors import EnvironmentProblem

WARN_BELOW_S, STOP_BELOW_S = 600.0, 120.0
_RATE_OVER_S = 3.0


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder."""
    return int(psutil.disk_usage(str(folder)).free)


class DiskWatch:
    """The forecast, and what it makes the recorder say or do.

    Args:
        folder: where the recording lies.
        room: free bytes of a folder's disk.
        warn_below_s, stop_below_s: seconds of recording that fit.
    """

    def __init__(
        self,
        folder: Path,
        room: Callable[[Path], int] = free_bytes,
        warn_below_s: float = WARN_BELOW_S,
        stop_below_s: float = STOP_BELOW_S,
    ) -> None:
        self._folder, self._room = folder, room
        self._warn_below_s, self._stop_below_s = warn_below_s, stop_below_s

    def look(self, recorded_bytes: int, length_s: float) -> tuple[float | None, str]:
        """Seconds that fit at the rate so far (None: not known yet), and a warning or "".

        Raises:
            EnvironmentProblem: the recording has to end.
        """
        if length_s < _RATE_OVER_S:
            return None, ""
        left_s = self._room(self._folder) / (recorded_bytes / length_s)
        if left_s < self._stop_below_s:
            raise EnvironmentProblem(
                "The recording was stopped: the disk is almost full. What was recorded is kept; "
                "free some space and begin another one."
            )
        if left_s < self._warn_below_s:
            minutes = max(1, int(left_s / 60))
            return left_s, f"The disk has room for {minutes} more minutes; free some space now."
        return left_s, ""
