"""A batch learnt in pieces, where memory does not hold it as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


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
