"""Settings of a training run, and the precision a device is good at."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

import torch

from models.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How to train. One step is one batch.

    Attributes:
        steps: batches in all.
        schedule_steps: batches the schedule is planned for, at least `steps`; None for `steps`.
            A run that ends earlier keeps a high rate, which fits made-up pictures less closely.
        max_seconds: also end after this long; the schedule then follows whichever of
            steps and time is further on, so the rate has fallen when time is up.
        optimiser: "adamw" or "sgd" (Nesterov).
        learning_rate: peak.
        final_ratio: last learning rate over the peak.
        schedule: "cosine" or "linear".
        warmup_steps: steps of linear warm-up from zero.
        warmup_bias_rate: learning rate from which biases come down during the warm-up
            (YOLOv8's recipe); None for the common warm-up.
        momentum: SGD momentum, or AdamW's first beta.
        warmup_momentum: where momentum starts during the warm-up (SGD only).
        layer_decay: rate of each layer over that of the next one towards the output; below 1 only
            for a network that says which layer a parameter is of (`layer_of`).
        weight_decay: on weights of two or more dimensions alone.
        accumulate: batches whose gradients add up to one update.
        clip_norm: largest norm of the gradient; 0 for no limit.
        clip_value: largest value of any part of the gradient, limited before its norm is; 0 for
            no limit.
        average_decay: decay of the averaged weights; 0 keeps no average.
        average_tau: updates over which the decay ramps up.
        precision: "fp32", "bf16", or "auto": bf16 where the machine computes it natively.
        freeze_norms: BatchNorm keeps its statistics (fine-tuning with tiny batches).
        patience: evaluations in a row that are no better before the run ends; 0 for no end.
        deterministic: the same operations in the same order wherever torch has such (slower); the
            same seed then gives the same weights on one machine.
        seed: of torch's generator.
        report_every: steps between progress reports.
        save_every: steps between checkpoints and evaluations.
    """

    steps: int
    schedule_steps: int | None = None
    max_seconds: float | None = None
    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    final_ratio: float = 0.01
    schedule: str = "cosine"
    warmup_steps: int = 100
    warmup_bias_rate: float | None = None
    momentum: float = 0.9
    warmup_momentum: float | None = None
    weight_decay: float = 5e-4
    layer_decay: float = 1.0
    accumulate: int = 1
    clip_norm: float = 10.0
    clip_value: float = 0.0
    average_decay: float = 0.9999
    average_tau: float = 2000.0
    precision: str = "auto"
    freeze_norms: bool = False
    patience: int = 0
    deterministic: bool = False
    seed: int = 0
    report_every: int = 10
    save_every: int = 500

    def __post_init__(self) -> None:
        if self.optimiser not in ("adamw", "sgd"):
            raise OptionError(f'optimiser is "{self.optimiser}", give "adamw" or "sgd".')
        if self.schedule not in ("cosine", "linear"):
            raise OptionError(f'schedule is "{self.schedule}", give "cosine" or "linear".')
        if self.precision not in ("auto", "fp32", "bf16"):
            raise OptionError(f'precision is "{self.precision}", give "auto", "fp32" or "bf16".')
        if min(self.steps, self.accumulate, self.report_every, self.save_every) < 1:
            raise OptionError("steps, accumulate, report_every and save_every must be at least 1.")
        if not 0 < self.layer_decay <= 1:
            raise OptionError(f"layer_decay must be above 0 and at most 1, not {self.layer_decay}.")
        if self.patience < 0:
            raise OptionError("patience must be at least 0.")
        if self.schedule_steps is not None and self.schedule_steps < self.steps:
            raise OptionError("schedule_steps must be at least steps.")
        if not 0 < self.learning_rate <= 1e30 or not 0 <= self.average_decay < 1:
            raise OptionError(
                "learning_rate must be above 0 (1e30 at most) and average_decay in [0, 1)."
            )

    def rate(self, progress: float) -> float:
        """Share of the peak learning rate at `progress` in [0, 1], warm-up left out."""
        left = (1 + cos(pi * progress)) / 2 if self.schedule == "cosine" else 1 - progress
        return self.final_ratio + (1 - self.final_ratio) * left


def native_bf16(device: torch.device) -> bool:
    """Whether this device computes bfloat16 natively.

    On a CPU core with AVX-512 bf16 a step of LMSF-A (192 x 320, batch 8) took 490 ms
    against 667 ms in float32; without the instructions bf16 is emulated and slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and probe is not None and bool(probe())
