"""``trocar restore BACKUP``: a backup in the place of the library."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.common import JsonOption, LibraryOption, emit, library_folder
from app.core.errors import Refused


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("restore")
    def restore(
        backup: Annotated[
            str, typer.Argument(help="File, or a name that “trocar backup --list” shows.")
        ],
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Bring back a backup. What is there now is kept as a backup first."""
        from app.store.restore import find_backup
        from app.store.restore import restore as put_back

        folder = library_folder(library)
        path = find_backup(folder, backup)
        question = f"Replace the library in {folder} by {path.name}?"
        if not yes and not typer.confirm(question, err=True):
            raise Refused("Nothing was restored; the library is as it was.")
        done = put_back(folder, path)
        kept = f" What was there is kept in {done.safety_copy}." if done.safety_copy else ""
        emit(
            {"restored": path, "safety_copy": done.safety_copy, "cases": done.cases},
            as_json=as_json,
            text=f"Restored {path.name}: {done.cases} cases.{kept}",
        )
