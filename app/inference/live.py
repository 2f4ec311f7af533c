"""The networks on a live picture: the newest frame wins, older ones are skipped.

``run`` works on the thread that owns the device; ``put``, ``begin_anew`` and ``stop`` may be called
from any thread. What is carried from look to look is in ``live_following``; how long an outline may
stay, and when a machine is too slow for any, in ``live_pace``.
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
from app.inference.cards import RUNNABLE_TASKS
from app.inference.engines.kinds import EAGER
from app.inference.live_following import Following, Seen
from app.inference.live_pace import LIMIT_MS, Pace, PaceMeter
from app.inference.tracking import Tracker

if TYPE_CHECKING:
    from app.inference.device import DeviceChoice
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
        operation: that it is of, a number that rises with each that begins anew.
    """

    picture: LiveFrame
    frame: FramePrediction | None
    phase: PhasePrediction | None
    phase_now: str | None
    pace: Pace
    foreseen: Foreseen | None = None
    tools: NDArray[np.float16] | None = None
    operation: int = 0


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
        self._following: Following | None = None
        self._operation = self._followed = 0
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
        if self._segmenter is not None:
            return self._segmenter.device
        return self._device if self._following is None else self._following.stream.device

    def put(self, picture: LiveFrame) -> None:
        """Offer a frame; one that was not looked at yet gives way to it."""
        with self._wake:
            self.skipped += self._newest is not None
            self._newest = picture
            self._wake.notify()

    def begin_anew(self) -> int:
        """Another operation begins: from the next look on nothing counts that was seen before.

        Phases, their course and what comes next begin as with the first frame. Numbers of outlined
        objects go on: they hold for what was in sight a second ago, and one number shall not be two
        objects of a recording that has the seconds before it too. Frames whose time goes back, or
        that come after six silent hours, do the same by themselves; other gaps do not, since an
        operation goes on after them.

        Returns:
            The number of the operation; answers with a lower one are of those before.
        """
        with self._wake:
            self._operation += 1
            return self._operation

    def stop(self) -> None:
        """End ``run`` after the frame under way."""
        with self._wake:
            self._stopped = True
            self._wake.notify()

    def describe(self, task: str) -> dict[str, str | int | float | bool]:
        """What decides a model's answers, for provenance; known once ``run`` has begun."""
        following = self._following
        running = {
            SEGMENTATION: self._segmenter,
            PHASES: following.stream if following else None,
            ANTICIPATION: following.forecast if following else None,
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
            stream, ahead = PhaseStream(card, self._device), self._by_task.get(ANTICIPATION)
            self._following = Following(
                stream, None if ahead is None else ForecastStream(ahead, self._device)
            )

    def _wait(self) -> LiveFrame | None:
        with self._wake:
            while self._newest is None and not self._stopped:
                self._wake.wait()
            picture, self._newest = self._newest, None
            return None if self._stopped else picture

    def _look(self, picture: LiveFrame) -> LiveAnswer | None:
        seen = self._follow(picture)
        frame = self._look_for_outlines(picture)
        if frame is None and seen is None:
            return None
        return LiveAnswer(
            picture=picture,
            frame=frame,
            phase=seen.phase if seen else None,
            phase_now=self._following.phase if self._following else None,
            pace=self._meter.pace,
            foreseen=seen.foreseen if seen else None,
            tools=seen.tools if seen else None,
            operation=self._followed,
        )

    def _follow(self, picture: LiveFrame) -> Seen | None:
        following = self._following
        if following is not None and following.is_over_before(picture.pts):
            self.begin_anew()
        with self._wake:
            is_anew, self._followed = self._followed != self._operation, self._operation
        if following is None:
            return None
        if is_anew:
            following.begin_anew()
        return following.look(picture)

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
