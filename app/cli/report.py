"""``trocar report``: a case as one HTML or PDF file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.core.errors import BadInput

if TYPE_CHECKING:
    from app.store import Library


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    case: Annotated[str, typer.Argument(help="The case's number.")],
    out: Annotated[Path, typer.Option("--out", help="The HTML or PDF file to write, by its name.")],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a case: phases, instruments in view, pictures, where it comes from."""
    from app.analysis.report import write_report

    kind = out.suffix.lower()
    if kind not in (".html", ".htm", ".pdf"):
        raise BadInput("Reports are HTML or PDF; name a file that ends in .html or .pdf.")
    with open_library(library, "read", recordings=True) as lib:
        if kind == ".pdf":
            _write_pdf(lib, case, out)
        else:
            write_report(lib, case, out)
    emit({"case": case, "path": str(out.absolute())}, as_json=as_json, text=f"Wrote {out}")


def _write_pdf(library: Library, case: str, out: Path) -> None:
    """Qt sets the pages; it needs no display for that."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from app.ui.application import make_application
    from app.ui.report_pdf import write_report_pdf

    make_application()
    write_report_pdf(library, case, out)
