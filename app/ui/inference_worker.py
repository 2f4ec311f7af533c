"""Runs models on the thread ``trocar-inference``, which owns the device.

A request carries a generation number; a newer request cancels the older one at its next frame. A
request always completes: with a result, or with an error the user can read.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QThread, Signal, Slot

from app.core.case import Case
from app.core.errors import EnvironmentProblem, TrocarError
from app.core.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.inference import AnalysisJob, LiveAnalysis, LiveAnswer, Progress
    from app.store import Library
    from models import ModelCard

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One analysis to run."""

    generation: int
    case: Case
    cards: tuple[ModelCard, ...]
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A live picture to look at until its analysis is stopped."""

    live: LiveAnalysis
    answered: Callable[[LiveAnswer], object]


class InferenceWorker(QObject):
    """Owns the device.

    Signals:
        device_known: (DeviceChoice)
        progressed: (generation, Progress) after each batch was stored.
        completed: (generation, AnalysisResult or TrocarError, None where it did not begin)
        watched: (LiveAnalysis, None or TrocarError) it does not look at a live picture any more.
    """

    device_known = Signal(object)
    progressed = Signal(int, object)
    completed = Signal(int, object)
    watched = Signal(object, object)
    _asked = Signal(object)
    _watch_asked = Signal(object)
    _device_asked = Signal()

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self._lock = threading.Lock()
        self._generation = 0
        self._job: AnalysisJob | None = None
        self._live: LiveAnalysis | None = None
        self._paused = False
        self._closing = False
        self._thread = QThread()
        self._thread.setObjectName("trocar-inference")
        self.moveToThread(self._thread)
        self._asked.connect(self._analyse)
        self._watch_asked.connect(self._watch)
        self._device_asked.connect(self._find_device)
        self._thread.start(QThread.Priority.LowPriority)

    # Called on the GUI thread.

    def analyse(self, case: Case, cards: tuple[ModelCard, ...], engine: str) -> int:
        """Run models over a case, outlines through an engine; what ran before is cancelled.

        Returns:
            The generation.
        """
        with self._lock:
            self._generation += 1
            self._paused = False
            generation = self._generation
        self._asked.emit(Request(generation=generation, case=case, cards=cards, engine=engine))
        return generation

    def cancel(self) -> None:
        """Stop at the next frame; what was done is kept."""
        with self._lock:
            self._generation += 1

    def set_paused(self, *, paused: bool) -> None:
        """Pause, or go on; what is on screen is served while pausing."""
        with self._lock:
            self._paused = paused

    def look_at(self, frame: Frame, asset_id: str) -> None:
        """Compute the frame on screen, of that recording, before the rest of an analysis."""
        with self._lock:
            job = self._job
        if job is not None:
            job.look_at(frame, asset_id)

    def watch(self, live: LiveAnalysis, answered: Callable[[LiveAnswer], object]) -> None:
        """Look at a live picture from now on; what runs is cancelled and keeps what it has done.

        Args:
            live: fed and stopped by the caller.
            answered: called on the inference thread.
        """
        with self._lock:
            self._generation += 1
            before, self._live = self._live, live
        if before is not None:
            before.stop()
        self._watch_asked.emit(Watch(live=live, answered=answered))

    def ask_device(self) -> None:
        """Find out what the models would run on."""
        self._device_asked.emit()

    def close(self) -> None:
        """Cancel and end the thread."""
        with self._lock:
            self._closing = True
            self._generation += 1
            live = self._live
        if live is not None:
            live.stop()
        self._thread.quit()
        self._thread.wait()

    # Runs on the inference thread.

    @Slot(object)
    def _analyse(self, request: Request) -> None:
        try:
            outcome: object = self._run(request) if not self._is_stale(request.generation) else None
        except TrocarError as error:
            outcome = error
        except Exception as error:
            log.error("the analysis broke: %s", type(error).__name__, exc_info=error)
            outcome = EnvironmentProblem(
                "The analysis broke; what was done is kept. Start it again.", repr(error)
            )
        finally:
            with self._lock:
                self._job = None
        self.completed.emit(request.generation, outcome)

    @Slot(object)
    def _watch(self, watch: Watch) -> None:
        error: TrocarError | None = None
        try:
            watch.live.run(watch.answered)
        except TrocarError as found:
            error = found
        except Exception as broken:
            log.error("the live analysis broke: %s", type(broken).__name__, exc_info=broken)
            error = EnvironmentProblem(
                "The models stopped on the live picture; recording is not touched by it.",
                repr(broken),
            )
        self.watched.emit(watch.live, error)

    def _run(self, request: Request) -> object:
        from app.inference import AnalysisJob

        job = AnalysisJob(self._library, request.case, request.cards, engine=request.engine)
        with self._lock:
            self._job = job

        def tell(progress: Progress) -> None:
            self.progressed.emit(request.generation, progress)

        return job.run(
            progress=tell,
            should_pause=self._is_paused,
            should_cancel=lambda: self._is_stale(request.generation),
        )

    def _is_paused(self) -> bool:
        with self._lock:
            return self._paused

    def _is_stale(self, generation: int) -> bool:
        with self._lock:
            return self._closing or generation != self._generation

    @Slot()
    def _find_device(self) -> None:
        with self._lock:
            if self._closing:
                return
        from app.inference import choose_device

        self.device_known.emit(choose_device())
