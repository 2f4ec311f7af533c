"""The switch that clears smoke from the view, for Review, Annotate and Live. GUI thread.

What is shown is changed, never the frame: masks, models, snapshots, exports and recordings see
what was recorded. Pictures that arrive lose the newest veil on the thread that decoded them (2 ms
at 1920 x 1080); the veil is found on ``trocar-smoke``. It is off whenever Trocar starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.core.errors import TrocarError
from app.ui.adjust import Picture
from app.ui.messages import from_error

if TYPE_CHECKING:
    from app.inference.clearing import Cleared, Clears, SmokeThread

CLEARED, WORKING = "Smoke cleared for view", "Clearing smoke for view"
_LATE_S = 1.0


class SmokeClearing(QObject):
    """One switch for the window.

    Args:
        library_folder: where imported models lie.

    Attributes:
        covers: the picture on screen has lost its smoke; else it is still as recorded.

    Signals:
        switched: on or off.
        cleared: (Cleared) a picture that was asked for by ``of_standing``.
        said: (Message)
    """

    switched = Signal()
    cleared = Signal(object)
    said = Signal(object)
    _arrived = Signal(object)
    _failed = Signal(object, object)

    def __init__(self, library_folder: Path) -> None:
        super().__init__()
        self._folder = library_folder
        self._thread: SmokeThread | None = None
        self._token: object = None  # an error may come before the thread is known here
        self._ended: list[SmokeThread] = []
        self._asked: Picture | None = None
        self._newest: Cleared | None = None
        self.covers = False
        self._arrived.connect(self._take)
        self._failed.connect(self._fail)

    @property
    def is_on(self) -> bool:
        """Whether smoke is cleared."""
        return self._thread is not None

    def toggle(self) -> None:
        """On, or off; without a model it goes off again, and one sentence says so."""
        if self._thread is not None:
            self._stop()
        else:
            from app.inference.clearing import SmokeThread

            folder = self._folder

            def load() -> Clears:
                from app.inference.cards import desmoking_model
                from app.inference.desmoke import Desmoker

                return Desmoker(desmoking_model(folder))

            self._token = token = object()
            self._thread = SmokeThread(
                load, self._arrived.emit, lambda error: self._failed.emit(token, error)
            )
        self.switched.emit()

    def words(self) -> str:
        """What the picture on screen bears while it is on, "" while it is off."""
        thread = self._thread
        if thread is None:
            return ""
        late_s = thread.took_s
        if late_s < _LATE_S:
            return CLEARED if self.covers else WORKING
        slow = f"{late_s:.0f} s late on this computer"
        return f"{CLEARED}, {slow}" if self.covers else f"{WORKING}, {slow}: pause to see it"

    def of_arriving(self, rgb: Picture) -> Picture | None:
        """On the thread that decodes: the picture to show in the frame's place, None for it."""
        thread = self._thread
        if thread is None:
            return None
        thread.offer(rgb)
        veil = thread.veil_for(rgb)
        self.covers = veil is not None
        return None if veil is None else veil.lift(rgb)

    def of_standing(self, rgb: Picture) -> Picture | None:
        """What to show of a picture that stands still; None until ``cleared`` brings it.

        Args:
            rgb: uint8 (H, W, 3), the frame's own.
        """
        thread = self._thread
        if thread is None:
            return None
        if self._newest is not None and self._newest.of is rgb:
            return self._newest.picture
        if self._asked is not rgb:
            self._asked = rgb
            thread.offer(rgb, still=True)
        return None

    def close(self) -> None:
        """End the thread, and wait for it."""
        self._stop()
        for thread in self._ended:
            thread.close()

    def _stop(self) -> None:
        thread, self._thread = self._thread, None
        self._asked = self._newest = None
        self.covers = False
        if thread is not None:
            thread.close(wait=False)  # it may be loading torch: not waited for on the GUI thread
            self._ended.append(thread)

    @Slot(object)
    def _take(self, cleared: Cleared) -> None:
        if self._thread is None or self._asked is not cleared.of:
            return
        self._newest, self.covers = cleared, True
        self.cleared.emit(cleared)

    @Slot(object, object)
    def _fail(self, token: object, error: TrocarError) -> None:
        if self._thread is None or token is not self._token:
            return
        self._stop()
        self.said.emit(from_error(error, key="smoke"))
        self.switched.emit()
