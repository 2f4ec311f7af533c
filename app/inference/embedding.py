"""One vector of a picture, by a model made to find pictures by example or by words.

One object belongs to the thread that owns the device.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from app.inference import device as devices
from app.inference.cards import load_network
from app.inference.device import DeviceChoice
from app.inference.engines.eager import normalised
from app.inference.placed import PlacedNetwork
from models import ModelCard
from models.surgvlp import RESIZED_PX


class PictureEncoder:
    """A loaded model of the task ``retrieval``.

    Args:
        card: with weights.
        device: where to run; chosen when None.
        threads: of the processor.

    Attributes:
        device: where it runs now; changes when a graphics card fails.
        total_ms: what the last picture took.

    Raises:
        BadInput: the weights are missing or damaged.
    """

    def __init__(
        self, card: ModelCard, device: DeviceChoice | None = None, *, threads: int = 1
    ) -> None:
        self.card = card
        self._placed = PlacedNetwork(lambda: load_network(card))
        self._threads = threads
        self.device = device or devices.choose_device()
        self.total_ms = 0.0

    def embed(self, rgb: NDArray[np.uint8]) -> NDArray[np.float16]:
        """The vector (C,) of a picture uint8 (H, W, 3) of any size; its length is 1."""
        start = time.perf_counter()
        picture = middle_of(rgb, self.card.input_size_px)
        with devices.threads(self._threads):
            found, self.device = devices.run_or_fall_back(
                self.device, lambda choice: self._embed(picture, choice)
            )
        self.total_ms = 1000 * (time.perf_counter() - start)
        return found

    def describe(self) -> dict[str, str | int | float | bool]:
        """What decides the result, for provenance: kept with every run."""
        return self.device.in_full_precision(self._threads)

    def _embed(self, picture: NDArray[np.uint8], choice: DeviceChoice) -> NDArray[np.float16]:
        network = self._placed.on(choice)
        with torch.inference_mode():
            frame = torch.from_numpy(picture).to(choice.device).permute(2, 0, 1).unsqueeze(0)
            vector: NDArray[np.float16] = (
                network(normalised(frame.float().contiguous(), self.card))[0].half().cpu().numpy()
            )
            return vector


def middle_of(rgb: NDArray[np.uint8], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """The frame squeezed to ``RESIZED_PX`` and its middle cut out, as the released code does with
    Pillow's bilinear filter.

    Returns:
        uint8 (height, width, 3) of ``size_px`` (width, height).
    """
    width, height = size_px
    left, top = round((RESIZED_PX[0] - width) / 2), round((RESIZED_PX[1] - height) / 2)
    small = Image.fromarray(rgb).resize(RESIZED_PX, Image.Resampling.BILINEAR)
    return np.array(small.crop((left, top, left + width, top + height)))
