"""What top and status bar say: saved state, frames per second, the analysis. GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

from app.core.errors import TrocarError
from app.ui.bars import StatusBar, TopBar
from app.ui.load_case import SEGMENTATION
from app.ui.messages import Message, Tone
from app.ui.review import ReviewWorkspace
from app.ui.services import Services
from app.ui.words import count, length

ELSEWHERE = "Meanwhile “trocar backup --to” makes a copy on another disk."


class Figures(QObject):
    """Keeps the bars and the stage's corner up to date."""

    def __init__(
        self, services: Services, top: TopBar, status: StatusBar, review: ReviewWorkspace
    ) -> None:
        super().__init__(status)
        self._services = services
        self._top, self._status, self._review = top, status, review
        self._counts = (0, 0)
        self._backup_told = False
        self.live_words: Callable[[], tuple[str, str] | None] = lambda: None
        services.session.saving.connect(lambda: top.show_saved("Saving", "3", ""))
        services.session.saved.connect(self._saved)
        services.analysis.changed.connect(self._analysis_changed)
        status.pause_clicked.connect(services.analysis.toggle_pause)
        status.stop_clicked.connect(services.analysis.stop)
        self._tick = QTimer(self)
        self._tick.setInterval(1000)
        self._tick.timeout.connect(self._each_second)
        self._tick.start()

    def stop(self) -> None:
        """No timer may outlive the window."""
        self._tick.stop()

    def _saved(self, utc_ms: int) -> None:
        self._top.show_saved("Saved", "ok", "check")
        self._status.show_saved(utc_ms)

    def _each_second(self) -> None:
        state = self._services.player.state
        shown, dropped = state.shown - self._counts[0], state.dropped - self._counts[1]
        self._counts = (state.shown, state.dropped)
        lost = f"{count(dropped)} dropped" if dropped > 0 else "none dropped"
        playing = state.playing and shown > 0
        self._status.show_rate(f"{shown} fps, {lost}" if playing else "")
        if (live := self.live_words()) is not None:
            self._status.show_rate(live[0])
            self._status.show_speed(live[1])
        if self._services.session.unsaved and self._services.library.writer.pending():
            self._top.show_saved("Not saved yet", "warn", "circle-alert")
        self._tell_backup(self._services.library.backup_problem)

    def _tell_backup(self, problem: TrocarError | None) -> None:
        """Once per run of failures; the library tries again by itself."""
        if problem is not None and not self._backup_told:
            self._services.said.emit(
                Message(
                    text=f"{problem.user_message} {ELSEWHERE}",
                    tone=Tone.WARN,
                    detail=problem.detail,
                    key="backup",
                )
            )
        self._backup_told = problem is not None

    def _analysis_changed(self) -> None:
        analysis = self._services.analysis
        text, share = analysis.words()
        self._status.show_work(text, share, running=analysis.running, paused=analysis.paused)
        self._status.show_fits(analysis.caution())
        if analysis.device is not None:
            self._status.show_device(analysis.device.name, analysis.device.reason)
        self._status.show_speed(self._speed_words())
        self._review.show_progress(self._corner(), analysis.tail_words())

    def _corner(self) -> tuple[str, ...]:
        analysis = self._services.analysis
        p = analysis.progress
        if not analysis.runs_here or p is None or not p.total:
            return ()
        done = f"Analysed {100 * p.done // p.total} %"
        if analysis.paused:
            return done, "paused"
        return (done,) if p.eta_s is None else (done, f"{length(p.eta_s)} to go")

    def _speed_words(self) -> str:
        analysis = self._services.analysis
        card = analysis.in_use().get(SEGMENTATION)
        ms = analysis.ms_per_frame.get(card.name) if card else None
        return f"Model {ms:.0f} ms per frame" if ms else ""
