"""What the training loop needs to teach EndoARSS: its loss, and how two tasks share one encoder.

Specification, segmentation-models, section 2.3. Runs in a training process.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.endoarss.network import ACTIVITY, AREAS, TASKS, EndoARSS, resized_areas
from models.errors import OptionError
from models.types import UNKNOWN, ActivityOutput, ActivityTargets

METHODS = ("equal", "db_mtl", "surgery")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityAreaLoss:
    """Cross-entropy of the activity plus cross-entropy of every pixel's area.

    Attributes:
        activity_weight: of the first.
        areas_weight: of the second.
        class_weights: of the areas, S numbers; empty for equal ones.
        label_smoothing: of the activity, in [0, 1).
    """

    activity_weight: float = 1.0
    areas_weight: float = 1.0
    class_weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0

    def __call__(
        self, output: ActivityOutput, targets: ActivityTargets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Measures one batch, in float32.

        Args:
            output: of the network.
            targets: areas at any size; the logits are resized to it.

        Returns:
            The sum, and each task's weighted loss under its name in `TASKS`, with its graph, so
            that `TaskWeighting` can take them apart. A task without labels has loss 0.
        """
        activities, areas = output.activities.float(), output.areas.float()
        known = (targets.activities != UNKNOWN).sum().clamp(min=1)
        activity = functional.cross_entropy(
            activities,
            targets.activities,
            ignore_index=UNKNOWN,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        weights = areas.new_tensor(self.class_weights) if self.class_weights else None
        pixels = functional.cross_entropy(
            resized_areas(areas, *targets.areas.shape[1:]),
            targets.areas,
            weights,
            ignore_index=UNKNOWN,
            reduction="sum",
        )
        share = self._share(targets.areas, weights)
        losses = {
            ACTIVITY: self.activity_weight * activity / known,
            AREAS: self.areas_weight * pixels / share,
        }
        return losses[ACTIVITY] + losses[AREAS], losses

    def _share(self, labels: Tensor, weights: Tensor | None) -> Tensor:
        """What the pixels' losses are divided by: their number, or their summed weights."""
        known = labels != UNKNOWN
        if weights is None:
            return known.sum().clamp(min=1)
        return (weights[labels.where(known, 0)] * known).sum().clamp(min=1e-6)


class TaskWeighting(nn.Module):
    """Sets the gradients of a batch from the losses of both tasks.

    A task's own parameters always follow that task's loss alone. What both share follows

    - "equal": the plain sum;
    - "db_mtl": gradients of the losses' logarithms, averaged over steps, each made as long as
      the longest, then summed (Lin et al. 2023, "Dual-balancing for multi-task learning");
    - "surgery": where the two point against each other, each loses its part along the other
      (Yu et al. 2020, "Gradient surgery for multi-task learning").

    Args:
        network: whose parameters get gradients.
        method: one of `METHODS`.
        decay: of the average over steps in "db_mtl".
    """

    def __init__(self, network: EndoARSS, method: str = "equal", decay: float = 0.9) -> None:
        super().__init__()
        if method not in METHODS:
            raise OptionError(f'Tasks are weighted by {", ".join(METHODS)}, not "{method}".')
        self.method, self.decay = method, decay
        # Tuples: the parameters stay the network's alone.
        self.shared = tuple(network.shared_parameters())
        self.own = tuple(
            tuple(p for p in network.parameters_of(task) if p.requires_grad) for task in TASKS
        )
        size = sum(p.numel() for p in self.shared) if method == "db_mtl" else 0
        device = self.shared[0].device if self.shared else torch.device("cpu")
        self.average: Tensor
        self.begun: Tensor
        self.register_buffer("average", torch.zeros(len(TASKS), size, device=device))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool, device=device))

    def backward(self, losses: dict[str, Tensor]) -> None:
        """Adds the gradients of one batch to the parameters' own."""
        if self.method == "equal":
            torch.stack([losses[task] for task in TASKS]).sum().backward()
            return
        together = []
        for number, task in enumerate(TASKS):
            loss = losses[task]
            if self.method == "db_mtl":
                loss = (loss + 1e-8).log()
            wanted = [*self.shared, *self.own[number]]
            found = torch.autograd.grad(
                loss, wanted, retain_graph=number + 1 < len(TASKS), allow_unused=True
            )
            filled = [
                torch.zeros_like(p) if g is None else g for p, g in zip(wanted, found, strict=True)
            ]
            count = len(self.shared)
            _add(self.own[number], filled[count:])
            together.append(torch.cat([g.flatten() for g in filled[:count]]))
        combined = self._combined(torch.stack(together))
        _add(self.shared, _like(self.shared, combined))

    def _combined(self, gradients: Tensor) -> Tensor:
        """One gradient (P,) of the tasks' (2, P)."""
        if self.method == "surgery":
            first, second = gradients
            overlap = torch.clamp(first @ second, max=0.0)
            first_part = overlap / first.square().sum().clamp(min=1e-12)
            second_part = overlap / second.square().sum().clamp(min=1e-12)
            return first - second_part * second + second - first_part * first
        kept = self.decay * self.average + (1 - self.decay) * gradients
        self.average = torch.where(self.begun, kept, gradients)
        self.begun = torch.ones_like(self.begun)
        lengths = self.average.norm(dim=1)
        return (lengths.max() / (lengths + 1e-8)) @ self.average


def _like(parameters: tuple[nn.Parameter, ...], flat: Tensor) -> list[Tensor]:
    pieces = flat.split([p.numel() for p in parameters])
    return [piece.view_as(p) for piece, p in zip(pieces, parameters, strict=True)]


def _add(parameters: tuple[nn.Parameter, ...], gradients: list[Tensor]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        before = parameter.grad
        parameter.grad = gradient.clone() if before is None else before + gradient
