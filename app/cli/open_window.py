"""Bare ``trocar [FILE or FOLDER…]``: opens the window. With ``demo``, all that reaches for Qt."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from app.core.errors import BadInput, EnvironmentProblem


def asked_for(
    arguments: Sequence[str], commands: Collection[str]
) -> tuple[Path | None, list[Path]] | None:
    """The library and files of a bare ``trocar [--library DIR] [FILE…]``.

    Returns:
        None where a command or another option was named.
    """
    rest, library = list(arguments), None
    while rest and rest[0].startswith("--library"):
        _, equals, value = rest.pop(0).partition("=")
        if not equals and not rest:
            return None
        library = Path(value if equals else rest.pop(0))
    if any(a.startswith("-") for a in rest) or (rest and rest[0] in commands):
        return None
    files = [Path(a) for a in rest]
    # A word that is neither a file nor looks like one is a mistyped command.
    if files and not files[0].exists() and not (files[0].suffix or len(files[0].parts) > 1):
        return None
    return library, files


def has_display() -> bool:
    """Whether a window can be shown here."""
    if os.environ.get("QT_QPA_PLATFORM"):
        return True
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_window(folder: Path, files: list[Path], *, demo: bool = False) -> int:
    """Open the window over a library and stay until it is closed.

    Raises:
        BadInput: a named file is not there.
        EnvironmentProblem: there is no display.
        Refused: another process writes to the library.
    """
    for path in files:
        if not path.exists():
            raise BadInput(f"There is no file {path}; check the name.")
    if not has_display():
        raise EnvironmentProblem(
            "There is no display here to open the window on; use “trocar analyze FILE”, or "
            "“trocar demo”, which works without one."
        )
    try:
        from app.ui.application import run
    except ImportError as error:
        raise EnvironmentProblem(
            "The window's libraries cannot be loaded; on Debian and Ubuntu install libegl1, "
            "libxkbcommon0 and libxcb-cursor0, or run “make setup” again.",
            str(error),
        ) from error
    return run(folder, files, demo=demo)
