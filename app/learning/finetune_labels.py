"""The labels that a fine-tune by cases began with, kept beside its run until the run's folder goes.

What is corrected while a run waits or learns teaches the next one: a run that mixed both would be
measured on other phases than it learnt. Pictures stay in their recordings. Runs in a training
process.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from app.core.errors import BadInput
from app.learning.filmed import Filmed
from app.learning.recorded import Recorded
from app.store.files import read_json, write_file, write_json

Operation = TypeVar("Operation", Filmed, Recorded)
_INDEX = "labels.json"


def keep_labels(operations: Sequence[Operation], folder: Path) -> None:
    """Write down the labels of recordings, one file each, unless the run has written some."""
    if (folder / _INDEX).exists():
        return
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for one in operations:
        data = io.BytesIO()
        tools = {"tools": one.tools} if isinstance(one, Filmed) else {}
        np.savez_compressed(data, labels=one.labels, **tools)
        write_file(_file(folder, one.name), data.getvalue())
    write_json(folder / _INDEX, {"recordings": [one.name for one in operations]})


def with_kept_labels(operations: Sequence[Operation], folder: Path) -> list[Operation]:
    """The recordings with the labels that a run began with, and no others; as they are where
    nothing was kept yet.

    Raises:
        BadInput: one of them is no longer there, or not as it was.
    """
    index = read_json(folder / _INDEX)
    if index is None:
        return list(operations)
    now = {one.name: one for one in operations}
    found = []
    for name in index["recordings"]:
        if name not in now:
            raise _gone(name)
        with np.load(_file(folder, name), allow_pickle=False) as kept:
            if len(kept["labels"]) != len(now[name].labels):
                raise _gone(name)
            found.append(replace(now[name], **kept))
    return found


def _file(folder: Path, name: str) -> Path:
    return folder / "labels" / f"{name}.npz"


def _gone(name: str) -> BadInput:
    case = name.split("-")[1]
    return BadInput(
        f"Case {case}, which this run learns from, has lost its phases, its features or its "
        "recording; choose another name for a new run."
    )
