"""``trocar finetune``: a new model from the corrections of cases."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated

import typer

from app.cli.common import (
    DeviceOption,
    JsonOption,
    LibraryOption,
    LinesOption,
    emit,
    open_library,
    progress,
    training_report,
)
from app.cli.library_cases import tool_rows


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("finetune")(finetune)


def finetune(
    cases: Annotated[list[str], typer.Option("--from", help="A case; repeat for more.")],
    base: Annotated[str, typer.Option("--base", help="The model to start from.")],
    name: Annotated[str, typer.Option("--name", help="Name of the new model.")],
    held_out_every: Annotated[
        int,
        typer.Option(
            min=2,
            help="Each N-th corrected frame, of phases each N-th case, is measured on in place of "
            "being learnt from.",
        ),
    ] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Batches to learn from.")] = 300,
    device: DeviceOption = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
    lines: LinesOption = False,
) -> None:
    """Fine-tune a model on the corrections of cases; compare it with its base.

    What outlines learns from outlines, what names phases from phases by a human. The new model is
    there to choose in the window. It is measured on held-out frames.
    """
    from app.inference.cards import find_model, model_errors
    from app.learning.finetune import finetune as run

    with open_library(library, "read", recordings=True) as lib, model_errors():
        card = find_model(base, lib.folder)
        with progress(f"Teaching {name}", quiet=as_json or lines) as bar:
            made = run(
                lib,
                cases,
                card,
                name,
                lib.runs_folder / name,
                held_out_every=held_out_every,
                steps=steps,
                device=device,
                rows_of=partial(tool_rows, lib),
                on_progress=training_report(bar, lines=lines),
            )
    if made is None:
        raise typer.Abort
    result = made.told() | {"card": lib.folder / "models" / made.card.name / "card.toml"}
    rows = "\n".join(
        f"  {k}: {_percent(made.base, k)} before, {_percent(made.best, k)} after"
        for k in {**made.base, **made.best}
    )
    rows += f"\nLeft out: {made.left_out}." if made.left_out else ""
    measured = f"{made.held_out} held-out frames" if made.held_out else "these, none being held out"
    emit(
        result,
        as_json=as_json or lines,
        may_be_unheard=lines,
        text=f"{made.card.name}: learnt from {made.learnt} frames, measured on {measured}\n{rows}",
    )


def _percent(figures: Mapping[str, float], name: str) -> str:
    return f"{100 * figures[name]:.1f} %" if name in figures else "nothing to measure"
