"""The player in the window: callbacks of the decode thread become signals of the GUI thread.

Only the newest picture is delivered: a GUI that is late skips pictures, it never falls behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from app.core.errors import TrocarError

if TYPE_CHECKING:
    from app.video.clock import PlaybackClock
    from app.video.player import Player, PlayerState, ShownFrame

# The decoder's libraries are loaded with the first case, not with the window.
_IDLE = SimpleNamespace(
    path=None,
    info=None,
    playing=False,
    speed=1.0,
    index=0,
    shown=0,
    dropped=0,
    undecodable=0,
    at_end=False,
    is_whole=True,
    grows=False,
    estimated_ms=0.0,
    awaits=False,
    loop=None,
)


class PlayerBridge(QObject):
    """Owns the ``Player``.

    Attributes:
        adjust: on the decode thread, makes what is seen in a frame's place, None for the frame.
        view: that picture of the frame that was delivered last.
        previewed: the file that is shown while its case is being made, None without one.

    Signals:
        shown: (ShownFrame) the newest picture.
        changed: (PlayerState) opened, playing, speed, end.
        failed: (TrocarError)
    """

    shown = Signal(object)
    changed = Signal(object)
    failed = Signal(object)
    _arrived = Signal()
    _changed = Signal(object)
    _failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.adjust: Callable[[NDArray[np.uint8]], NDArray[np.uint8] | None] | None = None
        self.view: NDArray[np.uint8] | None = None
        self._newest: tuple[ShownFrame, NDArray[np.uint8] | None] | None = None
        self._told = False
        self._closed = False
        self._arrived.connect(self._deliver)
        self._changed.connect(self._state_changed)
        self._failed.connect(self._error)
        self._player: Player | None = None
        self.previewed: Path | None = None
        self._clock: PlaybackClock | None = None

    @property
    def player(self) -> Player:
        """The player; its thread starts when it is first asked for."""
        if self._player is None:
            from app.video.player import Player

            self._player = Player(
                on_frame=self._on_frame,
                on_state=self._changed.emit,
                on_error=self._failed.emit,
                clock=self.clock,
            )
        return self._player

    @property
    def clock(self) -> PlaybackClock:
        """The player's clock, to read from any thread."""
        if self._clock is None:
            from app.video.clock import PlaybackClock

            self._clock = PlaybackClock()
        return self._clock

    @property
    def state(self) -> PlayerState:
        """Where the player stands."""
        return _IDLE if self._player is None else self._player.state  # type: ignore[return-value]

    def toggle(self) -> None:
        """Play, or pause."""
        (self.player.pause if self.state.playing else self.player.play)()

    def seek_ms(self, ms: float) -> None:
        """Go to the frame on screen at a moment."""
        if self._player is not None:
            self._player.seek_ms(ms)

    def preview(self, path: Path) -> None:
        """Show a file whose case is still being made."""
        self.previewed = path
        self.player.preview(path)

    def close(self) -> None:
        """End the decode thread; no signal comes after this."""
        self._closed = True
        if self._player is not None:
            self._player.close()

    def pause(self) -> None:
        """Stop, if anything plays."""
        if self._player is not None:
            self._player.pause()

    def leave(self) -> None:
        """Nothing is shown any more: its file is closed."""
        self.previewed = None
        if self._player is not None:
            self._player.leave()

    def _on_frame(self, frame: ShownFrame) -> None:
        """Decode thread: keep the newest picture, and tell the GUI once."""
        view = self.adjust(frame.frame.rgb) if self.adjust is not None else None
        with self._lock:
            self._newest = (frame, view)
            if self._told or self._closed:
                return
            self._told = True
        self._arrived.emit()

    @Slot()
    def _deliver(self) -> None:
        with self._lock:
            newest, self._newest = self._newest, None
            self._told = False
        if newest is not None and not self._closed:
            frame, self.view = newest
            self.shown.emit(frame)

    @Slot(object)
    def _state_changed(self, state: PlayerState) -> None:
        if not self._closed:
            self.changed.emit(state)

    @Slot(object)
    def _error(self, error: TrocarError) -> None:
        # Of a file whose case is being made, that itself says what is wrong.
        if not self._closed and self.previewed is None:
            self.failed.emit(error)
