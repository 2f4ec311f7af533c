"""Several processes that train one network, as torch's own launcher starts them.

`torchrun --nproc-per-node N …` gives each process its rank; started plainly there is one. Each
learns its share of every batch. The gradients are averaged once per update, after they have added
up; DistributedDataParallel would do so in every backward pass, and does not see gradients that a
task weighting takes by `torch.autograd.grad`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn

# The others wait while the first one evaluates.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """This process among those of a run.

    Attributes:
        rank: 0 for the one that measures, reports and writes.
        count: of processes.
        local: number among those of this computer, which is that of its graphics card.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that measures, reports and writes."""
        return self.rank == 0


def ranks() -> Ranks:
    """As the launcher's environment says; the only one where there is none."""
    rank, count, local = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    return Ranks(rank=rank, count=count, local=local)


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Brings the processes of a run together while the block lasts."""
    mine = ranks()
    if mine.count == 1:
        yield mine
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield mine
    finally:
        distributed.destroy_process_group()


def are_joined() -> bool:
    """Whether this process trains together with others."""
    return distributed.is_available() and distributed.is_initialized()


def agreed(values: list[float], device: torch.device) -> list[float]:
    """What the first process says, in all of them."""
    if not are_joined():
        return values
    said = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.broadcast(said, 0)
    return [float(value) for value in said]


def any_of(yes: bool, device: torch.device) -> bool:
    """Whether it is so in any process."""
    if not are_joined():
        return yes
    said = torch.tensor(float(yes), device=device)
    distributed.all_reduce(said, distributed.ReduceOp.MAX)
    return bool(said)


def share_gradients(parameters: Iterable[nn.Parameter], *, added: bool) -> None:
    """Makes the gradients those of the whole batch in every process.

    Args:
        parameters: a gradient that one process lacks counts as zero.
        added: the loss grows with the batch, so that shares add up; else they are averaged.
    """
    if not are_joined():
        return
    learnt = [p for p in parameters if p.requires_grad]
    for parameter in learnt:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([p.grad.flatten() for p in learnt if p.grad is not None])
    distributed.all_reduce(flat)
    if not added:
        flat /= distributed.get_world_size()
    place = 0
    for parameter in learnt:
        assert parameter.grad is not None  # noqa: S101 - made above
        size = parameter.numel()
        parameter.grad.copy_(flat[place : place + size].view_as(parameter))
        place += size
