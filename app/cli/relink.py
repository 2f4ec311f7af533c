"""``trocar relink``: finds recordings that were moved, renamed or remuxed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library, progress
from app.core.errors import BadInput

if TYPE_CHECKING:
    from app.inference.relink import Relinked


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("relink")
    def relink(
        folder: Annotated[
            list[Path], typer.Argument(help="Folder to look in, with those in it, or a file.")
        ],
        case: Annotated[
            str | None, typer.Option(help="Look for the files of this case alone.")
        ] = None,
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Find recordings that were moved, renamed or remuxed; labels stay with them."""
        from app.cli.analyze import stop_on_interrupt
        from app.inference.relink import relink as look

        with (
            open_library(library, "write", recordings=True, must_exist=True) as opened,
            stop_on_interrupt() as stopped,
            progress("Looking", quiet=as_json) as bar,
        ):
            task = bar.task_ids[0]
            done = look(
                opened,
                folder,
                case_id=case,
                progress=lambda at, of: bar.update(task, completed=at, total=of),
                cancelled=stopped,
            )
        emit(_as_json(done), as_json=as_json, text=_words(done))
        if done.missing:
            first = done.missing[0]
            more = f" and {len(done.missing) - 1} more" if len(done.missing) > 1 else ""
            raise BadInput(
                f"{first.name} of case {first.case_id}{more} was not found there; name another "
                "folder."
            )


def _as_json(done: Relinked) -> dict[str, Any]:
    return {
        "found": [
            {
                "case": f.missing.case_id,
                "was": f.missing.file.path,
                "path": f.now.path,
                "remuxed": f.is_remuxed,
            }
            for f in done.found
        ],
        "missing": [{"case": m.case_id, "path": m.file.path} for m in done.missing],
        "notes": list(done.notes),
    }


def _words(done: Relinked) -> str:
    lines = [
        f"Case {f.missing.case_id}: {f.missing.name} is {f.now.path}"
        + (" (remuxed)" if f.is_remuxed else "")
        for f in done.found
    ]
    lines += [f"Case {m.case_id}: {m.name} was not found" for m in done.missing]
    return "\n".join([*lines, *done.notes]) or "Every recording is where it was."
