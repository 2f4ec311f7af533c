"""How good "more like this frame" is, measured: ``python -m tests.benchmarks.find_quality``.

Phantom operations that no training run reached: of ten moments found in other operations, how many
are of the frame's phase? Real clips, where a folder of them is named with ``--clips``: are the
frames found first those of the same operation? Beside it chance, and small pictures compared pixel
by pixel, which anybody could do without a network. It draws whole operations, hence takes minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.analysis.moments import MomentIndex, Wanted
from app.inference.cards import find_model
from app.inference.device import choose_device
from app.inference.phases import PhaseStream
from app.learning.phantom import PhantomVideo
from app.learning.phases import DRAWN_SIZE_PX
from app.store import Library
from app.video import open_video
from tests.helpers.seen_cases import seen_case

FIRST, QUERIES, MOST = 960_001, 1500, 10
_THUMBNAIL_PX = (16, 9)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """One recording, a row a second: what a network and what small pictures make of it.

    Attributes:
        name: recordings of one name are of one operation.
        features, thumbnails: float16 (T, C).
        phases: words (T,), empty for recordings without truth.
    """

    name: str
    features: NDArray[np.float16]
    thumbnails: NDArray[np.float16]
    phases: NDArray[np.str_]


def look(name: str, frames: Iterator[tuple[NDArray[np.uint8], str]]) -> Seen:
    """Run the demo's phase network over frames, one a second."""
    stream = PhaseStream(find_model("endomamba-demo", Path()), choose_device("cpu"))
    features, thumbnails, phases = [], [], []
    for rgb, phase in frames:
        stream.step(rgb)
        assert stream.features is not None
        features.append(stream.features)
        small = cv2.resize(rgb, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA)
        thumbnails.append(small.ravel().astype(np.float16) - 96)
        phases.append(phase)
    return Seen(
        name=name,
        features=np.stack(features),
        thumbnails=np.stack(thumbnails),
        phases=np.array(phases),
    )


def operations(count: int) -> Iterator[Seen]:
    """Phantom operations that no training run reaches."""
    for seed in range(FIRST, FIRST + count):
        video = PhantomVideo(seed, fps=1.0, size_px=DRAWN_SIZE_PX)
        yield look(str(seed), ((f.rgb, f.phase) for f in video))


def clips(folder: Path) -> Iterator[Seen]:
    """Real clips; what stands before the first underscore names the operation."""
    for path in sorted(folder.glob("*.mp4")):
        with open_video(path) as source:
            seconds = range(int(source.info.duration_ms // 1000))
            frames = ((source.frame_at(s).rgb, "") for s in seconds)
            yield look(path.stem, frames)


def _searched(
    seen: Sequence[Seen], *, thumbnails: bool, others: bool
) -> Iterator[tuple[tuple[int, int], list[tuple[int, int]]]]:
    """(recording, second) asked about, and those of the moments found, as the program searches."""
    rng = np.random.default_rng(0)
    places = [(i, t) for i, s in enumerate(seen) for t in range(len(s.phases))]
    asked = rng.choice(len(places), min(QUERIES, len(places)), replace=False)
    with (
        tempfile.TemporaryDirectory() as folder,
        Library.open(Path(folder) / "library", ballast_bytes=0) as library,
    ):
        ids = {}
        for i, s in enumerate(seen):
            case = seen_case(library, f"{i}", s.thumbnails if thumbnails else s.features)
            ids[case.case_id] = i
        index = MomentIndex(library)
        index.refresh()
        encoder = index.encoders()[0]
        for i, t in (places[a] for a in asked):
            vector = index.vector_at(encoder, f"{i}", 1000.0 * t)
            cases = frozenset(c for c, k in ids.items() if k != i) if others else frozenset()
            found = index.search(
                encoder,
                vector,
                Wanted(cases=cases),
                apart_from=(f"{i}", 1000.0 * t),
                limit=MOST,
            )
            yield (i, t), [(ids[m.case.case_id], round(m.time_ms / 1000)) for m in found]


def same_phase(seen: Sequence[Seen], *, thumbnails: bool) -> tuple[float, float, float]:
    """Precision at ten in other operations, its mean over phases, and chance."""
    hits: list[float] = []
    chance: list[float] = []
    by_phase: dict[str, list[float]] = {}
    for (i, t), found in _searched(seen, thumbnails=thumbnails, others=True):
        phase = seen[i].phases[t]
        hits.append(float(np.mean([seen[k].phases[s] == phase for k, s in found])))
        rest = np.concatenate([s.phases for k, s in enumerate(seen) if k != i])
        chance.append(float(np.mean(rest == phase)))
        by_phase.setdefault(str(phase), []).append(hits[-1])
    over_phases = float(np.mean([np.mean(v) for v in by_phase.values()]))
    return float(np.mean(hits)), over_phases, float(np.mean(chance))


def same_operation(seen: Sequence[Seen], *, thumbnails: bool) -> tuple[float, float]:
    """How often the first moment is of the frame's operation, and chance."""
    operation = [s.name.partition("_")[0] for s in seen]
    sizes = [len(s.phases) for s in seen]
    hits, chance = [], []
    for (i, _), found in _searched(seen, thumbnails=thumbnails, others=False):
        hits.append(operation[found[0][0]] == operation[i])
        own = sum(n for o, n in zip(operation, sizes, strict=True) if o == operation[i])
        chance.append(own / sum(sizes))
    return float(np.mean(hits)), float(np.mean(chance))


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--operations", type=int, default=8)
    asked.add_argument("--clips", type=Path)
    given = asked.parse_args()
    kinds = {"features of endomamba-demo": False, "small pictures": True}
    for name, folder in (("phantom", None), ("clips", given.clips)):
        if name == "clips" and folder is None:
            continue
        seen = [*(operations(given.operations) if folder is None else clips(folder))]
        sys.stdout.write(f"{name}: {len(seen)}, {sum(len(s.phases) for s in seen)} s\n")
        for words, thumbnails in kinds.items():
            if folder is None:
                hit, over, chance = same_phase(seen, thumbnails=thumbnails)
                said = f"same phase, first ten elsewhere {hit:.3f} (mean of phases {over:.3f})"
            else:
                hit, chance = same_operation(seen, thumbnails=thumbnails)
                said = f"first of the same operation {hit:.3f}"
            sys.stdout.write(f"  {words}: {said}, chance {chance:.3f}\n")


if __name__ == "__main__":
    main()
