"""A network's way through a recording's stored frame features, once all of them are there.

The features come from the run of the model that its card names, of this analysis or an earlier one;
no picture is decoded. Runs on the thread that owns the device; torch is imported when something
has to be computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.core.errors import BadInput
from app.core.frame import Frame
from app.core.prediction import ANTICIPATION, FEATURES_OF, PhasePrediction
from app.inference.passes import StoredPass, phase_grid
from models import ModelCard

if TYPE_CHECKING:
    from app.inference.device import DeviceChoice
    from app.inference.offline import OfflinePhases
    from app.store import PredictionStore
    from app.video import VideoSource


class OfflinePass(StoredPass):
    """Phase probabilities of every frame that the encoder looked at, and what is foreseen there.

    Args:
        encoder: the model whose features are read; its own pass comes before this one.

    Raises:
        BadInput: the two models look at a recording at different rates.
    """

    def __init__(
        self,
        store: PredictionStore,
        asset: Asset,
        source: VideoSource,
        card: ModelCard,
        encoder: ModelCard,
        device: DeviceChoice | None = None,
        threads: int = 1,
    ) -> None:
        per_second = encoder.frames_per_second or 1.0
        if (card.frames_per_second or 1.0) != per_second:
            raise BadInput(
                f"{card.name} reads {card.frames_per_second:g} frames a second, {encoder.name} "
                f"looks at {per_second:g}; name another encoder on its card."
            )
        grid, every = phase_grid(source, per_second)
        decisive = {
            FEATURES_OF: encoder.name,
            "features_sha256": encoder.weights_sha256,
            "frames_per_second": per_second,
        }
        super().__init__(store, asset, source, card, grid, every, decisive)
        self._encoder, self._device, self._threads = encoder, device, threads
        self._network: OfflinePhases | None = None
        if self.run is not None and card.task == ANTICIPATION:
            foreseen = {row.index for row in store.foreseen(self.run.run_id)}
            self._stored &= foreseen
            self.resumed = sum(i in self._stored for i in grid)

    def left(self) -> list[int]:
        return []  # no frame is visited; see ``end``

    def needs_picture(self, index: int) -> bool:
        del index
        return False

    def begin(self, device: DeviceChoice, threads: int) -> None:
        self._device, self._threads = device, threads

    def visit(self, index: int, frame: Frame | None) -> None:
        del index, frame

    def flush(self, *, keep_state: bool = False) -> None:
        del keep_state  # everything is stored at once

    def end(self) -> None:
        """Label the recording, unless all of it is labelled.

        Raises:
            BadInput: the encoder's features are not all there, or of another size.
        """
        if any(index not in self._stored for index in self.grid):
            self._label()
        if self.run is not None and not self.run.finished:
            self._store.finish(self.run.run_id)

    def device(self) -> DeviceChoice | None:
        return None if self._network is None else self._network.device

    def _label(self) -> None:
        from app.inference.offline import OfflinePhases

        pts = [self._source.pts(i) for i in self.grid]
        features = self._features(pts)
        self._network = OfflinePhases(self.card, self._device, threads=self._threads)
        found = self._network.label(features)
        self.spent_ms += self._network.total_ms
        run = self._started(self._network.describe())
        if found.probabilities is not None:
            self._store.put_phases(
                run.run_id,
                [
                    PhasePrediction(pts=at, index=index, probabilities=tuple(row.tolist()))
                    for at, index, row in zip(pts, self.grid, found.probabilities, strict=True)
                ],
            )
        if found.outlook is not None:
            self._store.put_foreseen(run.run_id, found.outlook.rows(pts, self.grid))
        self._stored = set(self.grid)
        self.computed, self.resumed = len(self.grid), 0

    def _features(self, pts: list[int]) -> NDArray[np.float16]:
        """Of every frame of the grid, from the newest run of the encoder that holds them all."""
        for run in reversed(self._store.runs(self._asset.asset_id)):
            same = (run.model, run.weights_sha256) == (
                self._encoder.name,
                self._encoder.weights_sha256,
            )
            if not same or run.was_live:
                continue
            known, vectors = self._store.features(run.run_id)
            place = {at: i for i, at in enumerate(known.tolist())}
            if all(at in place for at in pts):
                return vectors[[place[at] for at in pts]]
        raise BadInput(
            f"{self.card.name} reads frame features of {self._encoder.name}, which are not all "
            "stored; analyse the case with both."
        )
