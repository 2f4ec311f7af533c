"""``trocar metrics``: predictions against the truth, in files of the public formats."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, emit

if TYPE_CHECKING:
    from models.metrics.phases import PhaseMetrics

Truth = Annotated[Path, typer.Argument(help="File or folder of the true labels.")]
Predicted = Annotated[Path, typer.Argument(help="File or folder of the predictions.")]
Layout = Annotated[
    str, typer.Option("--layout", help="Read all files as this layout. Default: by the files.")
]
_CONVENTIONS = {
    "video_then_phase": "per video and phase, a phase absent from a video's truth left out; mean "
    "over videos, then mean and standard deviation over phases",
    "pooled": "all frames of all videos together, mean over the phases of the truth",
    "matlab": "ten seconds at borders forgiven as the published script does, slip included; "
    "shares may exceed 100",
    "intended": "ten seconds at borders forgiven as the script's authors describe",
    "edit": "100 - Levenshtein distance of the orders of segments, mean over videos",
    "f1_at": "segments hit at that IoU, summed over videos",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    metrics = typer.Typer(
        name="metrics",
        help="Score predictions with the field's metrics, conventions named.",
        no_args_is_help=True,
    )
    app.add_typer(metrics)
    metrics.command("phases")(phases)


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
    from app.exchange.labels.pairing import pair_phases
    from app.exchange.labels.reading import read_labels
    from models.metrics.phases import phase_metrics

    per_second = Fraction(rate).limit_denominator(1000)
    true = read_labels([truth], layout=layout)
    pairs = pair_phases(true, read_labels([predicted], layout=layout), per_second)
    scores = phase_metrics(
        pairs.truth, pairs.predicted, pairs.classes, frames_per_second=float(per_second)
    )
    data: dict[str, Any] = {
        **scores.as_json(),
        "names": pairs.names,
        "labels_per_second": float(per_second),
        "notes": pairs.notes,
        "conventions": _CONVENTIONS,
    }
    if any(case.procedure != "cholecystectomy" for case in true):
        # Forgiven are neighbours in the order of Cholec80's seven phases.
        del data["relaxed_10s"]
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
    lines += [f"{name}: {words}" for name, words in data["conventions"].items()]
    return "\n".join([*lines, *data["notes"]])
