"""Which files are DICOM recordings, before any of them was looked at. Any thread but the GUI's.

Headers are read in the child process of the first look, under its limits: a folder may hold
anything. What ends the child is taken for a recording, so that its own first look tells why.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from app.core.errors import BadInput, TrocarError
from app.video.dicom.folder import is_recording, named_in
from app.video.first_look import TIME_LIMIT_S, ask_child

_FILES_AT_ONCE = 200
_MEDIUM, _FILES = "medium", "files"

Cancelled = Callable[[], bool]


def recordings_among(paths: Sequence[Path], cancelled: Cancelled = lambda: False) -> set[Path]:
    """Those of ``paths`` that hold more than one picture, or cannot be read.

    Args:
        paths: DICOM files, by their mark.
        cancelled: asked all the time.

    Raises:
        EnvironmentProblem: no child process can be started.
        OpenCancelled: ``cancelled()`` answered true.
    """
    found: set[Path] = set()
    todo = list(paths)
    while todo:
        some = todo[:_FILES_AT_ONCE]
        answers = _answers(_FILES, some, cancelled)
        if not answers:
            answers = [True]  # the first of them ended the child
        found.update(p for p, answer in zip(some, answers, strict=False) if answer is not False)
        todo = todo[len(answers) :]
    return found


def recordings_of(dicomdir: Path, cancelled: Cancelled = lambda: False) -> tuple[Path, ...]:
    """The recordings that a DICOMDIR names, in its order.

    Raises:
        BadInput: it cannot be read, or names no recording that is there.
        EnvironmentProblem, OpenCancelled: as ``recordings_among``.
    """
    answers = _answers(_MEDIUM, [dicomdir], cancelled)
    if not answers:
        raise BadInput(f"The {dicomdir.name} cannot be read; open the folder instead.")
    if isinstance(answers[0], str):
        raise BadInput(answers[0])
    named = [dicomdir.parent / name for name in dict.fromkeys(answers[0])]
    recordings = recordings_among(named, cancelled)
    if not recordings:
        raise BadInput(
            f"The {dicomdir.name} names no recording that is there; copy the whole disc or folder."
        )
    return tuple(p for p in named if p in recordings)


def _answers(what: str, paths: Sequence[Path], cancelled: Cancelled) -> list[Any]:
    """The child's line for each file, as far as it came."""
    request = b"\0".join([b"", what.encode(), *(os.fsencode(p.absolute()) for p in paths)])
    _, stdout, _ = ask_child(request, cancelled, TIME_LIMIT_S)
    lines = stdout.decode(errors="replace").split("\n")
    # A line that is not ended was cut off.
    return [json.loads(line) for line in lines[:-1]]


def survey(request: bytes) -> Iterator[object]:
    """In the child: what is printed for each file of a request."""
    what, *names = request.split(b"\0")[1:]
    for path in (Path(os.fsdecode(name)) for name in names):
        try:
            if what == _MEDIUM.encode():
                folder = path.parent.resolve()
                yield [str(p.relative_to(folder)) for p in named_in(path)]
            else:
                yield is_recording(path)
        except TrocarError as error:
            yield error.user_message
