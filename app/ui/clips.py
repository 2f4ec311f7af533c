"""Clips of the open case, written on the thread ``trocar-clip``. GUI thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices

from app.core.case import Asset, Case
from app.core.errors import TrocarError
from app.core.prediction import Run
from app.ui.background import Background
from app.ui.messages import Message, Tone, from_error
from app.ui.words import count

if TYPE_CHECKING:
    from app.overlay import OverlayStyle
    from app.store import Library
    from app.video.clip.export import Clip

KEY = "clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOrder:
    """What is to be written.

    Attributes:
        case, asset: of which recording.
        first, last: frames, both included.
        path: the file.
        style: of the overlay that is burnt in, None for the picture alone.
        run: whose outlines, besides the human's.
        exact: these frames and no others; else it grows to where it can be copied.
        sound: keep the sound.
    """

    case: Case
    asset: Asset
    first: int
    last: int
    path: Path
    style: OverlayStyle | None = None
    run: Run | None = None
    exact: bool = True
    sound: bool = False


class Clips(QObject):
    """Writes one clip at a time.

    Signals:
        said: (Message) what was written, or why not.
        progressed: (frames done, frames to do)
        finished: the clip is written, failed or was stopped.
    """

    said = Signal(object)
    progressed = Signal(int, int)
    finished = Signal()

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self._work = Background("trocar-clip")
        self._stop = threading.Event()
        self.running = False

    def save(self, order: ClipOrder) -> None:
        """Begin to write a clip."""
        if self.running:
            self.said.emit(Message(text="One clip after the other.", lasting_s=3, key=KEY))
            return
        self.running = True
        self._stop.clear()
        self._work.run(lambda: self._write(order), self._done, self._failed)

    def stop(self) -> None:
        """Stop; nothing of the clip is left."""
        self._stop.set()

    def close(self) -> None:
        """Stop what is being written and end the thread."""
        self._stop.set()
        self._work.close()

    def _write(self, order: ClipOrder) -> Clip | None:
        from app.analysis.case_clip import overlay_drawer, refuse_recordings
        from app.video import open_recording
        from app.video.clip.export import ClipCancelled, write_clip

        refuse_recordings(self._library, order.path)
        draw = None
        if order.style is not None:
            draw = overlay_drawer(
                self._library, order.case, order.asset, run=order.run, style=order.style
            )
        with open_recording(order.asset) as source:
            try:
                return write_clip(
                    source,
                    order.first,
                    order.last,
                    order.path,
                    draw=draw,
                    exact=order.exact,
                    sound=order.sound,
                    progress=self.progressed.emit,
                    cancelled=self._stop.is_set,
                )
            except ClipCancelled:
                return None

    def _done(self, clip: Clip | None) -> None:
        self.running = False
        self.finished.emit()
        if clip is None:
            self.said.emit(Message(text="Clip stopped; nothing was written.", lasting_s=4, key=KEY))
            return
        folder = QUrl.fromLocalFile(str(clip.path.parent))
        how = "copied without loss" if clip.lossless else "encoded anew"
        lost = f" {clip.repeated} damaged frames show the one before." if clip.repeated else ""
        self.said.emit(
            Message(
                text=f"{clip.path.name} saved: {count(clip.frames)} frames, {how}.{lost}",
                tone=Tone.OK,
                button="Open the folder",
                action=lambda: QDesktopServices.openUrl(folder),
                lasting_s=12,
                key=KEY,
            )
        )

    def _failed(self, error: TrocarError) -> None:
        self.running = False
        self.finished.emit()
        self.said.emit(from_error(error, KEY))
