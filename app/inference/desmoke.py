"""A desmoking network on a picture: quickly at a small size, or in full resolution by tiles.

One object belongs to the thread that clears the view.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
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
from models.rga_net import in_tiles

OVERLAP_PX = 32


class _NotWantedError(Exception):
    """Another picture is wanted by now."""


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
        return self._compute(lambda network, picture: network(picture[None])[0], rgb)

    def whole(
        self, rgb: Picture, should_stop: Callable[[], bool] = lambda: False
    ) -> Picture | None:
        """A picture cleared pixel by pixel, by tiles; None when it was stopped.

        Args:
            rgb: uint8 (H, W, 3).
            should_stop: asked before every tile.
        """
        side = max(self.card.input_size_px)

        def tiled(network: torch.nn.Module, picture: torch.Tensor) -> torch.Tensor:
            def unless_stopped(tile: torch.Tensor) -> torch.Tensor:
                if should_stop():
                    raise _NotWantedError
                answer: torch.Tensor = network(tile)
                return answer

            return in_tiles(unless_stopped, picture, side, OVERLAP_PX)

        try:
            return np.asarray(cv2.convertScaleAbs(self._compute(tiled, rgb)), np.uint8)
        except _NotWantedError:
            return None

    def _compute(
        self,
        work: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor],
        rgb: Picture,
    ) -> NDArray[np.float32]:
        def on(choice: DeviceChoice) -> NDArray[np.float32]:
            network = self._placed.on(choice)
            with torch.inference_mode():
                picture = torch.from_numpy(np.ascontiguousarray(rgb)).to(choice.device)
                picture = picture.permute(2, 0, 1).float().div_(255)
                clear = work(network, picture).clamp(0, 1).mul(255)
                return clear.permute(1, 2, 0).float().contiguous().cpu().numpy()

        with devices.threads(self._threads):
            answer, self.device = devices.run_or_fall_back(self.device, on)
        return answer
