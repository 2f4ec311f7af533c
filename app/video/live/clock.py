"""From the times of a source to those of the recording. Owned by the capture thread."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

from app.video.live.state import LIVE_TIME_BASE, Gap

START_PTS = 90_000
"""Of the first packet: room for what is decoded before it is shown."""
_UNITS = int(1 / LIVE_TIME_BASE)
_MAX_STEP_S = 2.0
_REMEMBERED = 64
_WORTH_A_GAP = _UNITS // 2


class LiveClock:
    """Times in 1/90000 that rise strictly, whatever the source's clock does.

    Within a connection the source's own clock counts. Where it jumps, and after a reconnect, the
    wall clock says how long nothing came.

    Args:
        follows_wall: False for a file, whose own times are right at any speed.
    """

    def __init__(self, *, follows_wall: bool = True) -> None:
        self._follows_wall = follows_wall
        self._zero_s: float | None = None
        self._offset: Fraction | None = None
        self._step = _UNITS // 25
        self._pts_s: Fraction | None = None
        self._dts_s: Fraction | None = None
        self._last_dts = self._last_pts = START_PTS - 1
        self._is_new = True
        self._recent: deque[int] = deque(maxlen=_REMEMBERED)

    @property
    def last_pts(self) -> int:
        """The highest pts given so far."""
        return self._last_pts

    def connected(self) -> None:
        """What comes now is of a new connection: its clock has nothing to do with the last one."""
        self._offset = self._pts_s = self._dts_s = None
        self._is_new = True

    def stamp(
        self, pts: int | None, dts: int | None, time_base: Fraction, arrived_s: float
    ) -> tuple[int, int, Gap | None]:
        """Times of a packet, in decode order, and the gap that lies before it.

        Args:
            pts, dts: as the source gives them, None where it does not.
            time_base: seconds per unit of them.
            arrived_s: ``time.monotonic()``.

        Returns:
            pts, dts, and a gap after a reconnect or after a while in which nothing came.
        """
        dts_s = None if dts is None else dts * time_base
        pts_s = None if pts is None else pts * time_base
        given_s = dts_s if pts_s is None else pts_s
        gap = None
        if given_s is None:
            step = self._step
            return *self._strictly_rising(self._last_pts + step, self._last_dts + step), None
        if self._offset is None or self._jumped(pts_s, dts_s):
            gap = self._anchor(given_s if dts_s is None else dts_s, arrived_s)
        offset = self._offset or Fraction(0)
        new_pts = round(given_s * _UNITS + offset)
        new_dts = self._last_dts + 1 if dts_s is None else round(dts_s * _UNITS + offset)
        if dts_s is not None and new_dts > self._last_dts:
            self._step = min(new_dts - self._last_dts, _UNITS)
        self._pts_s, self._dts_s = pts_s, dts_s
        return *self._strictly_rising(new_pts, min(new_dts, new_pts)), gap

    def _strictly_rising(self, pts: int, dts: int) -> tuple[int, int]:
        dts = max(dts, self._last_dts + 1)
        pts = max(pts, dts)
        while pts in self._recent:
            pts += 1
        self._recent.append(pts)
        self._last_dts, self._last_pts = dts, max(self._last_pts, pts)
        return pts, dts

    def _jumped(self, pts_s: Fraction | None, dts_s: Fraction | None) -> bool:
        if dts_s is not None and self._dts_s is not None:
            step_s = dts_s - self._dts_s
            return step_s < 0 or (self._follows_wall and step_s > _MAX_STEP_S)
        if pts_s is not None and self._pts_s is not None:
            # Without decode times, a step back may be a B-frame's.
            step_s = pts_s - self._pts_s
            return step_s < -_MAX_STEP_S or (self._follows_wall and step_s > _MAX_STEP_S)
        return False

    def _anchor(self, source_s: Fraction, arrived_s: float) -> Gap | None:
        """Fit the source's clock in after the last packet, where the wall clock says."""
        if self._zero_s is None:
            self._zero_s = arrived_s
            at = start = START_PTS
        else:
            start = max(self._last_pts, self._last_dts) + self._step
            due = START_PTS + round((arrived_s - self._zero_s) * _UNITS)
            # How much a new connection has lost is not known: at least a picture.
            lost = self._step if self._is_new else 0
            at = max(start + lost, due) if self._follows_wall else start
        # A jump of the clock while pictures go on coming is no gap.
        least = 1 if self._is_new else _WORTH_A_GAP
        self._offset, self._is_new = at - source_s * _UNITS, False
        return Gap(start_pts=start, end_pts=at) if at - start >= least else None
