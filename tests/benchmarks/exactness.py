"""Which frame comes when one is asked for, on the torture set: ours beside OpenCV and decord.

``python -m tests.benchmarks.exactness`` prints the table. Each reader looks at each file in a
process of its own, since a peer may crash or hang.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.helpers.clips import number_of
from tests.helpers.torture import CASES, Case, NotHere

READERS = ("Trocar", "OpenCV", "decord")
_PATIENCE_S = 30
Rgb = NDArray[np.uint8]


def walks(case: Case) -> dict[str, list[int]]:
    """The indices that are asked for, in order, by the way of going."""
    last = len(case.numbers) - 1
    draw = random.Random(case.name)
    return {
        "forward": list(range(last + 1)),
        "backward": list(range(last, -1, -1)),
        "random": [draw.randint(0, last) for _ in range(15)],
        "last": [last],
    }


def wrong_frames(reader: str, path: Path, case: Case) -> dict[str, int]:
    """How many of the frames that came are others than those asked for, by the way of going."""
    found = {}
    for way, walk in walks(case).items():
        read = _OPENERS[reader](path, case)
        found[way] = sum(not _is_right(read, index, case) for index in walk)
    return found


def _is_right(read: Callable[[int], Rgb | None], index: int, case: Case) -> bool:
    picture = read(index)
    if picture is None:
        return False
    try:
        return number_of(np.rot90(picture, case.turn)) == case.numbers[index]
    except (ValueError, IndexError):
        return False


def _ours(path: Path, case: Case) -> Callable[[int], Rgb | None]:
    from app.video import open_video

    source = open_video(path, trusted=True, stream=case.stream)
    return lambda index: source.frame(index).rgb


def _opencv(path: Path, case: Case) -> Callable[[int], Rgb | None]:
    import cv2

    del case
    capture, at = cv2.VideoCapture(str(path)), [0]

    def read(index: int) -> Rgb | None:
        # The next frame is read on, as everybody does; any other is asked for by its number.
        if index != at[0]:
            capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        at[0] = index + 1
        good, picture = capture.read()
        return picture if good else None

    return read


def _decord(path: Path, case: Case) -> Callable[[int], Rgb | None]:
    import decord

    del case
    reader = decord.VideoReader(str(path), num_threads=1)

    def read(index: int) -> Rgb | None:
        try:
            return np.asarray(reader[index].asnumpy())
        except (IndexError, RuntimeError, decord.DECORDError):
            return None

    return read


_OPENERS: dict[str, Callable[[Path, Case], Callable[[int], Rgb | None]]] = {
    "Trocar": _ours,
    "OpenCV": _opencv,
    "decord": _decord,
}


def looked_at(reader: str, path: Path, case: Case) -> dict[str, int] | str:
    """What a process of its own counted, or what became of it."""
    if case.stream and reader != "Trocar":
        return "cannot choose a stream"
    command = [sys.executable, "-m", __spec__.name, reader, str(path)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode != 0:
        return "does not open" if done.returncode > 0 else "crashes"
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(folder: Path, told: Callable[[str], None] = print) -> dict[str, dict[str, Any]]:
    """Every file by every reader that is here."""
    rows: dict[str, dict[str, Any]] = {}
    readers = [r for r in READERS if r != "decord" or find_spec("decord")]
    told(f"{'file':30}" + "".join(f"{reader:>34}" for reader in readers))
    for name, case in CASES.items():
        path = folder / name
        try:
            case.make(path)
        except (NotHere, av.codec.codec.UnknownCodecError) as error:
            told(f"{name:30} not made: {error}")
            continue
        rows[name] = {reader: looked_at(reader, path, case) for reader in readers}
        told(f"{name:30}" + "".join(f"{_words(rows[name][r]):>34}" for r in readers))
        path.unlink()
    for reader in readers:
        clean = sum(_is_clean(row[reader]) for row in rows.values())
        told(f"{reader}: every frame right in {clean} of {len(rows)} files")
    return rows


def _is_clean(found: dict[str, int] | str) -> bool:
    return isinstance(found, dict) and not any(found.values())


def _words(found: dict[str, int] | str) -> str:
    if isinstance(found, str):
        return found
    if _is_clean(found):
        return "0 wrong"
    return " ".join(f"{way[:4]} {count}" for way, count in found.items())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        which, file = sys.argv[1], Path(sys.argv[2])
        sys.stdout.write(json.dumps(wrong_frames(which, file, CASES[file.name])) + "\n")
    else:
        with tempfile.TemporaryDirectory() as made:
            table(Path(made))
