"""The checkpoint of a run: everything that the next process needs to go on. Training processes."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.checkpoint import read_tensors, write_tensors
from models.errors import CheckpointError
from models.training import ranks

if TYPE_CHECKING:
    from models.training.loop import Trainer


def write(trainer: Trainer, path: Path) -> None:
    """Writes a trainer's state, whole or not at all."""
    tensors = {f"network.{k}": v for k, v in trainer.network.state_dict().items()}
    beside = {
        "average": trainer.average,
        "best": trainer.best_network,
        "weighting": trainer.weighting,
    }
    for prefix, network in beside.items():
        if network is not None:
            tensors |= {f"{prefix}.{k}": v for k, v in network.state_dict().items()}
    for index, state in trainer.optimiser.state_dict()["state"].items():
        for key, value in state.items():
            if value is not None:
                tensors[f"optimiser.{index}.{key}"] = torch.as_tensor(value)
    tensors["random"] = torch.get_rng_state()
    # Gradients of a begun update are not kept: its batches are learnt again.
    ends = trainer.step >= trainer.config.steps
    begun = 0 if ends else trainer.step % trainer.config.accumulate
    about = {
        "step": trainer.step - begun,
        "updates": trainer.updates,
        "seconds": trainer.seconds,
        "best": trainer.best,
        "worse": trainer.worse,
        "pieces": trainer.pieces,
    }
    write_tensors(path, tensors, {"run": json.dumps(about)})


def read(trainer: Trainer, path: Path) -> None:
    """Sets a trainer's state to what was written.

    Raises:
        CheckpointError: it is damaged, or of another network or optimiser.
    """
    tensors, metadata = read_tensors(path)
    try:
        about = json.loads(metadata["run"])
        trainer.network.load_state_dict(_under(tensors, "network"))
        if trainer.average is not None:
            trainer.average.load_state_dict(_under(tensors, "average"))
        if trainer.weighting is not None:
            trainer.weighting.load_state_dict(_under(tensors, "weighting"))
        if best := _under(tensors, "best"):
            trainer.best_network = deepcopy(trainer.result_network)
            trainer.best_network.load_state_dict(best)
        whole = trainer.optimiser.state_dict()
        whole["state"] = {}
        for name, value in _under(tensors, "optimiser").items():
            index, key = name.split(".", 1)
            whole["state"].setdefault(int(index), {})[key] = value
        trainer.optimiser.load_state_dict(whole)
        trainer.step, trainer.updates = about["step"], about["updates"]
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} belongs to another run; start again in an empty folder."
        ) from error
    trainer.best = about["best"]
    # Runs of before these were kept go on as well.
    trainer.earlier_s = about.get("seconds", 0.0)
    trainer.worse, trainer.pieces = about.get("worse", 0), about.get("pieces", 1)
    if ranks.ranks().is_first:
        torch.set_rng_state(tensors["random"])


def step_of(path: Path) -> int:
    """Batches done at a checkpoint; 0 where there is none.

    Raises:
        CheckpointError: it is damaged.
    """
    if not path.exists():
        return 0
    try:
        with safe_open(path, "pt") as stream:
            return int(json.loads(stream.metadata()["run"])["step"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is damaged or belongs to another run; start again in an empty folder."
        ) from error


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    head = f"{prefix}."
    return {k.removeprefix(head): v for k, v in tensors.items() if k.startswith(head)}
