"""Engines looked at: loaded, held against PyTorch in full precision, and measured.

``examine`` runs in a process of its own (``trocar engines``): it exports the network, and an
engine that ends a process ends that one alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import EnvironmentProblem
from app.core.resources import resources_dir
from app.inference import device as devices
from app.inference.device import DeviceChoice
from app.inference.engines.eager import Eager, Engine, TorchEngine
from app.inference.engines.export import (
    INT8_FILE,
    MODEL_FILE,
    exported,
    folder_of,
    quantised,
    remove_stale,
)
from app.inference.engines.guard import Difference, compare
from app.inference.engines.kinds import EAGER, KINDS, Kind, kind_of, why_absent
from app.inference.engines.ladder import Ladder, Rung, merged, read, write
from app.inference.outputs import Output
from app.inference.postprocess import rules_of
from app.inference.preprocess import letterbox
from models import ModelCard

log = logging.getLogger(__name__)

Pictures = Callable[[], Sequence[NDArray[np.uint8]]]

_ROUNDS = 5
_COMPARED, _CALIBRATED = slice(0, None, 10), slice(5, None, 8)


def load(
    key: str,
    eager: Eager,
    choice: DeviceChoice,
    size_px: tuple[int, int],
    threads: int,
    calibration: Pictures | None = None,
) -> Engine:
    """An engine, ready for pictures of one size.

    Args:
        key: which.
        eager: the card's network in PyTorch.
        choice: the device.
        size_px: width and height of every picture.
        threads: of the processor.
        calibration: gives pictures for int8; None where the files must be there already, since
            exporting is a child process's work.

    Raises:
        EnvironmentProblem: it cannot be here, in words.
    """
    kind = kind_of(key)
    if why := why_absent(kind, choice.device):
        raise EnvironmentProblem(why)
    if key in (EAGER, "torch-half"):
        return TorchEngine(eager, choice, half=key != EAGER)
    if key == "cuda-graph":
        from app.inference.engines.graphs import GraphEngine

        return GraphEngine(eager.card, choice, *size_px)
    path = _file_for(kind, eager.card, size_px, calibration)
    if kind.packages[0] == "openvino":
        from app.inference.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(key, path, *size_px, threads)
    from app.inference.engines.onnx_engine import OnnxEngine

    return OnnxEngine(key, path, *size_px, threads)


def examine(
    card: ModelCard,
    choice: DeviceChoice,
    size_px: tuple[int, int],
    *,
    threads: int,
    own: NDArray[np.uint8] | None = None,
    only: str | None = None,
    told: Callable[[str], object] = lambda _: None,
) -> Ladder:
    """Look at every engine for a model, and keep what was found.

    Args:
        card: of a segmentation model with weights.
        choice: the device.
        size_px: width and height of the network's input.
        threads: of the processor.
        own: a frame of the user's, uint8 of that size, to compare by beside the stills.
        only: one engine beside PyTorch; None for all.
        told: called with each engine's title.

    Raises:
        BadInput: the model's weights are missing or damaged.
    """
    remove_stale(folder_of(card, *size_px))
    mine = [] if own is None else [own]
    bench = _Bench(card, choice, size_px, threads, mine)
    with devices.threads(threads):
        rungs = []
        for kind in KINDS:
            if only in (None, kind.key) or kind.key == EAGER:
                told(kind.title)
                rungs.append(bench.look_at(kind))
        told("Measuring")
        times = bench.times()
    found = Ladder(
        model=card.name,
        width_px=size_px[0],
        height_px=size_px[1],
        device=choice.name,
        threads=threads,
        rungs=tuple(replace(r, ms=times.get(r.engine)) for r in rungs),
    )
    if only is not None and (before := read(card, choice, size_px, threads)) is not None:
        found = merged(before, found)
    write(card, choice, found)
    return found


class _Bench:
    """The engines of one model that could be loaded, and what PyTorch says to some pictures."""

    def __init__(
        self,
        card: ModelCard,
        choice: DeviceChoice,
        size_px: tuple[int, int],
        threads: int,
        own: list[NDArray[np.uint8]],
    ) -> None:
        self._eager, self._choice = Eager(card), choice
        self._size_px, self._threads, self._own = size_px, threads, own
        self._pictures = [*own, *stills(size_px, _COMPARED)]
        self._references: list[Output] = []
        self._engines: dict[str, Engine] = {}

    def look_at(self, kind: Kind) -> Rung:
        """Load an engine and ask the guard."""
        try:
            engine = load(
                kind.key, self._eager, self._choice, self._size_px, self._threads, self._calibration
            )
            if kind.key == EAGER:
                self._references = [self._eager.forward(p, self._choice) for p in self._pictures]
                passed: bool | None = True
                words = "The reference."
            else:
                difference = self._difference(engine)
                known = difference.telling or difference.faults()
                passed, words = difference.passes if known else None, difference.words
        except EnvironmentProblem as error:
            return Rung(engine=kind.key, passed=False, words=error.user_message)
        except (RuntimeError, ValueError) as error:
            log.info("%s failed: %s", kind.title, error)
            words = f"{kind.title} failed on this network."
            return Rung(engine=kind.key, passed=False, words=words)
        self._engines[kind.key] = engine
        return Rung(engine=kind.key, passed=passed, words=words, precision=engine.precision)

    def times(self) -> dict[str, float]:
        """The shortest forward pass of each in milliseconds, one after the other in each round."""
        best: dict[str, float] = {}
        for number in range(_ROUNDS + 1):
            for key, engine in self._engines.items():
                start = time.perf_counter()
                engine.forward(self._pictures[0])
                taken = 1000 * (time.perf_counter() - start)
                if number:  # the first one allocates
                    best[key] = min(taken, best.get(key, taken))
        return best

    def _difference(self, engine: Engine) -> Difference:
        card, found = self._eager.card, Difference()
        fit, rules = letterbox(*self._size_px, self._size_px), rules_of(card)
        for picture, reference in zip(self._pictures, self._references, strict=True):
            found |= compare(reference, engine.forward(picture), fit, rules, card)
            if found.faults():
                break
        return found

    def _calibration(self) -> list[NDArray[np.uint8]]:
        return [*self._own, *stills(self._size_px, _CALIBRATED)]


def stills(size_px: tuple[int, int], which: slice) -> list[NDArray[np.uint8]]:
    """Frames of real operations that ship with Trocar, cut and resized to a size."""
    pictures = []
    for path in sorted((resources_dir() / "phantom" / "stills").glob("*.jpg"))[which]:
        picture = cv2.imread(str(path))
        if picture is None:
            continue
        height, width = picture.shape[:2]
        scale = min(width / size_px[0], height / size_px[1])
        w, h = round(size_px[0] * scale), round(size_px[1] * scale)
        left, top = (width - w) // 2, (height - h) // 2
        cut = cv2.resize(picture[top : top + h, left : left + w], size_px)
        pictures.append(np.ascontiguousarray(cut[..., ::-1]))
    return pictures


def _file_for(
    kind: Kind,
    card: ModelCard,
    size_px: tuple[int, int],
    calibration: Pictures | None,
) -> Path:
    if calibration is None:
        path = folder_of(card, *size_px) / (INT8_FILE if kind.int8 else MODEL_FILE)
        if not path.is_file():
            raise EnvironmentProblem(f"{kind.title}'s file of this network is gone.")
        return path
    path = exported(card, *size_px)
    return quantised(path, calibration()) if kind.int8 else path
