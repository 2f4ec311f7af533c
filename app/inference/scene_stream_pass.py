"""An EndoMamba's way through one recording: areas of every n-th frame, or what goes on each second.

Unlike an EndoARSS (``area_pass``) it carries a state, so that frames come in their order. Runs on
the thread that owns the device; torch is imported when a frame has to be computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.core.case import Asset
from app.core.frame import Frame
from app.core.prediction import ACTIVITY_NAMES, FramePrediction, PhasePrediction
from app.inference.passes import CarriedPass, Settings, phase_grid
from models import ModelCard

if TYPE_CHECKING:
    from app.inference.areas import SceneStream
    from app.inference.device import DeviceChoice
    from app.store import PredictionStore
    from app.video import VideoSource


class SceneStreamPass(CarriedPass):
    """Areas of every n-th frame where the card names areas, else the activity at its rate."""

    def __init__(
        self,
        store: PredictionStore,
        asset: Asset,
        source: VideoSource,
        card: ModelCard,
        every: int = 1,
    ) -> None:
        decisive: Settings = {
            ACTIVITY_NAMES: ",".join(card.activity_keys),
            **{name: float(value) for name, value in card.thresholds.items()},
        }
        grid: range | tuple[int, ...] = range(0, len(source), every)
        if not card.classes:
            grid, every = phase_grid(source, card.frames_per_second or 1.0)
        super().__init__(store, asset, source, card, grid, every, decisive)
        self._stream: SceneStream | None = None
        self._last_rgb = np.zeros((asset.height_px, asset.width_px, 3), np.uint8)
        self._frames: list[FramePrediction] = []
        self._activities: list[PhasePrediction] = []

    def begin(self, device: DeviceChoice, threads: int) -> None:
        del threads  # the scan is serial
        from app.inference.areas import SceneStream

        if self._stream is None:
            self._stream = SceneStream(self.card, device)
        self._take_up_state(self._started(self._stream.describe()), self._stream)

    def visit(self, index: int, frame: Frame | None) -> None:
        assert self._stream is not None  # noqa: S101 - begin comes first
        if frame is not None:
            self._last_rgb = frame.rgb
        # A frame that does not decode is looked at as the player shows it: the last good picture.
        scene = self._stream.read(self._last_rgb)
        self._visited = index
        self.spent_ms += self._stream.total_ms
        if index in self._stored:
            self.replayed += 1
            return
        self._stored.add(index)
        self.computed += 1
        pts = self._source.pts(index)
        if self.card.classes:
            self._frames.append(
                FramePrediction(
                    pts=pts,
                    index=index,
                    instances=scene.areas,
                    computed_ms=self._stream.total_ms,
                )
            )
        else:
            likely = tuple(scene.activities.tolist())
            self._activities.append(PhasePrediction(pts=pts, index=index, probabilities=likely))

    def flush(self, *, keep_state: bool = False) -> None:
        if self.run is None or self._stream is None:
            return
        self._store.put_frames(self.run.run_id, self._frames)
        self._store.put_phases(self.run.run_id, self._activities)
        self._frames.clear()
        self._activities.clear()
        self._put_state(self._stream.snapshot(), at_once=keep_state)

    def device(self) -> DeviceChoice | None:
        return None if self._stream is None else self._stream.device
