"""Frame, overlay and stage kept in step. GUI thread.

A frame comes from the decode thread, its overlay from the overlay thread; both are put on the
stage that is on screen. The overlay of a frame just gone stays, faded, for as long as a fresh one
needs on this machine, never longer than a quarter of a second of video.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtGui import QColor

from app.core.taxonomy import Taxonomy
from app.ui import theme
from app.ui.adjust import Adjuster, Adjustment, Picture
from app.ui.clearing import SmokeClearing
from app.ui.osd import KeyRow
from app.ui.overlay_worker import Composed, OverlayWorker, View
from app.ui.player_bridge import PlayerBridge
from app.ui.session import Session
from app.ui.stage import Stage
from app.ui.words import numbered

if TYPE_CHECKING:
    from app.inference.clearing import Cleared
    from app.overlay import OverlayStyle
    from app.video.player import PlayerState, ShownFrame

NOTHING, OUTLINE = 0, 1

NOT_FOUND = "The recording is not found"
NO_RECORDING = "Labels alone, no recording"
STALE_FADED_MS = 100.0
STALE_GONE_MS = 250.0
MOST_KEY_ROWS = 6
_RESIZE_MS = 120


class Playback(QObject):
    """Puts frames and overlays on the stage.

    Signals:
        time_changed: (ms, exact) the frame on screen.
        key_changed: (tuple of KeyRow) the outlines on screen.
        unknown: (Frame) no model has looked at the frame on screen.
        dial_changed: (0 to 4, nothing to confidence)

    Attributes:
        adjuster: how the picture is shown to the eye.
    """

    time_changed = Signal(float, bool)
    key_changed = Signal(object)
    unknown = Signal(object)
    dial_changed = Signal(int)

    def __init__(
        self,
        session: Session,
        player: PlayerBridge,
        overlay: OverlayWorker,
        clearing: SmokeClearing,
        dial: int,
        fill: float,
    ) -> None:
        super().__init__()
        self._session = session
        self._player = player
        self._overlay = overlay
        self._stage: Stage | None = None
        self._dial = dial
        self._fill = fill
        self._held = False
        self._view: View | None = None
        self._last: Composed | None = None
        self._resize = QTimer(self)
        self._resize.setSingleShot(True)
        self._resize.setInterval(_RESIZE_MS)
        self._resize.timeout.connect(self.refresh_view)
        self.adjuster = Adjuster()
        self._clearing = clearing
        player.adjust = self._of_arriving
        player.changed.connect(self._on_state)
        clearing.switched.connect(self._on_switched)
        clearing.cleared.connect(self._on_cleared)
        self._chips: dict[str, str] = {}
        self._alone = "", 0.0  # asset and milliseconds: labels alone have no frame that tells
        self._pixel_aspect = 1.0
        player.shown.connect(self._on_frame)
        overlay.ready.connect(self._on_overlay)
        session.case_opened.connect(self._on_case)
        session.frames_touched.connect(self._on_touched)

    @property
    def dial(self) -> int:
        """How much of the overlay is drawn."""
        return self._dial

    @property
    def fill(self) -> float:
        """Strength of the filled overlay, 0 to 0.35."""
        return self._fill

    def set_dial(self, dial: int) -> None:
        """Draw more or less of the overlay."""
        if dial != self._dial:
            self._dial = dial
            self.refresh_view()
            self.dial_changed.emit(dial)

    def set_fill(self, fill: float) -> None:
        """Strength of the filled overlay, 0 to 0.35."""
        self._fill = fill
        self.refresh_view()

    def hold(self, *, held: bool) -> None:
        """While held, the overlay is inverted: gone where it was on, outlines where it was off."""
        if held != self._held:
            self._held = held
            self.refresh_view()

    def set_stage(self, stage: Stage) -> None:
        """Another stage is on screen: it gets the frame that the old one had."""
        if self._stage is not None and self._stage is not stage:
            self._stage.view_changed.disconnect(self._stage_changed)
        if self._stage is not stage:
            stage.view_changed.connect(self._stage_changed)
        self._stage = stage
        stage.set_chips(tuple(self._chips.values()))
        stage.set_pixel_aspect(self._pixel_aspect)
        stage.set_frame(self._session.frame)
        stage.set_overlay(None)
        self._show_adjusted()
        self.refresh_view()

    def set_chip(self, key: str, words: str) -> None:
        """Say something at the top of the picture, "" for nothing more."""
        self._chips.pop(key, None)
        if words:
            self._chips[key] = words
        if self._stage is not None:
            self._stage.set_chips(tuple(self._chips.values()))

    def set_pixel_aspect(self, ratio: float) -> None:
        """Width of the recording's pixels over their height: the stage stretches them."""
        self._pixel_aspect = ratio
        if self._stage is not None:
            self._stage.set_pixel_aspect(ratio)

    def adjust(self, adjustment: Adjustment) -> None:
        """Show the picture otherwise; masks, models and what leaves Trocar do not change."""
        self.adjuster.now = adjustment
        words = adjustment.words()
        self.set_chip("adjusted", f"Adjusted for the eye: {words}" if words else "")
        self._show_adjusted()

    def _of_arriving(self, rgb: Picture) -> Picture | None:
        """On the decode thread: what is seen in the frame's place, None for the frame."""
        cleared = self._clearing.of_arriving(rgb)
        adjusted = self.adjuster.of_arriving(rgb if cleared is None else cleared)
        return cleared if adjusted is None else adjusted

    @Slot(object)
    def _on_state(self, state: PlayerState) -> None:
        if not state.playing:
            self._clear_standing()

    @Slot()
    def _on_switched(self) -> None:
        if self._stage is not None and self._stage.isVisible():  # else Live's is
            self._show_adjusted()
        self._name_clearing()

    @Slot(object)
    def _on_cleared(self, cleared: Cleared) -> None:
        frame = self._stage.frame if self._stage is not None else None
        if frame is not None and frame.rgb is cleared.of:
            self._show_adjusted()

    def _clear_standing(self) -> None:
        """Ask for the frame on screen without smoke; it stays as it is so far.

        One that arrived lost the veil of the frame before already.
        """
        frame = self._stage.frame if self._stage is not None else None
        if frame is not None and self._clearing.of_standing(frame.rgb) is not None:
            self._show_adjusted()

    def _show_adjusted(self) -> None:
        """Show the frame on screen as the eye wants it now."""
        stage = self._stage
        if stage is None or stage.frame is None:
            self._name_clearing()
            return
        frame = stage.frame
        cleared = self._clearing.of_standing(frame.rgb)
        self._clearing.covers = cleared is not None
        self._name_clearing()
        if self.adjuster.now.is_neutral:
            stage.set_view(cleared)
            return
        seen = frame.rgb if cleared is None else cleared

        def show(view: NDArray[np.uint8]) -> None:
            if stage.frame is frame:
                stage.set_view(view)

        self.adjuster.of_standing(seen, show)

    def _name_clearing(self) -> None:
        words = self._clearing.words()
        if self._chips.get("smoke", "") != words:
            self.set_chip("smoke", words)

    def go_to(self, ms: float) -> None:
        """Go to a moment; where there are labels alone, the playhead goes there by itself."""
        asset = self._session.asset
        if asset is None or asset.has_recording:
            self._player.seek_ms(ms)
        else:
            self._alone = asset.asset_id, min(max(ms, 0.0), asset.duration_ms)
            self.time_changed.emit(self.labels_ms, True)  # noqa: FBT003 - exact

    @property
    def labels_ms(self) -> float:
        """Where the playhead is in the open case's labels alone, in milliseconds."""
        asset, (asset_id, ms) = self._session.asset, self._alone
        return ms if asset is not None and asset.asset_id == asset_id else 0.0

    def stop(self) -> None:
        """No timer and no thread may outlive the window."""
        self._resize.stop()
        self.adjuster.close()

    def style(self) -> OverlayStyle:
        """How instances are drawn now."""
        ratio = self._stage.devicePixelRatioF() if self._stage else 1.0
        dial = self._dial
        if self._held:
            dial = OUTLINE if dial == NOTHING else NOTHING
        return overlay_style(self._session, dial, self._fill, ratio)

    @Slot()
    def refresh_view(self) -> None:
        """Compose anew: another case, run, style or size."""
        session, stage = self._session, self._stage
        none = session.case is None or session.asset is None or session.work is None
        if none or stage is None or not session.asset.has_recording:
            self._view = None
            self._overlay.set_view(None)
            return
        view = View(
            case_id=session.case.case_id,
            asset=session.asset,
            work=session.work,
            run=session.segment_run,
            style=self.style(),
            size_px=self._raster_px(stage),
            scenes=session.model.scenes if session.model else None,
        )
        if view != self._view:
            self._view = view
            self._overlay.set_view(view)
        self.want_overlay()

    def want_overlay(self) -> None:
        """Ask for the overlay of the frame on screen again."""
        if self._session.frame is not None:
            self._overlay.want(self._session.frame.pts, self._direction())

    def _raster_px(self, stage: Stage) -> tuple[int, int]:
        """As large as the picture on screen, and no larger than makes sense."""
        assert self._session.asset is not None  # noqa: S101 - asked by the caller
        asset = self._session.asset
        rect = stage.fitted_rect()
        ratio = stage.devicePixelRatioF()
        if stage.zoom > 1.0 or rect.width() < 2:
            factor = max(1.0, 1600 / asset.width_px)
            return round(asset.width_px * factor), round(asset.height_px * factor)
        return max(2, round(rect.width() * ratio)), max(2, round(rect.height() * ratio))

    def _direction(self) -> int:
        state = self._player.state
        if not state.playing:
            return 0
        return 1 if state.speed > 0 else -1

    @Slot()
    def _stage_changed(self) -> None:
        self._resize.start()

    @Slot()
    def _on_case(self) -> None:
        self._last = None
        session, stage = self._session, self._stage
        # A thumbnail of the case that is being opened stays until its first frame.
        of_another = session.frame is None and stage is not None and stage.frame is not None
        if stage is not None and (of_another or session.case is None):
            stage.set_frame(None)
            stage.set_overlay(None)
        alone = session.asset is not None and not session.asset.has_recording
        if session.frame is None:
            self.key_changed.emit(())
            self.time_changed.emit(self.labels_ms, alone)  # not the place of the case before
        self.set_chip("missing", NOT_FOUND if session.missing else "")
        self.set_chip("labels", NO_RECORDING if alone else "")
        self.refresh_view()

    @Slot(object)
    def _on_frame(self, shown: ShownFrame) -> None:
        session, stage = self._session, self._stage
        if stage is None:
            return
        if session.asset is None:
            # A new recording, whose case is still being made: nothing can be said of it yet.
            if shown.path == self._player.previewed:
                stage.set_frame(shown.frame, self._player.view)
            return
        if Path(shown.path) != Path(session.asset.path):  # of the recording that played before
            return
        frame = shown.frame
        first = session.frame is None
        if not first and stage.frame is None:  # the thumbnail of the next case stands
            return
        session.show_frame(frame)
        stage.set_frame(frame, self._player.view)
        if first:
            self.refresh_view()
        composed = self._overlay.at_hand(frame.pts)
        if composed is not None:
            self._apply(composed)
        else:
            self._keep_stale(frame.pts)
        self._overlay.want(frame.pts, self._direction())
        self._name_clearing()
        if not self._direction():
            self._clear_standing()
        self.time_changed.emit(frame.time_ms, shown.exact)

    def _keep_stale(self, pts: int) -> None:
        """Fade the overlay of a frame just gone; drop it when it is too old."""
        assert self._stage is not None  # noqa: S101 - asked by the caller
        asset, last = self._session.asset, self._last
        age_ms = STALE_GONE_MS
        if last is not None and asset is not None:
            age_ms = abs(float((pts - last.pts) * asset.time_base * 1000))
        if age_ms >= STALE_GONE_MS or last is None or last.raster is None:
            self._stage.set_overlay(None)
        else:
            self._stage.set_overlay(last.raster, 0.4 if age_ms > STALE_FADED_MS else 1.0)

    @Slot(object)
    def _on_overlay(self, composed: Composed) -> None:
        frame = self._session.frame
        if composed.generation != self._overlay.generation or frame is None:
            return
        if composed.pts == frame.pts:
            self._apply(composed)
            if composed.prediction is None:
                self.unknown.emit(frame)
        elif composed.run == self._session.segment_run:
            self._last = composed
            self._keep_stale(frame.pts)

    def _apply(self, composed: Composed) -> None:
        assert self._stage is not None  # noqa: S101
        if composed.run != self._session.segment_run:
            # Another run was chosen since: an old answer must not bring the old one back.
            self.refresh_view()
            return
        nothing_known = composed.prediction is None and not (composed.shown or composed.areas)
        if nothing_known and self._direction():
            self._keep_stale(composed.pts)
        else:
            self._last = composed
            self._stage.set_overlay(composed.raster)
        self._session.show_instances(composed.shown, composed.prediction, composed.run)
        self.key_changed.emit(self._key(composed) if composed.raster is not None else ())

    def _key(self, composed: Composed) -> tuple[KeyRow, ...]:
        from app.overlay import area_looks, looks_of

        looks = zip(composed.shown, looks_of(composed.shown, self.style()), strict=True)
        drawn = sorted(
            ((i, look) for i, look in looks if i.mask.bits.size), key=lambda d: d[0].track or 0
        )
        drawn += zip(composed.areas, area_looks(composed.areas, self.style()), strict=True)
        names = [self._session.taxonomy.instrument_name(i.label) for i, _ in drawn]
        return tuple(
            KeyRow(name=numbered(names, place), colour=QColor(*look.colour), dashed=look.dashed)
            for place, (_, look) in enumerate(drawn[:MOST_KEY_ROWS])
        )

    @Slot(object)
    def _on_touched(self, pts: frozenset[int] | None) -> None:
        self._overlay.forget(pts)
        self.want_overlay()


class Named(Protocol):
    """Knows what instruments are called."""

    taxonomy: Taxonomy


def overlay_style(named: Named, dial: int, fill: float, ratio: float) -> OverlayStyle:
    """The overlay's style in the current theme.

    Args:
        named: names come from its taxonomy.
        dial: how much is drawn.
        fill: opacity of the filled overlay, 0 to 0.35.
        ratio: overlay pixels per logical pixel.
    """
    from app.overlay import Dial, OverlayStyle

    return OverlayStyle(
        dial=Dial(dial),
        outlines=tuple(_rgb(c) for c in theme.outlines()),
        halo=_rgb(theme.color("stage")),
        text=_rgb(theme.color("osd_text")),
        plate=_rgb(theme.color("osd_bg")),
        fill=fill,
        outline_px=theme.outline_px() * ratio,
        halo_px=1.0 * ratio,
        text_px=round(theme.px(12) * ratio),
        names=tuple((i.key, i.name) for i in named.taxonomy.instruments),
    )


def _rgb(colour: QColor) -> tuple[int, int, int]:
    return colour.red(), colour.green(), colour.blue()
