"""``trocar export``: a case's annotations in formats others read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library


class Format(StrEnum):
    """What can be written."""

    COCO = "coco"
    PHASE_CSV = "phase-csv"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    case: Annotated[str, typer.Argument(help="The case's number.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write into; made where missing.")],
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.COCO,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Write the frames as PNG too (COCO).")
    ] = True,
    polygons: Annotated[
        bool, typer.Option("--polygons", help="COCO polygons instead of exact run lengths.")
    ] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a case's corrections: outlines as COCO, or phases as CSV."""
    from app.exchange.case_export import export_coco, export_phases

    with open_library(library, "read", recordings=True) as lib:
        if form is Format.COCO:
            done = export_coco(lib, case, out, pictures=pictures, polygons=polygons)
        else:
            done = export_phases(lib, case, out)
    emit(
        {"case": case, "format": form.value, **done.counts, "path": str(done.path)},
        as_json=as_json,
        text=f"Wrote {done.words} to {done.path}",
    )
