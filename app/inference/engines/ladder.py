"""The measured ladder: which engines are here, which say the same, and how fast each is.

What ``examining`` found is kept for this machine, model, size and number of threads.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from app.inference.device import DeviceChoice, processor_name
from app.inference.engines.export import cache_folder, folder_of
from app.inference.engines.kinds import EAGER, KINDS
from models import ModelCard

log = logging.getLogger(__name__)

_WORTH_SHARE = 0.9
_PACKAGES = ("torch", "openvino", "onnxruntime", "onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One engine on the ladder.

    Attributes:
        engine: its key.
        passed: it says the same as PyTorch in full precision; None where no picture told.
        words: the guard's verdict, or why the engine is not here, as a sentence.
        ms: the shortest of five forward passes, None where it was not measured.
        precision: what it computes in.
    """

    engine: str
    passed: bool | None
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

    @property
    def is_whole(self) -> bool:
        """Whether every engine was looked at, and its verdict is known."""
        judged = {r.engine for r in self.rungs if r.passed is not None}
        return judged >= {k.key for k in KINDS}

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


def merged(before: Ladder, now: Ladder) -> Ladder:
    """What was found before, with what was found now in its place."""
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
