"""Phases of a whole recording at once, from its stored frame features.

One object belongs to the thread that owns the device.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray

from app.inference import device as devices
from app.inference.cards import load_network, model_errors
from app.inference.device import DeviceChoice
from app.inference.phases import course_of, settings_of_course
from app.inference.placed import PlacedNetwork
from models import ModelCard
from models.supra import Forecast


class OfflinePhases:
    """A loaded network that reads frame features.

    Args:
        card: a model of the task ``phase-recognition`` with ``features_of`` and weights.
        device: where to run; chosen when None.
        threads: of the processor.

    Attributes:
        device: where it runs now; changes when a graphics card fails.
        total_ms: what the last recording took.

    Raises:
        BadInput: the model's weights are missing or damaged.
    """

    def __init__(
        self, card: ModelCard, device: DeviceChoice | None = None, *, threads: int = 1
    ) -> None:
        self.card = card
        self._placed = PlacedNetwork(lambda: load_network(card))
        self._threads = threads
        self.device = device or devices.choose_device()
        self.total_ms = 0.0

    def label(self, features: NDArray[np.float16]) -> NDArray[np.float64]:
        """Name the phase of every frame.

        Args:
            features: float16 (T, C), in order of time at the card's rate.

        Returns:
            float64 (T, classes), rows that sum to 1.

        Raises:
            BadInput: the network reads other features.
        """
        start = time.perf_counter()
        with devices.threads(self._threads), model_errors():
            found, self.device = devices.run_or_fall_back(
                self.device, lambda choice: self._label(features, choice)
            )
        self.total_ms = 1000 * (time.perf_counter() - start)
        return found

    def describe(self) -> dict[str, str | int | float | bool]:
        """What decides the result, for provenance: kept with every run."""
        return settings_of_course(course_of(self.card)) | {
            "device": self.device.device,
            "device_name": self.device.name,
            "precision": "fp32",
            "threads": self._threads,
        }

    def _label(self, features: NDArray[np.float16], choice: DeviceChoice) -> NDArray[np.float64]:
        network = self._placed.on(choice)
        with torch.inference_mode():
            x = torch.from_numpy(features.astype(np.float32)).T[None].to(choice.device)
            said = network(x)
            stages = said.logits if isinstance(said, Forecast) else said
            found: NDArray[np.float64] = stages[-1, 0].T.double().softmax(-1).cpu().numpy()
            return found
