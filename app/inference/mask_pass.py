"""Instances of every n-th frame of a recording, with tracks.

Runs on the thread that owns the device; torch is imported when a frame has to be computed.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

from app.core.case import Asset
from app.core.frame import Frame
from app.core.prediction import FramePrediction, Instance
from app.inference.engines.kinds import EAGER
from app.inference.passes import FramePass
from app.inference.postprocess import rules_of
from app.inference.tracking import Tracker
from models import ModelCard

if TYPE_CHECKING:
    from app.inference.device import DeviceChoice
    from app.inference.segmenter import Segmenter
    from app.store import PredictionStore
    from app.video import VideoSource

log = logging.getLogger(__name__)

_NEWEST_PTS = 2**62


class MaskPass(FramePass):
    """Instances of every n-th frame, with tracks."""

    def __init__(
        self,
        store: PredictionStore,
        asset: Asset,
        source: VideoSource,
        card: ModelCard,
        every: int = 1,
        engine: str = EAGER,
    ) -> None:
        super().__init__(store, asset, source, card, every, asdict(rules_of(card)))
        self._engine = engine
        self._segmenter: Segmenter | None = None
        self._tracker = Tracker()
        self._untracked: set[int] = set()
        self._batch: list[FramePrediction] = []
        self.instances = 0
        if self.run is not None:
            self._take_up()

    def left(self) -> list[int]:
        front = self._front()
        return [i for i in self.grid if i >= front]

    def begin(self, device: DeviceChoice, threads: int) -> None:
        from app.inference.segmenter import Segmenter

        if self._segmenter is None:
            self._segmenter = Segmenter(self.card, device, threads=threads, engine=self._engine)
        self._started(self._segmenter.describe())

    def visit(self, index: int, frame: Frame | None) -> None:
        time_ms = self._source.time_ms(index)
        self._visited = index
        if index in self._stored:
            self._pass_over(index, time_ms)
            return
        found, computed_ms = self._look(frame)
        tracked = self._tracker.update(found, time_ms)
        self._keep(index, tracked, computed_ms)
        self.computed += 1

    def _look_early(self, frame: Frame) -> None:
        """Its tracks come when its turn comes."""
        found, computed_ms = self._look(frame)
        self._keep(frame.index, found, computed_ms)
        self.instances -= len(found)
        self._untracked.add(frame.index)
        self.computed += 1

    def flush(self, *, keep_state: bool = False) -> None:
        if self.run is None:
            return
        self._store.put_frames(self.run.run_id, self._batch)
        self._batch.clear()
        self._put_state(self._snapshot(), at_once=keep_state)

    def device(self) -> DeviceChoice | None:
        return None if self._segmenter is None else self._segmenter.device

    def _look(self, frame: Frame | None) -> tuple[tuple[Instance, ...], float]:
        assert self._segmenter is not None  # noqa: S101 - begin comes first
        if frame is None:
            return (), 0.0
        found = self._segmenter.predict(frame.rgb)
        self._note(self._segmenter.computed_by())
        self.spent_ms += self._segmenter.cost.total_ms
        return found, self._segmenter.cost.total_ms

    def _keep(self, index: int, instances: tuple[Instance, ...], computed_ms: float) -> None:
        self._batch.append(
            FramePrediction(
                pts=self._source.pts(index),
                index=index,
                instances=instances,
                computed_ms=computed_ms,
            )
        )
        self._stored.add(index)
        self.instances += len(instances)

    def _pass_over(self, index: int, time_ms: float) -> None:
        """A stored frame's turn: take its tracks over, or give it some."""
        assert self.run is not None  # noqa: S101 - something is stored
        kept = self._store.frame(self.run.run_id, self._source.pts(index))
        if kept is None:
            return
        self._untracked.discard(index)
        if all(i.track is not None for i in kept.instances):
            self._tracker.follow(kept.instances, time_ms)
            self.instances += len(kept.instances)
            return
        self._keep(index, self._tracker.update(kept.instances, time_ms), kept.computed_ms)

    def _front(self) -> int:
        """The first frame whose turn has not come."""
        for index in self.grid:
            if index not in self._stored or index in self._untracked:
                return index
        return len(self._source)

    def _take_up(self) -> None:
        """Rebuild tracks and counts from the store, up to the first frame that is missing."""
        assert self.run is not None  # noqa: S101 - called with a run
        run_id, front = self.run.run_id, self._front()
        newest = self._store.state_before(run_id, _NEWEST_PTS)
        if newest is not None:
            self._restore(newest[1])
        numbers_used = self._tracker.numbers_used
        last_pts = self._source.pts(front) - 1 if front < len(self._source) else _NEWEST_PTS
        state = self._store.state_before(run_id, last_pts)
        first_pts = self._asset.start_pts
        self._tracker, self.instances = Tracker(), 0
        if state is not None and self._restore(state[1]):
            first_pts = state[0] + 1
        self._tracker.skip_to(numbers_used)
        self._follow(first_pts, last_pts)

    def _follow(self, first_pts: int, last_pts: int) -> None:
        assert self.run is not None  # noqa: S101 - called with a run
        for kept in self._store.frames(self.run.run_id, first_pts, last_pts):
            if any(i.track is None for i in kept.instances):
                # Looked at out of turn before a crash: go on from here.
                self._untracked.add(kept.index)
                return
            self._tracker.follow(kept.instances, self._source.time_ms(kept.index))
            self.instances += len(kept.instances)

    def _snapshot(self) -> bytes:
        state = {"instances": self.instances, "tracker": self._tracker.snapshot().decode()}
        return json.dumps(state).encode()

    def _restore(self, state: bytes) -> bool:
        try:
            data = json.loads(state)
            self._tracker.restore(data["tracker"].encode())
            self.instances = int(data["instances"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.info("a stored tracker state cannot be read: %s", type(error).__name__)
            return False
        return True
