"""What the keys of the marked stretch do: mark, loop, save as a clip; and where it is seen. GUI."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from app.ui.clip_line import ClipChoice, ClipLine, ClipProgress
from app.ui.clips import ClipOrder
from app.ui.keys import KeyMap
from app.ui.message_slot import MessageSlot
from app.ui.messages import Message
from app.ui.playback import NOTHING, OUTLINE, overlay_style
from app.ui.review import ReviewWorkspace
from app.ui.services import Services
from app.ui.words import count, fine_moment

FILTER = "MP4 (*.mp4);;QuickTime (*.mov);;Matroska (*.mkv)"
_SCREEN_HEIGHT_PX = 900
"""Of a stage on which outlines have their usual width; a clip is drawn to look like it."""


class Stretching(QObject):
    """Marks, loops and saves a stretch of the open recording."""

    def __init__(
        self,
        window: QWidget,
        services: Services,
        review: ReviewWorkspace,
        slot: MessageSlot,
        keys: KeyMap,
    ) -> None:
        super().__init__(window)
        self._window, self._services, self._review, self._slot = window, services, review, slot
        self._keys = keys
        self._asking: ClipLine | None = None
        self._progress: ClipProgress | None = None
        loop, clips = services.loop, services.clips
        for name, act in (
            ("mark_first", loop.mark_first),
            ("mark_last", loop.mark_last),
            ("loop", loop.toggle),
            ("loop_change", loop.round_change),
            ("loop_narrower", lambda: loop.widen(-1)),
            ("loop_wider", lambda: loop.widen(1)),
            ("clip", self.ask_clip),
        ):
            keys.bind(name, act)
        loop.changed.connect(self._show)
        clips.progressed.connect(self._progressed)
        clips.finished.connect(self._finished)

    def escape(self) -> bool:
        """Take the marks away; False where there are none."""
        loop = self._services.loop
        if loop.first is None and loop.last is None:
            return False
        loop.clear()
        return True

    def _show(self) -> None:
        loop = self._services.loop
        self._review.ribbon.set_stretch(*loop.span_ms(), on=loop.on)
        words = loop.words()
        if words and not loop.on and loop.stretch is not None:
            words += f"  ·  {self._keys.hint('loop')} loops, {self._keys.hint('clip')} saves"
        self._services.playback.set_chip("stretch", words)

    def ask_clip(self) -> None:
        """Ask how the marked stretch is saved."""
        services, loop = self._services, self._services.loop
        if services.session.case is None:
            return
        start, end = loop.span_ms()
        if loop.stretch is None or start is None or end is None:
            words = "Mark a stretch first: I where it begins, O where it ends."
            self._slot.say(Message(text=words, lasting_s=5, key="clip"))
            return
        if self._asking is not None:
            self._slot.remove(self._asking)
        first, last = loop.stretch
        words = f"{fine_moment(start)} to {fine_moment(end)}, {count(last - first + 1)} frames"
        session = services.session
        has_work = session.segment_run is not None or bool(
            session.work and session.work.annotated_pts
        )
        info = services.player.state.info
        has_sound = info is not None and any(s.kind == "audio" for s in info.streams)
        self._asking = ClipLine(
            self._slot,
            words,
            "" if has_work else "No outlines yet; analyse the case first",
            "" if has_sound else "This recording has no sound",
            lambda choice: self._ask_where(first, last, choice),
        )
        self._slot.add(self._asking)
        self._asking.save.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _ask_where(self, first: int, last: int, choice: ClipChoice) -> None:
        session = self._services.session
        case, asset = session.case, session.asset
        if case is None or asset is None:
            return
        name = f"case-{case.case_id}-frames-{first}-{last}.mp4"
        dialog = QFileDialog(self._window, "Save the clip", str(_videos()), FILTER)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        # By the dialog itself, so that it asks about the file that would be replaced.
        dialog.setDefaultSuffix("mp4")
        dialog.selectFile(name)
        chosen = dialog.selectedFiles() if dialog.exec() else []
        dialog.deleteLater()
        if not chosen:
            return
        path = Path(chosen[0])
        playback = self._services.playback
        style = None
        if choice.overlay:
            dial = playback.dial if playback.dial != NOTHING else OUTLINE
            ratio = max(1.0, asset.height_px / _SCREEN_HEIGHT_PX)
            style = overlay_style(session, dial, playback.fill, ratio)
        order = ClipOrder(
            case=case,
            asset=asset,
            first=first,
            last=last,
            path=path,
            style=style,
            run=session.segment_run,
            exact=choice.exact,
            sound=choice.sound,
        )
        if not self._services.clips.running:
            self._progress = ClipProgress(self._slot, path.name, self._services.clips.stop)
            self._slot.add(self._progress)
        self._services.clips.save(order)

    def _progressed(self, done: int, frames: int) -> None:
        if self._progress is not None and self._progress in self._slot.lines:
            self._progress.show_progress(done, frames)

    def _finished(self) -> None:
        if self._progress is not None:
            self._slot.remove(self._progress)
            self._progress = None


def _videos() -> Path:
    places = QStandardPaths.standardLocations(QStandardPaths.StandardLocation.MoviesLocation)
    return next((Path(p) for p in places if Path(p).is_dir()), Path.home())
