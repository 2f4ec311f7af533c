"""Which picture is on the stage, the live one or one from behind, and how old its outlines are.

GUI thread; called for every picture and twenty times a second between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from app.core.errors import TrocarError
from app.core.frame import Frame
from app.inference.live_pace import Pace
from app.ui.adjust import Picture
from app.ui.clearing import SmokeClearing
from app.ui.live.answers import Drawn
from app.ui.live.bridge import LiveBridge
from app.ui.live.stage import LiveStage

if TYPE_CHECKING:
    from app.inference import LiveAnswer
    from app.inference.clearing import Cleared
    from app.live.look_back import LookBack
    from app.video import VideoSource
    from app.video.live.capture import LiveFrame

FADE_AFTER_MS, FADED = 100.0, 0.4
STILL_MS = 1000.0
"""A picture that stands still for longer has lost its signal."""
NEAR_PTS = 63_000
"""0.7 s: nearer to the live edge, the live picture itself is shown."""


class LiveScreen(QObject):
    """The stage's picture and overlay.

    Signals:
        moved: live, behind, or paused now.
        failed: (TrocarError) what was recorded cannot be read back.

    Attributes:
        live: the newest live frame.
        shown: the frame on the stage.
        behind: the picture is not the live one.
        overlay_age_ms: of the newest outlines, None without any.
        overlay_hidden: they are too old to be shown.
    """

    moved = Signal()
    failed = Signal(object)
    _edge = Signal()
    _broken = Signal(object)

    def __init__(self, stage: LiveStage, clearing: SmokeClearing) -> None:
        super().__init__()
        self._stage, self._clearing = stage, clearing
        self._bridge = LiveBridge()
        self._bridge.adjust = clearing.of_arriving
        clearing.switched.connect(self._show_cleared)
        clearing.cleared.connect(self._on_cleared)
        self._bridge.shown.connect(self._show_behind)
        self._edge.connect(self.to_live)
        self._broken.connect(self._look_back_failed)
        self._look_back: LookBack | None = None
        self._drawn: Drawn | None = None
        self._drawn_s = 0.0
        self._tissue_only = False
        self._asked_pts: int | None = None
        self._laid: tuple[NDArray[np.uint8] | None, float] = (None, 1.0)
        self.live: LiveFrame | None = None
        self.shown: Frame | None = None
        self.behind = self.playing = False
        self.overlay_age_ms: float | None = None
        self.overlay_hidden = False
        self.pace = Pace()

    def clear(self) -> None:
        """Another source: nothing is on screen."""
        self._drop_look_back()
        self.behind = self.playing = False
        self.live = self.shown = self._drawn = None
        self.overlay_age_ms, self.overlay_hidden, self.pace = None, False, Pace()
        self._stage.set_frame(None)
        self._lay(None)

    # The live picture

    def take(self, frame: LiveFrame, view: Picture | None = None) -> None:
        """The newest live frame came; ``view`` is what is seen in its place."""
        self.live = frame
        if not self.behind:
            shown = Frame(rgb=frame.rgb, pts=frame.pts, index=frame.number, time_ms=0.0)
            self._show(shown, view)

    def take_drawn(self, drawn: Drawn) -> None:
        """The newest outlines came."""
        self.pace = drawn.answer.pace
        self._drawn, self._drawn_s = drawn, time.monotonic()
        self.refresh()

    def take_pace(self, answer: LiveAnswer) -> None:
        """An answer came, perhaps without outlines: how fast this machine is."""
        self.pace = answer.pace

    def hold_tissue(self, *, held: bool) -> None:
        """While held, nothing lies over the tissue."""
        self._tissue_only = held
        self.refresh()

    def refresh(self) -> None:
        """Show, fade or hide the outlines by their age now."""
        drawn, frame = self._drawn, self.shown
        self.overlay_age_ms, self.overlay_hidden = None, False
        if drawn is None or frame is None or self.behind:
            self._lay(None)
            return
        now_s = time.monotonic()
        age_ms = 1000 * (now_s - drawn.answer.picture.captured_s)
        # The outlines of the very picture on screen fit it, until nothing new comes any more.
        same = drawn.answer.picture.pts == frame.pts and age_ms < STILL_MS
        self.overlay_age_ms = age_ms
        self.overlay_hidden = not same and age_ms > self.pace.keep_ms
        if self.overlay_hidden or self._tissue_only or not self.pace.helps:
            self._lay(None)
            return
        late_ms = max(FADE_AFTER_MS, 1.5 * self.pace.compute_ms)
        fresh = same or 1000 * (now_s - self._drawn_s) <= late_ms
        self._lay(drawn.raster, 1.0 if fresh else FADED)

    def _lay(self, raster: NDArray[np.uint8] | None, opacity: float = 1.0) -> None:
        """Lay an overlay on the stage, which paints itself anew only where it is another one."""
        if raster is not self._laid[0] or opacity != self._laid[1]:
            self._laid = (raster, opacity)
            self._stage.set_overlay(raster, opacity)

    # Behind the live picture

    @property
    def behind_s(self) -> float:
        """How far the picture on screen lies behind the live one."""
        if not self.behind or self.live is None or self.shown is None:
            return 0.0
        return max(0.0, (self.live.pts - self.shown.pts) / 90_000)

    @property
    def at_pts(self) -> int | None:
        """What is on screen, or was asked for and is not there yet: steps count from here."""
        if self._asked_pts is not None:
            return self._asked_pts
        return None if self.shown is None else self.shown.pts

    def look_back(
        self, pts: int, open_recording: Callable[[], VideoSource], *, stay: bool = False
    ) -> None:
        """Show what was on screen at ``pts``; it stands still, or goes on where it was playing.

        Args:
            pts: in 1/90000; at the live edge the live picture is shown, unless ``stay``.
            open_recording: the recording as far as it has come; asked on another thread.
            stay: stay behind, also at the live edge.
        """
        if not stay and self.live is not None and pts >= self.live.pts - NEAR_PTS:
            self.to_live()
            return
        if self._look_back is None:
            from app.live.look_back import LookBack

            on_frame, _ = self._bridge.renew()
            self._look_back = LookBack(
                open_recording,
                on_frame=on_frame,  # type: ignore[arg-type]
                on_edge=self._edge.emit,
                on_error=self._broken.emit,
            )
        self._asked_pts = pts
        self._look_back.seek(pts)
        self._go_behind()

    def stand_still(self) -> None:
        """Hold the picture on screen."""
        if self._look_back is not None:
            self._look_back.play(playing=False)
        self.playing = False
        self._go_behind()

    def go_on(self) -> None:
        """Play from the picture on screen, as far behind as it is."""
        if self._look_back is not None:
            self._look_back.play(playing=True)
            self.playing = True
            self.moved.emit()

    @property
    def can_go_on(self) -> bool:
        """Whether there is a recording to play from."""
        return self._look_back is not None

    @Slot()
    def to_live(self) -> None:
        """Back to the live picture."""
        if not self.behind:
            return
        self._drop_look_back()
        self.behind = self.playing = False
        if self.live is not None:
            self.take(self.live)
        self.moved.emit()

    def close(self) -> None:
        """End the thread that looks back."""
        self._drop_look_back(wait=True)

    def _go_behind(self) -> None:
        self.behind = True
        self.refresh()
        self.moved.emit()

    def _drop_look_back(self, *, wait: bool = False) -> None:
        self._bridge.renew()
        self._asked_pts = None
        reader, self._look_back = self._look_back, None
        if reader is not None:
            reader.close(wait=wait)  # it may be opening the file: not on the GUI thread

    @Slot(object)
    def _show_behind(self, frame: Frame) -> None:
        if self.behind:
            if self._look_back is not None and not self._look_back.seeking:
                self._asked_pts = None
            self._show(frame, self._bridge.view)

    @Slot(object)
    def _look_back_failed(self, error: TrocarError) -> None:
        self.to_live()
        self.failed.emit(error)

    def _show(self, frame: Frame, view: Picture | None) -> None:
        self.shown = frame
        self._stage.set_frame(frame, view)
        self._name_clearing()
        if self.behind and not self.playing:
            self._clearing.of_standing(frame.rgb)
        self.refresh()

    @Slot(object)
    def _on_cleared(self, cleared: Cleared) -> None:
        if self._stage.frame is not None and self._stage.frame.rgb is cleared.of:
            self._show_cleared()

    @Slot()
    def _show_cleared(self) -> None:
        """The picture on screen with or without smoke."""
        frame = self._stage.frame
        if frame is not None:
            view = self._clearing.of_standing(frame.rgb)
            self._clearing.covers = view is not None
            self._stage.set_view(view)
        self._name_clearing()

    def _name_clearing(self) -> None:
        words = self._clearing.words()
        self._stage.set_chips((words,) if words else ())
