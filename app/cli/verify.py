"""``trocar verify``: whether the library is sound."""

from __future__ import annotations

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("verify")
    def verify(library: LibraryOption = None, as_json: JsonOption = False) -> int:
        """Check the library: file, audit log, every row, predictions, newest backup."""
        with open_library(library, "read") as opened:
            report = opened.verify()
        data = {
            "ok": report.ok,
            "cases": report.cases,
            "rows_checked": report.rows_checked,
            "problems": list(report.problems),
        }
        summary = f"{report.cases} cases, {report.rows_checked} rows checked: "
        text = summary + ("all is well." if report.ok else "\n".join(["", *report.problems]))
        emit(data, as_json=as_json, text=text)
        if not report.ok:
            typer.echo(
                "The library is damaged as listed; “trocar backup --list” names what “trocar "
                "restore” can bring back, and predictions can be computed again.",
                err=True,
            )
        return 0 if report.ok else 1
