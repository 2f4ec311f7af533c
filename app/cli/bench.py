"""``trocar bench``: the benchmark suite, beside peers where they are installed."""

from __future__ import annotations

import importlib
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.common import JsonOption, emit, progress
from app.core.errors import BadInput, EnvironmentProblem

_PROJECT = Path(__file__).resolve().parents[2]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("bench")
    def bench(
        rows: Annotated[
            list[str] | None,
            typer.Option("--rows", help="A row's name; may be repeated. Default: all."),
        ] = None,
        rounds: Annotated[int, typer.Option(help="Rounds of each candidate.", min=1)] = 5,
        as_json: JsonOption = False,
    ) -> None:
        """Measure speed on this machine, side by side with peers where they are installed."""
        suite = _suite()
        names = [n for given in rows or suite.ROWS for n in given.split(",")]
        if unknown := [n for n in names if n not in suite.ROWS]:
            raise BadInput(f"There is no row “{unknown[0]}”; there are {', '.join(suite.ROWS)}.")
        with progress("Measuring", quiet=as_json) as bar:
            task = bar.task_ids[0]
            bar.update(task, total=len(names), completed=-1)

            def told(name: str) -> None:
                bar.update(task, advance=1, description=f"Measuring {name}")

            with redirect_stdout(sys.stderr):  # peers talk
                report = suite.run(names, rounds, told)
        emit(report, as_json=as_json, text=_table(report))


def _suite() -> Any:
    if not (_PROJECT / "tests" / "benchmarks" / "suite.py").is_file():
        raise EnvironmentProblem(
            "The benchmark suite comes with Trocar's source code, not with the installed program; "
            "run this from a checkout."
        )
    if str(_PROJECT) not in sys.path:
        sys.path.insert(0, str(_PROJECT))
    return importlib.import_module("tests.benchmarks.suite")


def _table(report: dict[str, Any]) -> str:
    machine = report["machine"]
    load = ", ".join(f"{x:.1f}" for x in machine["load_average"])
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {' '.join(machine['isa'])}",
        f"Load {load}; " + ", ".join(f"{k} {v}" for k, v in machine["versions"].items()),
        "",
    ]
    lines += [
        f"{row['row']:<42}{_figure(row['ours'])}{_figure(row['peer'])}  "
        f"{row['unit']:<9}{_figure(row['ratio'])}x  {row['note']}"
        for row in report["rows"]
    ]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return f"{value:>10.2f}" if value is not None else f"{'-':>10}"
