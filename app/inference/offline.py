"""Phases of a whole recording at once, from its stored frame features.

One object belongs to the thread that owns the device.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.foreseen import HORIZON_MIN, NEXT_WITHIN_HORIZON
from app.inference import device as devices
from app.inference.cards import load_network, model_errors
from app.inference.device import DeviceChoice
from app.inference.outlook import Outlook, outlook_of, outlook_of_events
from app.inference.phases import course_of, settings_of_course
from app.inference.placed import PlacedNetwork
from models import ModelCard
from models.supra import Forecast, Supra
from models.surgfutr import SurgFutr


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """What is known of a whole recording.

    Attributes:
        probabilities: float64 (T, classes), phases that run; rows sum to 1. None of a network that
            names none.
        outlook: what is foreseen from every frame, None of a network that foresees nothing.
    """

    probabilities: NDArray[np.float64] | None
    outlook: Outlook | None = None


class OfflinePhases:
    """A loaded network that reads frame features.

    Args:
        card: a model of phases, or of what follows, with ``features_of`` and weights.
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

    def label(self, features: NDArray[np.float16]) -> Labelled:
        """Name the phase of every frame, and what follows where the network foresees it.

        Args:
            features: float16 (T, C), in order of time at the card's rate.

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
        course = settings_of_course(course_of(self.card))
        return course | self._horizon() | self.device.in_full_precision(self._threads)

    def _horizon(self) -> dict[str, str | int | float | bool]:
        """How far the network foresees, where it does."""
        network = self._placed.network
        if isinstance(network, SurgFutr):
            return {HORIZON_MIN: network.horizon_min, NEXT_WITHIN_HORIZON: True}
        return {HORIZON_MIN: network.horizon_min} if isinstance(network, Supra) else {}

    def _label(self, features: NDArray[np.float16], choice: DeviceChoice) -> Labelled:
        network = self._placed.on(choice)
        with torch.inference_mode():
            x = torch.from_numpy(features.astype(np.float32)).T[None].to(choice.device)
            if isinstance(network, SurgFutr):
                events = outlook_of_events(network.foresee(x[0]))
                return Labelled(probabilities=None, outlook=events)
            said = network(x)
            foresees = isinstance(said, Forecast)
            stages = said.logits if foresees else said
            return Labelled(
                probabilities=stages[-1, 0].T.double().softmax(-1).cpu().numpy(),
                outlook=outlook_of(network, said) if foresees else None,
            )
