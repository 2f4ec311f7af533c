"""What pre-training on recordings without labels is worth: a linear probe on other operations.

``python -m tests.benchmarks.pretraining_probe --labelled FOLDER --model DIR… [--random N]``
compares backbones that ``trocar pretrain`` made with the same network as it starts, by seed.
FOLDER is CholecT50's: ``VIDnn_vfr.mp4`` and ``labels/VIDnn.json``, by whole seconds. None of its
frames may have been pre-trained on.

The probe is logistic regression on the frozen mean of a frame's tokens, a frame at a time. It is
asked which instruments act (mean average precision) and which phase it is (balanced accuracy), on
the operation that it has not seen, each of them in turn; its decay is chosen by the operations that
it has seen, learning from one and measured on the other.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import models
from app.inference.preprocess import resized
from app.learning.pretraining import network_clips
from app.video import open_video
from models.endomamba import EndoMamba
from models.metrics.average_precision import average_precision

DECAYS = (1e-3, 1e-2, 1e-1)
INSTRUMENTS, PHASES = 6, 7
_LEAST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Labelled seconds of one operation.

    Attributes:
        frames: uint8 (N, S, S, 3).
        instruments: bool (N, 6).
        phases: int64 (N,).
    """

    frames: np.ndarray
    instruments: np.ndarray
    phases: np.ndarray


def read_operation(folder: Path, name: str, size_px: int) -> Operation:
    """One operation of CholecT50 with its labels."""
    labels = json.loads((folder / "labels" / f"{name}.json").read_text())["annotations"]
    seen, rows = [], []
    with open_video(folder / f"{name}_vfr.mp4") as source:
        for frame in source.frames():
            row = labels.get(str(round(frame.pts * source.info.time_base)))
            if row:
                seen.append(resized(frame.rgb, size_px, size_px))
                rows.append(row)
    frames = np.stack(seen)
    instruments = np.zeros((len(rows), INSTRUMENTS), bool)
    for place, row in enumerate(rows):
        instruments[place, [int(r[1]) for r in row if r[1] >= 0]] = True
    phases = np.array([int(row[0][-1]) for row in rows])
    return Operation(frames=frames, instruments=instruments, phases=phases)


@torch.inference_mode()
def features_of(network: EndoMamba, operation: Operation) -> Tensor:
    """float32 (N, width): what each frame is by itself."""
    network.state_reset, network.temporal_position = "none", "frozen"
    parts = [
        network.features(network_clips(list(part[:, None])))[:, 0]
        for part in np.array_split(operation.frames, max(1, len(operation.frames) // 16))
    ]
    return torch.cat(parts)


def fitted(x: Tensor, y: Tensor, decay: float) -> Tensor:
    """Weights (width + 1, K) of a logistic regression; y int64 (N,), or float (N, K) of bits."""
    bits = y.is_floating_point()
    outputs = y.shape[1] if bits else PHASES
    weights = torch.zeros(x.shape[1], outputs, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        said = x @ weights
        fit = (
            functional.binary_cross_entropy_with_logits(said, y)
            if bits
            else functional.cross_entropy(said, y)
        )
        total = fit + decay * weights[:-1].square().sum() / outputs
        total.backward()
        return total

    optimiser.step(loss)
    return weights.detach()


def presence_score(said: Tensor, truth: Tensor) -> float:
    """Mean average precision of the instruments that are there in at least five frames."""
    there = [k for k in range(INSTRUMENTS) if truth[:, k].sum() >= _LEAST]
    return float(
        np.mean([average_precision(truth[:, k].numpy() > 0, said[:, k].numpy()) for k in there])
    )


def phase_score(said: Tensor, truth: Tensor) -> float:
    """Mean over the phases of the share of their frames that are named right."""
    there = [k for k in range(PHASES) if (truth == k).sum() >= _LEAST]
    return float(np.mean([(said.argmax(1)[truth == k] == k).float().mean() for k in there]))


def probed(features: Sequence[Tensor], operations: Sequence[Operation]) -> tuple[float, float]:
    """Instruments and phases, the mean over the operations that are held out in turn."""
    tasks = (
        ([torch.from_numpy(o.instruments).float() for o in operations], presence_score),
        ([torch.from_numpy(o.phases) for o in operations], phase_score),
    )
    scores = []
    for truths, score in tasks:

        def measured(learn: Sequence[int], on: int, decay: float, truths=truths, score=score):
            x = torch.cat([features[i] for i in learn])
            mean, std = x.mean(0), x.std(0) + 1e-6
            ready = [functional.pad((f - mean) / std, (0, 1), value=1.0) for f in features]
            seen = torch.cat([ready[i] for i in learn])
            weights = fitted(seen, torch.cat([truths[i] for i in learn]), decay)
            return score(ready[on] @ weights, truths[on])

        found = []
        for held in range(len(operations)):
            others = [i for i in range(len(operations)) if i != held]
            decay = max(
                DECAYS,
                key=lambda d, others=others: np.mean(
                    [measured([i for i in others if i != on], on, d) for on in others]
                ),
            )
            found.append(measured(others, held, decay))
        scores.append(float(np.mean(found)))
    return scores[0], scores[1]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--random", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cards = [models.find_card(path) for path in asked.model]
    names = sorted(p.name.removesuffix("_vfr.mp4") for p in asked.labelled.glob("*_vfr.mp4"))
    size_px = cards[0].input_size_px[0]
    operations = [read_operation(asked.labelled, name, size_px) for name in names]

    def row(name: str, network: EndoMamba) -> tuple[float, float]:
        found = probed([features_of(network.eval(), o) for o in operations], operations)
        print(f"{name}: instruments {100 * found[0]:.1f}, phases {100 * found[1]:.1f}", flush=True)  # noqa: T201
        return found

    learnt = [row(str(path), models.load_model(c)) for path, c in zip(asked.model, cards)]  # noqa: B905
    fresh = []
    for seed in range(asked.random):
        torch.manual_seed(seed)
        fresh.append(row(f"random {seed}", models.create_model("endomamba", **cards[0].options)))
    for name, rows in (("pre-trained", learnt), ("random", fresh)):
        both = np.array(rows) * 100
        mean, spread = both.mean(0), both.std(0)
        print(  # noqa: T201
            f"{name}, {len(rows)}: instruments {mean[0]:.1f} ± {spread[0]:.1f}, "
            f"phases {mean[1]:.1f} ± {spread[1]:.1f}"
        )


if __name__ == "__main__":
    main()
