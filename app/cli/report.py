"""``trocar report``: a case as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.core.errors import BadInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    case: Annotated[str, typer.Argument(help="The case's number.")],
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.")],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a case: phases, instruments in view, pictures, where it comes from."""
    from app.analysis.report import write_report

    if out.suffix.lower() not in (".html", ".htm"):
        raise BadInput("Reports are HTML; name a file that ends in .html and print it to PDF.")
    with open_library(library, "read", recordings=True) as lib:
        write_report(lib, case, out)
    emit({"case": case, "path": str(out.absolute())}, as_json=as_json, text=f"Wrote {out}")
