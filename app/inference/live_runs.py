"""Keeps what the networks said live as runs of the case that is being recorded.

Rows are written on the thread ``trocar-live-runs``, so that no disk holds up an answer. A live run
holds the frames that this machine managed, so it never stands for a whole analysis: one that
follows makes a run of its own, and takes over when it is done.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.core.errors import TrocarError
from app.core.foreseen import Foreseen
from app.core.prediction import (
    ANTICIPATION,
    PHASES,
    SEGMENTATION,
    FramePrediction,
    PhasePrediction,
)

if TYPE_CHECKING:
    from app.inference.live import LiveAnalysis
    from app.store import PredictionStore

log = logging.getLogger(__name__)

_BATCH = 32
T = TypeVar("T")


class LiveRuns:
    """The runs of one live case.

    Args:
        store: of the case, open for writing.
        asset: its recording.
        analysis: whose answers are kept.

    Attributes:
        problem: why nothing more is kept, None where all is well.
    """

    def __init__(self, store: PredictionStore, asset: Asset, analysis: LiveAnalysis) -> None:
        self._store, self._asset, self._analysis = store, asset, analysis
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trocar-live-runs")
        self._lock = threading.Lock()
        self._frames: list[FramePrediction] = []
        self._phases: list[PhasePrediction] = []
        self._foreseen: list[Foreseen] = []
        self._tools: list[tuple[int, NDArray[np.float16]]] = []
        self._runs: dict[str, int] = {}
        self._counts = {SEGMENTATION: 0, PHASES: 0, ANTICIPATION: 0}
        self._finished = False
        self.problem: TrocarError | None = None

    def keep(
        self,
        frame: FramePrediction | None,
        phase: PhasePrediction | None,
        foreseen: Foreseen | None = None,
        tools: NDArray[np.float16] | None = None,
    ) -> None:
        """Keep an answer about a frame of the recording; nothing after ``finish``. Any thread."""
        with self._lock:
            if self._finished:
                return
            if frame is not None:
                self._frames.append(frame)
            if phase is not None:
                self._phases.append(phase)
                if tools is not None:
                    self._tools.append((phase.pts, tools))
            if foreseen is not None:
                self._foreseen.append(foreseen)
            if len(self._frames) >= _BATCH or len(self._phases) >= 2:
                self._pool.submit(self._write)

    def finish(self) -> Future[None]:
        """Write the rest and close the runs; once."""
        with self._lock:
            self._finished = True
            done = self._pool.submit(self._finish)
            self._pool.shutdown(wait=False)
        return done

    def _write(self) -> None:
        with self._lock:
            frames, self._frames = self._frames, []
            phases, self._phases = self._phases, []
            foreseen, self._foreseen = self._foreseen, []
            tools, self._tools = self._tools, []
        if self.problem is not None:
            return
        try:
            self._put(SEGMENTATION, frames, self._store.put_frames)
            if tools:
                self._store.put_tools(self._run(PHASES), tools)
            self._put(PHASES, phases, self._store.put_phases)
            self._put(ANTICIPATION, foreseen, self._store.put_foreseen)
        except TrocarError as error:
            log.info("live predictions are not kept any more: %s", error)
            self.problem = error

    def _put(self, task: str, rows: list[T], put: Callable[[int, list[T]], object]) -> None:
        if rows:
            put(self._run(task), rows)
            self._counts[task] += len(rows)

    def _run(self, task: str) -> int:
        if task not in self._runs:
            card = next(c for c in self._analysis.cards if c.task == task)
            run = self._store.start_run(
                asset=self._asset,
                model=card.name,
                task=task,
                weights_sha256=card.weights_sha256,
                classes=card.class_keys,
                settings=self._analysis.describe(task),
                sample_every=0,
                frames_expected=0,
            )
            self._runs[task] = run.run_id
        return self._runs[task]

    def _finish(self) -> None:
        self._write()
        if self.problem is not None:
            return
        for task, run_id in self._runs.items():
            self._store.amend(run_id, self._analysis.describe(task))  # an engine may have failed
            self._store.finish(run_id, frames=self._counts[task])
