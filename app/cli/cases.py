"""``trocar cases``: the library's cases."""

from __future__ import annotations

from typing import Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("cases")
    def cases(library: LibraryOption = None, as_json: JsonOption = False) -> None:
        """List the cases of the library."""
        with open_library(library, "read") as opened:
            found: list[dict[str, Any]] = []
            for case in opened.cases():
                runs = opened.predictions(case.case_id).runs()
                found.append(
                    {
                        "case": case.case_id,
                        "title": case.title,
                        "procedure": case.procedure,
                        "state": case.state.value,
                        "assets": [asset.path for asset in case.assets],
                        "duration_s": round(sum(a.duration_ms for a in case.assets) / 1000, 3),
                        "models": sorted({run.model for run in runs}),
                        "corrections": case.corrections,
                    }
                )
        lines = [
            f"{c['case']}  {c['title']}  ({c['procedure']}, {c['duration_s']:.0f} s, "
            f"{c['corrections']} corrections)"
            for c in found
        ]
        emit(found, as_json=as_json, text="\n".join(lines) or "The library holds no case yet.")
