"""What every command shares: the library option, JSON output, progress, the library's door."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import platformdirs
import typer

from app.core.errors import EnvironmentProblem

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
DeviceOption = Annotated[
    str | None,
    typer.Option(help="cuda, mps or cpu. Default: an NVIDIA card that works, else the processor."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def library_folder(given: Path | None) -> Path:
    """The folder a command works on: the option, ``TROCAR_LIBRARY``, or the data folder."""
    named = given or os.environ.get("TROCAR_LIBRARY")
    if named:
        return Path(named).expanduser().absolute()
    return Path(platformdirs.user_data_dir("Trocar", appauthor=False)) / "library"


def has_library(given: Path | None) -> bool:
    """Whether there is a library where a command works."""
    from app.store.opening import DATABASE

    return (library_folder(given) / DATABASE).is_file()


def open_library(
    given: Path | None,
    mode: Literal["write", "read"],
    *,
    recordings: bool = False,
    must_exist: bool = False,
) -> Library:
    """Open the library for one command; use it as a context manager.

    Args:
        given: the option.
        mode: see ``Library.open``.
        recordings: the command opens recordings; their kept indices are found again.
        must_exist: a mistyped folder is told, and no empty library is made there.
    """
    from app.store import Library

    folder = library_folder(given)
    if must_exist and not has_library(given):
        mode = "read"  # which says that there is none
    library = Library.open(folder, mode=mode)
    if recordings:
        from app.video import keep_indices_in

        keep_indices_in(library.cache_folder, writable=mode == "write")
    return library


def emit(data: object, *, as_json: bool, text: str | None = None) -> None:
    """Print the result: one JSON object, or the text for people.

    What could not be measured (nan) is null: JSON has no word for it.
    """
    if as_json:
        _say(to_json(data))
    elif text is not None:
        _say(text.rstrip("\n"))


def _say(text: str) -> None:
    """A line on stdout, out of this process's hands when this returns.

    Raises:
        EnvironmentProblem: what stdout leads to takes no more.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        # Python would try to write the rest again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(1) from error
        raise EnvironmentProblem(
            f"The result could not be printed ({error.strerror}); free some space or print it "
            "elsewhere."
        ) from error


def to_json(data: object) -> str:
    """One line of JSON; paths as text, numbers that are not finite as null."""
    return json.dumps(_plain(data), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


@contextmanager
def progress(description: str, *, quiet: bool) -> Iterator[Progress]:
    """A progress bar on stderr, a line per tenth where that is no terminal; silent if `quiet`."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)

    class Bar(Progress):
        said = -1

        def update(self, *given: Any, **more: Any) -> None:
            super().update(*given, **more)
            task = self.tasks[0]
            tenths = int(10 * task.completed / task.total) if task.total else 0
            if tenths > self.said and not quiet and not console.is_terminal:
                self.said = tenths
                sys.stderr.write(f"{task.description}: {10 * tenths} %\n")

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )
    with bar:
        bar.add_task(description, total=None)
        yield bar


def training_report(bar: Progress, *, lines: bool) -> Callable[[TrainingProgress], None]:
    """What a training loop calls: moves the bar, or prints a JSON line for the window to read."""

    def report(now: TrainingProgress) -> None:
        if lines:
            _say(to_json(asdict(now)))
        else:
            bar.update(bar.task_ids[0], completed=now.step, total=now.steps)

    return report
