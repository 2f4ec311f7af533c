"""DINOv2 along a stream of frames: what it says of each, with nothing carried from one to the next.

The same four calls as a network that remembers, so that whoever follows a recording need not ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far a stream has come.

    Attributes:
        frames: consumed since it began, at least 0.
    """

    frames: int

    def __post_init__(self) -> None:
        if self.frames < 0:
            raise ModelError(f"A model state cannot have consumed {self.frames} frames.")

    def to(self, device: torch.device | str) -> State:
        """Returns itself: it lies on no device."""
        del device
        return self

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns `frames`, an int64 scalar, ready for npz."""
        return {"frames": np.asarray(self.frames, dtype=np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> State:
        """Rebuilds a state from `to_arrays`.

        Raises:
            ModelError: where the array is missing.
        """
        if "frames" not in arrays:
            raise ModelError("A stored model state lacks frames.")
        return cls(frames=int(arrays["frames"]))


class Advance(NamedTuple):
    """What T frames of a stream gave.

    Attributes:
        logits: float (B, T, D), the features: an encoder names nothing.
        features: float (B, T, D), the class token after the last norm.
        state: to hand to the next call.
    """

    logits: Tensor
    features: Tensor
    state: State
