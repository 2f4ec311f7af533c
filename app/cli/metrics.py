"""``trocar metrics``: predictions against the truth, in files of the public formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from math import isnan, nan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.cli.metrics_times import Layout, Truth, anticipation, cell
from app.core.errors import BadInput
from app.core.taxonomy import in_cholec80_order

if TYPE_CHECKING:
    from app.core.labels import LabelledCase
    from app.exchange.labels.scores import Scored
    from models.metrics.phases import PhaseMetrics

Predicted = Annotated[Path, typer.Argument(help="File or folder of the predictions.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    metrics = typer.Typer(
        name="metrics",
        help="Score predictions with the field's metrics, conventions named.",
        no_args_is_help=True,
    )
    app.add_typer(metrics)
    metrics.command("phases")(phases)
    metrics.command("tools")(tools)
    metrics.command("triplets")(triplets)
    metrics.command("anticipation")(anticipation)


def phases(
    truth: Truth,
    predicted: Predicted,
    rate: Annotated[
        float, typer.Option(min=0.01, max=60, help="Labels per second that are compared.")
    ] = 1.0,
    layout: Layout = "",
    as_json: JsonOption = False,
) -> None:
    """Phases: accuracy, precision, recall, Jaccard, F1, relaxed borders, edit and segment F1.

    Operations are matched by name, classes by name, labels by time; a phase that is absent from
    the truth is absent from the figures, never zero.
    """
    from app.exchange.labels.pairing import pair_phases, read_side
    from models.metrics.phases import phase_metrics

    per_second = Fraction(rate).limit_denominator(1000)
    sides = [
        read_side(path, layout=layout, side=side)
        for path, side in ((truth, "Truth"), (predicted, "Prediction"))
    ]
    true, said = (side.cases for side in sides)
    pairs = pair_phases(true, said, per_second)
    scores = phase_metrics(
        pairs.truth, pairs.predicted, pairs.classes, frames_per_second=float(per_second)
    )
    data: dict[str, Any] = {
        **scores.as_json(relaxed=in_cholec80_order(pairs.classes)),
        "names": pairs.names,
        "labels_per_second": float(per_second),
        "notes": (*pairs.notes, *(note for side in sides for note in side.notes)),
    }
    if all(case.layout == "pitvis" for case in (*true, *said)):
        data["pitvis"] = _pitvis_steps(true, said)
    emit(data, as_json=as_json, text=_phase_table(scores, data))


def _phase_table(scores: PhaseMetrics, data: dict[str, Any]) -> str:
    names = ("accuracy", "precision", "recall", "jaccard", "f1")
    lines = [
        f"{len(data['names'])} operations, {data['labels_per_second']:g} labels per second, "
        "classes by name, percent",
        f"{'':24}" + "".join(f"{name:>16}" for name in names),
        f"{'video, then phase':24}"
        + "".join(
            f"{f'{spread.mean:.2f} ± {spread.std:.2f}':>16}"
            for spread in (scores.video_then_phase[n] for n in names)
        ),
        f"{'pooled':24}" + "".join(f"{scores.pooled[n]:16.2f}" for n in names),
    ]
    for mode, found in scores.relaxed_10s.items() if "relaxed_10s" in data else ():
        row = f"{f'10 s relaxed, {mode}':24}"
        lines.append(row + "".join(f"{found[n]:16.2f}" for n in names[:4]))
    lines.append(
        f"edit {scores.edit:.2f}, "
        + ", ".join(f"F1@{at} {value:.2f}" for at, value in scores.f1_at.items())
    )
    if "pitvis" in data:
        mean = data["pitvis"]["mean"]
        lines.append("PitVis, steps: " + ("absent" if isnan(mean) else f"{mean:.4f}"))
    lines += [f"{name}: {words}" for name, words in data["conventions"].items()]
    return "\n".join([*lines, *data["notes"]])


def tools(
    truth: Annotated[
        Path | None, typer.Argument(help="File or folder of the true labels.", show_default=False)
    ] = None,
    predicted: Annotated[
        Path | None, typer.Argument(help="File or folder of predictions.", show_default=False)
    ] = None,
    layout: Layout = "",
    case: Annotated[
        list[str] | None,
        typer.Option(help="Of the library, in the place of files; may be repeated. Default: all."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="What this model told. Default: the one that told of most cases.")
    ] = "",
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tools: average precision per tool, once a second; of PitVis files the challenge's score.

    Predictions are files of the same layout; those of Cholec80 may hold scores in place of 0 and 1.
    Without files: what a model told of the library's cases, beside their imported labels.
    """
    from app.exchange.labels.pairing import read_side
    from app.exchange.labels.scores import pair_tools
    from app.exchange.labels.told import stored_tools

    if (truth is None) != (predicted is None) or (truth is not None and (case or model)):
        raise typer.BadParameter("give TRUTH and PREDICTED, or cases of the library and no file")
    if truth is None or predicted is None:
        with open_library(library, "read") as opened:
            _emit_tools(stored_tools(opened, case or (), model), as_json)
        return
    true = read_side(truth, layout=layout, side="Truth").cases
    if all(case.layout == "pitvis" for case in true):
        said = read_side(predicted, layout="pitvis", side="Prediction").cases
        _emit_pitvis_tools(true, said, as_json)
        return
    _emit_tools(pair_tools(truth, predicted, layout=layout), as_json)


def _emit_tools(found: Scored, as_json: bool) -> None:
    from models.metrics.tools import tool_metrics

    scores = tool_metrics(found.truth, found.scores, found.classes)
    conventions = {
        "pooled": "frames of all videos together, one AP a tool (EndoNet); a tool that never "
        "occurs is absent",
        "per_video": "one AP a tool and video, mean over the videos in which it occurs",
    }
    data = {**asdict(scores), "names": found.names, "notes": found.notes}
    data["conventions"] = conventions
    frames = sum(len(t) for t in found.truth)
    lines = [f"{len(found.names)} operations, {frames} seconds or frames, percent"]
    lines.append(f"{'':24}{'pooled':>10}{'per video':>12}")
    lines += [
        f"{tool:24}{cell(scores.pooled[tool]):>10}{cell(scores.per_video[tool]):>12}"
        for tool in found.classes
    ]
    mean, each = cell(scores.mean_ap), cell(scores.mean_per_video)
    lines.append(f"{'mean AP':24}{mean:>10}{each:>12}")
    lines += [f"{name}: {words}" for name, words in conventions.items()]
    emit(data, as_json=as_json, text="\n".join([*lines, *found.notes]))


def triplets(
    truth: Truth,
    predicted: Predicted,
    ignore_null: Annotated[
        bool, typer.Option("--ignore-null", help="Leave triplets without an action out of ivt.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Triplets: average precision of the components i, v, t, iv, it, ivt, and top-K.

    Truth: CholecT50 files. Predictions: such files with scores, or {"frame": [100 scores]}.
    """
    from app.exchange.labels.scores import pair_triplets
    from models.metrics.triplets import triplet_metrics

    found = pair_triplets(truth, predicted)
    words = [tuple(name.split(",")) for name in found.classes]
    if any(len(w) != 3 for w in words):
        raise BadInput("The truth names triplets that are no “instrument,verb,target”.")
    scores = triplet_metrics(
        found.truth, found.scores, [(a, b, c) for a, b, c in words], ignore_null=ignore_null
    )
    conventions = {
        "per_video": "AP of each video, mean over videos per class, then over classes",
        "pooled": "all frames of all videos together",
        "top_k": "share of true triplets among the K best of their frame",
        "components": "truth and score of a component are the largest of its triplets",
    }
    data = {**asdict(scores), "names": found.names, "notes": found.notes}
    data["conventions"] = conventions
    lines = [f"{'':12}" + "".join(f"{name:>8}" for name in scores.per_video)]
    for row in ("per_video", "pooled"):
        values = getattr(scores, row).values()
        lines.append(f"{row.replace('_', ' '):12}" + "".join(f"{cell(v):>8}" for v in values))
    lines.append(", ".join(f"top-{k} {cell(v)}" for k, v in scores.top_k.items()))
    lines += [f"{name}: {text}" for name, text in conventions.items()]
    emit(data, as_json=as_json, text="\n".join([*lines, *found.notes]))


def _pitvis_steps(true: Sequence[LabelledCase], said: Sequence[LabelledCase]) -> dict[str, Any]:
    import numpy as np

    from app.exchange.labels.scores import pitvis_pairs
    from models.metrics.pitvis import steps_score

    scores = [
        steps_score(*(np.array([row["int_step"] for row in side]) for side in pair))
        for pair in pitvis_pairs(true, said)
    ]
    return {"per_video": scores, "mean": _mean_of_known(scores)}


def _emit_pitvis_tools(
    true: Sequence[LabelledCase], said: Sequence[LabelledCase], as_json: bool
) -> None:
    from app.exchange.labels.pairing import matched, other_names
    from app.exchange.labels.scores import pitvis_pairs
    from models.metrics.pitvis import instruments_score

    slots = ("int_instrument1", "int_instrument2")
    scores = [
        instruments_score(*([{row[s] for s in slots if s in row} for row in side] for side in pair))
        for pair in pitvis_pairs(true, said)
    ]
    mean = _mean_of_known(scores)
    if isnan(mean):
        raise BadInput("The truth shows no instrument, so that there is nothing to score.")
    notes = other_names(matched(true, said))
    data = {"per_video": scores, "mean": mean, "notes": notes}
    words = f"PitVis, instruments: weighted F1 {mean:.4f}"
    emit(data, as_json=as_json, text="\n".join([words, *notes]))


def _mean_of_known(scores: Sequence[float]) -> float:
    """Over the videos that have one; nan where none has."""
    known = [score for score in scores if not isnan(score)]
    return fmean(known) if known else nan
