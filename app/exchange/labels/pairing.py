"""Truth and prediction of the same operations, side by side at a rate, classes by name.

Any thread. The label of moment k is the one that holds at k / rate seconds: of a file at 25 frames
a second, read at one a second, the label of frame 25 k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.labels import LabelledCase
from app.core.taxonomy import find_taxonomy

NOTHING = "(no phase)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Labels to compare.

    Attributes:
        names: of the operations.
        classes: phase keys in the procedure's order; ``NOTHING`` last, where a prediction has gaps.
        truth: per operation int64 (T,), index in ``classes``, -1 where the truth has no phase.
        predicted: per operation int64 (T,), index in ``classes``.
        notes: what was done to make them fit, in sentences.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    truth: tuple[NDArray[np.int64], ...]
    predicted: tuple[NDArray[np.int64], ...]
    notes: tuple[str, ...] = ()


def pair_phases(
    truth: Sequence[LabelledCase], predicted: Sequence[LabelledCase], rate: Fraction
) -> Pairs:
    """Pair operations by name and their labels by time.

    Raises:
        BadInput: an operation has no prediction or no phases, or the lengths differ by more than
            the one label by which published predictions often end earlier.
    """
    pairs = matched(truth, predicted)
    keys, notes, rows = class_keys([c for pair in pairs for c in pair]), [], []
    for true, said in pairs:
        sides = [_moments(case, rate) for case in (true, said)]
        lengths = [len(side) for side in sides]
        if abs(lengths[0] - lengths[1]) > 1:
            raise BadInput(
                f"{_file(said)} has {lengths[1]} labels at {rate} per second and {_file(true)} "
                f"{lengths[0]}; both must cover the same time at the rates of their layouts."
            )
        if lengths[0] != lengths[1]:
            notes.append(f"{true.name}: the last label has no counterpart and was left out.")
        rows.append([side[: min(lengths)] for side in sides])
    if any(key is None for _, said in rows for key in said):
        keys = (*keys, NOTHING)
    index = {key: i for i, key in enumerate(keys)}
    return Pairs(
        names=tuple(true.name for true, _ in pairs),
        classes=keys,
        truth=tuple(_numbers(t, index, -1) for t, _ in rows),
        predicted=tuple(_numbers(p, index, index.get(NOTHING, -1)) for _, p in rows),
        notes=tuple(notes),
    )


def matched(
    truth: Sequence[LabelledCase], predicted: Sequence[LabelledCase]
) -> list[tuple[LabelledCase, LabelledCase]]:
    """Cases by name, in the order of the truth; a single one on both sides matches in any case.

    Raises:
        BadInput: an operation of either side is missing on the other.
    """
    if len(truth) == len(predicted) == 1:
        return [(truth[0], predicted[0])]
    known = {case.name: case for case in predicted}
    for one, other, what in (
        ({c.name for c in truth}, set(known), "prediction"),
        (set(known), {c.name for c in truth}, "truth"),
    ):
        missing = sorted(one - other)
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise BadInput(f"There is no {what} for {', '.join(missing[:3])}{more}.")
    return [(case, known[case.name]) for case in truth]


def class_keys(cases: Sequence[LabelledCase]) -> tuple[str, ...]:
    """Phase keys: those of the procedure in its order, then others that occur, sorted."""
    procedures = {case.procedure for case in cases}
    known = [p.key for name in sorted(procedures) for p in find_taxonomy(name).phases]
    found = {s.phase for case in cases if case.phases for s in case.phases.segments}
    return (*known, *sorted(found - set(known)))


def moments(case: LabelledCase, rate: Fraction) -> int:
    """How many labels a case has at a rate."""
    return ceil(case.length * case.time_base * rate)


def _moments(case: LabelledCase, rate: Fraction) -> list[str | None]:
    if case.phases is None:
        raise BadInput(f"{_file(case)} names no phases.")
    step = 1 / (rate * case.time_base)
    return [case.phases.phase_at(int(k * step)) for k in range(moments(case, rate))]


def _numbers(keys: Sequence[str | None], index: dict[str, int], nothing: int) -> NDArray[np.int64]:
    return np.array([nothing if k is None else index[k] for k in keys], np.int64)


def _file(case: LabelledCase) -> str:
    return case.files[0].name if case.files else case.name
