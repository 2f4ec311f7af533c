"""The live source in the window: callbacks of its threads become signals of the GUI thread.

Only the newest picture is delivered: a GUI that is late skips pictures, it never falls behind.
Opening and closing wait for sockets and disks, so they happen on the thread ``trocar-live-io``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.ui.adjust import Picture

if TYPE_CHECKING:
    from app.video.live.capture import LiveFrame, LiveState


class LiveBridge(QObject):
    """Delivers pictures and states of one source at a time.

    Signals:
        shown: (LiveFrame) the newest picture.
        changed: (LiveState) connecting, live, lost, ended.

    Attributes:
        adjust: on the thread that decodes, makes what is seen in a picture's place, None for it.
        view: that of the picture that was delivered last.
        tap: called with every picture on the thread that decodes; None for nobody.
        skipped: pictures that gave way to a newer one before the window could show them.
    """

    shown = Signal(object)
    changed = Signal(object)
    _arrived = Signal()
    _changed = Signal(int, object)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._newest: tuple[LiveFrame, Picture | None] | None = None
        self.adjust: Callable[[Picture], Picture | None] | None = None
        self.view: Picture | None = None
        self._told = False
        self._generation = 0
        self.tap: Callable[[LiveFrame], object] | None = None
        self.skipped = 0
        self._arrived.connect(self._deliver)
        self._changed.connect(self._state_changed)

    def renew(self) -> tuple[Callable[[LiveFrame], None], Callable[[LiveState], None]]:
        """Callbacks for another source; those given before are not listened to any more."""
        with self._lock:
            self._generation += 1
            self._newest = None
            self.skipped = 0
            generation = self._generation

        def on_frame(frame: LiveFrame) -> None:
            self._on_frame(generation, frame)

        def on_state(state: LiveState) -> None:
            self._changed.emit(generation, state)

        return on_frame, on_state

    def _on_frame(self, generation: int, frame: LiveFrame) -> None:
        """Decode thread: keep the newest picture, and tell the GUI once."""
        view = self.adjust(frame.rgb) if self.adjust is not None else None
        with self._lock:
            if generation != self._generation:
                return
            tap = self.tap
            self.skipped += self._newest is not None
            self._newest = (frame, view)
            told, self._told = self._told, True
        if tap is not None:
            tap(frame)
        if not told:
            self._arrived.emit()

    @Slot()
    def _deliver(self) -> None:
        with self._lock:
            newest, self._newest = self._newest, None
            self._told = False
        if newest is not None:
            frame, self.view = newest
            self.shown.emit(frame)

    @Slot(int, object)
    def _state_changed(self, generation: int, state: LiveState) -> None:
        if generation == self._generation:
            self.changed.emit(state)
