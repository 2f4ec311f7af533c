"""What every command shares: the library option, JSON output, progress, the library's door."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import platformdirs
import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from app.store import Library
    from models.training import Progress as TrainingProgress

LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library",
        envvar="TROCAR_LIBRARY",
        help="Folder of the library. Default: the platform's data folder.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def library_folder(given: Path | None) -> Path:
    """The folder a command works on: the option, ``TROCAR_LIBRARY``, or the data folder."""
    named = given or os.environ.get("TROCAR_LIBRARY")
    if named:
        return Path(named).expanduser().absolute()
    return Path(platformdirs.user_data_dir("Trocar", appauthor=False)) / "library"


def open_library(
    given: Path | None, mode: Literal["write", "read"], *, recordings: bool = False
) -> Library:
    """Open the library for one command; use it as a context manager.

    Args:
        given: the option.
        mode: see ``Library.open``.
        recordings: the command opens recordings; their kept indices are found again.
    """
    from app.store import Library

    library = Library.open(library_folder(given), mode=mode)
    if recordings:
        from app.video import keep_indices_in

        keep_indices_in(library.cache_folder, writable=mode == "write")
    return library


def emit(data: object, *, as_json: bool, text: str | None = None) -> None:
    """Print the result: one JSON object, or the text for people."""
    if as_json:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, default=_plain) + "\n")
    elif text is not None:
        sys.stdout.write(text.rstrip("\n") + "\n")


def _plain(value: object) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"cannot print {type(value).__name__} as JSON")


@contextmanager
def progress(description: str, *, quiet: bool) -> Iterator[Progress]:
    """A progress bar on stderr; silent with ``--json``."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )
    with bar:
        bar.add_task(description, total=None)
        yield bar


def training_report(bar: Progress, *, lines: bool) -> Callable[[TrainingProgress], None]:
    """What a training loop calls: moves the bar, or prints a JSON line for the window to read."""

    def report(now: TrainingProgress) -> None:
        if lines:
            sys.stdout.write(json.dumps(asdict(now)) + "\n")
            sys.stdout.flush()
        else:
            bar.update(bar.task_ids[0], completed=now.step, total=now.steps)

    return report
