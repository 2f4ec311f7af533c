"""The command ``trocar``: registers every command and turns errors into one sentence."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from app import __version__
from app.cli.common import emit, library_folder
from app.cli.open_window import asked_for, open_window
from app.core.errors import TrocarError

# One file per command; explicit, so that a frozen bundle finds them too.
COMMANDS: tuple[str, ...] = (
    "demo",
    "analyze",
    "bench",
    "doctor",
    "engines",
    "models",
    "probe",
    "frame",
    "clip",
    "cases",
    "show",
    "find",
    "delete",
    "verify",
    "backup",
    "restore",
    "relink",
    "phantom",
    "evaluate",
    "metrics",
    "finetune",
    "train",
    "pretrain",
    "runs",
    "import_labels",
    "export",
    "report",
    "record",
)

log = logging.getLogger(__name__)


def _version(asked: bool) -> None:
    if asked:
        emit({"version": __version__}, as_json=False, text=f"Trocar {__version__}")
        raise typer.Exit


def build() -> typer.Typer:
    """The whole command line."""
    cli = typer.Typer(
        name="trocar",
        help="Review, correct and learn from endoscope video. Research and education only.\n\n"
        "Without a command, “trocar [FILE or FOLDER…]” opens the window on them.",
        no_args_is_help=False,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    cli.callback()(_options)
    for name in COMMANDS:
        importlib.import_module(f"app.cli.{name}").register(cli)
    return cli


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    del version


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 (done), 1 (it failed, one line on stderr) or 2 (usage)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = get_command(build())
    try:
        bare = asked_for(given, getattr(command, "commands", ()))
        if bare is not None:
            return open_window(library_folder(bare[0]), bare[1])
        result = command.main(args=given, prog_name="trocar", standalone_mode=False)
    except TrocarError as error:
        log.info("%s", error.detail)
        sys.stderr.write(error.user_message.rstrip() + "\n")
        return 1
    except typer.Abort:
        sys.stderr.write("Stopped; what was done so far is kept.\n")
        return 1
    except Exception as error:
        usage = getattr(error, "exit_code", None)
        if usage is None or not hasattr(error, "show"):
            raise
        error.show()
        return int(usage)
    return int(result) if isinstance(result, int) else 0
