"""The forward pass as one CUDA graph in half precision: no launch per operation.

At batch 1 a network of some hundred small operations waits for Python and the driver, not for the
card (specs: launch-bound). Belongs to the thread that owns the device.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.errors import EnvironmentProblem
from app.inference.cards import load_network
from app.inference.device import DeviceChoice
from app.inference.engines.eager import half_type, normalised, prepared, type_name
from app.inference.outputs import Output
from models import ModelCard

_WARM_UPS = 3


class GraphEngine:
    """A network that was recorded once for pictures of one size, and is replayed.

    Args:
        card: with weights.
        choice: an NVIDIA card.
        width_px, height_px: of every picture.

    Raises:
        EnvironmentProblem: the device is no NVIDIA card, or recording failed on it.
    """

    key = "cuda-graph"

    def __init__(
        self, card: ModelCard, choice: DeviceChoice, width_px: int, height_px: int
    ) -> None:
        self._device = torch.device(choice.device)
        if self._device.type != "cuda":
            raise EnvironmentProblem("CUDA graphs need an NVIDIA card.")
        self._half = half_type(self._device) or torch.float16
        self.precision = type_name(self._half)
        self._card = card
        try:
            self._network = prepared(load_network(card)).to(self._device)
            self._network.requires_grad_(requires_grad=False)
            self._picture = torch.zeros(
                (1, height_px, width_px, 3), dtype=torch.uint8, device=self._device
            )
            self._staging = torch.zeros((1, height_px, width_px, 3), dtype=torch.uint8).pin_memory()
            self._graph, self._output = self._recorded()
        except RuntimeError as error:
            raise EnvironmentProblem(
                f"{choice.name} could not record this network as a graph.", str(error)
            ) from error

    def forward(self, picture: NDArray[np.uint8]) -> Output:
        """See ``Engine``; what it returns is overwritten by the next call."""
        self._staging.copy_(torch.from_numpy(picture)[None])
        with torch.cuda.device(self._device):
            self._picture.copy_(self._staging, non_blocking=True)
            self._graph.replay()
            torch.cuda.synchronize(self._device)
        return self._output

    def _recorded(self) -> tuple[torch.cuda.CUDAGraph, Output]:
        graph = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream(self._device)
        with torch.cuda.device(self._device), torch.inference_mode():
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # allocations of the first calls stay out of the graph
                for _ in range(_WARM_UPS):
                    self._compute()
            torch.cuda.current_stream().wait_stream(side)
            with torch.cuda.graph(graph):
                output = self._compute()
        return graph, output

    def _compute(self) -> Output:
        images = normalised(self._picture.permute(0, 3, 1, 2).float(), self._card)
        # A cast that autocast keeps from one call to the next lies outside the graph's memory.
        with torch.autocast("cuda", self._half, cache_enabled=False):
            output: Output = self._network(images)
        return output
