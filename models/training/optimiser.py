"""The optimisers of the training loop, and their parameter groups."""

from __future__ import annotations

import torch
from torch import nn

from models.errors import OptionError
from models.training.config import TrainConfig


def optimiser_of(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Weights with decay, norms and other vectors without, biases apart for their warm-up.

    Raises:
        OptionError: rates are to fall by layer, and the network does not tell its layers apart.
    """
    layer_of = getattr(network, "layer_of", None)
    if config.layer_decay < 1 and layer_of is None:
        raise OptionError("This network does not tell its layers apart; leave layer_decay at 1.")
    named = [name for name, p in network.named_parameters() if p.requires_grad]
    last = max(map(layer_of, named)) if layer_of is not None and named else 0
    kinds: dict[tuple[str, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        plain = parameter.ndim < 2 or getattr(parameter, "_no_weight_decay", False)
        kind = "bias" if name.endswith("bias") else "vector" if plain else "weight"
        below = 0 if layer_of is None else last - layer_of(name)
        kinds.setdefault((kind, config.layer_decay**below), []).append(parameter)
    groups = [
        {
            "params": parameters,
            "kind": kind,
            "share": share,
            "weight_decay": config.weight_decay * (kind == "weight"),
        }
        for (kind, share), parameters in kinds.items()
    ]
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            groups, lr=config.learning_rate, momentum=config.momentum, nesterov=True
        )
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.momentum, 0.999))


def set_rates(
    optimiser: torch.optim.Optimizer, config: TrainConfig, step: int, progress: float
) -> None:
    """Sets rates, and momentum where it warms up.

    Args:
        optimiser: made by `optimiser_of`.
        config: of the run.
        step: batches done.
        progress: how far the schedule is, 0 to 1.
    """
    warm = min((step + 1) / max(config.warmup_steps, 1), 1.0)
    target = config.learning_rate * config.rate(progress)
    for group in optimiser.param_groups:
        start = config.warmup_bias_rate if group["kind"] == "bias" else None
        group["lr"] = group["share"] * (target * warm + (start or 0.0) * (1 - warm))
        if config.warmup_momentum is not None and "momentum" in group:
            low = config.warmup_momentum
            group["momentum"] = low + (config.momentum - low) * warm
