"""The measured ladder: which engines are here, which say the same, and how fast each is.

``examine`` runs in a process of its own (``trocar engines``): it exports the network, holds every
engine against PyTorch in full precision, and measures those that pass, interleaved. What it found
is kept for this machine, model and size.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.core.errors import EnvironmentProblem
from app.core.resources import resources_dir
from app.inference import device as devices
from app.inference.device import DeviceChoice, processor_name
from app.inference.engines.eager import Eager, Engine, TorchEngine
from app.inference.engines.export import (
    INT8_FILE,
    MODEL_FILE,
    cache_folder,
    exported,
    folder_of,
    quantised,
    remove_stale,
)
from app.inference.engines.guard import Difference, compare
from app.inference.engines.kinds import EAGER, KINDS, Kind, kind_of, why_absent
from app.inference.postprocess import rules_of
from app.inference.preprocess import letterbox
from models import ModelCard

log = logging.getLogger(__name__)

_ROUNDS = 5
_WORTH_SHARE = 0.9
_COMPARED, _CALIBRATED = slice(0, None, 10), slice(5, None, 8)
_PACKAGES = ("torch", "openvino", "onnxruntime", "onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One engine on the ladder.

    Attributes:
        engine: its key.
        passed: it says the same as PyTorch in full precision.
        words: the guard's verdict, or why the engine is not here, as a sentence.
        ms: the shortest of five forward passes, None where it was not measured.
        precision: what it computes in.
    """

    engine: str
    passed: bool
    words: str
    ms: float | None = None
    precision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """What was measured for one model, size and machine.

    Attributes:
        model: the card's name.
        width_px, height_px: of the network's input.
        device: in words.
        threads: of the processor.
        rungs: one for each engine that was looked at, in the order of ``KINDS``.
    """

    model: str
    width_px: int
    height_px: int
    device: str
    threads: int
    rungs: tuple[Rung, ...]

    def rung(self, key: str) -> Rung | None:
        """An engine's rung, None where it was not looked at."""
        return next((r for r in self.rungs if r.engine == key), None)

    def usable(self) -> list[str]:
        """Engines that pass and are worth it beside PyTorch, the fastest first."""
        times = {r.engine: r.ms for r in self.rungs if r.passed and r.ms is not None}
        limit = _WORTH_SHARE * times.get(EAGER, np.inf)
        return (
            [EAGER]
            if not times
            else [
                *sorted(
                    (k for k in times if k != EAGER and times[k] < limit), key=lambda k: times[k]
                ),
                EAGER,
            ]
        )


def load(
    key: str,
    eager: Eager,
    choice: DeviceChoice,
    size_px: tuple[int, int],
    threads: int,
    calibration: Callable[[], Sequence[NDArray[np.uint8]]] | None = None,
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
    pictures = [*mine, *stills(size_px, _COMPARED)]
    eager = Eager(card)
    engines: dict[str, Engine] = {}
    rungs: dict[str, Rung] = {}
    with devices.threads(threads):
        for kind in KINDS:
            if only not in (None, kind.key) and kind.key != EAGER:
                continue
            told(kind.title)
            try:
                engine = load(
                    kind.key, eager, choice, size_px, threads,
                    lambda: [*mine, *stills(size_px, _CALIBRATED)],
                )  # fmt: skip
                difference = _difference(engine, eager, choice, pictures)
            except EnvironmentProblem as error:
                rungs[kind.key] = Rung(engine=kind.key, passed=False, words=error.user_message)
                continue
            except (RuntimeError, ValueError) as error:
                log.info("%s failed: %s", kind.title, error)
                rungs[kind.key] = Rung(
                    engine=kind.key, passed=False, words=f"{kind.title} failed on this network."
                )
                continue
            rungs[kind.key] = _rung(kind, engine, difference)
            engines[kind.key] = engine
        told("Measuring")
        times = _times(engines, pictures[0])
    found = Ladder(
        model=card.name,
        width_px=size_px[0],
        height_px=size_px[1],
        device=choice.name,
        threads=threads,
        rungs=tuple(Rung(**{**asdict(r), "ms": times.get(r.engine)}) for r in rungs.values()),
    )
    if only is not None and (before := read(card, choice, size_px, threads)) is not None:
        found = _merged(before, found)
    write(card, choice, found)
    return found


def read(
    card: ModelCard, choice: DeviceChoice, size_px: tuple[int, int], threads: int
) -> Ladder | None:
    """What was kept; None where nothing was, or of another machine or other versions."""
    path = _file(card, choice, size_px, threads)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("machine") != _machine(choice):
            return None
        return Ladder(**{**data, "rungs": tuple(Rung(**r) for r in data["rungs"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.info("a ladder of engines cannot be read: %s", type(error).__name__)
        return None


def kept_ladders(cards: Iterable[ModelCard], choice: DeviceChoice) -> list[Ladder]:
    """Everything that was measured here for some models, at any size and number of threads."""
    found = []
    for card in cards:
        start = card.weights_sha256[:20] or "-"
        for path in sorted(cache_folder().glob(f"{start}-*/ladder-*.json")):
            width, _, height = path.parent.name.split("-")[1].partition("x")
            threads = int(path.stem.rpartition("-")[2])
            ladder = read(card, choice, (int(width), int(height)), threads)
            if ladder is not None and ladder not in found:
                found.append(ladder)
    return found


def write(card: ModelCard, choice: DeviceChoice, ladder: Ladder) -> None:
    """Keep a ladder for this machine."""
    path = _file(card, choice, (ladder.width_px, ladder.height_px), ladder.threads)
    part = path.with_suffix(".part")
    text = json.dumps({"machine": _machine(choice), **asdict(ladder)}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        log.info("a ladder of engines was not kept: %s", error.strerror)


def _file_for(
    kind: Kind,
    card: ModelCard,
    size_px: tuple[int, int],
    calibration: Callable[[], Sequence[NDArray[np.uint8]]] | None,
) -> Path:
    if calibration is None:
        path = folder_of(card, *size_px) / (INT8_FILE if kind.int8 else MODEL_FILE)
        if not path.is_file():
            raise EnvironmentProblem(f"{kind.title}'s file of this network is gone.")
        return path
    path = exported(card, *size_px)
    return quantised(path, calibration()) if kind.int8 else path


def _difference(
    engine: Engine, eager: Eager, choice: DeviceChoice, pictures: Sequence[NDArray[np.uint8]]
) -> Difference:
    height, width = pictures[0].shape[:2]
    fit, rules = letterbox(width, height, (width, height)), rules_of(eager.card)
    found = Difference()
    for picture in pictures:
        reference = eager.forward(picture, choice)
        found |= compare(reference, engine.forward(picture), fit, rules, eager.card)
        if found.faults():
            break
    return found


def _rung(kind: Kind, engine: Engine, difference: Difference) -> Rung:
    if kind.key == EAGER:
        words = "The reference."
        return Rung(engine=kind.key, passed=True, words=words, precision=engine.precision)
    return Rung(
        engine=kind.key,
        passed=difference.passes,
        words=difference.words,
        precision=engine.precision,
    )


def _times(engines: dict[str, Engine], picture: NDArray[np.uint8]) -> dict[str, float]:
    """The shortest forward pass of each in milliseconds, one after the other in every round."""
    best: dict[str, float] = {}
    for number in range(_ROUNDS + 1):
        for key, engine in engines.items():
            start = time.perf_counter()
            engine.forward(picture)
            taken = 1000 * (time.perf_counter() - start)
            if number:  # the first one allocates
                best[key] = min(taken, best.get(key, taken))
    return best


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


def _merged(before: Ladder, now: Ladder) -> Ladder:
    fresh = {r.engine: r for r in now.rungs if r.engine != EAGER}
    kept = {r.engine: r for r in before.rungs} | fresh
    rungs = tuple(kept[k.key] for k in KINDS if k.key in kept)
    return Ladder(**{**asdict(now), "rungs": rungs})


def _file(card: ModelCard, choice: DeviceChoice, size_px: tuple[int, int], threads: int) -> Path:
    device = choice.device.replace(":", "")
    return folder_of(card, *size_px) / f"ladder-{device}-{threads}.json"


def _machine(choice: DeviceChoice) -> dict[str, str]:
    """What the measured times depend on."""
    found = {"processor": processor_name(), "card": "" if choice.is_cpu else choice.name}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found
