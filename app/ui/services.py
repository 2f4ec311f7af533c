"""The composition root: the library, the settings and the workers of one window. GUI thread.

Workers live in named threads and are reached by signals. ``close`` ends them in the order of the
house: inference, overlay, decode, store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.ui.analysis import Analysis
from app.ui.cases import Cases
from app.ui.clearing import SmokeClearing
from app.ui.clips import Clips
from app.ui.find import Finder
from app.ui.leaving import Leaving
from app.ui.live.recovery import Recovery
from app.ui.loop import Loop
from app.ui.overlay_worker import OverlayWorker
from app.ui.playback import Playback
from app.ui.player_bridge import PlayerBridge
from app.ui.session import Session
from app.ui.settings import Settings
from app.ui.sound import RecordingSound
from app.ui.teaching import Teaching
from app.ui.thumbnails import Thumbnails
from app.ui.training.runs import TrainingRuns
from app.ui.transport import DIAL_WORDS

if TYPE_CHECKING:
    from app.store import Library


GIVE_UP_AFTER_S = 10.0


class Services(QObject):
    """Everything a window works with.

    Attributes:
        library: the open library, for writing or for reading; closed with the services.
        settings: of this user.
        session: the open case.
        player: the decode thread's bridge.
        overlay: the overlay thread.
        clearing: of smoke, for the view alone.
        playback: keeps frame, overlay and stage in step.
        thumbnails: small pictures of moments.
        cases: opening, adding, listing and deleting cases.
        analysis: models over the open case, on the inference thread.
        teaching: fine-tuning in a process of its own, which outlives the window.
        trainings: the runs there are, and how each stands.
        finder: moments like the frame on screen, of all cases.
        leaving: exports of the open case.
        recovery: recordings that an earlier run did not finish.
        clips: excerpts of the open case.
        loop: the marked stretch.
        sound: of the open recording, off at first.

    Signals:
        said: (Message) something to tell the user.
    """

    said = Signal(object)

    def __init__(self, library: Library, settings: Settings) -> None:
        super().__init__()
        self.library = library
        self.settings = settings
        self.session = Session(library)
        self.player = PlayerBridge()
        self.overlay = OverlayWorker(library)
        self.clearing = SmokeClearing(library.folder)
        values = settings.values
        self.playback = Playback(
            self.session,
            self.player,
            self.overlay,
            self.clearing,
            _dial(values.overlay),
            values.fill,
        )
        self.thumbnails = Thumbnails(library.cache_folder, writable=library.is_writable)
        self.session.case_opened.connect(self._show_strip)
        self.cases = Cases(library, settings, self.session, self.player)
        self.analysis = Analysis(library, settings, self.session, self.cases, self.playback)
        self.teaching = Teaching(library.folder, library.runs_folder)
        self.trainings = TrainingRuns(library.runs_folder)
        self.finder = Finder(library)
        self.leaving = Leaving(library)
        self.clips = Clips(library)
        self.loop = Loop(self.session, self.player)
        self.sound = RecordingSound(library, self.session, self.player)
        self.recovery = Recovery(library)
        self.recovery.case_asked.connect(self.cases.open_case)
        for source in (
            self.recovery,
            self.clearing,
            self.session,
            self.cases,
            self.analysis,
            self.leaving,
            self.clips,
            self.loop,
            self.sound,
        ):
            source.said.connect(self.said)
        self.recovery.start()
        self.teaching.look()
        self._closed = self._gives_up = False

    def _show_strip(self) -> None:
        asset = self.session.asset
        self.thumbnails.show(asset if asset is not None and asset.has_recording else None)

    def give_up(self, *, lose: bool = False) -> None:
        """Before any thread is waited for: one of them may be waiting for the store.

        Args:
            lose: see ``close``; what was said first holds.
        """
        if self.library.is_writable and not self._gives_up:
            self._gives_up = True
            self.library.writer.give_up(0.0 if lose else GIVE_UP_AFTER_S)

    def close(self, *, lose: bool = False) -> None:
        """End every thread and close the library.

        Args:
            lose: the user said not to wait for what a full disk, for one, holds up.
        """
        if self._closed:
            return
        self._closed = True
        self.give_up(lose=lose)
        self.recovery.close()
        self.leaving.close()
        self.finder.close()
        self.clips.close()
        self.playback.stop()
        self.teaching.close()
        self.trainings.close()
        self.analysis.close()
        self.overlay.close()
        self.sound.close()
        self.player.close()
        self.clearing.close()
        self.thumbnails.close()
        self.cases.close()
        self.library.close()
        self.blockSignals(True)  # noqa: FBT003 - Qt's own; nobody reads what comes now


def _dial(word: str) -> int:
    words = [w.lower() for w in DIAL_WORDS]
    return words.index(word) if word in words else 1
