"""``trocar backup``: a verified copy of the human work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library

if TYPE_CHECKING:
    from app.store import Backup


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("backup")
    def backup(
        to: Annotated[
            Path | None,
            typer.Option("--to", help="Another folder, such as one on a second disk."),
        ] = None,
        list_only: Annotated[bool, typer.Option("--list", help="Name the backups.")] = False,
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Copy cases, corrections and the audit log. Predictions can be computed again."""
        with open_library(library, "read") as opened:
            if list_only:
                found = [_describe(b) for b in opened.backups()]
                names = [f"{Path(b['path']).name}  ({b['made']})" for b in found]
                text = "\n".join(names) or "There is no backup yet."
                emit(found, as_json=as_json, text=text)
                return
        with open_library(library, "read" if to else "write") as opened:
            made = opened.back_up(to)
            newest = made or opened.last_backup()
            is_empty = newest is None and opened.changed_since_backup_utc_ms() is None
        data = {"changed": made is not None, **(_describe(newest) if newest else {"path": None})}
        unchanged = "Nothing changed since the newest backup" + (" there." if to else ".")
        if is_empty:
            unchanged = "Nothing is in this library yet, so nothing was copied."
        emit(data, as_json=as_json, text=f"Copied to {made.path}" if made else unchanged)


def _describe(backup: Backup) -> dict[str, Any]:
    return {
        "path": str(backup.path),
        "made": backup.made.isoformat(),
        "number": backup.number,
        "audit_rows": backup.seq,
    }
