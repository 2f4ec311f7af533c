"""``trocar cases``: the library's cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.core.errors import TrocarError

if TYPE_CHECKING:
    from app.store import Library


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("cases")
    def cases(library: LibraryOption = None, as_json: JsonOption = False) -> None:
        """List the cases of the library."""
        with open_library(library, "read") as opened:
            for problem in opened.problems:
                typer.echo(problem, err=True)
            found: list[dict[str, Any]] = [
                {
                    "case": case.case_id,
                    "title": case.title,
                    "procedure": case.procedure,
                    "state": case.state.value,
                    "assets": [asset.path for asset in case.assets],
                    "duration_s": round(sum(a.duration_ms for a in case.assets) / 1000, 3),
                    "models": _models(opened, case.case_id),
                    "corrections": case.corrections,
                }
                for case in opened.cases()
            ]
        lines = [
            f"{c['case']}  {c['title']}  ({c['procedure']}, {c['duration_s']:.0f} s, "
            f"{c['corrections']} corrections)"
            for c in found
        ]
        emit(found, as_json=as_json, text="\n".join(lines) or "The library holds no case yet.")


def _models(library: Library, case_id: str) -> list[str]:
    """Names of the models that looked at a case; predictions past reading hide no case."""
    try:
        return sorted({run.model for run in library.predictions(case_id).runs()})
    except TrocarError as error:
        typer.echo(f"Case {case_id}: {error.user_message}", err=True)
        return []
