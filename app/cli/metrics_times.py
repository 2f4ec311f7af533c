"""``trocar metrics anticipation``: predicted minutes until each phase against the truth."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite, isnan
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import JsonOption, emit
from app.core.errors import BadInput

Truth = Annotated[Path, typer.Argument(help="File or folder of the true labels.")]
Layout = Annotated[
    str, typer.Option("--layout", help="Read all files as this layout. Default: by the files.")
]


def anticipation(
    truth: Truth,
    predicted: Annotated[
        Path,
        typer.Argument(
            help="Table, or folder of them: second, then a column a phase with minutes until it."
        ),
    ],
    horizon: Annotated[list[float] | None, typer.Option(help="Minutes; may be repeated.")] = None,
    layout: Layout = "",
    as_json: JsonOption = False,
) -> None:
    """Anticipation: errors in minutes of the time until each phase, within horizons.

    TRUTH is a phase file, or a folder of them; times to the phases follow from it. A table in a
    folder has the name of its operation in its own.
    """
    from app.exchange.labels.times import pair_times
    from models.metrics.anticipation import CONVENTIONS, anticipation_errors
    from models.supra.targets import anticipation_of

    horizons = horizon or (2.0, 3.0, 5.0)
    for minutes in horizons:
        if not isfinite(minutes) or minutes <= 0:
            raise BadInput(f"A horizon is a number of minutes above 0, not {minutes:g}.")
    pairs = pair_times(truth, predicted, layout=layout)
    rows, all_pairs = [], []
    for minutes in horizons:
        true = [
            anticipation_of(
                labels, len(pairs.classes), horizon_min=minutes, frames_per_minute=60
            ).minutes_to.astype("float64")
            for labels in pairs.labels
        ]
        rows.append(
            anticipation_errors(true, pairs.minutes, minutes, average="videos_then_classes")
        )
        all_pairs.append(anticipation_errors(true, pairs.minutes, minutes))
    names = {"inside": "inMAE", "outside": "outMAE", "weighted": "wMAE", "early": "eMAE",
             "expected": "pMAE"}  # fmt: skip
    conventions = {
        "horizons": CONVENTIONS["videos_then_classes"],
        "pairs": CONVENTIONS["pairs"],
    }
    data = {
        "horizons": [asdict(row) for row in rows],
        "pairs": [asdict(row) for row in all_pairs],
        "names": pairs.names,
        "phases": pairs.classes,
        "notes": pairs.notes,
        "conventions": conventions,
    }
    lines = [f"{len(pairs.names)} operations, {len(pairs.classes)} phases, errors in minutes"]
    for found, title in ((rows, "horizon"), (all_pairs, "pairs")):
        lines.append(f"{title:12}" + "".join(f"{name:>9}" for name in names.values()))
        lines += [
            f"{row.horizon_min:<12g}" + "".join(f"{cell(getattr(row, n)):>9}" for n in names)
            for row in found
        ]
    lines += [f"{name.removesuffix('s')}: {words}" for name, words in conventions.items()]
    emit(data, as_json=as_json, text="\n".join([*lines, *pairs.notes]))


def cell(value: float) -> str:
    """A figure of a table."""
    return "absent" if isnan(value) else f"{value:.2f}"
