"""What EndoMamba carries from frame to frame: per temporal layer a convolution and a scan state.

One state belongs to one stream of frames, whatever the picture's size and the stream's length.
Never changed in place: a step returns a new one, so that a kept state is a snapshot. Snapshots
every minute or so are stored and replayed from when the user seeks.
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
    """The carried state of all temporal layers.

    Attributes:
        conv: (layers, S, 3, 2 * width), the last three inputs of each causal convolution.
        ssm: (layers, S, 16, 2 * width), the scan's state. Both are float32, or float64 in a
            float64 network, never narrower. S is the batch size, twice that with staggered
            resets.
        frames: frames consumed since the stream began, at least 0.
    """

    conv: Tensor
    ssm: Tensor
    frames: int

    def __post_init__(self) -> None:
        if self.conv.dtype not in (torch.float32, torch.float64):
            raise ModelError(f"A model state is kept in float32, not in {self.conv.dtype}.")
        same = self.conv.shape[:2] == self.ssm.shape[:2] and self.conv.shape[3] == self.ssm.shape[3]
        if (
            self.conv.ndim != 4
            or self.ssm.ndim != 4
            or not same
            or self.conv.dtype != self.ssm.dtype
        ):
            raise ModelError("The two parts of a stored model state do not belong together.")
        if self.frames < 0:
            raise ModelError(f"A model state cannot have consumed {self.frames} frames.")

    @property
    def nbytes(self) -> int:
        """Bytes of both tensors."""
        return self.conv.nbytes + self.ssm.nbytes

    def clone(self) -> State:
        """Returns a copy that shares no memory with this one."""
        return State(conv=self.conv.clone(), ssm=self.ssm.clone(), frames=self.frames)

    def to(self, device: torch.device | str) -> State:
        """Returns the same state on another device."""
        return State(conv=self.conv.to(device), ssm=self.ssm.to(device), frames=self.frames)

    def detach(self) -> State:
        """Returns the same state cut from its graph: for training clip after clip."""
        return State(conv=self.conv.detach(), ssm=self.ssm.detach(), frames=self.frames)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns copies as arrays `conv`, `ssm` and `frames` (int64 scalar), ready for npz."""
        return {
            "conv": self.conv.detach().cpu().numpy().copy(),
            "ssm": self.ssm.detach().cpu().numpy().copy(),
            "frames": np.asarray(self.frames, dtype=np.int64),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], device: torch.device | str = "cpu"
    ) -> State:
        """Rebuilds a state from `to_arrays`.

        Raises:
            ModelError: where an array is missing or the arrays do not belong together.
        """
        if missing := {"conv", "ssm", "frames"} - set(arrays):
            raise ModelError(f"A stored model state lacks {', '.join(sorted(missing))}.")
        conv, ssm = (torch.tensor(arrays[name], device=device) for name in ("conv", "ssm"))
        return cls(conv=conv, ssm=ssm, frames=int(arrays["frames"]))
