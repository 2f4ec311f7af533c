"""What every command shares: the library option, JSON output, progress, the library's door."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from threading import Event
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
LinesOption = Annotated[
    bool, typer.Option("--lines", hidden=True, help="Progress as JSON lines on stdout.")
]
TensorboardOption = Annotated[
    bool,
    typer.Option(
        "--tensorboard",
        help="TensorBoard files in OUT beside log.csv; needs trocar[tensorboard].",
    ),
]


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


def emit(
    data: object, *, as_json: bool, text: str | None = None, may_be_unheard: bool = False
) -> None:
    """Print the result: one JSON object, or the text for people.

    What could not be measured (nan) is null: JSON has no word for it.

    Args:
        data: the result.
        as_json: print it as JSON.
        text: for people; None prints nothing.
        may_be_unheard: the work was what counted, so that it succeeded although who reads went
            away.
    """
    if as_json:
        _say(to_json(data), may_be_unheard=may_be_unheard)
    elif text is not None:
        _say(text.rstrip("\n"))


def _say(text: str, *, may_be_unheard: bool = False) -> None:
    """A line on stdout, out of this process's hands when this returns.

    What comes after a reader has gone away goes nowhere.

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
            if may_be_unheard:
                return
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
                words = task.fields["words"]
                more = f", {words}" if words else ""
                sys.stderr.write(f"{task.description}: {10 * tenths} %{more}\n")

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}"),
        console=console,
        disable=quiet or not console.is_terminal,
    )
    with bar:
        bar.add_task(description, total=None, words="")
        yield bar


def training_report(bar: Progress, *, lines: bool) -> Callable[[TrainingProgress], None]:
    """What a training loop calls: moves the bar, or prints a JSON line for who reads them.

    A reader that goes away ends no training.

    The bar says loss, rate and the last figures of what is held out.
    """
    from app.ui.words import length

    figures: dict[str, float] = {}
    pieces = 1

    def report(now: TrainingProgress) -> None:
        nonlocal pieces
        if lines:
            _say(to_json(asdict(now)), may_be_unheard=True)
            return
        figures.update(now.metrics)
        if now.pieces > pieces:
            pieces = now.pieces
            sys.stderr.write(
                f"Note: Memory is short, so each batch is learnt in {pieces} pieces.\n"
            )
        said = {"loss": now.loss, **dict(list(figures.items())[:2]), "rate": now.learning_rate}
        words = ", ".join(f"{name} {value:.3g}" for name, value in said.items())
        if now.step < now.steps and not bar.console.is_terminal:
            words += f", about {length(now.seconds / now.step * (now.steps - now.step))} left"
        bar.update(bar.task_ids[0], completed=now.step, total=now.steps, words=words)

    return report


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl+C was pressed while the block lasts, so that work ends where it can go on.

    Pressed once more it ends at once.
    """
    asked = Event()

    def note(_number: int, _frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
