"""What comes next, of a stream: a causal network reads each frame's features as they come.

One object belongs to the thread that owns the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.foreseen import HORIZON_MIN, Foreseen
from app.inference import device as devices
from app.inference.cards import load_network, model_errors
from app.inference.device import DeviceChoice
from app.inference.outlook import outlook_of
from app.inference.placed import PlacedNetwork
from models import ModelCard
from models.supra import Supra

_THREADS = 1


class ForecastStream:
    """A loaded network that foresees, and where it stands in one recording.

    Args:
        card: a causal model of the task ``phase-anticipation`` that reads features.
        device: where to run; chosen when None.

    Attributes:
        card: as given.
        device: where it runs now; changes when a graphics card fails.

    Raises:
        BadInput: the model's weights are missing or damaged, or it follows no stream.
    """

    def __init__(self, card: ModelCard, device: DeviceChoice | None = None) -> None:
        self.card = card
        self._placed = PlacedNetwork(lambda: load_network(card))
        if not isinstance(self._placed.network, Supra):
            raise BadInput(f"{card.title} follows no stream. Analyse the recording with it.")
        self.device = device or devices.choose_device()
        self._state: Any = None

    def step(self, features: NDArray[np.float16], pts: int, index: int) -> Foreseen:
        """Foresee from the next frame.

        Args:
            features: float16 (C,), of the frame.
            pts, index: the frame.

        Raises:
            BadInput: the network reads other features.
        """
        with devices.threads(_THREADS), model_errors():
            (outlook, self._state), self.device = devices.run_or_fall_back(
                self.device, lambda choice: self._step(features, choice)
            )
        return outlook.rows([pts], [index])[0]

    def reset(self) -> None:
        """Stand before the first frame."""
        self._state = None

    def describe(self) -> dict[str, str | int | float | bool]:
        """What decides the result, for provenance: kept with every run."""
        horizon = {HORIZON_MIN: self._placed.network.horizon_min}
        return self.device.in_full_precision(_THREADS) | horizon

    def _step(self, features: NDArray[np.float16], choice: DeviceChoice) -> tuple[Any, Any]:
        network = self._placed.on(choice)
        with torch.inference_mode():
            x = torch.from_numpy(features.astype(np.float32))[None].to(choice.device)
            before = None if self._state is None else self._state.to(choice.device)
            forecast, state = network.step(x, before)
            return outlook_of(network, forecast), state.to(devices.CPU)
