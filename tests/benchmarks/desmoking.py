"""What a desmoking model is worth as the window uses it.

``python -m tests.benchmarks.desmoking MODEL --stills FOLDER [--pictures OUT]`` prints PSNR and SSIM
of smoky pictures and of cleared ones against the clear ones, and what clearing does to pictures
without smoke, on phantom pictures and on stills of the held-out operations 00001 and 00010, with
smoke drawn over them; then what it costs. MODEL is a model's folder.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import models
from app.inference.desmoke import Desmoker
from app.inference.device import choose_device
from app.inference.veil import Picture
from app.learning.smoke import HELD_OUT_FROM, SmokePair, SmokePairs
from models import ModelCard
from models.metrics.pictures import psnr, ssim

HELD_OUT = ("00001-*.jpg", "00010-*.jpg")
SIZE = (640, 360)
AMOUNTS = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65)
DARK = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Still:
    rgb: Picture


class Stills:
    """Pictures of a folder by number, in the place of the phantom's."""

    def __init__(self, folder: Path) -> None:
        paths = [p for pattern in HELD_OUT for p in sorted(folder.glob(pattern))]
        read = (cv2.imread(str(p))[..., ::-1] for p in paths)
        # The dark and the empty ones say nothing.
        self.pictures = [
            cv2.resize(np.ascontiguousarray(p), SIZE, interpolation=cv2.INTER_AREA)
            for p in read
            if p.mean() > DARK and p.std() > DARK
        ]

    def sample(self, number: int) -> _Still:
        """The picture of this number."""
        return _Still(rgb=self.pictures[number % len(self.pictures)])


def stills_pairs(folder: Path) -> Iterator[SmokePair]:
    """Every still of the held-out operations, with smoke drawn over it."""
    pairs = SmokePairs(7, SIZE)
    pairs.stills = stills = Stills(folder)  # type: ignore[assignment]
    for number in range(len(stills.pictures)):
        yield pairs.pair(number, amount=AMOUNTS[number % len(AMOUNTS)])


def phantom_pairs(count: int) -> Iterator[SmokePair]:
    """Phantom pictures of a seed that no training uses, at a size that none sees."""
    pairs = SmokePairs(7, SIZE)
    for number in range(count):
        yield pairs.pair(HELD_OUT_FROM + number, amount=AMOUNTS[number % len(AMOUNTS)])


def measured(
    pairs: Iterator[SmokePair], ways: dict[str, Callable[[Picture], Picture]]
) -> tuple[dict[str, float], list[Picture]]:
    """Means over the pairs, and some of the pictures side by side."""
    figures, rows = defaultdict(list), []
    for pair in pairs:
        figures["smoky psnr"].append(psnr(pair.smoky, pair.clear))
        figures["smoky ssim"].append(ssim(pair.smoky, pair.clear))
        shown = [pair.smoky]
        for name, way in ways.items():
            cleared = way(pair.smoky)
            figures[f"{name} psnr"].append(psnr(cleared, pair.clear))
            figures[f"{name} ssim"].append(ssim(cleared, pair.clear))
            figures[f"{name} worse"].append(figures[f"{name} psnr"][-1] < figures["smoky psnr"][-1])
            figures[f"{name} of clear psnr"].append(min(99.0, psnr(way(pair.clear), pair.clear)))
            shown.append(cleared)
        rows.append(np.hstack([cv2.resize(p, (320, 180)) for p in [*shown, pair.clear]]))
    return {name: float(np.mean(values)) for name, values in figures.items()}, rows


def costs(desmoker: Desmoker) -> None:
    """Milliseconds at 1920 x 1080."""
    rgb = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    veil = desmoker.veil(rgb)
    for name, work, times in (
        ("find a veil", lambda: desmoker.veil(rgb), 5),
        ("lift it", lambda: veil.lift(rgb), 30),
        ("does it fit", lambda: veil.fits(rgb), 30),
    ):
        began, cpu = time.perf_counter(), time.thread_time()
        for _ in range(times):
            work()
        wall_ms, cpu_ms = (
            1000 * t / times for t in (time.perf_counter() - began, time.thread_time() - cpu)
        )
        print(f"1920 x 1080, {name}: {wall_ms:.1f} ms, {cpu_ms:.1f} ms of this thread")  # noqa: T201


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--stills", type=Path, required=True)
    parser.add_argument("--phantom", type=int, default=24)
    parser.add_argument("--pictures", type=Path)
    asked = parser.parse_args()
    card: ModelCard = models.find_card(asked.model)
    desmoker = Desmoker(card, choose_device("cpu"), threads=1)
    ways: dict[str, Callable[[Picture], Picture]] = {
        "veil": lambda rgb: desmoker.veil(rgb).lift(rgb)
    }
    for name, pairs in (
        ("phantom", phantom_pairs(asked.phantom)),
        ("stills", stills_pairs(asked.stills)),
    ):
        figures, rows = measured(pairs, ways)
        print(name, len(rows), "pictures:", {k: round(v, 3) for k, v in figures.items()})  # noqa: T201
        if asked.pictures:
            cv2.imwrite(str(asked.pictures / f"{name}.png"), np.vstack(rows[:12])[..., ::-1])
    costs(desmoker)


if __name__ == "__main__":
    main()
