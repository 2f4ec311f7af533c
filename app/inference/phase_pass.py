"""Phases of a recording through the carried state, with frame features and what is told of tools.

Runs on the thread that owns the device; torch is imported when a frame has to be computed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.core.frame import Frame
from app.core.prediction import PhasePrediction
from app.inference.cards import settings_of_tools
from app.inference.passes import CarriedPass, Settings, phase_grid
from models import ModelCard
from models.card import BACKBONE

if TYPE_CHECKING:
    from app.inference.device import DeviceChoice
    from app.inference.phases import PhaseStream
    from app.store import PredictionStore
    from app.video import VideoSource


class PhasePass(CarriedPass):
    """Phase probabilities, frame features and what is told of tools at the card's rate, through the
    carried state. A frame without the tools that the card names counts as not stored.

    Args:
        read: another model reads the features, so that a frame without them counts as not stored.
    """

    def __init__(
        self,
        store: PredictionStore,
        asset: Asset,
        source: VideoSource,
        card: ModelCard,
        *,
        read: bool = False,
    ) -> None:
        per_second = card.frames_per_second or 1.0
        grid, every = phase_grid(source, per_second)
        # Tools decide: a run from before they were kept, or with other names, is another one.
        decisive: Settings = {"frames_per_second": per_second, **settings_of_tools(card)}
        super().__init__(store, asset, source, card, grid, every, decisive)
        self._stream: PhaseStream | None = None
        self._last_rgb: NDArray[np.uint8] | None = None
        self._shown: deque[int] = deque()
        self._batch: list[PhasePrediction] = []
        self._features: list[tuple[int, NDArray[np.float16]]] = []
        self._tools: list[tuple[int, NDArray[np.float16]]] = []
        self._names_phases = card.task != BACKBONE
        if self.run is not None:
            self._leave_out(self.run.run_id, read=read)

    def _leave_out(self, run_id: int, *, read: bool) -> None:
        """Frames of which not all is there that is wanted of them count as not stored."""
        pts = {self._source.pts(i): i for i in self.grid}
        if read or not self._names_phases:
            kept = {pts[p] for p in self._store.features(run_id)[0].tolist() if p in pts}
            self._stored = self._stored & kept if self._names_phases else kept
        if self.card.tools:
            told = self._store.tools(run_id).pts.tolist()
            self._stored &= {pts[p] for p in told if p in pts}
        self.resumed = sum(i in self._stored for i in self.grid)

    def begin(self, device: DeviceChoice, threads: int) -> None:
        from app.inference.phases import PhaseStream

        if self._stream is None:
            self._stream = PhaseStream(self.card, device, threads=threads)
        self._take_up_state(self._started(self._stream.describe()), self._stream)

    def visit(self, index: int, frame: Frame | None) -> None:
        assert self._stream is not None  # noqa: S101 - begin comes first
        if frame is not None:
            self._last_rgb = frame.rgb
        if self._last_rgb is None:
            self._last_rgb = np.zeros((self._asset.height_px, self._asset.width_px, 3), np.uint8)
        # A frame that does not decode is looked at as the player shows it: the last good picture.
        self._stream.show(self._last_rgb)
        self._shown.append(index)
        if len(self._shown) > self._stream.ahead:
            self._tell()

    def _tell(self) -> None:
        """Take down what the oldest frame shown and not told yet is."""
        assert self._stream is not None  # noqa: S101 - it was shown to it
        self._visited = index = self._shown.popleft()
        probabilities = self._stream.tell()
        self.spent_ms += self._stream.step_ms
        if index in self._stored:
            self.replayed += 1
            return
        pts = self._source.pts(index)
        if self._names_phases:
            self._batch.append(
                PhasePrediction(pts=pts, index=index, probabilities=tuple(probabilities.tolist()))
            )
        if self._stream.features is not None:
            self._features.append((pts, self._stream.features))
        if self._stream.tools is not None:
            self._tools.append((pts, self._stream.tools))
        self._stored.add(index)
        self.computed += 1

    def flush(self, *, keep_state: bool = False) -> None:
        while self._shown:
            self._tell()
        if self.run is None or self._stream is None or not (self._features or keep_state):
            return
        self._store.put_features(self.run.run_id, self._features)
        if self._tools:
            self._store.put_tools(self.run.run_id, self._tools)
        self._store.put_phases(self.run.run_id, self._batch)
        self._features.clear()
        self._tools.clear()
        self._batch.clear()
        self._put_state(self._stream.snapshot(), at_once=keep_state)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def device(self) -> DeviceChoice | None:
        return None if self._stream is None else self._stream.device
