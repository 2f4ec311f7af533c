"""A network and the device that it lies on. Belongs to the thread that owns the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from app.inference import device as devices
from app.inference.device import DeviceChoice


class PlacedNetwork:
    """A network that is moved to where it is asked for.

    Args:
        load: gives the network, ready to answer, on the processor; called again once a card failed.

    Attributes:
        network: as it is now.

    Raises:
        BadInput: as ``load``.
    """

    def __init__(self, load: Callable[[], nn.Module]) -> None:
        self._load = load
        self.network: Any = load().requires_grad_(requires_grad=False)
        self._device = devices.CPU

    def on(self, choice: DeviceChoice) -> Any:
        """The network, on a device."""
        if self._device != choice.device:
            if choice.is_cpu:  # what a failed card holds cannot be trusted
                self.network = self._load().requires_grad_(requires_grad=False)
            self.network.to(choice.device)
            self._device = choice.device
        return self.network
