"""``trocar import``: cases of the label files of public data sets, or labels for a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.core.errors import BadInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_labels)


def import_labels(
    paths: Annotated[list[Path], typer.Argument(help="Label files, or folders of them.")],
    to: Annotated[
        str | None, typer.Option("--to", help="The case whose recording the labels are of.")
    ] = None,
    by_name: Annotated[
        bool, typer.Option("--by-name", help="Phases for the recordings that are called so.")
    ] = False,
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="With --to: also where they seem of another length or rate."),
    ] = False,
    layout: Annotated[
        str, typer.Option("--layout", help="Read all files as this layout. Default: by the files.")
    ] = "",
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import labels: a case of every operation, without a recording, or phases for --to CASE or, by
    name, for all recordings that are in the library.

    One bad line anywhere, and nothing is imported. “trocar export all --format labels” writes the
    same bytes again.
    """
    from app.exchange.labels.library import import_by_name, import_cases, import_onto

    if by_name and to is not None:
        raise BadInput("Say either --by-name or --to CASE.")
    with open_library(library, "write") as lib:
        if by_name:
            done = import_by_name(lib, paths, layout=layout)
        elif to is None:
            done = import_cases(lib, paths, layout=layout)
        else:
            done = import_onto(lib, to, paths, layout=layout, anyway=anyway)
    ids = [case.case_id for case in done.cases]
    made = (
        f"Cases {ids[0]} to {ids[-1]}" if len(ids) > 1 else f"Case {ids[0]}" if ids else "No case"
    )
    known = f" {done.known} {'was' if done.known == 1 else 'were'} there already."
    many = len(ids) > 1
    verb = f"{'were' if many else 'was'} made of the labels."
    if to or by_name:
        verb = f"{'have' if many else 'has'} the labels."
    emit(
        {"cases": ids, "known": done.known, "notes": done.notes},
        as_json=as_json,
        text="\n".join([f"{made} {verb}{known if done.known else ''}", *done.notes]),
    )
