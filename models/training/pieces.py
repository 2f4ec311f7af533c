"""A batch learnt in pieces, where memory does not hold it as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor

from models.errors import OptionError


def pieces_of(inputs: Tensor, targets: Any, count: int) -> Iterator[tuple[Tensor, Any]]:
    """Splits a batch along its first axis.

    Args:
        inputs: (B, …).
        targets: a tensor (B, …), or a dataclass of such and of None.
        count: of pieces; the last ones may be smaller, or missing where there are fewer examples.
    """
    if count == 1:
        yield inputs, targets
        return
    size = -(-len(inputs) // count)
    for start in range(0, len(inputs), size):
        part = slice(start, start + size)
        yield inputs[part], _cut(targets, part)


def _cut(targets: Any, part: slice) -> Any:
    if is_dataclass(targets) and not isinstance(targets, type):
        values = {f.name: getattr(targets, f.name) for f in fields(targets)}
        return replace(targets, **{k: v[part] for k, v in values.items() if v is not None})
    return targets[part]


@contextmanager
def enough_for_norms() -> Iterator[None]:
    """Turns torch's error of a BatchNorm that sees a single value into a sentence.

    Raises:
        OptionError: the pass inside gave a norm one value per channel, which has no spread.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise OptionError(
            "A batch of one is too little for the norms of this network at this size; take "
            "batches of two or larger pictures, or set train.freeze_norms."
        ) from error
