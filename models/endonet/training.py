"""What the training loop needs to teach EndoNet's encoder on single frames.

Batches are pictures (B, 3, H, W), normalised, and `FrameTargets`. Runs in a training process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.endonet.network import EndoNet, Frames
from models.errors import OptionError
from models.types import UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTargets:
    """What is known of single frames.

    Attributes:
        phases: int64 (B,), in [0, K) or `UNKNOWN`.
        tools: int64 (B, M), 1 present, 0 absent, or `UNKNOWN`.
    """

    phases: Tensor
    tools: Tensor

    def __post_init__(self) -> None:
        if self.phases.ndim != 1 or self.tools.ndim != 2 or len(self.phases) != len(self.tools):
            raise ValueError("phases must be (B,) and tools (B, M)")

    def to(self, device: torch.device | str) -> FrameTargets:
        """Returns the same targets on another device."""
        return FrameTargets(phases=self.phases.to(device), tools=self.tools.to(device))


class FrameHeads(nn.Module):
    """What of an EndoNet looks at single frames; shares its modules, and their names.

    Args:
        network: whose encoder and frame heads are taught; the MS-TCN is left out.
    """

    def __init__(self, network: EndoNet) -> None:
        super().__init__()
        self.model, self.fc_phase, self.fc_tool = network.model, network.fc_phase, network.fc_tool

    def forward(self, images: Tensor) -> Frames:
        """As `EndoNet.frames`, without its checks."""
        features = self.model(images)
        return Frames(features, self.fc_phase(features), self.fc_tool(features))


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLoss:
    """Cross-entropy of the phase and binary cross-entropy of every tool, summed over tools.

    Attributes:
        phase_weight, tool_weight: of the two.
        tool_weights: weight of a present tool each, see `median_frequency`; None for 1.
    """

    phase_weight: float = 1.0
    tool_weight: float = 1.0
    tool_weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if min(self.phase_weight, self.tool_weight, *(self.tool_weights or ())) < 0:
            raise OptionError("Weights of EndoNet's losses must not be negative.")

    def __call__(self, found: Frames, targets: FrameTargets) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the scalar loss and its parts `phase` and `tools`, detached."""
        targets = targets.to(found.phases.device)
        phases, tools = found.phases.float(), found.tools.float()
        known = (targets.phases != UNKNOWN).sum().clamp(min=1)
        phase = functional.cross_entropy(
            phases, targets.phases, ignore_index=UNKNOWN, reduction="sum"
        )
        phase = phase / known
        seen = (targets.tools != UNKNOWN).to(tools)
        weights = None if self.tool_weights is None else tools.new_tensor(self.tool_weights)
        each = functional.binary_cross_entropy_with_logits(
            tools, targets.tools.clamp(min=0).to(tools), reduction="none", pos_weight=weights
        )
        labelled = seen.amax(1).sum().clamp(min=1)
        presence = (each * seen).sum() / labelled
        parts = {"phase": phase.detach(), "tools": presence.detach()}
        return self.phase_weight * phase + self.tool_weight * presence, parts


def median_frequency(present: Sequence[int]) -> tuple[float, ...]:
    """Weights of rare tools: the median number of frames with a tool, by each tool's own.

    Args:
        present: frames with each tool; one that never occurs gets the largest weight of the others.

    Raises:
        OptionError: no tool occurs.
    """
    counts = sorted(n for n in present if n > 0)
    if not counts:
        raise OptionError("No tool occurs in the training pictures.")
    middle = (counts[(len(counts) - 1) // 2] + counts[len(counts) // 2]) / 2
    return tuple(middle / max(n, counts[0]) for n in present)
