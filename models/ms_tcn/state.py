"""What a causal MS-TCN carries from frame to frame: the last inputs of its dilated convolutions.

Never changed in place: a step returns a new one, so that a kept state is a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """The carried state of all stages.

    Attributes:
        columns: float (stages, B, maps, C), C the sum over layers of twice their dilation: each
            layer's last inputs, oldest first, layer after layer.
        frames: consumed since the stream began, at least 0.
    """

    columns: Tensor
    frames: int

    def __post_init__(self) -> None:
        if self.columns.ndim != 4 or self.columns.dtype not in (torch.float32, torch.float64):
            raise ModelError("A stored state of MS-TCN is damaged; it is computed anew.")
        if self.frames < 0:
            raise ModelError(f"A model state cannot have consumed {self.frames} frames.")

    @property
    def nbytes(self) -> int:
        """Bytes of the columns."""
        return self.columns.nbytes

    def to(self, device: torch.device | str) -> State:
        """Returns the same state on another device."""
        return State(columns=self.columns.to(device), frames=self.frames)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns copies as arrays `columns` and `frames` (int64 scalar), ready for npz."""
        return {
            "columns": self.columns.detach().cpu().numpy().copy(),
            "frames": np.asarray(self.frames, dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> State:
        """Rebuilds a state from `to_arrays`.

        Raises:
            ModelError: where an array is missing or is not what it should be.
        """
        if missing := {"columns", "frames"} - set(arrays):
            raise ModelError(f"A stored model state lacks {', '.join(sorted(missing))}.")
        return cls(columns=torch.tensor(arrays["columns"]), frames=int(arrays["frames"]))
