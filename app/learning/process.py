"""A training run in a process of its own, watched through the JSON lines that it prints.

The process is a command of Trocar's; cancelling it terminates it, and a later run of the same name
goes on from its last checkpoint. Callbacks run on the thread ``trocar-training``.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 5.0


class TrainingProcess:
    """One run.

    Args:
        arguments: of the command ``trocar``, such as ``["finetune", ...]``; ``--lines`` is added.
        on_progress: gets each progress object (fields of ``models.training.Progress``).
        on_result: gets the command's result.
        on_failed: gets one sentence; not called after ``stop``.
        threads: of the processor that the run may use.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        on_progress: Callable[[dict[str, Any]], object],
        on_result: Callable[[dict[str, Any]], object],
        on_failed: Callable[[str], object],
        threads: int,
    ) -> None:
        self._on_progress, self._on_result = on_progress, on_result
        self._on_failed = on_failed
        self._stopped = False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the run has ended
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments, "--lines"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            encoding="utf-8",
        )
        self._thread = threading.Thread(target=self._watch, name="trocar-training")
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the run goes on."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the run; what it kept stays. Returns when it has ended."""
        self._stopped = True
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._thread.join()

    def _watch(self) -> None:
        result: dict[str, Any] | None = None
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        with self._process.stdout as lines:
            for text in lines:
                try:
                    said = json.loads(text)
                except ValueError:
                    continue
                if "model" in said:
                    result = said
                elif not self._stopped:
                    self._on_progress(said)
        code = self._process.wait()
        self._said.seek(0)
        errors = self._said.read().decode("utf-8", "replace").strip().splitlines()
        self._said.close()
        if self._stopped:
            return
        if code == 0 and result is not None:
            self._on_result(result)
            return
        log.info("training ended with code %s", code)
        known = code == 1 and len(errors) == 1
        self._on_failed(errors[0] if known else "The training process broke; try it again.")
