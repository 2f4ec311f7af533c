"""What is on screen while a recording plays: both ways, at any speed, round a loop.

Runs on the decode thread of a ``Player``. Late frames are dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from app.video.clock import PlaybackClock
from app.video.decoder import SeekCancelled, UndecodableFrame
from app.video.player_state import PlayerState
from app.video.source import VideoSource

# This many frames late, playing goes by keyframes.
_LAGGING_FRAMES = 8
# Backward play waits for a group of pictures to decode rather than skipping what it shows; where
# it is faster than that, it goes by keyframes.
_STALL_S = 0.25
_FAST_BACKWARDS = -4.0
_LONG_GROUP_FRAMES = 30
# Far behind forwards and no keyframe ahead, a picture is shown so often on the way.
_SLICE_S = 0.1
_EARLY_MS = 1.0
GROWTH_S = 0.1
"""So often is asked what became known of a file that is still being indexed."""

log = logging.getLogger(__name__)


class Show(Protocol):
    """Shows the exact frame of an index; raises as ``VideoSource.frame``."""

    def __call__(self, source: VideoSource, index: int, dropped: int = 0) -> None:
        """``dropped`` frames were left out before it."""


class Playing:
    """Follows a clock.

    Args:
        clock: says where the recording should be now.
        show: shows a frame.
        wait: waits so many seconds, or until something is asked for.
        is_stale: whether another frame or file is wanted.
        has_request: whether anything is wanted.
    """

    def __init__(
        self,
        clock: PlaybackClock,
        *,
        show: Show,
        wait: Callable[[float], None],
        is_stale: Callable[[], bool],
        has_request: Callable[[], bool],
    ) -> None:
        self._clock, self._show, self._wait = clock, show, wait
        self._is_stale, self._has_request = is_stale, has_request

    def goes_on(self, source: VideoSource, state: PlayerState) -> bool:
        """Show what is due, or get ready for what comes next; False where the recording ends."""
        if not self._clock.running:
            self._clock.start(source.time_ms(state.index))
        source.hold(state.loop)
        direction = 1 if state.speed > 0 else -1
        target = self._due(source, direction)
        late = (target - state.index) * direction
        try:
            if self._goes_round(source, state, direction):
                self._go_round(source, state, direction)
            elif late > 0:
                self._show_due(source, state, target, late)
            elif 0 <= state.index + direction < len(source):
                self._prepare(source, state.index + direction)
            elif state.loop is not None and _edge(state.loop, direction) == state.index:
                self._wait(self._clock.seconds_until(self._edge_ms(source, state, direction)))
            elif direction > 0 and source.grows:
                self._clock.stop()
                self._wait(GROWTH_S)
            else:
                return False
        except SeekCancelled:
            log.debug("something else is wanted")
        return True

    def _goes_round(self, source: VideoSource, state: PlayerState, direction: int) -> bool:
        """Whether the last frame of a loop has had its time."""
        if state.loop is None or (_edge(state.loop, direction) - state.index) * direction < 0:
            return False
        over_ms = self._clock.position_ms() - self._edge_ms(source, state, direction)
        # As early as ``index_at_ms`` would show the frame beyond.
        return over_ms * direction >= -_EARLY_MS

    def _edge_ms(self, source: VideoSource, state: PlayerState, direction: int) -> float:
        """When play along a loop reaches its end: the time of the frame beyond it."""
        assert state.loop is not None  # noqa: S101 - asked by the caller
        beyond = min(_edge(state.loop, direction), len(source) - 1) + direction
        if beyond >= len(source):
            return source.info.duration_ms
        # Backwards, the first frame is shown for as long as the one after it was.
        if beyond < 0:
            return source.time_ms(0) - (source.time_ms(min(1, len(source) - 1)))
        return source.time_ms(beyond)

    def _go_round(self, source: VideoSource, state: PlayerState, direction: int) -> None:
        assert state.loop is not None  # noqa: S101 - asked by the caller
        start = min(_edge(state.loop, -direction), len(source) - 1)
        try:
            self._show(source, start)
        except UndecodableFrame as error:
            log.info("frame %d does not decode", error.index)
        self._clock.start(source.time_ms(start))

    def _due(self, source: VideoSource, direction: int) -> int:
        position_ms = self._clock.position_ms()
        index = source.index_at_ms(position_ms)
        # Backwards, a frame is due once its own time has come.
        ahead = direction < 0 and index + 1 < len(source)
        return index + 1 if ahead and source.time_ms(index) < position_ms - 1e-3 else index

    def _show_due(self, source: VideoSource, state: PlayerState, target: int, late: int) -> None:
        if self._is_too_fast_for(source, target):
            target = source.index.key_at(state.index - 1)
            wait_s = self._clock.seconds_until(source.time_ms(target))
            if wait_s > 0:
                self._wait(wait_s)
                return
        elif late > _LAGGING_FRAMES and not source.holds(target):
            key = source.index.key_at(target)
            if key >= 0 and (key - state.index) * state.speed > 0:
                target = key
            elif state.speed > 0:
                target = self._on_the_way(source, state.index, target)
        began_s = self._clock.now_s()
        try:
            self._show(source, target, dropped=abs(target - state.index) - 1)
        except UndecodableFrame as error:
            log.info("frame %d does not decode", error.index)
        if state.speed < 0 and self._clock.now_s() - began_s > _STALL_S:
            self._clock.start(source.time_ms(target))

    def _on_the_way(self, source: VideoSource, index: int, target: int) -> int:
        """Decode towards a frame for a moment; the one that was reached by then."""
        until_s = self._clock.now_s() + _SLICE_S
        try:
            source.skip_to(target, lambda: self._is_stale() or self._clock.now_s() >= until_s)
        except SeekCancelled:
            if self._is_stale():
                raise
            near = source.glimpse(target, self._is_stale)
            return near.index if near is not None and near.index > index else target
        return target

    def _is_too_fast_for(self, source: VideoSource, index: int) -> bool:
        """Whether play goes backwards faster than groups as long as this frame's decode."""
        if self._clock.speed >= _FAST_BACKWARDS or source.holds(index):
            return False
        key = source.index.key_at(index)
        return key >= 0 and index - key > _LONG_GROUP_FRAMES

    def _prepare(self, source: VideoSource, index: int) -> None:
        """Decode the next frame before it is due, then others until its time has come."""
        began_s = self._clock.now_s()
        backwards = self._clock.speed < 0
        if not source.holds(index):
            if self._is_too_fast_for(source, index):
                self._wait(self._clock.seconds_until(source.time_ms(index)))
                return
            self._fetch(source, index, backwards=backwards)
        if backwards and self._clock.now_s() - began_s > _STALL_S:
            self._clock.start(source.time_ms(index))
        wait_s = self._clock.seconds_until(source.time_ms(index))
        due_s = self._clock.now_s() + wait_s

        def is_due() -> bool:
            return self._has_request() or self._clock.now_s() >= due_s

        try:
            while not is_due() and source.read_ahead(index, -1 if backwards else 1, is_due):
                pass
        except SeekCancelled:
            return
        self._wait(self._clock.seconds_until(source.time_ms(index)))

    def _fetch(self, source: VideoSource, index: int, *, backwards: bool) -> None:
        try:
            if backwards:
                # With the run of frames before it, which come next.
                source.read_ahead(index + 1, -1, self._is_stale)
            source.skip_to(index, self._is_stale)
        except UndecodableFrame:
            log.debug("frame %d does not decode", index)


def _edge(loop: tuple[int, int], direction: int) -> int:
    """The last frame of a loop in the direction of play."""
    return loop[1] if direction > 0 else loop[0]
