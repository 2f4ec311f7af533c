"""``trocar delete CASE``: a case removed everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.core.errors import Refused


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("delete")
    def delete(
        case: Annotated[str, typer.Argument(help="Its number in “trocar cases”.")],
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Remove a case from the library and all its backups. The video file is not touched.

        Copies made with "trocar backup --to" lie outside the library and are not reached.
        """
        with open_library(library, "write") as opened:
            title = opened.case(case).title
            if not yes and not typer.confirm(
                f"Remove case {case} “{title}” with its corrections and predictions for good?",
                err=True,
            ):
                raise Refused(f"Case {case} was not removed.")
            opened.writer.delete_case(case).result()
        emit({"deleted": case}, as_json=as_json, text=f"Case {case} is removed.")
