"""Batches made in loader processes beside the training process, from any step on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from models.training.ranks import ranks

Start = Callable[[int], Iterator[tuple[torch.Tensor, Any]]]
"""What the training loop asks for: the batches from a step on."""


def share_of(batch: int) -> int:
    """Examples of a batch that this process learns from, where several share it."""
    return batch // ranks().count


def generator_of(seed: int, first: int) -> np.random.Generator:
    """What draws the examples from a step on, another one in each process that shares them."""
    mine = ranks()
    return np.random.default_rng((seed, first, mine.rank) if mine.rank else (seed, first))


class _Numbered(IterableDataset):  # type: ignore[misc]
    """Batches from ``first`` on, dealt to the loader processes in turn; of each this process's
    share, where several train together."""

    def __init__(
        self,
        make: Callable[[int], Any],
        join: Callable[[Sequence[Any]], tuple[torch.Tensor, Any]],
        batch: int,
        first: int,
    ) -> None:
        self.make, self.join, self.batch, self.first = make, join, batch, first

    def __iter__(self) -> Iterator[tuple[torch.Tensor, Any]]:
        worker = torch.utils.data.get_worker_info()
        start, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        step, mine = self.first + start, ranks()
        while True:
            numbers = range(step * self.batch, (step + 1) * self.batch)[mine.rank :: mine.count]
            yield self.join([self.make(n) for n in numbers])
            step += stride


def batches_from(
    make: Callable[[int], Any],
    join: Callable[[Sequence[Any]], tuple[torch.Tensor, Any]],
    batch: int,
    workers: int,
) -> Start:
    """Batches of examples that have numbers.

    Args:
        make: the example of a number; goes to the loader processes.
        join: examples -> inputs and targets.
        batch: examples in one.
        workers: loader processes; 0 for none.
    """
    return lambda first: loaded(_Numbered(make, join, batch, first), workers, ahead=6)


def loaded(dataset: IterableDataset[Any], workers: int = 1, *, ahead: int = 4) -> Iterator[Any]:
    """What a dataset of whole batches yields in loader processes, each ``ahead`` batches ahead."""
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=ahead if workers else None,
        worker_init_fn=_single_thread,
        # Seeds of the loader processes; torch's own generator stays as a resumed run finds it.
        generator=torch.Generator().manual_seed(ranks().rank),
        # A fork would copy torch's and OpenCV's locks as they happen to stand.
        multiprocessing_context="spawn" if workers else None,
    )
    return iter(loader)


def _single_thread(_worker: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
