"""The first look at an untrusted file: a child process under limits of time, memory and streams.

The child is ``app.video.probe_child`` (``trocar probe --child FILE`` in a frozen bundle); it
answers with one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from app.core.errors import BadInput, EnvironmentProblem
from app.video.container import check_readable

TIME_LIMIT_S = 10.0


def first_look(path: Path, time_limit_s: float = TIME_LIMIT_S) -> None:
    """Let a child process open the file and decode its first picture.

    Raises:
        BadInput: what the child found, or that it died or did not finish.
        EnvironmentProblem: the file cannot be read, or no child can be started.
    """
    check_readable(path)
    try:
        child = subprocess.run(
            [*_child_command(), str(path.absolute())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=time_limit_s,
            check=False,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            cwd=_code_folder(),
        )
    except subprocess.TimeoutExpired as error:
        raise BadInput(
            f"{path.name} took longer than {time_limit_s:.0f} seconds to open; it is damaged, "
            "or its drive is too slow: copy it to this machine."
        ) from error
    except OSError as error:
        raise EnvironmentProblem(
            "The program that looks at new files could not be started; restart Trocar.", str(error)
        ) from error
    _raise_finding(path, child)


def _raise_finding(path: Path, child: subprocess.CompletedProcess[bytes]) -> None:
    try:
        answer = json.loads(child.stdout.decode().splitlines()[-1])
        sentence, kind = answer["problem"], answer["kind"]
    except (ValueError, IndexError, KeyError, TypeError) as error:
        tail = child.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise BadInput(
            f"{path.name} cannot be opened safely: looking at it failed; it is damaged.",
            f"exit {child.returncode}: {' '.join(tail)}",
        ) from error
    if sentence is None:
        return
    kinds = {"EnvironmentProblem": EnvironmentProblem}
    raise kinds.get(kind, BadInput)(sentence, answer.get("detail", ""))


def _child_command() -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable, "probe", "--child"]
    return [sys.executable, "-m", "app.video.probe_child"]


def _code_folder() -> str:
    return str(Path(__file__).resolve().parents[2])
