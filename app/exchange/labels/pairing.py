"""Truth and prediction of the same operations, side by side at a rate, classes by name.

Any thread. The label of moment k is the one that holds at k / rate seconds: of a file at 25 frames
a second, read at one a second, the label of frame 25 k.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.errors import BadInput
from app.core.labels import LabelledCase
from app.core.taxonomy import UNKNOWN_PROCEDURE, find_taxonomy
from app.exchange.labels.reading import Labels, labels_in, layout_of

NOTHING = "(no phase)"
Said = TypeVar("Said")


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


def read_side(path: Path, *, layout: str, side: str) -> Labels:
    """The labels of one side; files of both are called alike, so a sentence says of which.

    Args:
        path: a file or folder.
        layout: see ``labels_in``.
        side: ``Truth`` or ``Prediction``.

    Raises:
        BadInput: as ``labels_in``.
    """
    try:
        return labels_in([path], layout=layout)
    except BadInput as error:
        raise BadInput(f"{side}: {error.user_message}", error.detail) from error


def pair_phases(
    truth: Sequence[LabelledCase], predicted: Sequence[LabelledCase], rate: Fraction
) -> Pairs:
    """Pair operations by name and their labels by time.

    Raises:
        BadInput: an operation has no prediction or no phases, at no moment of the truth is there
            one, or the lengths differ by more than the one label by which published predictions
            often end earlier.
    """
    pairs = matched(truth, predicted)
    keys, notes, rows = class_keys([c for pair in pairs for c in pair]), other_names(pairs), []
    for true, said in pairs:
        notes += _phases_met(true, said)
        sides = [phases_at(case, rate) for case in (true, said)]
        lengths = [len(side) for side in sides]
        if abs(lengths[0] - lengths[1]) > 1:
            raise BadInput(
                f"The prediction {_file(said)} has {lengths[1]} labels at {rate} per second and "
                f"the truth {lengths[0]}; both must cover the same time at the rates of their "
                "layouts."
            )
        if lengths[0] != lengths[1]:
            notes.append(f"{true.name}: the last label has no counterpart and was left out.")
        rows.append([side[: min(lengths)] for side in sides])
        if all(key is None for key in rows[-1][0]):
            raise BadInput(f"{_file(true)} has no phase at any moment that is compared.")
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
        BadInput: an operation of either side is missing on the other, or two are of different
            procedures.
    """
    known = by_name({c.name: c for c in truth}, {c.name: c for c in predicted})
    pairs = [(case, known[case.name]) for case in truth]
    for true, said in pairs:
        if len({true.procedure, said.procedure} - {UNKNOWN_PROCEDURE}) == 2:
            raise BadInput(
                f"The prediction {_file(said)} is of a {_words_of(said)}, and the truth "
                f"{_file(true)} of a {_words_of(true)}; score files of one kind of operation."
            )
    return pairs


def by_name(truth: Mapping[str, object], predicted: Mapping[str, Said]) -> dict[str, Said]:
    """What was predicted, by the truth's names; a single one on both sides matches in any case.

    Raises:
        BadInput: a name of either side is missing on the other.
    """
    if len(truth) == len(predicted) == 1:
        return dict(zip(truth, predicted.values(), strict=True))
    for one, other, what in ((truth, predicted, "prediction"), (predicted, truth, "truth")):
        missing = sorted(set(one) - set(other))
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise BadInput(f"There is no {what} for {', '.join(missing[:3])}{more}.")
    return {name: predicted[name] for name in truth}


def other_names(pairs: Iterable[tuple[LabelledCase, LabelledCase]]) -> list[str]:
    """What is to be said of operations that were scored against one of another name."""
    return [note for a, b in pairs for note in other_name(a.name, b.name)]


def other_name(true: str, said: str) -> list[str]:
    """The same of two names."""
    if true == said:
        return []
    return [f"{true} was scored against {said}, the only prediction; is it of the same operation?"]


def _phases_met(true: LabelledCase, said: LabelledCase) -> list[str]:
    """Phases that occur on both sides; none of two layouts is refused, of one it is noted."""
    sides = [{s.phase for s in c.phases.segments} if c.phases else set() for c in (true, said)]
    if not all(sides) or sides[0] & sides[1]:
        return []
    what = f"no phase of the prediction {_file(said)} occurs in its truth"
    if true.layout != said.layout:
        raise BadInput(f"{what[0].upper()}{what[1:]}; they are of other layouts and name others.")
    return [f"{true.name}: {what}."]


def _words_of(case: LabelledCase) -> str:
    return f"{case.procedure.replace('_', ' ')} ({layout_of(case.layout).TITLE})"


def class_keys(cases: Sequence[LabelledCase]) -> tuple[str, ...]:
    """Phase keys: those of the procedure in its order, then others that occur, sorted."""
    procedures = {case.procedure for case in cases}
    known = [p.key for name in sorted(procedures) for p in find_taxonomy(name).phases]
    found = {s.phase for case in cases if case.phases for s in case.phases.segments}
    return (*known, *sorted(found - set(known)))


def moments(case: LabelledCase, rate: Fraction) -> int:
    """How many labels a case has at a rate."""
    return ceil(case.length * case.time_base * rate)


def phases_at(case: LabelledCase, rate: Fraction) -> list[str | None]:
    """The phase that holds at every moment of a rate, None where there is none."""
    if case.phases is None:
        raise BadInput(f"{_file(case)} names no phases.")
    step = 1 / (rate * case.time_base)
    return [case.phases.phase_at(int(k * step)) for k in range(moments(case, rate))]


def _numbers(keys: Sequence[str | None], index: dict[str, int], nothing: int) -> NDArray[np.int64]:
    return np.array([nothing if k is None else index[k] for k in keys], np.int64)


def _file(case: LabelledCase) -> str:
    return case.files[0].name if case.files else case.name
