"""Runs on the same pictures side by side: the weights of the end and the best ones of each.

``python -m tests.benchmarks.polyps_table --data FOLDER DIR DIR …`` on finished runs of ``trocar
train`` and of ``polyps_peer``. The validation pictures are measured in their own pixels by what
``trocar evaluate`` measures with, all of them and without those that nearly repeat one that was
learnt from; the difference to the first run comes with a bootstrap over pictures. Runs of one
recipe with several seeds are summed up too: mean and standard deviation.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.core.picture import LabelledPicture
from app.exchange.dataset import TRAIN, VALIDATION, open_dataset
from app.inference import Segmenter
from app.learning.datasets import near_pairs, survey
from app.learning.evaluate import LOWEST_SCORE, found_rows, truth_rows
from app.learning.runs import finished
from models import ModelCard, create_model, read_card, save_model
from models.checkpoint import read_tensors
from models.metrics.masks import LabelledMask, mask_metrics
from tests.benchmarks.polyps_peer import in_our_layout

FIGURES = ("map50", "map50_95", "box_map50", "box_map50_95", "mdice", "miou", "dice", "iou")
Rows = Sequence[Sequence[LabelledMask]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One set of weights.

    Attributes:
        run: the folder of its run.
        weights: "best" by the run's own validation, or "final".
        card: of a model folder with them.
        found: per picture what it found, down to very low scores.
    """

    run: Path
    weights: str
    card: ModelCard
    found: Rows

    @property
    def name(self) -> str:
        """The run's folder and which of its weights."""
        return f"{self.run.name} {self.weights}"


def cards_of(run: Path, scratch: Path) -> Iterator[tuple[str, ModelCard]]:
    """The model of a finished run, and its weights of the end as another in ``scratch``."""
    card = read_card(next(run.glob("*/card.toml")))
    yield "best", card
    tensors, _ = read_tensors(run / "last.safetensors")
    kind = "average" if any(k.startswith("average.") for k in tensors) else "network"
    state = {k.removeprefix(f"{kind}."): v for k, v in tensors.items() if k.startswith(f"{kind}.")}
    if any(k.startswith("inner.") for k in state):
        state = in_our_layout(state)
    network = create_model(card.system, **card.options)
    network.load_state_dict(state)
    yield "final", save_model(network.eval(), card, scratch / run.name, half=True)


def predicted(card: ModelCard, pictures: Sequence[LabelledPicture]) -> Rows:
    """What a model finds in each picture."""
    low = replace(card, thresholds={**card.thresholds, "score": LOWEST_SCORE})
    segmenter = Segmenter(low)
    return [found_rows(segmenter.predict(p.rgb), card.class_keys) for p in pictures]


def figures(truth: Rows, one: Candidate, places: Sequence[int]) -> dict[str, float]:
    """Percentages on some of the pictures."""
    got = mask_metrics(
        [truth[i] for i in places],
        [one.found[i] for i in places],
        one.card.class_keys,
        score_above=one.card.thresholds.get("score", 0.25),
    )
    return {name: round(100 * getattr(got, name), 2) for name in FIGURES}


def difference(
    truth: Rows, a: Candidate, b: Candidate, rounds: int, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """a minus b in points: as measured, and the middle 95 % of bootstrap draws of pictures."""
    rng, count = np.random.default_rng(seed), len(truth)
    draws = [rng.integers(0, count, count) for _ in range(rounds)]
    drawn = [list(range(count)), *(d.tolist() for d in draws)]
    pairs = [(figures(truth, a, places), figures(truth, b, places)) for places in drawn]
    out = {}
    for name in FIGURES:
        measured, *rest = (round(x[name] - y[name], 2) for x, y in pairs)
        low, high = np.percentile(rest, (2.5, 97.5)) if rest else (np.nan, np.nan)
        out[name] = (measured, round(float(low), 1), round(float(high), 1))
    return out


def over_seeds(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard deviation by model and weights, where there is more than one run."""
    names = dict.fromkeys((row["model"], row["weights"]) for row in rows)
    out = {}
    for model, weights in names:
        mine = [r["all"] for r in rows if (r["model"], r["weights"]) == (model, weights)]
        if len(mine) > 1:
            table = {name: [values[name] for values in mine] for name in FIGURES}
            out[f"{model} {weights}, {len(mine)} runs"] = {
                name: (round(float(np.mean(v)), 2), round(float(np.std(v, ddof=1)), 2))
                for name, v in table.items()
            }
    return out


def report(data: Path, runs: Sequence[Path], rounds: int) -> dict[str, Any]:
    """Measure all runs; see the module's docstring."""
    dataset = open_dataset(data)
    held = list(dataset.split(VALIDATION))
    pairs = near_pairs(survey(dataset.split(TRAIN)).hashes, survey(held).hashes)
    repeats = {place for _, place in pairs}
    everything = range(len(held))
    rest = [i for i in everything if i not in repeats]
    with tempfile.TemporaryDirectory() as scratch:
        all_of = [
            Candidate(run=run, weights=kind, card=card, found=predicted(card, held))
            for run in runs
            for kind, card in cards_of(run, Path(scratch))
        ]
    truth = [truth_rows(p, all_of[0].card.class_keys) for p in held]
    rows = [
        {
            "name": one.name,
            "model": one.card.name,
            "weights": one.weights,
            "parameters": one.card.parameters,
            "device": one.card.trained.device,
            "seconds": one.card.trained.seconds,
            "all": figures(truth, one, everything),
            "without_repeats": figures(truth, one, rest),
        }
        for one in all_of
    ]
    return {
        "pictures": len(held),
        "instances": sum(map(len, truth)),
        "near_repeats": [held[i].name for i in sorted(repeats)],
        "rows": rows,
        "over_seeds": over_seeds(rows),
        "first_minus": {
            b.name: difference(truth, a, b, rounds)
            for a in all_of[:2]
            for b in all_of[2:]
            if a.weights == b.weights and a.card.name != b.card.name
        },
        "draws": rounds,
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The report as tables in Markdown."""
    repeats = ", ".join(found["near_repeats"]) or "none"
    yield f"{found['pictures']} pictures, {found['instances']} instances; near repeats: {repeats}"
    for which in ("all", "without_repeats"):
        yield f"\n| {which} | parameters | {' | '.join(FIGURES)} | seconds, device |"
        yield "|" + "---|" * (len(FIGURES) + 3)
        for row in found["rows"]:
            values = " | ".join(f"{row[which][name]:.1f}" for name in FIGURES)
            spent = f"{row['seconds']:.0f} s, {row['device']}"
            yield f"| {row['name']} | {row['parameters']:,} | {values} | {spent} |"
    for name, values in found["over_seeds"].items():
        said = (f"{k} {mean:.1f} ± {spread:.1f}" for k, (mean, spread) in values.items())
        yield f"\n{name}: {', '.join(said)}"
    for name, values in found["first_minus"].items():
        said = (f"{k} {d:+.1f} ({low:+.1f} to {high:+.1f})" for k, (d, low, high) in values.items())
        yield f"\nFirst minus {name}, {found['draws']} draws: {', '.join(said)}"


def main() -> None:
    """Run the command line of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if unfinished := [run.name for run in given.runs if finished(run) is None]:
        sys.exit(f"These runs have not ended: {', '.join(unfinished)}; let them go on first.")
    found = report(given.data, given.runs, given.rounds)
    print(json.dumps(found, indent=1) if given.json else "\n".join(lines(found)))  # noqa: T201


if __name__ == "__main__":
    main()
