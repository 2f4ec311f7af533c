"""``trocar cases``: the library's cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, open_library
from app.core.case import UNNAMED
from app.core.errors import TrocarError
from app.core.taxonomy import UNKNOWN_PROCEDURE, list_taxonomies

if TYPE_CHECKING:
    from app.store import Library


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("cases")
    def cases(
        uncertain: Annotated[
            bool,
            typer.Option(
                "--uncertain",
                help="Only those with phases that the models are torn about and nobody decided, "
                "the most uncertain first.",
            ),
        ] = False,
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
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
            if uncertain:
                found = _uncertain(opened, found)
        lines = [
            f"{c['case']}  {_name(c['title'], c['procedure'])}  "
            f"({c['procedure']}, {c['duration_s']:.0f} s, {_many(c['corrections'], 'correction')}"
            + (f", {_doubt_words(c['open_places'], c['open_s'])}" if uncertain else "")
            + ")"
            for c in found
        ]
        none = "No case is open to doubt." if uncertain else "The library holds no case yet."
        emit(found, as_json=as_json, text="\n".join(lines) or none)


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _doubt_words(places: int, seconds: float) -> str:
    return f"{_many(places, 'place')} in doubt, {seconds:.0f} s"


def _uncertain(library: Library, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from app.analysis.doubt import uncertain_cases

    known = {case["case"]: case for case in found}
    return [
        {
            **known[doubt.case.case_id],
            "open_places": len(doubt.places),
            "open_s": round(doubt.seconds, 3),
        }
        for doubt in uncertain_cases(library)
    ]


def _name(title: str, procedure: str) -> str:
    """As the window shows it: by the operation, where nobody named the case."""
    known = [t.name for t in list_taxonomies() if t.procedure == procedure != UNKNOWN_PROCEDURE]
    return known[0] if known and title == UNNAMED else title


def _models(library: Library, case_id: str) -> list[str]:
    """Names of the models that looked at a case; predictions past reading hide no case."""
    try:
        return sorted({run.model for run in library.predictions(case_id).runs()})
    except TrocarError as error:
        typer.echo(f"Case {case_id}: {error.user_message}", err=True)
        return []
