"""LMSF-A's eight ablation rows trained alike on polyps, ranked beside the paper's Table III.

``python -m tests.benchmarks.polyps_ablation RECIPE --data FOLDER --out DIR --steps 1500`` trains
one row after the other in folders of ``DIR``; rows that have ended are not learnt again, and one
that was stopped goes on. Same pictures, order, budget and seed; the schedule ends with the steps.
The paper's figures are of other pictures (PELD): what can be compared is the order.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.cli.lesson import Lesson, read_lesson
from app.core.errors import TrocarError
from app.exchange.dataset import VALIDATION, open_dataset
from app.learning import publish, runs
from app.learning.evaluate import truth_rows
from app.learning.recipes import Recipe, read_recipe
from models.lmsf_a.table import SWITCHES, Row, rows
from tests.benchmarks.polyps_table import Candidate, cards_of, figures, predicted


def row_recipe(plan: Recipe, row: Row, steps: int | None) -> Recipe:
    """The recipe of one row: its switches, and a budget of its own where one is given."""
    switches = row.options or {}
    bits = "".join("01"[bool(switches[name])] for name in SWITCHES)
    train = plan.train if steps is None else {**plan.train, "steps": steps, "save_every": steps}
    return replace(
        plan,
        name=f"{plan.name}-{bits}"[:80],
        title=f"{plan.title}, {row.name}"[:80],
        options={**plan.options, **switches},
        train=train,
    )


def train_row(recipe: Recipe, lesson: Lesson, out: Path, device: str | None) -> Path:
    """Train one row in its folder, which is returned."""
    folder = out / recipe.name
    end = runs.train(
        recipe,
        lesson.learn,
        folder,
        device=device,
        on_progress=lambda p: print(f"{recipe.name} {p.step} {p.loss:.2f}", file=sys.stderr),  # noqa: T201
    )
    publish.publish(folder, publish.card_of(recipe, end, command="", figures=end.best), folder)
    return folder


def ranks(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """1 for the largest; equal values share the mean of their places."""
    given = np.asarray(values)
    above = (given[None] > given[:, None]).sum(1)
    same = (given[None] == given[:, None]).sum(1)
    return above + (same + 1) / 2


def agreement(ours: Sequence[float], paper: Sequence[float]) -> float:
    """Spearman's rank correlation, equal values sharing a place."""
    return float(np.corrcoef(ranks(ours), ranks(paper))[0, 1])


def lines(third: Sequence[Row], got: Sequence[dict[str, float]]) -> Iterator[str]:
    """The table in Markdown, the rows in the paper's order."""
    both = {
        name: (ranks([g[name] for g in got]), ranks([r.paper[name] for r in third]))
        for name in ("map50", "map50_95")
    }
    yield "| row | mAP50 | rank | mAP50-95 | rank | paper mAP50 | rank | paper mAP50-95 | rank |"
    yield "|" + "---|" * 9
    for place, (row, mine) in enumerate(zip(third, got, strict=True)):
        cells = [
            f"{source[name]:.1f} | {both[name][side][place]:g}"
            for side, source in enumerate((mine, row.paper))
            for name in both
        ]
        yield f"| {row.name} | {' | '.join(cells)} |"
    for name in both:
        mine, printed = [g[name] for g in got], [r.paper[name] for r in third]
        yield f"Rank correlation of {name} with the paper: {agreement(mine, printed):+.2f}"


def report(plan: Recipe, data: Path, out: Path, steps: int | None, device: str | None) -> list[str]:
    """Train what is not trained yet, measure all on the validation pictures."""
    third = [row for row in rows() if row.table == "III"]
    lesson = read_lesson(plan, data, None, 0.0, quiet=True)
    held = list(open_dataset(data).split(VALIDATION))
    got = []
    for row in third:
        folder = train_row(row_recipe(plan, row, steps), lesson, out, device)
        with tempfile.TemporaryDirectory() as scratch:
            card = dict(cards_of(folder, Path(scratch)))["final"]
            one = Candidate(run=folder, weights="final", card=card, found=predicted(card, held))
        truth = [truth_rows(p, card.class_keys) for p in held]
        got.append(figures(truth, one, range(len(held))))
    return list(lines(third, got))


def main() -> None:
    """Run the command line of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, help="in place of the recipe's")
    parser.add_argument("--device")
    given = parser.parse_args()
    try:
        plan = read_recipe(given.recipe)
        print("\n".join(report(plan, given.data, given.out, given.steps, given.device)))  # noqa: T201
    except TrocarError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
