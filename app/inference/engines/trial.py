"""A child process that finds out which engines a model can have here, and how fast they are.

Exporting and compiling take seconds of Python and may end a process; so neither happens in the
one that shows video. The child works at a low priority and writes what it found to the cache.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EnvironmentProblem
from app.inference.device import DeviceChoice
from models import ModelCard

log = logging.getLogger(__name__)

_LIMIT_S = 900.0


class Trial:
    """One such process; it ends with this object.

    Args:
        card: of a model on disk.
        choice: the device.
        threads: of the processor.
        picture: a frame as the network sees it, uint8 (H, W, 3).
        only: one engine; None for all.

    Raises:
        EnvironmentProblem: no process can be started.
    """

    def __init__(
        self,
        card: ModelCard,
        choice: DeviceChoice,
        threads: int,
        picture: NDArray[np.uint8],
        *,
        only: str | None = None,
    ) -> None:
        height, width = picture.shape[:2]
        command = [
            sys.executable,
            *([] if getattr(sys, "frozen", False) else ["-m", "app"]),
            *("engines", str(card.folder), "--width", str(width), "--height", str(height)),
            *("--threads", str(threads), "--device", choice.device, "--frame-from-stdin", "--json"),
            *(["--engine", only] if only else []),
        ]
        with tempfile.TemporaryFile() as frame:  # has no name: no frame of a patient stays behind
            frame.write(picture.tobytes())
            frame.seek(0)
            try:
                self._child = subprocess.Popen(
                    command,
                    stdin=frame,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=Path(__file__).resolve().parents[3],
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
            except OSError as error:
                raise EnvironmentProblem(
                    "The program that tries engines could not be started; restart Trocar.",
                    str(error),
                ) from error
        self._end = weakref.finalize(self, _end, self._child)

    @property
    def is_over(self) -> bool:
        """Whether the child has ended, well or not."""
        return self._child.poll() is not None

    def wait(self) -> None:
        """Until the child has ended; a quarter of an hour at most."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_LIMIT_S)
        self._end()


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.kill()
    if child.wait():
        log.info("the trial of engines ended with %s", child.returncode)
