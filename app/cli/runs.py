"""``trocar runs``: training runs, how they stand and how they went."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, library_folder

if TYPE_CHECKING:
    from app.learning.run_view import RunView

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 48


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("runs")(runs)


def runs(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of a run, as given to “trocar train --out”, or one that holds several. "
            "Default: the library's.",
            show_default=False,
        ),
    ] = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show training runs: state, best figure, curves. Works while they go on."""
    from app.learning.run_view import is_run, list_runs, read_run

    where = folder or library_folder(library) / "runs"
    found = list_runs(where) if not is_run(where) else [read_run(where)]
    if folder is not None and not found:
        found = [read_run(where)]  # which says that there is none
    text = "\n\n".join(_text(run) for run in found) if found else "No training run yet."
    emit({"runs": [_describe(run) for run in found]}, as_json=as_json, text=text)


def _describe(run: RunView) -> dict[str, Any]:
    return {
        "run": run.name,
        "folder": run.folder,
        "title": run.title,
        "task": run.task,
        "state": run.state,
        "step": run.step,
        "steps": run.steps,
        "seconds": round(run.seconds, 1),
        "seconds_left": run.seconds_left,
        "device": run.device,
        "doing": run.doing,
        "sentence": run.sentence,
        "score": run.score,
        "best": {"step": run.best[0], "value": run.best[1]} if run.best else None,
        "curves": {name: [list(point) for point in points] for name, points in run.columns.items()},
    }


def _text(run: RunView) -> str:
    from app.ui.words import length

    left = run.seconds_left
    facts = [
        run.state,
        run.doing or f"{run.step} of {run.steps} batches",
        f"took {length(run.seconds)}" if run.seconds else "",
        f"about {length(left)} left" if left is not None else "",
        run.device,
    ]
    lines = [f"{run.name}  {run.title}", f"  {', '.join(f for f in facts if f)}"]
    if run.sentence:
        lines.append(f"  {run.sentence}")
    if run.best is not None:
        lines.append(f"  best {run.score or 'figure'} {run.best[1]:.4g} after {run.best[0]}")
    lines += [
        f"  {name:<20} {values[0][1]:>9.4g} {sparkline([v for _, v in values])} {values[-1][1]:.4g}"
        for name, values in run.columns.items()
        if values and name != "learning_rate"
    ]
    return "\n".join(lines)


def sparkline(values: list[float], width: int = _WIDTH) -> str:
    """A curve in one line of text: means of neighbours, lowest to highest."""
    count = min(width, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges) if b > a]
    low, high = min(means), max(means)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((v - low) / ((high - low) or 1) * steps)] for v in means)
