"""The networks on a live picture: the newest frame wins, older ones are skipped.

``run`` works on the thread that owns the device; ``put`` and ``stop`` may be called from any
thread. How long an outline may stay, and when a machine is too slow for any, is in ``live_pace``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.foreseen import Foreseen
from app.core.prediction import (
    ANTICIPATION,
    LIVE,
    PHASES,
    SEGMENTATION,
    FramePrediction,
    PhasePrediction,
)
from app.core.recording import LIVE_TIME_BASE
from app.inference.cards import RUNNABLE_TASKS
from app.inference.engines.kinds import EAGER
from app.inference.live_pace import LIMIT_MS, Pace, PaceMeter
from app.inference.live_phase import LivePhase
from app.inference.tracking import Tracker

if TYPE_CHECKING:
    from app.inference.device import DeviceChoice
    from app.inference.forecast_stream import ForecastStream
    from app.inference.phases import PhaseStream
    from app.inference.segmenter import Segmenter
    from app.video.live.state import LiveFrame
    from models import ModelCard


FORESEES_STREAMS = "supra"
"""The system that carries a state from frame to frame; others of its task read recordings."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveAnswer:
    """What the networks say about one frame.

    Attributes:
        picture: the frame.
        frame: its outlines with tracks, None where none were looked for.
        phase: its probabilities, None between two looks.
        phase_now: key of the phase that runs now, None while unknown.
        foreseen: what comes next, None between two looks and where no model foresees.
        tools: float16 (M,), how likely each tool is in the frame; None between two looks and where
            the model of the phases tells of none.
        pace: as measured before this answer.
    """

    picture: LiveFrame
    frame: FramePrediction | None
    phase: PhasePrediction | None
    phase_now: str | None
    pace: Pace
    foreseen: Foreseen | None = None
    tools: NDArray[np.float16] | None = None


def foresees_live(card: ModelCard, phases: ModelCard | None) -> bool:
    """Whether a model can foresee beside a phase model that looks at the live picture."""
    return (
        card.task == ANTICIPATION
        and card.causal
        and card.system == FORESEES_STREAMS
        and phases is not None
        and card.features_of == phases.name
        and (card.frames_per_second or 1.0) == (phases.frames_per_second or 1.0)
    )


class LiveAnalysis:
    """Looks at a live picture as fast as this machine can.

    Args:
        cards: at most one per task, of the tasks that can be run; one that foresees only beside the
            phase model whose features it reads (see ``foresees_live``).
        device: where to run; chosen in ``run`` when None.
        limit_ms: no outline is shown that is older.
        threads: of the processor; all but one when None.
        engine: that outlines, a key of ``engines.kinds``, or ``auto`` for the fastest that was
            measured before; nothing is measured beside a live picture.

    Attributes:
        cards: as given.
        skipped: frames that gave way to a newer one before anybody looked at them.

    Raises:
        BadInput: no model, or one of a task that cannot be run.
    """

    def __init__(
        self,
        cards: Sequence[ModelCard],
        device: DeviceChoice | None = None,
        *,
        limit_ms: float = LIMIT_MS,
        threads: int | None = None,
        engine: str = EAGER,
    ) -> None:
        by_task = {c.task: c for c in cards}
        if not set(by_task) & {SEGMENTATION, PHASES} or set(by_task) - set(RUNNABLE_TASKS):
            raise BadInput("A live picture needs a model for outlines or for phases.")
        for card in cards:
            if card.why_not_live and not foresees_live(card, by_task.get(PHASES)):
                raise BadInput(f"{card.why_not_live} Choose another model for the live picture.")
        self.cards = tuple(cards)
        self._by_task = by_task
        self._device, self._threads, self._engine = device, threads, engine
        self._meter = PaceMeter(limit_ms)
        self._tracker = Tracker()
        self._segmenter: Segmenter | None = None
        self._stream: PhaseStream | None = None
        self._forecast: ForecastStream | None = None
        self._now: LivePhase | None = None
        self._phase_pts: int | None = None
        self._wake = threading.Condition()
        self._newest: LiveFrame | None = None
        self._stopped = False
        self.skipped = 0

    @property
    def pace(self) -> Pace:
        """As measured so far."""
        return self._meter.pace

    @property
    def device(self) -> DeviceChoice | None:
        """Where the networks run, None before ``run``."""
        running = self._segmenter or self._stream
        return self._device if running is None else running.device

    def put(self, picture: LiveFrame) -> None:
        """Offer a frame; one that was not looked at yet gives way to it."""
        with self._wake:
            self.skipped += self._newest is not None
            self._newest = picture
            self._wake.notify()

    def stop(self) -> None:
        """End ``run`` after the frame under way."""
        with self._wake:
            self._stopped = True
            self._wake.notify()

    def describe(self, task: str) -> dict[str, str | int | float | bool]:
        """What decides a model's answers, for provenance; known once ``run`` has begun."""
        running = {
            SEGMENTATION: self._segmenter,
            PHASES: self._stream,
            ANTICIPATION: self._forecast,
        }
        model = running[task]
        return {} if model is None else {**model.describe(), LIVE: True}

    def run(self, answered: Callable[[LiveAnswer], object]) -> None:
        """Look at the newest frame, again and again, until ``stop``.

        Args:
            answered: called on this thread; what it takes (drawing) counts as the answer's time.

        Raises:
            BadInput: the weights of a model are missing or damaged.
        """
        self._load()
        while (picture := self._wait()) is not None:
            began_s = time.monotonic()
            answer = self._look(picture)
            if answer is None:
                continue
            answered(answer)
            if answer.frame is not None:
                now_s = time.monotonic()
                self._meter.note(1000 * (now_s - picture.captured_s), 1000 * (now_s - began_s))

    def _load(self) -> None:
        from app.inference.device import choose_device
        from app.inference.forecast_stream import ForecastStream
        from app.inference.phases import PhaseStream
        from app.inference.segmenter import Segmenter

        self._device = self._device or choose_device()
        if (card := self._by_task.get(SEGMENTATION)) is not None:
            self._segmenter = Segmenter(
                card,
                self._device,
                threads=self._threads,
                engine=self._engine,
                may_measure=False,
            )
        if (card := self._by_task.get(PHASES)) is not None:
            self._stream = PhaseStream(card, self._device)
            rate = card.frames_per_second or 1.0
            self._now = LivePhase(card.class_keys, self._stream.course, rate)
        if (card := self._by_task.get(ANTICIPATION)) is not None:
            self._forecast = ForecastStream(card, self._device)

    def _wait(self) -> LiveFrame | None:
        with self._wake:
            while self._newest is None and not self._stopped:
                self._wake.wait()
            picture, self._newest = self._newest, None
            return None if self._stopped else picture

    def _look(self, picture: LiveFrame) -> LiveAnswer | None:
        phase = self._look_at_phase(picture)
        frame = self._look_for_outlines(picture)
        if frame is None and phase is None:
            return None
        return LiveAnswer(
            picture=picture,
            frame=frame,
            phase=phase,
            phase_now=self._now.phase if self._now else None,
            pace=self._meter.pace,
            foreseen=None if phase is None else self._foresee(phase),
            tools=None if phase is None or self._stream is None else self._stream.tools,
        )

    def _look_at_phase(self, picture: LiveFrame) -> PhasePrediction | None:
        """One look each time the model's step has passed on the recording's clock."""
        stream, now = self._stream, self._now
        if stream is None or now is None:
            return None
        step_pts = round(1 / LIVE_TIME_BASE / (stream.card.frames_per_second or 1.0))
        before = picture.pts - step_pts if self._phase_pts is None else self._phase_pts
        steps = (picture.pts - before) // step_pts
        if steps == 0:
            return None
        if steps < 0:  # time that goes back is another source
            before, steps = picture.pts - step_pts, 1
        # Whole steps, so that looks do not drift.
        self._phase_pts = before + steps * step_pts
        probabilities = stream.step(picture.rgb)
        now.step(probabilities, steps)
        return PhasePrediction(
            pts=picture.pts, index=picture.number, probabilities=tuple(probabilities.tolist())
        )

    def _foresee(self, phase: PhasePrediction) -> Foreseen | None:
        """What comes next, from the features that the phase model has just made."""
        features = None if self._stream is None else self._stream.features
        if self._forecast is None or features is None:
            return None
        return self._forecast.step(features, phase.pts, phase.index)

    def _look_for_outlines(self, picture: LiveFrame) -> FramePrediction | None:
        segmenter = self._segmenter
        if segmenter is None or not self._meter.may_look():
            return None
        found = segmenter.predict(picture.rgb)
        return FramePrediction(
            pts=picture.pts,
            index=picture.number,
            instances=self._tracker.update(found, 1000 * picture.captured_s),
            computed_ms=segmenter.cost.total_ms,
        )
