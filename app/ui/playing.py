"""What the player's keys and the transport plate do. GUI thread."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QWidget

from app.annotate import bookmarks
from app.core.correction import Bookmark
from app.core.frame import FrameIdentity
from app.ui.ask import GoToLine, NoteLine
from app.ui.keys import KeyMap
from app.ui.message_slot import MessageSlot
from app.ui.messages import Message
from app.ui.moments import Here
from app.ui.review import ReviewWorkspace
from app.ui.services import Services
from app.ui.transport import DIAL_WORDS

if TYPE_CHECKING:
    from app.video.player import PlayerState

FINE = 1.1


class HeldKey(QObject):
    """Whether the key that acts now is repeated by the keyboard: a shortcut does not tell."""

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        self.repeats = False
        page.window().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The window hears of every key before its shortcuts act."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            self.repeats = event.isAutoRepeat()
        return False


class Playing(QObject):
    """Steps, jumps, speed and the overlay's dial."""

    def __init__(
        self, services: Services, review: ReviewWorkspace, slot: MessageSlot, keys: KeyMap
    ) -> None:
        super().__init__(review)
        self._services = services
        self._player = services.player
        self._review = review
        self._slot = slot
        self._held = HeldKey(review)
        self._stepping = False
        self._bind(keys)
        playback, transport = services.playback, review.transport
        playback.time_changed.connect(self._shown)
        services.player.failed.connect(self._step_ended)
        services.session.case_opened.connect(self._step_ended)
        playback.key_changed.connect(review.show_key)
        playback.dial_changed.connect(self._dial_changed)
        services.player.changed.connect(self._changed)
        review.ribbon.seek.connect(playback.go_to)
        transport.dial_moved.connect(playback.set_dial)
        transport.speed_chosen.connect(lambda x: self._player.player.set_speed(x))
        transport.set_dial(playback.dial)
        transport.volume.follow(services.sound)
        keys.held.connect(lambda i: i == "hold_tissue" and playback.hold(held=True))
        keys.released.connect(lambda i: i == "hold_tissue" and playback.hold(held=False))

    def _bind(self, keys: KeyMap) -> None:
        bridge = self._player
        keys.bind("play", self.toggle)
        for name, frames in (
            ("frame_back", -1), ("frame_on", 1), ("ten_back", -10), ("ten_on", 10),
        ):  # fmt: skip
            keys.bind(name, lambda n=frames: self.step(n))
        keys.bind("second_back", lambda: self.jump(-1000.0))
        keys.bind("second_on", lambda: self.jump(1000.0))
        keys.bind("boundary_back", lambda: self.to_boundary(-1))
        keys.bind("boundary_on", lambda: self.to_boundary(1))
        keys.bind("bookmark", self.bookmark)
        keys.bind("bookmark_remove", self.remove_bookmark)
        keys.bind("bookmark_back", lambda: self.to_bookmark(-1))
        keys.bind("bookmark_on", lambda: self.to_bookmark(1))
        keys.bind("to_start", self.to_start)
        keys.bind("to_end", self.to_end)
        for name, direction in (("slower", -1), ("stop", 0), ("faster", 1)):
            keys.bind(name, lambda d=direction: bridge.player.shuttle(d))
        keys.bind("speed_down", lambda: bridge.player.set_speed(bridge.state.speed / FINE))
        keys.bind("speed_up", lambda: bridge.player.set_speed(bridge.state.speed * FINE))
        keys.bind("speed_normal", lambda: bridge.player.set_speed(1.0))
        keys.bind("go_to", self.ask_where)
        keys.bind("sound", self._toggle_sound)
        keys.bind("overlay", self.next_dial)

    def toggle(self) -> None:
        """Play or pause; without the recording, say again where it is not."""
        if missing := self._services.session.missing:
            self._services.cases.say_missing(missing)
        elif not self._is_blind():
            self._player.toggle()

    def step(self, frames: int) -> None:
        """Show the frame so many further on.

        A held key waits for the picture: every frame is seen, and none comes after it is let go.
        Keys that are tapped all count.
        """
        if self._is_blind():
            self.jump(1000.0 * frames)
            return
        if self._held.repeats and self._stepping:
            return
        self._stepping = True
        self._player.player.step(frames)

    def _shown(self, ms: float, exact: bool) -> None:
        self._stepping = False
        self._review.show_frame(ms, exact=exact)

    def _step_ended(self) -> None:
        self._stepping = False

    def jump(self, ms: float) -> None:
        """Go back or on by some milliseconds."""
        frame = self._services.session.frame
        if frame is not None or self._is_blind():
            here = frame.time_ms if frame else self._review.stage.time_ms
            self._services.playback.go_to(here + ms)

    def to_start(self) -> None:
        """Go to the first frame."""
        if self._is_blind():
            self._services.playback.go_to(0.0)
        else:
            self._player.player.seek_index(0)

    def to_end(self) -> None:
        """Go to the last frame."""
        info, asset = self._player.state.info, self._services.session.asset
        if asset is not None and self._is_blind():
            self._services.playback.go_to(asset.duration_ms)
        elif info is not None:
            self._player.player.seek_index(info.frames - 1)

    def to_boundary(self, direction: int) -> None:
        """Go to the next (1) or previous (-1) change of phase."""
        asset = self._services.session.asset
        if asset is None:
            return
        segments = [b.segment for b in self._review.ribbon.data.blocks]
        edges = {asset.start_pts, *(p for s in segments for p in (s.start_pts, s.end_pts))}
        self.to_nearest(edges, direction)

    def to_nearest(self, places: Iterable[int], direction: int) -> int | None:
        """Go to the nearest of some pts on one side, and say which; None where there is none.

        What lies within the frame on screen, as imported labels do, is where one is already.
        """
        asset, frame = self._services.session.asset, self._services.session.frame
        if asset is None or (frame is None and not self._is_blind()):
            return None
        here = frame.pts if frame else asset.pts(self._review.stage.time_ms)
        if direction > 0:
            later = sorted(p for p in places if p > here)
            target = next((p for p in later if not self._shows(p)), None)
        else:
            target = max((p for p in places if p < here), default=None)
        if target is not None:
            self._services.playback.go_to(asset.time_ms(target))
        return target

    def _shows(self, pts: int) -> bool:
        """Whether the frame on screen is the one that is seen at a moment."""
        asset, frame = self._services.session.asset, self._services.session.frame
        if asset is None or frame is None or self._is_blind():
            return False
        return self._player.player.index_at_ms(asset.time_ms(pts)) == frame.index

    def _is_blind(self) -> bool:
        """Whether there are labels alone, in which the playhead goes by itself."""
        asset = self._services.session.asset
        return asset is not None and not asset.has_recording

    def to_bookmark(self, direction: int) -> None:
        """Go to the next (1) or previous (-1) bookmark."""
        places = self._services.session.bookmarked_pts
        if self.to_nearest(places, direction) is None:
            words = "No bookmarks yet. Press M to set one at this moment."
            if places:
                words = f"No bookmark {'after' if direction > 0 else 'before'} this moment."
            self._slot.say(Message(text=words, lasting_s=3, key="bookmark"))

    def bookmark(self) -> None:
        """Mark this moment and ask for a note; on a marked moment, ask for its note."""
        session = self._services.session
        if session.case is None or session.identity is None or session.work is None:
            return
        frame, case_id = session.identity, session.case.case_id
        self._player.player.pause()
        if session.work.bookmark(frame.pts) is None:
            session.commit(bookmarks.mark(case_id, frame, None))
        marked = session.work.bookmark(frame.pts)
        if marked is not None:
            self._ask_note(case_id, marked)

    def remove_bookmark(self) -> None:
        """Take the bookmark of this moment away."""
        session = self._services.session
        if session.identity is not None:
            self._drop_bookmark(session.identity)

    def _ask_note(self, case_id: str, marked: Bookmark) -> None:
        session, frame = self._services.session, marked.frame

        def keep(note: str) -> None:
            work = session.work
            present = work.bookmark(frame.pts) if work and session.case else None
            same_case = session.case is not None and session.case.case_id == case_id
            if same_case and present is not None and present.note != note:
                session.commit(bookmarks.mark(case_id, frame, present, note))

        line = NoteLine(self._slot, marked, keep, lambda: self._drop_bookmark(frame))
        self._slot.add(line)
        line.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _drop_bookmark(self, frame: FrameIdentity) -> None:
        session = self._services.session
        asset, work = session.asset, session.work
        if session.case is None or work is None or asset is None:
            return
        present = work.bookmark(frame.pts) if frame.asset_id == asset.asset_id else None
        if present is not None:
            session.commit(bookmarks.remove(session.case.case_id, present))

    def ask_where(self) -> None:
        """Ask for a time, a frame, a share, or a step from here."""
        info = self._player.state.info
        if info is None:
            return
        line = GoToLine(self._slot, self._here, self._go)
        self._slot.add(line)
        line.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _here(self) -> Here:
        frame, info = self._services.session.frame, self._player.state.info
        assert info is not None  # noqa: S101 - asked by the caller
        return Here(
            frames=info.frames,
            duration_ms=info.duration_ms,
            index=frame.index if frame else 0,
            time_ms=frame.time_ms if frame else 0.0,
        )

    def _go(self, kind: str, value: float) -> None:
        if kind == "frame":
            self._player.player.seek_index(int(value))
        else:
            self._player.seek_ms(value)

    def next_dial(self) -> None:
        """Nothing, outline, fill, labels, confidence, and round again."""
        playback = self._services.playback
        playback.set_dial((playback.dial + 1) % len(DIAL_WORDS))

    def _dial_changed(self, position: int) -> None:
        self._review.transport.set_dial(position)
        self._tell()
        self._services.settings.set(overlay=DIAL_WORDS[position].lower())

    def _toggle_sound(self) -> None:
        self._services.sound.toggle()
        self._tell()

    def _changed(self, state: PlayerState) -> None:
        transport = self._review.transport
        transport.play.set_playing(playing=state.playing)
        if transport.set_speed(state.speed):
            self._tell()

    def _tell(self) -> None:
        """A key changed what the plate says: show it for a moment."""
        if self._review.isVisible():
            self._review.transport.wake()
