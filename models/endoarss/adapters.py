"""Low-rank updates of frozen linear layers: one that all tasks share, and one for each task.

TESLA of EndoARSS: task t sees W + B0 A0 + alpha_t B_t A_t (specification, segmentation-models,
section 2.3); a task's gradient reaches the shared update and its own, and no other. Used on the
inference thread and in training processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.dinov2.network import DinoV2
from models.errors import OptionError

PLACES = ("q", "k", "v", "fc1", "fc2")
"""What can be adapted: parts of `qkv`, and the two layers of the MLP."""


class LowRank(nn.Module):
    """Updates B A of some equal parts of a linear layer's output, at first zero.

    Args:
        inputs: of the layer.
        outputs: of one part.
        parts: how many parts.
        rank: of each update.
        scaled: with a learnt factor alpha, at first 1.
        frozen_scales: with frozen random factors on A's rows and B's rows, B V A U ("DV-LoRA"),
            as the released code has it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        parts: int,
        rank: int,
        *,
        scaled: bool,
        frozen_scales: bool,
    ) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(parts, rank, inputs))
        self.b = nn.Parameter(torch.zeros(parts, outputs, rank))
        self.alpha = nn.Parameter(torch.ones(())) if scaled else None
        # Kaiming's uniform with a = sqrt(5) over the inputs, for every part by itself.
        nn.init.uniform_(self.a, -1 / sqrt(inputs), 1 / sqrt(inputs))
        self.u: Tensor | None
        self.v: Tensor | None
        self.register_buffer(
            "u", torch.empty(parts, rank).uniform_(-1, 1) if frozen_scales else None
        )
        self.register_buffer(
            "v", torch.empty(parts, outputs).uniform_(-1, 1) if frozen_scales else None
        )

    def factors(self) -> tuple[Tensor, Tensor]:
        """A (parts, rank, inputs) and B (parts, outputs, rank) with all factors in them."""
        a = self.a if self.u is None else self.a * self.u[..., None]
        b = self.b if self.v is None else self.b * self.v[..., None]
        return a, b if self.alpha is None else b * self.alpha

    def forward(self, x: Tensor) -> Tensor:
        """The update of (B, N, inputs): (B, N, parts, outputs)."""
        a, b = self.factors()
        low = functional.linear(x, a.flatten(0, 1)).unflatten(-1, a.shape[:2])
        return torch.einsum("bnpr,por->bnpo", low, b)

    def weight(self) -> Tensor:
        """B A, (parts, outputs, inputs)."""
        a, b = self.factors()
        return b @ a


class AdaptedLinear(nn.Linear):
    """A linear layer with its own `weight` and `bias`, and low-rank updates beside them.

    Attributes:
        active: the tasks of the equal parts that the batch consists of; empty for the shared
            update alone.
    """

    def __init__(
        self,
        linear: nn.Linear,
        parts: int,
        adapted: Sequence[int],
        tasks: Sequence[str],
        rank: int,
        *,
        frozen_scales: bool,
    ) -> None:
        super().__init__(linear.in_features, linear.out_features, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.parts, self.adapted = parts, tuple(adapted)
        self.active: tuple[str, ...] = ()
        size = (linear.in_features, linear.out_features // parts, len(adapted), rank)
        self.shared = LowRank(*size, scaled=False, frozen_scales=frozen_scales)
        self.tasks = nn.ModuleDict(
            {t: LowRank(*size, scaled=True, frozen_scales=frozen_scales) for t in tasks}
        )

    def forward(self, x: Tensor) -> Tensor:
        pieces = list(functional.linear(x, self.weight, self.bias).chunk(self.parts, -1))
        change = self.shared(x)
        if self.active and self.tasks:
            own = zip(self.active, x.chunk(len(self.active)), strict=True)
            change = change + torch.cat([self.tasks[task](part) for task, part in own])
        for place, update in zip(self.adapted, change.unbind(2), strict=True):
            pieces[place] = pieces[place] + update
        return pieces[0] if self.parts == 1 else torch.cat(pieces, -1)

    def merged(self, task: str) -> Tensor:
        """The one weight that a task sees, (outputs, inputs)."""
        update = self.shared.weight()
        if task in self.tasks:
            update = update + self.tasks[task].weight()
        pieces = list(self.weight.detach().chunk(self.parts))
        for place, change in zip(self.adapted, update.detach().unbind(0), strict=True):
            pieces[place] = pieces[place] + change
        return torch.cat(pieces)


def adapt(
    encoder: DinoV2,
    places: Sequence[str],
    tasks: Sequence[str],
    rank: int,
    *,
    frozen_scales: bool = False,
) -> None:
    """Puts low-rank updates into every block of an encoder; its own names stay as they are.

    Args:
        encoder: changed in place.
        places: of `PLACES`.
        tasks: that get an update of their own besides the shared one; may be empty.
        rank: of the updates; 0 leaves the encoder alone.
        frozen_scales: see `LowRank`.

    Raises:
        OptionError: an unknown place, or a negative rank.
    """
    if rank < 0 or not set(places) <= set(PLACES):
        raise OptionError(
            f"endoarss: rank must not be negative and adapt be of {', '.join(PLACES)}."
        )
    of_qkv = [number for number, place in enumerate("qkv") if place in places]
    if rank == 0:
        return
    for block in encoder.blocks:
        if of_qkv:
            block.attn.qkv = AdaptedLinear(
                block.attn.qkv, 3, of_qkv, tasks, rank, frozen_scales=frozen_scales
            )
        for name in ("fc1", "fc2"):
            if name in places:
                linear = AdaptedLinear(
                    getattr(block.mlp, name), 1, (0,), tasks, rank, frozen_scales=frozen_scales
                )
                setattr(block.mlp, name, linear)


def adapted_layers(encoder: nn.Module) -> list[AdaptedLinear]:
    """The layers that carry updates, in order."""
    return [module for module in encoder.modules() if isinstance(module, AdaptedLinear)]
