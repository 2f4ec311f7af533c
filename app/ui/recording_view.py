"""What the open recording asks of the window: square pixels, hatched gaps, fields, which stream.

GUI thread.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout

from app.ui.keys import KeyMap
from app.ui.message_slot import MessageSlot
from app.ui.messages import Message
from app.ui.review import ReviewWorkspace
from app.ui.services import Services
from app.ui.widgets import Button, IconButton, Label

if TYPE_CHECKING:
    from app.video import PlayerState, StreamInfo, VideoInfo

_MOST_BUTTONS = 4


class RecordingView(QObject):
    """Follows the player: whatever its recording is like, the window shows it rightly."""

    def __init__(
        self, services: Services, review: ReviewWorkspace, slot: MessageSlot, keys: KeyMap
    ) -> None:
        super().__init__(review)
        self._services, self._review, self._slot = services, review, slot
        self._woven = False
        self._asked_for: Path | None = None
        self._line: StreamLine | None = None
        keys.bind("fields", self.toggle_fields)
        services.player.changed.connect(self._changed)
        slot.placed.connect(self._make_room)

    @Slot(object)
    def _changed(self, state: PlayerState) -> None:
        info, ribbon = state.info, self._review.ribbon
        known_ms = info.duration_ms if info is not None else 0.0
        ribbon.show_growth(known_ms, state.estimated_ms if state.grows else 0.0)
        if info is None:
            ribbon.set_lost(())
            return
        self._services.playback.set_pixel_aspect(float(info.pixel_aspect))
        self._review.ribbon.set_lost(lost_stretches(info, state.lost, self._time_ms))
        self._show_fields(info)
        if state.path is not None and state.path != self._asked_for:
            self._asked_for = state.path
            self._offer_streams(state.path, info)

    def _make_room(self) -> None:
        """What is not as usual in the picture is told also while messages lie on it."""
        stage, slot = self._review.stage, self._slot
        end = QPoint(0, slot.geometry().bottom() + 1)
        stage.set_covered(stage.mapFrom(slot.parentWidget(), end).y() if slot.lines else 0)

    def _time_ms(self, index: int) -> float:
        return self._services.player.player.time_ms(index)

    def toggle_fields(self) -> None:
        """Make pictures of two fields whole, or show them as they are stored."""
        info = self._services.player.state.info
        if info is None:
            return
        if not info.is_interlaced:
            words = "This recording is not interlaced: there are no fields to show."
            self._slot.say(Message(text=words, lasting_s=4, key="fields"))
            return
        self._woven = not self._woven
        self._services.player.player.set_deinterlacing(on=not self._woven)
        self._show_fields(info)

    def _show_fields(self, info: VideoInfo) -> None:
        is_woven = self._woven and info.is_interlaced
        words = f"Fields as stored, {info.field_order} first" if is_woven else ""
        self._services.playback.set_chip("fields", words)

    def _offer_streams(self, path: Path, info: VideoInfo) -> None:
        if self._line is not None:
            self._slot.remove(self._line)
            self._line = None
        others = [s for s in info.streams if s.may_be_shown and s.index != info.stream]
        if others and self._services.library.is_writable:
            open_stream = self._services.cases.open_stream
            self._line = StreamLine(self._slot, info, others, lambda n: open_stream(path, n))
            self._slot.add(self._line)


def lost_stretches(
    info: VideoInfo, lost: frozenset[int], time_ms: Callable[[int], float]
) -> tuple[tuple[float, float], ...]:
    """The stretches without a picture, in ms: missing time, and frames that do not decode."""
    unit_ms = float(info.time_base * 1000)
    spans = [((a - info.start_pts) * unit_ms, (b - info.start_pts) * unit_ms) for a, b in info.gaps]
    for index in sorted(lost):
        last = index >= info.frames - 1
        spans.append((time_ms(index), info.duration_ms if last else time_ms(index + 1)))
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


class StreamLine(QFrame):
    """Says that a file has more than one video, and offers the others.

    Args:
        slot: where it stands.
        info: of the video that is shown.
        others: the streams that are not.
        chosen: called with the index of the one that was asked for.
    """

    def __init__(
        self,
        slot: MessageSlot,
        info: VideoInfo,
        others: list[StreamInfo],
        chosen: Callable[[int], object],
    ) -> None:
        super().__init__(slot)
        self.setProperty("kind", "card")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 7, 8, 7)
        layout.setSpacing(10)
        places = {s.index: n for n, s in enumerate((s for s in info.streams if s.may_be_shown), 1)}
        words = f"This file holds {len(places)} videos; number {places[info.stream]} is shown."
        self.setAccessibleName(words)
        text = Label(words)
        text.setWordWrap(True)
        layout.addWidget(text, 1)
        self.buttons = []
        for stream in others[:_MOST_BUTTONS]:
            button = Button(f"Show video {places[stream.index]}")
            button.setToolTip(
                f"{stream.width_px} x {stream.height_px}, {stream.codec}: a case of its own"
            )
            button.clicked.connect(lambda _=False, n=stream.index: self._choose(slot, chosen, n))
            layout.addWidget(button)
            self.buttons.append(button)
        close = IconButton("x", "Leave it", "Leave it  (Esc)", 16)
        close.clicked.connect(lambda: slot.remove(self))
        layout.addWidget(close)

    def _choose(self, slot: MessageSlot, chosen: Callable[[int], object], stream: int) -> None:
        slot.remove(self)
        chosen(stream)
