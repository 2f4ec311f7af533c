"""A vector of one frame a second: the way through a recording of a model that finds pictures.

Every frame stands alone, so that only what is missing is decoded. Runs on the thread that owns the
device; torch is imported when a frame has to be computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.case import Asset
from app.core.frame import Frame
from app.inference.passes import StoredPass, phase_grid
from models import ModelCard

if TYPE_CHECKING:
    from app.inference.device import DeviceChoice
    from app.inference.embedding import PictureEncoder
    from app.store import PredictionStore
    from app.video import VideoSource


class EmbeddingPass(StoredPass):
    """Vectors at the card's rate."""

    def __init__(
        self, store: PredictionStore, asset: Asset, source: VideoSource, card: ModelCard
    ) -> None:
        per_second = card.frames_per_second or 1.0
        grid, every = phase_grid(source, per_second)
        super().__init__(store, asset, source, card, grid, every, {"frames_per_second": per_second})
        self._encoder: PictureEncoder | None = None
        self._batch: list[tuple[int, NDArray[np.float16]]] = []
        if self.run is not None:
            places = {source.pts(i): i for i in grid}
            kept = store.features(self.run.run_id)[0].tolist()
            self._stored = {places[pts] for pts in kept if pts in places}
            self.resumed = len(self._stored)

    def left(self) -> list[int]:
        return [i for i in self.grid if i not in self._stored]

    def needs_picture(self, index: int) -> bool:
        return index not in self._stored

    def begin(self, device: DeviceChoice, threads: int) -> None:
        from app.inference.embedding import PictureEncoder

        if self._encoder is None:
            self._encoder = PictureEncoder(self.card, device, threads=threads)
        self._started(self._encoder.describe())

    def visit(self, index: int, frame: Frame | None) -> None:
        if index in self._stored:
            return
        self._stored.add(index)
        self.computed += 1
        if frame is None:  # there is nothing to find in a picture that does not decode
            return
        assert self._encoder is not None  # noqa: S101 - begin comes first
        self._batch.append((self._source.pts(index), self._encoder.embed(frame.rgb)))
        self.spent_ms += self._encoder.total_ms

    def flush(self, *, keep_state: bool = False) -> None:
        del keep_state  # it carries none
        if self.run is not None and self._batch:
            self._store.put_features(self.run.run_id, self._batch)
            self._batch.clear()

    def device(self) -> DeviceChoice | None:
        return None if self._encoder is None else self._encoder.device
