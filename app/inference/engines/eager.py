"""PyTorch itself, in full or half precision, and what every engine must answer to."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.core.errors import EnvironmentProblem
from app.inference.cards import load_network
from app.inference.device import DeviceChoice
from app.inference.outputs import Output
from app.inference.placed import PlacedNetwork
from models import ModelCard
from models.training.config import native_bf16


class Engine(Protocol):
    """A network ready to compute, for pictures of one size.

    Attributes:
        key: of its ``Kind``.
        precision: what it computes in.
    """

    key: str
    precision: str

    def forward(self, picture: NDArray[np.uint8]) -> Output:
        """The raw output of a picture uint8 (H, W, 3), as of PyTorch; finished when it returns.

        Raises:
            RuntimeError: the engine failed.
        """


class Eager:
    """A card's network in PyTorch, moved to where it is asked for.

    Args:
        card: with weights.

    Raises:
        BadInput: the weights are missing or damaged.
    """

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self._placed = PlacedNetwork(lambda: prepared(load_network(card)))

    def forward(
        self, picture: NDArray[np.uint8], choice: DeviceChoice, half: torch.dtype | None = None
    ) -> Output:
        """The raw output of a picture uint8 (H, W, 3) of any size that the network takes."""
        network = self._placed.on(choice)
        device = torch.device(choice.device)
        with torch.inference_mode():
            # A (1, H, W, 3) picture seen as (1, 3, H, W) lies in channels-last order already.
            images = torch.from_numpy(picture).to(device).unsqueeze(0).permute(0, 3, 1, 2)
            images = normalised(images.float(), self.card)
            with torch.autocast(device.type, half) if half else nullcontext():
                output: Output = network(images)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return output


class TorchEngine:
    """`Eager` on one device, in one precision.

    Raises:
        EnvironmentProblem: the device computes nothing in 16 bits.
    """

    def __init__(self, eager: Eager, choice: DeviceChoice, *, half: bool) -> None:
        self.key = "torch-half" if half else "torch"
        self._eager, self._choice = eager, choice
        self._half = half_type(torch.device(choice.device)) if half else None
        if half and self._half is None:
            raise EnvironmentProblem(f"{choice.name} computes nothing in 16 bits by itself.")
        self.precision = type_name(self._half) if self._half else "fp32"

    def forward(self, picture: NDArray[np.uint8]) -> Output:
        """See ``Engine``."""
        return self._eager.forward(picture, self._choice, self._half)


def half_type(device: torch.device) -> torch.dtype | None:
    """The 16-bit type that the device computes natively, None without one."""
    if device.type in ("cuda", "cpu") and native_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type in ("cuda", "mps") else None


def normalised(images: torch.Tensor, card: ModelCard) -> torch.Tensor:
    """Float (B, 3, H, W) of 0 to 255 as the card's network wants it, in place."""
    images.mul_(1 / 255)
    if any(card.mean_rgb) or card.std_rgb != (1.0, 1.0, 1.0):
        mean, std = (
            images.new_tensor(v).reshape(1, 3, 1, 1) for v in (card.mean_rgb, card.std_rgb)
        )
        images.sub_(mean).div_(std)
    return images


def prepared(network: nn.Module) -> nn.Module:
    """Folded, in eval mode, for pictures in channels-last order."""
    fuse: Any = getattr(network, "fuse", None)
    if callable(fuse):
        network = fuse()
    return network.eval().to(memory_format=torch.channels_last)


def type_name(kind: torch.dtype) -> str:
    """Such as ``bfloat16``."""
    return str(kind).removeprefix("torch.")
