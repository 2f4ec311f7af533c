"""An EndoARSS's way through one recording: areas of every n-th frame, the activity each second.

Both come from one look at a frame, and both belong to one run; between the seconds areas alone are
asked for. Runs on the thread that owns the device; torch is imported when a frame has to be
computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.core.case import Asset
from app.core.frame import Frame
from app.core.prediction import ACTIVITY_NAMES, FramePrediction, PhasePrediction
from app.inference.passes import FramePass, Settings, time_grid
from models import ModelCard

if TYPE_CHECKING:
    from app.inference.areas import SceneReader
    from app.inference.device import DeviceChoice
    from app.store import PredictionStore
    from app.video import VideoSource


class AreaPass(FramePass):
    """Areas of every n-th frame, and what goes on in one of them a second."""

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
        super().__init__(store, asset, source, card, every, decisive)
        self._seconds = {-(-i // every) * every for i in time_grid(source, 1000.0)}
        self._reader: SceneReader | None = None
        self._frames: list[FramePrediction] = []
        self._activities: list[PhasePrediction] = []
        self._last = (1 / len(card.activities),) * len(card.activities)
        if self.run is not None:
            self._take_up()

    def _take_up(self) -> None:
        """A crash between storing a frame's areas and its activity leaves it to be looked at."""
        assert self.run is not None  # noqa: S101 - called with a run
        told = {p.index for p in self._store.phases(self.run.run_id)}
        self._stored -= self._seconds - told
        self.resumed = sum(i in self._stored for i in self.grid)

    def left(self) -> list[int]:
        return [i for i in self.grid if i not in self._stored]

    def begin(self, device: DeviceChoice, threads: int) -> None:
        from app.inference.areas import SceneReader

        if self._reader is None:
            self._reader = SceneReader(self.card, device, threads=threads)
        self._started(self._reader.describe())

    def visit(self, index: int, frame: Frame | None) -> None:
        if index not in self._stored:
            self._look(index, frame)

    def _look_early(self, frame: Frame) -> None:
        self._look(frame.index, frame)

    def flush(self, *, keep_state: bool = False) -> None:
        del keep_state  # every frame stands for itself
        if self.run is None:
            return
        self._store.put_frames(self.run.run_id, self._frames)
        self._store.put_phases(self.run.run_id, self._activities)
        self._frames.clear()
        self._activities.clear()

    def device(self) -> DeviceChoice | None:
        return None if self._reader is None else self._reader.device

    def _look(self, index: int, frame: Frame | None) -> None:
        assert self._reader is not None  # noqa: S101 - begin comes first
        pts = self._source.pts(index)
        self._stored.add(index)
        self.computed += 1
        areas, computed_ms = (), 0.0
        if frame is not None:
            asked = index in self._seconds
            scene = self._reader.read(frame.rgb, activity=asked)
            areas, computed_ms = scene.areas, self._reader.total_ms
            if asked:
                self._last = tuple(scene.activities.tolist())
            self.spent_ms += computed_ms
        self._frames.append(
            FramePrediction(pts=pts, index=index, instances=areas, computed_ms=computed_ms)
        )
        if index in self._seconds:
            # A frame that does not decode goes on as the one before it.
            self._activities.append(PhasePrediction(pts=pts, index=index, probabilities=self._last))
