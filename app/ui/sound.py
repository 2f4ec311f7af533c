"""What of the open recording can be heard, and how loud it is over time. GUI thread.

Silent at first in every session: what is said in the theatre is nobody's business but the
listener's. Files are read on the thread ``trocar-waveform``; sound plays on ``trocar-sound``.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.core.case import Asset
from app.core.errors import TrocarError
from app.ui.background import Background
from app.ui.messages import Message, Tone
from app.ui.player_bridge import PlayerBridge
from app.ui.session import Session

if TYPE_CHECKING:
    from app.store import Library
    from app.video.player import PlayerState
    from app.video.sound.file import SoundStream
    from app.video.sound.playing import Sound
    from app.video.sound.waveform import Waveform

log = logging.getLogger(__name__)

NOT_OPEN = "Open a recording to hear it"
NO_SOUND = "This recording has no sound"
NOT_KNOWN = "Trocar cannot play this recording's sound"
ON = (
    "Sound is on. A recording may hold what was said in the theatre: mind who listens. "
    "It is off again when Trocar starts."
)


class RecordingSound(QObject):
    """The sound of what the player plays.

    Attributes:
        why_not: why there is nothing to hear, in a few words; "" where there is.
        tracks: the recording's sound tracks, in words.
        choice: which of them is heard.
        waveform: how loud it is, as far as it is known; None where there is no sound or nobody
            asked with ``want_waveform``.

    Signals:
        changed: on or off, volume, what there is to hear.
        waveform_changed: the waveform.
        said: (Message)
    """

    changed = Signal()
    waveform_changed = Signal()
    said = Signal(object)
    _partly = Signal(object, object)
    _failed = Signal(object)

    def __init__(self, library: Library, session: Session, player: PlayerBridge) -> None:
        super().__init__()
        self._library = library
        self._session = session
        self._player = player
        self._sound: Sound | None = None
        self._background = Background("trocar-waveform")
        self._asset: Asset | None = None
        self._reading: object = None
        self._waveform_wanted = self._told = False
        self.volume = 1.0
        self.why_not = NOT_OPEN
        self.tracks: tuple[str, ...] = ()
        self.choice = 0
        self.waveform: Waveform | None = None
        self._partly.connect(self._show_waveform)
        self._failed.connect(self._went_off)
        session.case_opened.connect(self._case_opened)
        player.changed.connect(self._player_changed)

    @property
    def is_on(self) -> bool:
        """Whether the user turned it on."""
        return self._sound is not None and not self._sound.is_muted

    def toggle(self) -> None:
        """Turn it on or off; say why where there is nothing to hear."""
        if self.why_not:
            self.said.emit(Message(text=f"{self.why_not}.", lasting_s=3, key="sound"))
            return
        on = not self.is_on
        self._engine().set_muted(not on)
        if on and not self._told:
            self._told = True
            self.said.emit(Message(text=ON, lasting_s=8, key="sound"))
        self.changed.emit()

    def set_volume(self, volume: float) -> None:
        """0 to 1; nothing turns it off, something turns it on."""
        if volume > 0:
            self.volume = volume
            self._engine().set_volume(volume)
        if self.is_on != (volume > 0):
            self.toggle()
        self.changed.emit()

    def choose(self, choice: int) -> None:
        """Hear another of the recording's sound tracks."""
        if choice != self.choice and self._asset is not None:
            self.choice = choice
            self._engine().load(self._asset, choice)
            self._read_waveform()
            self.changed.emit()

    def want_waveform(self) -> None:
        """From now on read how loud each recording is; it is read once and kept."""
        if not self._waveform_wanted:
            self._waveform_wanted = True
            self._read_waveform()

    def close(self) -> None:
        """End both threads."""
        self._reading = None
        if self._sound is not None:
            self._sound.close()
        self._background.close()

    def _engine(self) -> Sound:
        if self._sound is None:
            from app.video.sound.playing import Sound

            self._sound = Sound(self._player.clock, on_problem=self._failed.emit)
            self._sound.load(self._asset if self.tracks else None, self.choice)
        return self._sound

    @Slot()
    def _case_opened(self) -> None:
        """Of another case nothing is heard before its recording is open."""
        asset = self._session.asset
        if asset is not None and self._is_of(asset):
            return
        if self._sound is not None:
            self._sound.load(None)
        self._asset, self._reading, self.choice, self.tracks = None, None, 0, ()
        self.why_not = NOT_OPEN
        if self.waveform is not None:
            self.waveform = None
            self.waveform_changed.emit()
        self.changed.emit()

    @Slot(object)
    def _player_changed(self, state: PlayerState) -> None:
        """Once the player has looked at a file and opened it, its sound may be read too."""
        asset = self._session.asset
        if asset is None or state.info is None or self._is_of(asset):
            return
        if state.path != Path(asset.path):  # of the recording that played before
            return
        self._asset = asset
        self._background.run(
            lambda: _tracks_of(asset),
            lambda found: self._found(asset, found),
            newest="tracks",
        )

    def _is_of(self, asset: Asset) -> bool:
        same = self._asset is not None and self._asset.asset_id == asset.asset_id
        return same and _places(self._asset) == _places(asset)

    def _found(self, asset: Asset, found: tuple[SoundStream, ...] | None) -> None:
        if not self._is_of(asset):
            return
        self.tracks = tuple(f"{i}: {s.words}" for i, s in enumerate(found or (), start=1))
        self.why_not = "" if found else NOT_KNOWN if found is None else NO_SOUND
        if found:
            if self._sound is not None:
                self._sound.load(asset)
            self._read_waveform()
        self.changed.emit()

    def _read_waveform(self) -> None:
        asset, choice = self._asset, self.choice
        if not self._waveform_wanted or asset is None or not self.tracks:
            return
        from app.video.sound.waveform import (
            Waveform,
            WaveformCancelled,
            kept_waveform,
            read_waveform,
        )
        from app.video.sound.waveform import keep_waveform as keep

        folder, writable = self._library.cache_folder, self._library.is_writable
        token = self._reading = object()
        self._show_waveform(token, Waveform.nothing())

        def work() -> Waveform | None:
            found = kept_waveform(folder, asset, choice)
            if found is not None:
                return found
            try:
                found = read_waveform(
                    asset,
                    choice,
                    progress=lambda some: self._partly.emit(token, some),
                    cancelled=lambda: self._reading is not token,
                )
            except WaveformCancelled:
                return None
            if writable and self._reading is token:
                keep(folder, asset, found, choice)
            return found

        self._background.run(work, lambda found: self._show_waveform(token, found))

    @Slot(object, object)
    def _show_waveform(self, token: object, waveform: Waveform | None) -> None:
        if token is self._reading and waveform is not None:
            self.waveform = waveform
            self.waveform_changed.emit()

    @Slot(object)
    def _went_off(self, error: TrocarError) -> None:
        self.said.emit(
            Message(text=error.user_message, tone=Tone.WARN, detail=error.detail, key="sound")
        )
        self.changed.emit()


def _places(asset: Asset | None) -> tuple[str, ...]:
    return tuple(f.path for f in asset.files) if asset is not None else ()


def _tracks_of(asset: Asset) -> tuple[SoundStream, ...] | None:
    """Of the first of its files that has any; None where some cannot be read."""
    from app.video.sound.file import sound_streams

    failed = False
    for file in asset.files:
        try:
            found = sound_streams(Path(file.path))
        except (TrocarError, OSError) as error:  # OSError: it goes away in this moment
            log.info("the sound of a file is not known: %s", type(error).__name__)
            failed = True
            continue
        if found:
            return found
    return None if failed else ()
