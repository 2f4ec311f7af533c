"""A desmoking network on a picture: seen small, its answer guides the picture in its own size.

Measured on stills of held-out operations, 1280 x 720: the network on tiles in full resolution is
3 to 6 dB worse (a tile does not know how much of its light is smoke) and takes 20 s of a core; on
tiles of a picture twice as large as it was taught at, 2 dB worse. One object belongs to the thread
that clears the view.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from app.inference import device as devices
from app.inference.cards import load_network
from app.inference.cores import cores
from app.inference.device import DeviceChoice
from app.inference.placed import PlacedNetwork
from app.inference.preprocess import resized
from app.inference.veil import Picture, Veil, find_veil
from models import ModelCard


class Desmoker:
    """A loaded desmoking model.

    Args:
        card: of the task ``enhancement`` with weights.
        device: where to run; chosen when None.
        threads: of the processor; all but one when None, so that the window stays awake.

    Attributes:
        card: as given.
        device: where it runs now; changes when a graphics card fails.

    Raises:
        BadInput: the model's weights are missing or damaged.
    """

    def __init__(
        self, card: ModelCard, device: DeviceChoice | None = None, *, threads: int | None = None
    ) -> None:
        self.card = card
        self._placed = PlacedNetwork(lambda: load_network(card).eval().float())
        self.device = device or devices.choose_device()
        self._threads = threads or max(1, cores() - 1)

    def veil(self, rgb: Picture) -> Veil:
        """The smoke over a picture, seen at the size that the network was taught at.

        Args:
            rgb: uint8 (H, W, 3).
        """
        box = self.card.input_size_px
        high, wide = rgb.shape[:2]
        scale = min(1.0, box[0] / wide, box[1] / high)
        small = resized(rgb, max(1, round(scale * wide)), max(1, round(scale * high)))
        return find_veil(small.astype(np.float32), self.answer(small), rgb)

    def answer(self, rgb: Picture) -> NDArray[np.float32]:
        """What the network makes of a whole picture: float32 (H, W, 3) in 0 to 255."""

        def on(choice: DeviceChoice) -> NDArray[np.float32]:
            network = self._placed.on(choice)
            with torch.inference_mode():
                picture = torch.from_numpy(np.ascontiguousarray(rgb)).to(choice.device)
                picture = picture.permute(2, 0, 1)[None].float().div_(255)
                clear = network(picture)[0].clamp(0, 1).mul(255)
                return np.asarray(clear.permute(1, 2, 0).float().contiguous().cpu(), np.float32)

        with devices.threads(self._threads):
            answer, self.device = devices.run_or_fall_back(self.device, on)
        return answer
